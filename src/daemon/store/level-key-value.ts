/** The `KeyValue` port on LevelDB. A space is a prefix of the key, ended by NUL, which no name of a space may hold. */
import type { Level } from "level";
import { type DownloadError, failure } from "../core/errors.ts";
import type { KeyRange, KeyValue, Write } from "../core/ports/key-value.ts";
import { GroupCommit } from "./group-commit.ts";

const END_OF_SPACE = "\u0001";

/** Bytes of entries that one read brings at most, or little more. LevelDB's 16 KiB are a thread's round trip a dozen sessions. */
const READ_AT_ONCE = 256 * 1024;

const prefix = (space: string): string => `${space}\u0000`;

/** Spaces of strings in one open database. */
export class LevelKeyValue implements KeyValue {
  readonly #level: Level;
  readonly #commits: GroupCommit;
  readonly #onCorruption: (error: unknown) => void;
  readonly #renewLog: () => Promise<void>;
  readonly #sizeBytes: () => Promise<number>;
  #closed = false;
  /** A write has failed: the log may end in half a record, and nothing may be written behind that. */
  #torn = false;
  /** See {@link KeyValue.repairs}; set while the database is opened. */
  repairs = 0;

  /**
   * @param onCorruption - told when a read or write meets damaged data
   * @param renewLog - begins a new log, before the next write after one that failed
   * @param sizeBytes - what the database takes on the disk
   */
  constructor(
    level: Level,
    onCorruption: (error: unknown) => void,
    renewLog: () => Promise<void>,
    sizeBytes: () => Promise<number>,
  ) {
    this.#level = level;
    this.#sizeBytes = sizeBytes;
    this.#renewLog = renewLog;
    this.#onCorruption = onCorruption;
    this.#commits = new GroupCommit((writes, sync) => this.#guard(() => this.#put(writes, sync)));
  }

  async get(space: string, key: string): Promise<string | undefined> {
    return this.#guard(() => this.#level.get(prefix(space) + key));
  }

  async getMany(space: string, keys: readonly string[]): Promise<(string | undefined)[]> {
    if (keys.length === 0) return [];
    const start = prefix(space);
    return this.#guard(() => this.#level.getMany(keys.map((key) => start + key)));
  }

  async *entries(space: string, range: KeyRange = {}): AsyncGenerator<readonly [string, string]> {
    const start = prefix(space);
    const iterator = this.#level.iterator({
      ...(range.gt === undefined ? { gte: start + (range.gte ?? "") } : { gt: start + range.gt }),
      ...(range.lt !== undefined
        ? { lt: start + range.lt }
        : range.lte !== undefined
          ? { lte: start + range.lte }
          : { lt: space + END_OF_SPACE }),
      highWaterMarkBytes: READ_AT_ONCE,
      reverse: range.reverse ?? false,
      limit: range.limit ?? -1,
    });
    try {
      // Few for those who want few, then more at a time.
      for (let size = 64; ; size = Math.min(1000, 4 * size)) {
        const found = await this.#guard(() => iterator.nextv(size));
        if (found.length === 0) return;
        for (const [key, value] of found) yield [key.slice(start.length), value];
      }
    } finally {
      await iterator.close();
    }
  }

  /** The space of every entry, in the order of the keys. */
  async *spaces(): AsyncGenerator<string> {
    for await (const key of this.#level.keys()) yield key.slice(0, key.indexOf("\u0000"));
  }

  async write(writes: readonly Write[], options: { readonly sync?: boolean } = {}): Promise<void> {
    if (this.#closed) throw failure("SHUTTING_DOWN", "the database is closed");
    return this.#commits.write(writes, options.sync ?? false);
  }

  /** See {@link KeyValue.compact}. LevelDB does it in a thread of its own. */
  async compact(space: string): Promise<number> {
    const before = await this.#sizeBytes();
    // The types of `level` leave it out because browsers do not have it.
    const compactable = this.#level as unknown as { compactRange(start: string, end: string): Promise<void> };
    await this.#guard(() => compactable.compactRange(prefix(space), space + END_OF_SPACE));
    return Math.max(0, before - (await this.#sizeBytes()));
  }

  /** Refuses new writes and resolves when those under way are done. */
  async end(): Promise<void> {
    this.#closed = true;
    await this.#commits.idle();
  }

  async #put(writes: readonly Write[], sync: boolean): Promise<void> {
    if (this.#torn) await this.#renewLog();
    this.#torn = true;
    const operations = writes.map((write) =>
      write.type === "put"
        ? { type: "put" as const, key: prefix(write.space) + write.key, value: write.value }
        : { type: "del" as const, key: prefix(write.space) + write.key },
    );
    await this.#level.batch(operations, { sync });
    this.#torn = false;
  }

  async #guard<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      throw this.#explain(error as NodeJS.ErrnoException);
    }
  }

  #explain(error: NodeJS.ErrnoException): DownloadError {
    const text = `${error.message} ${error.cause instanceof Error ? error.cause.message : ""}`.trim();
    if (error.code === "LEVEL_CORRUPTION") {
      this.#onCorruption(error);
      return failure("STORE_CORRUPT", `the database is damaged: ${text}; it is repaired at the next start`, {
        cause: error,
      });
    }
    if (error.code === "LEVEL_DATABASE_NOT_OPEN" || error.code === "LEVEL_ITERATOR_NOT_OPEN")
      return failure("SHUTTING_DOWN", "the database is closed", { cause: error });
    if (/no space left|ENOSPC|quota/i.test(text))
      return failure("DISK_FULL", `the database could not be written: ${text}`, { cause: error });
    return failure("IO_ERROR", `the database failed: ${text}`, { cause: error });
  }
}
