/**
 * The library face of Snatch: the engine without the daemon, in the names of the specification. Nothing starts before it
 * is needed; `await using` ends it.
 *
 * ```ts
 * await using manager = new DownloadManager({ max_concurrent_downloads: 2 });
 * const results = await manager.download(["https://example.org/file.iso"], { directory: "downloads" });
 * ```
 */

export type { AudioAnalysis } from "./daemon/audio/analyze.ts";
export type { FlacProblem, FlacVerdict } from "./daemon/audio/flac.ts";
export type { AudioControl, AudioResult, OutputOptions } from "./daemon/audio/types.ts";
export type { ConfigReport, InitializeOptions } from "./daemon/config/initialize.ts";
export { type LoadOptions, loadConfig } from "./daemon/config/load.ts";
export type { Config, ConfigInput } from "./daemon/config/schema.ts";
export type { AudioFilterDefinition } from "./daemon/core/audio-work.ts";
export {
  DownloadError,
  FileSystemError,
  NetworkError,
  ResourceError,
  SystemResourceError,
} from "./daemon/core/errors.ts";
export type { NumberedEvent, SessionEvent } from "./daemon/core/events.ts";
export type { DownloadHooks, HookMetadata, Recovery, SessionHooks } from "./daemon/core/hooks.ts";
export type { DownloadChunk, Manifest } from "./daemon/core/manifest.ts";
export type {
  NatType,
  NetworkState,
  PeerDiscovery,
  PeerInfo,
  PeerPath,
  PeerSharing,
  PeerState,
  ShareOptions,
  ShareState,
} from "./daemon/core/peers.ts";
export {
  definePlugin,
  type OptionsSchema,
  type Plugin,
  type PluginApi,
  type RawOptions,
} from "./daemon/core/plugin.ts";
export type { CacheFreed, CacheKind, CacheKindStats, CacheStats } from "./daemon/core/ports/cache.ts";
export type { Check, CheckOutcome, CheckReport } from "./daemon/core/ports/house.ts";
export type { ByteSink, HttpClient, HttpRequest, HttpResponse } from "./daemon/core/ports/http.ts";
export type { SessionStore } from "./daemon/core/ports/sessions.ts";
export type { ChunkSource, RangeRequest, RangeStream } from "./daemon/core/ports/sources.ts";
export type { Checksum, DownloadOptions, ResourceInfo, Session, SessionStatus, Stage } from "./daemon/core/session.ts";
export type { BatchResult, DownloadResult, UrlOrMirrors } from "./daemon/download/manager.ts";
export { DownloadManager, initializeConfig, type LibraryOptions, SessionManager } from "./daemon/library.ts";
export { type AudioLibraryOptions, AudioProcessor, EnhancedAudioProcessor } from "./daemon/library-audio.ts";
export { type CacheLibraryOptions, DownloadCache } from "./daemon/library-cache.ts";
export { type FetchOptions, type P2PLibraryOptions, P2PManager } from "./daemon/library-p2p.ts";
export type { ErrorCode } from "./shared/errors.ts";
