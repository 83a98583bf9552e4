/**
 * Puts the engine together from its rooms: what the daemon and the library have in common, and the daemon's log. Nothing
 * here starts or touches a disk before `start()`.
 */
import { homedir } from "node:os";
import { join } from "node:path";
import type { Environment, Paths } from "../shared/paths.ts";
import { assembleAudio } from "./assemble-audio.ts";
import { assembleThumbnails, asThumbnails } from "./assemble-cache.ts";
import { assembleMediaTool, assembleResolvers } from "./assemble-media.ts";
import { assemblePeers } from "./assemble-peers.ts";
import type { AudioRoom } from "./audio/room.ts";
import type { CacheVault } from "./cache/cache-vault.ts";
import type { Config } from "./config/schema.ts";
import type { AudioFilterRegistry } from "./core/audio-work.ts";
import type { Startable } from "./core/lifecycle.ts";
import type { PeerSharing } from "./core/peers.ts";
import type { HookRegistry } from "./core/plugin.ts";
import type { DownloadCache } from "./core/ports/cache.ts";
import type { HttpClient } from "./core/ports/http.ts";
import type { KeyValue } from "./core/ports/key-value.ts";
import type { Thumbnails } from "./core/ports/media.ts";
import type { Clock, Logger, MemoryPressure } from "./core/ports/runtime.ts";
import { DiskFileStore } from "./disk/file-store.ts";
import type { EngineParts } from "./download/run.ts";
import type { DownloadSettings } from "./download/settings.ts";
import { Commands } from "./hooks/commands.ts";
import { Webhooks } from "./hooks/webhooks.ts";
import { Holds } from "./http/holds.ts";
import { Identity } from "./http/identity.ts";
import { LazyClient } from "./http/lazy-client.ts";
import { type Proxies, proxiesOf } from "./http/proxy.ts";
import { HttpSourceFactory } from "./http/source.ts";
import type { HeapControl } from "./os/heap.ts";
import { Log, writesTo } from "./os/log.ts";
import { MemoryProbe } from "./os/memory.ts";
import { MemoryWatch } from "./os/memory-watch.ts";
import type { PeerRoom } from "./p2p/room.ts";
import type { PluginsConfig } from "./plugins/find.ts";
import { Plugins } from "./plugins/plugins.ts";
import type { SessionManager } from "./session/session-manager.ts";
import { Store } from "./store/store.ts";

/** Milliseconds for which a reading of the free memory holds. */
const MEMORY_READING_MS = 1000;

/** What the engine works with besides the parts made here. */
export interface BroughtParts {
  readonly sessionManager: SessionManager;
  readonly downloadCache?: DownloadCache;
  readonly httpClient?: HttpClient;
  /** Pictures of media. */
  readonly thumbnails?: Thumbnails;
  /** Where pictures of media are kept, if nobody brings a place to have them from. */
  readonly vault?: CacheVault;
}

/** Everything below the download manager. */
export interface Engine {
  readonly parts: EngineParts;
  readonly settings: () => DownloadSettings;
  readonly client: HttpClient;
  readonly memory: MemoryProbe;
  readonly watch: MemoryPressure;
  /** What works on audio. */
  readonly audio: AudioRoom;
  /** What shares, and fetches from peers; absent without a database. To be started behind the downloads. */
  readonly peers?: PeerRoom;
  /** To be called when the database is open, before anything is downloaded. */
  readonly start: () => Promise<void>;
  /** Made here, so ended here. */
  readonly owned: readonly AsyncDisposable[];
}

/** What the engine is put together from. */
export interface EngineInit {
  /** The configuration in force; read anew wherever a change may take effect. */
  readonly config: () => Config;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default: the environment of the process. */
  readonly env?: Environment;
  /** Folders into which nothing is downloaded; absolute. Default: none. */
  readonly guarded?: () => Promise<readonly string[]>;
  /** The process's heap, where it is ours to steer. */
  readonly heap?: HeapControl;
}

/**
 * Puts the engine together.
 *
 * @param store - the database, for what the engine itself remembers; absent: nothing
 */
export function assembleEngine(init: EngineInit, brought: BroughtParts, store: KeyValue | undefined): Engine {
  const { config, clock, logger } = init;
  const holds = new Holds(config().http.max_retry_after * 1000, {
    clock,
    logger: logger.child({ room: "http" }),
    ...(store && { store }),
  });
  const made = assembleClient(init, holds);
  const client = brought.httpClient ?? made;
  const pictures = brought.vault && assembleThumbnails(init, brought.vault, client);
  const thumbnails = brought.thumbnails ?? (pictures && asThumbnails(pictures));
  const memory = new MemoryProbe();
  const sources = new HttpSourceFactory({ client, clock });
  const watch = new MemoryWatch({
    probe: memory,
    ...(init.heap && { heap: init.heap }),
    clock,
    logger: logger.child({ room: "os" }),
    limitPercent: () => config().memory_limit_percent,
    busy: () => brought.sessionManager.counts().active > 0,
  });
  const media = assembleMediaTool(config(), clock);
  const audio = assembleAudio(config, media, logger);
  const peers = store && assemblePeers(init, store, brought.sessionManager.receipts);
  const resolvers = assembleResolvers({ sources, clock, logger, config, environment: init.env ?? process.env });
  return {
    parts: {
      store: brought.sessionManager,
      files: new DiskFileStore(init.guarded),
      sources,
      resolvers: peers ? [peers.resolver, ...resolvers] : resolvers,
      ...(peers && { peers, sharer: peers }),
      media,
      ...(thumbnails && { thumbnails }),
      steps: audio,
      ...(brought.downloadCache && { cache: brought.downloadCache }),
      memory: watch,
      clock,
      logger: logger.child({ room: "download" }),
    },
    settings: settingsOf(config, memory, clock),
    client,
    memory,
    watch,
    audio,
    ...(peers && { peers }),
    start: () => holds.start(),
    owned: [holds, made, watch, media, ...(pictures ? [pictures] : []), ...(peers ? [peers] : [])],
  };
}

/** A log file that was asked for, or the one that snatchctl redirected the standard error to, is rotated by us. */
export function assembleLog(
  { config, paths }: { readonly config: Config; readonly paths: Paths },
  env: Environment,
): Log {
  const { level, format, file, max_size, keep } = config.log;
  const path = file || (writesTo(paths.logFile) ? paths.logFile : "");
  return new Log({ level, format, ...(path !== "" && { file: { path, maxSize: max_size, keep } }), env });
}

/** The database, and what the sessions in it are made of. */
export interface SessionParts {
  readonly store: Store;
  readonly parts: ConstructorParameters<typeof SessionManager>[0] & { readonly store: KeyValue };
}

/** Makes the database, and what its sessions are made of. */
export function assembleSessions({ config, paths, clock, logger }: EngineInit): SessionParts {
  const store = new Store({ directory: join(paths.stateDir, "db"), logger: logger.child({ room: "store" }) });
  const { sessions, events, cache } = config();
  return {
    store,
    parts: {
      store: store.keyValue,
      clock,
      logger: logger.child({ room: "session" }),
      options: {
        keepDays: sessions.keep_days,
        keepCount: sessions.keep_count,
        milestones: [25, 50, 75, 100],
        eventsKept: events.keep,
        hotRecords: cache.sessions.max_entries,
      },
    },
  };
}

/** What the hooks of the configuration are put together from. */
export interface HookParts {
  readonly sessions: SessionManager;
  readonly store: KeyValue;
  readonly client: HttpClient;
  /** Handed on to commands. */
  readonly env: Environment;
}

/** What the configuration hangs on the ends of downloads: commands and webhooks. To be started before downloads are. */
export function assembleHooks({ config, clock, logger }: EngineInit, parts: HookParts): readonly Startable[] {
  const { sessions, store, client, env } = parts;
  const own = { sessions, clock, logger: logger.child({ room: "hooks" }) };
  const settings = () => {
    const { on_complete, on_error, shell, command_timeout, commands_at_once } = config().hooks;
    return {
      onComplete: on_complete,
      onError: on_error,
      shell,
      timeoutMs: command_timeout * 1000,
      atOnce: commands_at_once,
    };
  };
  const { webhooks } = config().hooks;
  return [new Commands({ ...own, settings, env }), new Webhooks({ ...own, store, client, webhooks })];
}

/** Where plugins are, and what is set for them. */
export function pluginsConfigOf({ plugins_dir, plugins }: Config): PluginsConfig {
  return { folder: plugins_dir, plugins };
}

/** The plugins; to be started before downloads are. */
export function assemblePlugins(
  { config, clock, logger }: EngineInit,
  hooks: HookRegistry,
  filters: AudioFilterRegistry,
  peers: Pick<PeerSharing, "registerDiscoveryMethod">,
): Plugins {
  return new Plugins({
    config: pluginsConfigOf(config()),
    hooks,
    filters,
    peers,
    clock,
    logger: logger.child({ room: "plugins" }),
  });
}

/** The proxies of the configuration, or else of the environment. */
export function proxiesFrom({ http }: Config, environment: Environment = process.env): Proxies {
  return proxiesOf({ proxy: http.proxy, noProxy: http.no_proxy, environment });
}

/** The logins and cookies of the configuration. */
export function identityFrom(
  { http }: Config,
  parts: Pick<EngineInit, "clock" | "logger">,
  env: Environment = process.env,
): Identity {
  const usual = join(env["HOME"] || homedir(), ".netrc");
  return new Identity(
    { netrc: http.netrc, netrcOptional: http.netrc === usual, cookieFile: http.cookie_file },
    { clock: parts.clock, logger: parts.logger },
  );
}

/** The HTTP client of a configuration. @param holds - what hosts have asked for, shared with whoever remembers it */
export function assembleClient({ config, clock, logger: parent, env }: EngineInit, holds: Holds): LazyClient {
  const { http, timeout, connections_per_host } = config();
  const logger = parent.child({ room: "http" });
  return new LazyClient(
    {
      userAgent: http.user_agent,
      maxRedirects: http.max_redirects,
      timeoutMs: timeout * 1000,
      connectionsPerHost: connections_per_host,
      proxies: proxiesFrom(config(), env),
      allowPrivateRedirects: http.allow_private_redirects,
      allowRemoteHosts: http.allow_remote_hosts,
      maxRetryAfterMs: http.max_retry_after * 1000,
    },
    { clock, logger, holds, identity: identityFrom(config(), { clock, logger }, env) },
  );
}

function settingsOf(config: () => Config, memory: MemoryProbe, clock: Clock): () => DownloadSettings {
  let headroom = 0;
  let readAt = Number.NEGATIVE_INFINITY;
  return () => {
    const now = config();
    return {
      downloadDir: now.download_dir,
      maxConcurrent: now.max_concurrent_downloads,
      chunkSize: now.chunk_size,
      maxRetries: now.max_retries,
      retryDelay: now.retry_delay,
      enableResume: now.enable_resume,
      verifyChunks: now.verify_chunks,
      connections: now.connections_per_download,
      limit: now.limit,
      timeout: now.timeout,
      ifExists: now.if_exists,
      audioSteps: now.audio.on_download,
      minFreeSpace: now.min_free_space,
      formats: now.formats,
      memoryHeadroom: () => {
        // Every download asks; the files behind the answer are read once a second.
        if (clock.monotonic() - readAt >= MEMORY_READING_MS) {
          headroom = memory.headroom(now.memory_limit_percent);
          readAt = clock.monotonic();
        }
        return headroom;
      },
    };
  };
}
