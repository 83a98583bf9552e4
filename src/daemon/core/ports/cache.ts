/** The caches, and the care for them. */
import type { PlacedFile } from "./files.ts";
import type { ChunkSource } from "./sources.ts";

/** A cache that may hold whole resources by digest; asked before an origin is. */
export interface DownloadCache {
  /** A source for bytes with this digest, if it has them all. */
  sourceFor(digest: { readonly algorithm: string; readonly value: string }): Promise<ChunkSource | undefined>;
  /** A finished file is in its place. What is written down is handed to the store in this turn. Never rejects. */
  placed?(file: PlacedFile): Promise<void>;
}

/** What is cached. */
export type CacheKind = "metadata" | "thumbnails" | "fragments" | "sessions";

/** What a cache holds of one kind. Uses are counted from the start on. */
export interface CacheKindStats {
  readonly kind: CacheKind;
  readonly entries: number;
  /** Bytes of the bodies; 0 for sessions. */
  readonly bytes: number;
  readonly maxBytes?: number;
  readonly maxEntries?: number;
  readonly hits: number;
  readonly misses: number;
  /** Left because of a limit. */
  readonly evicted: number;
  /** Dropped because the bytes were not those that had been stored. */
  readonly damaged: number;
}

/** What all caches hold. */
export interface CacheStats {
  readonly enabled: boolean;
  /** Where the bodies lie; absolute. */
  readonly directory: string;
  /** Each kind once; only sessions if the cache is off. */
  readonly kinds: readonly CacheKindStats[];
  readonly bytes: number;
  readonly maxBytes: number;
  /** Why it cannot be used now. */
  readonly problem?: string;
  /** When it was last cleaned and compacted, in milliseconds since the epoch; absent: not since the start. */
  readonly cleanedAt?: number;
  readonly compactedAt?: number;
}

/** What was given back. */
export interface CacheFreed {
  readonly entries: number;
  /** Of bodies, and of the database where it was compacted. */
  readonly bytes: number;
}

/** The records of sessions that are held in memory; implemented by the session room. */
export interface HotRecords {
  stats(): Omit<CacheKindStats, "kind">;
  /** Lets go of all that are neither active nor being written. @returns how many */
  clear(): number;
}

/**
 * The care for all caches; implemented by the cache room. What an active download uses stays in each case. The three that
 * change something wait for one another. Each throws CACHE_UNAVAILABLE if the cache is off or cannot be used.
 */
export interface CacheControl {
  stats(): Promise<CacheStats>;
  /** Removes what is stale. */
  clean(signal?: AbortSignal): Promise<CacheFreed>;
  /** Gives back room that is not used any more. */
  compact(signal?: AbortSignal): Promise<CacheFreed>;
  /** Removes all of a kind, or of all kinds. */
  clear(kind?: CacheKind, signal?: AbortSignal): Promise<CacheFreed>;
}
