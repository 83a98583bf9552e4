/**
 * The care for all caches, as the calendar and people ask for it: what they hold, cleaning, compacting, clearing. One
 * thing at a time, for two that walk through the same entries would only be in each other's way.
 */
import { asDownloadError, failure } from "../core/errors.ts";
import type {
  CacheControl,
  CacheFreed,
  CacheKind,
  CacheKindStats,
  CacheStats,
  HotRecords,
} from "../core/ports/cache.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { Clock } from "../core/ports/runtime.ts";
import { SPACE } from "./fragment-record.ts";
import type { FragmentCache } from "./fragments.ts";
import type { Vault, VaultKind, VaultUpkeep } from "./vault.ts";

/** What can be cached besides sessions. */
export interface KeptCaches {
  readonly vault: Pick<Vault, "stats"> &
    VaultUpkeep & {
      /** Why nothing is kept; undefined if all is well. */
      readonly problem: string | undefined;
    };
  readonly fragments: Pick<FragmentCache, "stats" | "sweep" | "forget">;
}

/** What is cared for. */
export interface UpkeepParts {
  /** Absent: the cache is off. */
  readonly kept?: KeptCaches;
  readonly sessions: HotRecords;
  /** Holds the index of stored files. */
  readonly store: Pick<KeyValue, "compact">;
  readonly clock: Clock;
  /** In force now. */
  readonly settings: () => { readonly directory: string; readonly maxBytes: number };
}

const NOTHING: CacheFreed = { entries: 0, bytes: 0 };
const VAULT_KIND = { metadata: "metadata", thumbnails: "thumbnail" } as const satisfies Partial<
  Record<CacheKind, VaultKind>
>;

/** {@link CacheControl} over the caches of this room. */
export class CacheUpkeep implements CacheControl {
  readonly #parts: UpkeepParts;
  #turn: Promise<unknown> = Promise.resolve();
  #cleanedAt: number | undefined;
  #compactedAt: number | undefined;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  async stats(): Promise<CacheStats> {
    const { kept, sessions, settings } = this.#parts;
    const { directory, maxBytes } = settings();
    const kinds: CacheKindStats[] = [];
    let problem = kept?.vault.problem;
    if (kept && problem === undefined) {
      try {
        kinds.push(...(await statsOf(kept)));
      } catch (error) {
        problem = asDownloadError(error).message;
      }
    }
    return {
      enabled: kept !== undefined,
      directory,
      maxBytes,
      bytes: kinds.reduce((sum, { bytes }) => sum + bytes, 0),
      kinds: [...kinds, { kind: "sessions", ...sessions.stats() }],
      ...(problem !== undefined && { problem }),
      ...(this.#cleanedAt !== undefined && { cleanedAt: this.#cleanedAt }),
      ...(this.#compactedAt !== undefined && { compactedAt: this.#compactedAt }),
    };
  }

  clean(signal?: AbortSignal): Promise<CacheFreed> {
    return this.#inTurn(signal, async () => {
      const { vault, fragments } = this.#kept();
      const freed = add(await vault.cleanupExpired(signal), await fragments.sweep(signal));
      this.#cleanedAt = this.#parts.clock.now();
      return freed;
    });
  }

  compact(signal?: AbortSignal): Promise<CacheFreed> {
    return this.#inTurn(signal, async () => {
      const { store, clock } = this.#parts;
      let freed: CacheFreed = await this.#kept().vault.compactStorage(signal);
      for (const space of Object.values(SPACE)) {
        signal?.throwIfAborted();
        freed = add(freed, { entries: 0, bytes: (await store.compact?.(space)) ?? 0 });
      }
      this.#compactedAt = clock.now();
      return freed;
    });
  }

  clear(kind?: CacheKind, signal?: AbortSignal): Promise<CacheFreed> {
    return this.#inTurn(signal, async () => {
      if (kind !== undefined) return this.#clear(kind, signal);
      let freed = NOTHING;
      for (const each of this.#parts.kept ? (["metadata", "thumbnails", "fragments"] as const) : [])
        freed = add(freed, await this.#clear(each, signal));
      return add(freed, await this.#clear("sessions", signal));
    });
  }

  async #clear(kind: CacheKind, signal: AbortSignal | undefined): Promise<CacheFreed> {
    if (kind === "sessions") return { entries: this.#parts.sessions.clear(), bytes: 0 };
    const { vault, fragments } = this.#kept();
    if (kind === "fragments") return add(await vault.clear("fragment", signal), await fragments.forget(signal));
    return vault.clear(VAULT_KIND[kind], signal);
  }

  /** @throws DownloadError CACHE_UNAVAILABLE */
  #kept(): KeptCaches {
    const { kept } = this.#parts;
    if (kept) return kept;
    throw failure("CACHE_UNAVAILABLE", "the cache is off: cache.enabled is false");
  }

  /** Whoever has left before its turn is not waited for. */
  #inTurn<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(() => {
      signal?.throwIfAborted();
      return work();
    });
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

async function statsOf({ vault, fragments }: KeptCaches): Promise<CacheKindStats[]> {
  const { metadata, thumbnail } = await vault.stats();
  return [
    { kind: "metadata", ...metadata },
    { kind: "thumbnails", ...thumbnail },
    { kind: "fragments", ...(await fragments.stats()) },
  ];
}

const add = (a: CacheFreed, b: CacheFreed): CacheFreed => ({
  entries: a.entries + b.entries,
  bytes: a.bytes + b.bytes,
});
