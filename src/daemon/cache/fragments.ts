/**
 * The fragment cache: chunks by their content. Those of stored files are only noted, never copied, and proved again
 * whenever they are read; a download whose digest is known is filled from them before anybody is asked. Bodies are kept of
 * what lies nowhere else: fragments of streams.
 *
 * Unfinished downloads are not kept here as well: their part files, with the digests of their chunks in the database, are
 * what an interrupted download goes on with, and a copy would take the room twice.
 */
import { asDownloadError } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { CacheFreed, CacheKindStats, DownloadCache } from "../core/ports/cache.ts";
import type { PlacedFile } from "../core/ports/files.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { ChunkSource } from "../core/ports/sources.ts";
import { FragmentIndex, type Noted } from "./fragment-index.ts";
import { digestKey } from "./fragment-record.ts";
import { NotThere, readChunk, StoredFileSource } from "./stored-file.ts";
import type { Vault } from "./vault.ts";

/** Settings in force. */
interface FragmentOptions {
  /** Chunks of stored files that are noted at most. */
  readonly maxNoted: number;
  /** Milliseconds for which a fragment of a stream is kept. */
  readonly ttlMs: number;
}

/** What the fragment cache works with. */
export interface FragmentParts {
  readonly store: KeyValue;
  /** Where bodies go; absent: none are kept. */
  readonly vault?: Pick<Vault, "put" | "get" | "pin" | "stats">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options: () => FragmentOptions;
}

/** {@link DownloadCache} over the chunks of stored files, and fragments of streams by their keys. */
export class FragmentCache implements DownloadCache, Startable {
  readonly #parts: FragmentParts;
  readonly #index: FragmentIndex;
  #counting: Promise<unknown> | undefined;
  #hits = 0;
  #misses = 0;
  #damaged = 0;

  constructor(parts: FragmentParts) {
    this.#parts = parts;
    this.#index = new FragmentIndex(parts.store, () => parts.options().maxNoted);
  }

  /** Returns at once; what an earlier process noted is counted beside the rest. */
  async start(): Promise<void> {
    this.#counting = this.#index.count().catch((error: unknown) => this.#failed(error, "could not be counted"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#counting;
    await this.#index.settled();
  }

  /**
   * A source for the whole of what has this digest; undefined if no stored file has it. Only SHA-256 and SHA-512 are looked
   * for: of others two files can be made that have the same.
   */
  async sourceFor(digest: { readonly algorithm: string; readonly value: string }): Promise<ChunkSource | undefined> {
    const found = await this.#find(digest).catch((error: unknown) => this.#failed(error, "could not be read"));
    if (!found) {
      this.#misses++;
      return undefined;
    }
    this.#hits++;
    const id = `cache:${digest.algorithm}:${digest.value}`;
    return new StoredFileSource(id, found, (why) => this.#lost(found, why));
  }

  async #find(digest: { readonly algorithm: string; readonly value: string }): Promise<Noted | undefined> {
    const key = digestKey(digest);
    if (key === undefined) return undefined;
    const whole = await this.#index.whole(key);
    if (whole || digest.algorithm !== "sha-256") return whole;
    return this.#index.chunk(digest.value);
  }

  /** Notes a finished file. */
  async placed(file: PlacedFile): Promise<void> {
    await this.#index.add(file, this.#parts.clock.now()).catch((error: unknown) => {
      this.#failed(error, `has no room for ${file.file.path}`);
    });
  }

  /** A chunk by its SHA-256, from a stored file or from what is kept; proved. */
  async chunk(sha256: string): Promise<Uint8Array | undefined> {
    const found = await this.#index.chunk(sha256);
    if (!found) return this.getFragment(sha256);
    try {
      const bytes = await readChunk(found, 0);
      this.#hits++;
      return bytes;
    } catch (error) {
      if (!(error instanceof NotThere)) throw error;
      await this.#lost(found, error);
      return this.getFragment(sha256);
    }
  }

  /**
   * Keeps a fragment of a stream, until its time is over or room is needed.
   * @param key - of any length: a URL, a digest
   * @throws DownloadError CACHE_TOO_LARGE, DISK_FULL and those of the file system
   */
  async storeFragment(key: string, bytes: Uint8Array): Promise<void> {
    const { vault, clock, options } = this.#parts;
    await vault?.put("fragment", key, bytes, { expiresAt: clock.now() + options().ttlMs });
  }

  /** A fragment that was kept, proved; undefined if it is not there, or not any more. */
  async getFragment(key: string): Promise<Uint8Array | undefined> {
    const { vault, clock } = this.#parts;
    const found = await vault?.get("fragment", key);
    const stale = found?.entry.expiresAt !== undefined && found.entry.expiresAt <= clock.now();
    return stale ? undefined : found?.body;
  }

  /** Keeps a fragment from leaving until it is disposed of: a download is going to use it. */
  pin(key: string): Disposable {
    return this.#parts.vault?.pin("fragment", key) ?? { [Symbol.dispose]: () => undefined };
  }

  /** What is kept and noted. */
  async stats(): Promise<Omit<CacheKindStats, "kind">> {
    const kept = (await this.#parts.vault?.stats())?.fragment;
    const { entries = 0, bytes = 0, maxBytes, hits = 0, misses = 0, evicted = 0, damaged = 0 } = kept ?? {};
    return {
      entries: entries + this.#index.entries,
      bytes,
      ...(maxBytes !== undefined && { maxBytes }),
      maxEntries: this.#parts.options().maxNoted,
      hits: hits + this.#hits,
      misses: misses + this.#misses,
      evicted: evicted + this.#index.evicted,
      damaged: damaged + this.#damaged,
    };
  }

  /** Forgets what was noted of files that are gone or were changed. Bodies are the vault's to clean. */
  async sweep(signal?: AbortSignal): Promise<CacheFreed> {
    return { entries: await this.#index.sweep(signal), bytes: 0 };
  }

  /** Forgets what was noted of all files. */
  async forget(signal?: AbortSignal): Promise<CacheFreed> {
    return { entries: await this.#index.clear(signal), bytes: 0 };
  }

  async #lost(found: Noted, why: NotThere): Promise<void> {
    if (!why.gone) return;
    this.#damaged++;
    this.#parts.logger.info({ path: found.file.path }, `a stored file is of no use any more: ${why.message}`);
    await found.drop().catch((error: unknown) => this.#failed(error, "could not be changed"));
  }

  /** Without its index a download is slower, and nothing worse. */
  #failed(error: unknown, what: string): undefined {
    const { code, message } = asDownloadError(error);
    this.#parts.logger.warn({ code, message }, `the index of stored files ${what}`);
    return undefined;
  }
}
