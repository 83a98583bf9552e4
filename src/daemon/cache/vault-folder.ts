/**
 * The vault's folder and the index that belongs to it: had together, or not at all.
 *
 * The index is read at the first use, not at the start: 100,000 entries take some 30 MB, and a daemon that has nothing to do
 * is not to have them. Bodies that belong to another index, or an index whose database was repaired, are not believed: the
 * cache then begins anew, and what lies in the folder without a name is swept.
 */
import { randomUUID } from "node:crypto";
import { asDownloadError, failure } from "../core/errors.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { Bodies } from "./bodies.ts";
import { Catalogue } from "./catalogue.ts";
import { Owner } from "./owner.ts";
import { META } from "./records.ts";

/** How often it is tried again to get a folder that could not be had, in milliseconds. */
const TRY_AGAIN_MS = 10_000;

/** What it is made of. */
export interface VaultFolderOptions {
  /** Absolute. */
  readonly directory: string;
  readonly bodies: Bodies;
  readonly pins: ReadonlyMap<string, number>;
  readonly keyValue: KeyValue;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called with entries that were not left in order: there may be bodies without a name. */
  readonly onDisorder: (catalogue: Catalogue) => void;
}

/** See the head of this file. */
export class VaultFolder {
  readonly #options: VaultFolderOptions;
  readonly #owner: Owner;
  #opened: Promise<Catalogue> | undefined;
  #id = "";
  #problem: string | undefined = "it was not started";
  #triedAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: VaultFolderOptions) {
    this.#options = options;
    this.#owner = new Owner(options.directory);
  }

  /** Why nothing is kept; undefined if all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Tries to get the folder. What keeps it from being had is logged, and tried again later. */
  async claim(): Promise<void> {
    const { clock, directory } = this.#options;
    this.#triedAt = clock.monotonic();
    try {
      const taken = await this.#owner.take();
      this.#say(taken ? undefined : `another process uses ${directory}`);
    } catch (error) {
      this.#say(asDownloadError(error).message);
    }
  }

  /** The entries; undefined if there are none to be had. */
  async open(): Promise<Catalogue | undefined> {
    if (this.#closed) return undefined;
    if (this.#problem !== undefined) {
      if (this.#options.clock.monotonic() - this.#triedAt < TRY_AGAIN_MS) return undefined;
      await this.claim();
      if (this.#problem !== undefined) return undefined;
    }
    this.#opened ??= this.#load();
    try {
      return await this.#opened;
    } catch (error) {
      this.#lose(asDownloadError(error).message);
      return undefined;
    }
  }

  /** The same, for those who cannot go on without. @throws DownloadError CACHE_UNAVAILABLE, SHUTTING_DOWN */
  async needed(): Promise<Catalogue> {
    const catalogue = await this.open();
    if (this.#closed) throw failure("SHUTTING_DOWN", "the cache is closed");
    if (catalogue === undefined) throw failure("CACHE_UNAVAILABLE", `nothing is cached: ${this.#problem}`);
    return catalogue;
  }

  /**
   * Before anything is swept: a folder that was emptied gets its mark again, one that another daemon took is left alone.
   * @throws DownloadError CACHE_UNAVAILABLE, and those of the file system
   */
  async confirm(): Promise<void> {
    const mark = await this.#owner.read();
    if (mark === undefined) return this.#owner.write({ id: this.#id, closed: false });
    if (mark.id === this.#id) return;
    this.#lose(`another daemon has taken ${this.#options.directory}`);
    throw failure("CACHE_UNAVAILABLE", `nothing is cached: ${this.#problem}`);
  }

  /** No more entries are handed out. */
  close(): void {
    this.#closed = true;
  }

  /** Leaves the folder in order. Whoever worked in it has ended. */
  async leave(): Promise<void> {
    const catalogue = await this.#opened?.catch(() => undefined);
    try {
      if (catalogue === undefined) return;
      await catalogue.writeUses();
      await this.#owner.write({ id: this.#id, closed: true });
    } catch (error) {
      this.#options.logger.debug({ err: error }, "the cache could not be left in order; it is swept at its next use");
    } finally {
      await this.#owner.release();
    }
  }

  #say(problem: string | undefined): void {
    if (problem !== undefined && problem !== this.#problem)
      this.#options.logger.warn({ directory: this.#options.directory }, `nothing is cached: ${problem}`);
    this.#problem = problem;
  }

  #lose(problem: string): void {
    this.#opened = undefined;
    this.#triedAt = this.#options.clock.monotonic();
    if (!this.#closed) this.#say(problem);
  }

  async #load(): Promise<Catalogue> {
    const { keyValue, bodies, pins, logger, onDisorder } = this.#options;
    const catalogue = new Catalogue(keyValue, bodies, pins, logger);
    const repairs = String(keyValue.repairs ?? 0);
    const [known, repairsThen] = await keyValue.getMany(META, ["id", "repairs"]);
    const mark = await this.#owner.read();
    const own = known !== undefined && mark?.id === known && repairsThen === repairs;
    if (own) {
      this.#id = known;
      await catalogue.load();
    } else {
      await catalogue.void();
      this.#id = randomUUID();
      await keyValue.write([
        { type: "put", space: META, key: "id", value: this.#id },
        { type: "put", space: META, key: "repairs", value: repairs },
      ]);
    }
    try {
      await this.#owner.write({ id: this.#id, closed: false });
      await bodies.removeDrafts();
    } catch (error) {
      // What is there can be read all the same; stores will fail, and say why.
      if (!own) throw error;
      logger.warn({ err: error }, "the cache can be read but not written");
    }
    if (!(own && mark.closed)) onDisorder(catalogue);
    return catalogue;
  }
}
