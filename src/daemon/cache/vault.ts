/**
 * What all caches of this room are kept in: bodies by their digest, entries by kind and key. The kinds (metadata,
 * thumbnails, fragments) know what their bodies mean; the vault knows how much may be kept, what goes first, and that a
 * body that is not what was stored is never given out.
 */

/** What is cached. Sessions are not in the vault: they are hot records in memory only. */
export type VaultKind = "metadata" | "thumbnail" | "fragment";

/** One thing that is kept. Times are milliseconds since the epoch. */
export interface CacheEntry {
  readonly kind: VaultKind;
  /** Of any length; kept whole, so that two keys are never taken for one. */
  readonly key: string;
  /** SHA-256 of the body, lower-case hex. */
  readonly digest: string;
  /** Bytes of the body. */
  readonly size: number;
  readonly storedAt: number;
  /** When it stops to be fresh; absent: never by time. What is stale may still be revalidated until it is cleaned up. */
  readonly expiresAt?: number;
  /** What the kind keeps with it (a header section, a media type), as JSON. */
  readonly note: string;
}

/** What a body is stored with. */
export interface PutOptions {
  readonly expiresAt?: number;
  readonly note?: string;
  /** Bytes that the body may have at most; absent: the limit of its kind. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

/** What was given back. */
export interface Freed {
  readonly entries: number;
  /** Bytes of bodies, and of the database where it was compacted. */
  readonly bytes: number;
}

/** What one kind holds. */
export interface KindStats {
  readonly entries: number;
  readonly bytes: number;
  readonly maxBytes: number;
  readonly hits: number;
  readonly misses: number;
  /** Left because of a limit. */
  readonly evicted: number;
  /** Dropped because the body was not what was stored. */
  readonly damaged: number;
}

/** Limits, read anew at each store: they come from the configuration. */
export interface VaultLimits {
  /** Bytes of all bodies together. */
  readonly maxBytes: number;
  readonly kinds: Readonly<Record<VaultKind, { readonly maxBytes: number; readonly maxEntryBytes: number }>>;
}

/** Bodies by digest, entries by kind and key. Every method may be called by many at once. */
export interface Vault {
  /**
   * Stores a body, in place of what was there. Resolves when both survive the death of the process. Others are evicted for it,
   * the least recently used first, never one that is pinned.
   * @throws DownloadError CACHE_TOO_LARGE if the body is longer than allowed (it is read no further), CACHE_FULL if all that
   *   would have to go is pinned, CACHE_UNAVAILABLE, DISK_FULL and those of the file system; what was there before then stays
   */
  put(
    kind: VaultKind,
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options?: PutOptions,
  ): Promise<CacheEntry>;
  /** The entry with its body, proved; undefined if there is none, or if the body was damaged (it is dropped and reported). */
  get(kind: VaultKind, key: string): Promise<{ readonly entry: CacheEntry; readonly body: Uint8Array } | undefined>;
  /** The entry alone; does not count as a use. */
  peek(kind: VaultKind, key: string): Promise<CacheEntry | undefined>;
  /** Changes what is kept with the body: a revalidation. @returns false if there is no such entry any more */
  amend(kind: VaultKind, key: string, change: { expiresAt?: number | undefined; note?: string }): Promise<boolean>;
  remove(kind: VaultKind, key: string): Promise<boolean>;
  /** Keeps an entry from eviction, cleaning and clearing until it is disposed of: an active download uses it. */
  pin(kind: VaultKind, key: string): Disposable;
  /** Counted since the start, but for what is there. */
  stats(): Promise<Readonly<Record<VaultKind, KindStats>>>;
}

/** What is done to the caches by schedule or by hand. Each stops at the signal, with what it has done so far kept. */
export interface VaultUpkeep {
  /** Removes what is no longer fresh. */
  cleanupExpired(signal?: AbortSignal): Promise<Freed>;
  /**
   * Removes bodies that nothing names and entries whose bodies are gone or damaged, brings the rest within the limits, and
   * gives back what the index no longer needs in the database. Works slowly enough not to be felt by downloads.
   */
  compactStorage(signal?: AbortSignal): Promise<Freed>;
  /** Removes everything, or everything of a kind, that is not pinned. */
  clear(kind?: VaultKind, signal?: AbortSignal): Promise<Freed>;
}
