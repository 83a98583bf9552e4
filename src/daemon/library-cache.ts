/**
 * The caches as a library: the spec's DownloadCache. By itself it keeps everything in a folder of its own, the index too;
 * made with a SessionManager it shares that one's database, and the folder, with the daemon.
 */
import { join } from "node:path";
import { assembleClient } from "./assemble.ts";
import { assembleKept, type KeptParts } from "./assemble-cache.ts";
import { type GetMetadataOptions, MetadataCache, type StoreMetadataOptions } from "./cache/metadata-cache.ts";
import { type GetThumbnailOptions, type Thumbnail, ThumbnailCache } from "./cache/thumbnail-cache.ts";
import { CacheUpkeep } from "./cache/upkeep.ts";
import type { ConfigInput } from "./config/schema.ts";
import type { Startable } from "./core/lifecycle.ts";
import type {
  CacheFreed,
  CacheKind,
  CacheStats,
  HotRecords,
  DownloadCache as SourceCache,
} from "./core/ports/cache.ts";
import type { PlacedFile } from "./core/ports/files.ts";
import type { HttpClient } from "./core/ports/http.ts";
import type { KeyValue } from "./core/ports/key-value.ts";
import type { ChunkSource } from "./core/ports/sources.ts";
import { Holds } from "./http/holds.ts";
import { type HomeOptions, libraryInit } from "./library-init.ts";
import { Store } from "./store/store.ts";

/** What may be brought along. */
export interface CacheLibraryOptions extends HomeOptions {
  /** Its database is used, and started. */
  readonly sessionManager?: { readonly keyValue: KeyValue; readonly hot: HotRecords; start(): Promise<void> };
  readonly httpClient?: HttpClient;
}

/** In place of the records of a session manager. */
const NO_SESSIONS: HotRecords = {
  stats: () => ({ entries: 0, bytes: 0, hits: 0, misses: 0, evicted: 0, damaged: 0 }),
  clear: () => 0,
};

/** The folder, in the cache's, of a cache that stands alone. */
const ALONE = "library";

/** Metadata, thumbnails and fragments, and the care for them. Starts at the first use; disposal ends it. */
export class DownloadCache implements SourceCache, Startable {
  readonly #kept: KeptParts;
  readonly #metadata: MetadataCache;
  readonly #thumbnails: ThumbnailCache;
  readonly #upkeep: CacheUpkeep;
  /** In the order of their start. */
  readonly #parts: readonly Startable[];
  readonly #client: AsyncDisposable;
  readonly #sessions: CacheLibraryOptions["sessionManager"];
  #started: Promise<void> | undefined;
  #ready = false;

  /**
   * @param config - keys as in the configuration file; what is absent has its default
   * @throws DownloadError CONFIG_INVALID
   */
  constructor(config: ConfigInput = {}, { sessionManager, httpClient, ...options }: CacheLibraryOptions = {}) {
    const init = libraryInit(config, options);
    const { clock, logger } = init;
    const { cache, http } = init.config();
    const directory = sessionManager ? cache.directory : join(cache.directory, ALONE);
    const own = new Store({ directory: join(directory, "db"), logger });
    const store = sessionManager?.keyValue ?? own.keyValue;
    const made = assembleClient(init, new Holds(http.max_retry_after * 1000, { clock, logger }));
    const client = httpClient ?? made;
    const kept = assembleKept(init, store, directory);
    const answers = { vault: kept.vault, client, clock, logger };
    const { metadata, thumbnails } = cache;
    this.#kept = kept;
    this.#metadata = new MetadataCache({
      ...answers,
      limits: () => ({ maxBytes: metadata.max_entry_size, ttlSeconds: metadata.ttl }),
    });
    this.#thumbnails = new ThumbnailCache({
      ...answers,
      limits: () => ({ maxBytes: thumbnails.max_entry_size, ttlSeconds: thumbnails.ttl }),
    });
    this.#upkeep = new CacheUpkeep({
      kept,
      sessions: sessionManager?.hot ?? NO_SESSIONS,
      store,
      clock,
      settings: () => ({ directory, maxBytes: cache.max_size }),
    });
    this.#parts = [...(sessionManager ? [] : [own]), kept.vault, kept.fragments];
    this.#client = made;
    this.#sessions = sessionManager;
  }

  /** Starts at the first call; further calls wait for it. @throws DownloadError ALREADY_RUNNING, STORE_CORRUPT … */
  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#started) return;
    await this.#started.catch(() => undefined);
    this.#ready = false;
    await this.#thumbnails[Symbol.asyncDispose]();
    await this.#metadata[Symbol.asyncDispose]();
    await this.#client[Symbol.asyncDispose]();
    for (const part of this.#parts.toReversed()) await part[Symbol.asyncDispose]();
  }

  /** See {@link MetadataCache.storeMetadata}. `ttl` is in seconds. */
  async storeMetadata(url: string, data: unknown, options?: StoreMetadataOptions): Promise<void> {
    await this.start();
    await this.#metadata.storeMetadata(url, data, options);
  }

  /** See {@link MetadataCache.getMetadata}. */
  async getMetadata(url: string, options?: GetMetadataOptions): ReturnType<MetadataCache["getMetadata"]> {
    await this.start();
    return this.#metadata.getMetadata(url, options);
  }

  /** See {@link ThumbnailCache.getThumbnail}. */
  async getThumbnail(url: string, options?: GetThumbnailOptions): Promise<Thumbnail> {
    await this.start();
    return this.#thumbnails.getThumbnail(url, options);
  }

  /** Keeps a fragment of a stream. @throws DownloadError CACHE_TOO_LARGE, DISK_FULL and those of the file system */
  async storeFragment(key: string, bytes: Uint8Array): Promise<void> {
    await this.start();
    await this.#kept.fragments.storeFragment(key, bytes);
  }

  /** A fragment that was kept, proved; undefined if it is not there, or not any more. */
  async getFragment(key: string): Promise<Uint8Array | undefined> {
    await this.start();
    return this.#kept.fragments.getFragment(key);
  }

  /** A chunk by its SHA-256, from a stored file or from what is kept; proved. */
  async getChunk(sha256: string): Promise<Uint8Array | undefined> {
    await this.start();
    return this.#kept.fragments.chunk(sha256);
  }

  /** Removes what is stale. */
  async cleanupExpired(signal?: AbortSignal): Promise<CacheFreed> {
    await this.start();
    return this.#upkeep.clean(signal);
  }

  /** Gives back room that is not used any more, in the folder and in the database. */
  async compactStorage(signal?: AbortSignal): Promise<CacheFreed> {
    await this.start();
    return this.#upkeep.compact(signal);
  }

  /** Removes everything, or everything of a kind. */
  async clear(kind?: CacheKind, signal?: AbortSignal): Promise<CacheFreed> {
    await this.start();
    return this.#upkeep.clear(kind, signal);
  }

  /** What is kept, and how much it was of use. */
  async stats(): Promise<CacheStats> {
    await this.start();
    return this.#upkeep.stats();
  }

  /** For the download manager that this is brought to. */
  async sourceFor(digest: { readonly algorithm: string; readonly value: string }): Promise<ChunkSource | undefined> {
    await this.start();
    return this.#kept.fragments.sourceFor(digest);
  }

  /** For the download manager that this is brought to. */
  placed(file: PlacedFile): Promise<void> {
    const { fragments } = this.#kept;
    // In this turn, so that it is written together with what else is.
    if (this.#ready) return fragments.placed(file);
    return this.start().then(
      () => fragments.placed(file),
      () => undefined,
    );
  }

  async #start(): Promise<void> {
    await this.#sessions?.start();
    for (const part of this.#parts) await part.start();
    this.#ready = true;
  }
}
