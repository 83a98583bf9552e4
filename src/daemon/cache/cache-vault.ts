/**
 * The vault: what may be kept, what goes first, and that nothing is given out that is not what was stored.
 *
 * Its folder belongs to one index and one process. Without it every read is a miss and every store is refused, and what was to
 * be cached is fetched anew.
 */
import { join } from "node:path";
import { failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import { Bodies, type NoBody } from "./bodies.ts";
import type { Catalogue } from "./catalogue.ts";
import { collect, digestOf } from "./collect.ts";
import type { Slot } from "./ledger.ts";
import { Pace } from "./pace.ts";
import { ENTRIES, INDEX, slotId } from "./records.ts";
import { forgetAll, prove, sweepFolder, trim } from "./sweep.ts";
import type { CacheEntry, Freed, KindStats, PutOptions, Vault, VaultKind, VaultLimits, VaultUpkeep } from "./vault.ts";
import { VaultFolder } from "./vault-folder.ts";

/** Longest key and longest note, in UTF-16 units. */
const LONGEST_WORDS = 256 * 1024;
/** Milliseconds that a compaction spends on proving bodies. */
const PROVE_MS = 10_000;
/** The vault's folder in the cache's: what else lies there is none of its business. */
export const FOLDER = "vault";

const NAMES: Readonly<Record<VaultKind, string>> = {
  metadata: "a document",
  thumbnail: "a thumbnail",
  fragment: "a fragment",
};

/** What the vault is made of. */
export interface CacheVaultOptions {
  /** Absolute; made if it does not exist. */
  readonly directory: string;
  readonly keyValue: KeyValue;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Asked at each store. */
  readonly limits: () => VaultLimits;
  /** True while something is downloaded: the upkeep then rests longer. */
  readonly busy?: () => boolean;
}

/** What is counted from the start on. */
type Counts = Record<"hits" | "misses" | "evicted" | "damaged", number>;

/** See the head of this file. */
export class CacheVault implements Vault, VaultUpkeep, Startable {
  readonly #options: CacheVaultOptions;
  readonly #bodies: Bodies;
  readonly #folder: VaultFolder;
  readonly #pins = new Map<string, number>();
  readonly #counts: Readonly<Record<VaultKind, Counts>> = { metadata: zero(), thumbnail: zero(), fragment: zero() };
  readonly #ended = new AbortController();
  readonly #busy = new Set<Promise<unknown>>();
  #upkeep: Promise<unknown> = Promise.resolve();
  #missingTold = false;

  constructor(options: CacheVaultOptions) {
    this.#options = options;
    const { keyValue, clock, logger } = options;
    const directory = join(options.directory, FOLDER);
    const bodies = new Bodies(directory);
    const onDisorder = (catalogue: Catalogue): void => this.#sweepLater(catalogue);
    this.#bodies = bodies;
    this.#folder = new VaultFolder({ directory, bodies, pins: this.#pins, keyValue, clock, logger, onDisorder });
  }

  /** Takes the folder. Does not fail: a vault without one is empty and keeps nothing, and says so in the log. */
  async start(): Promise<void> {
    await this.#folder.claim();
  }

  /** Why nothing is kept; undefined if all is well. */
  get problem(): string | undefined {
    return this.#folder.problem;
  }

  async put(
    kind: VaultKind,
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions = {},
  ): Promise<CacheEntry> {
    const { note = "", expiresAt, signal } = options;
    if (expiresAt !== undefined && !Number.isFinite(expiresAt))
      throw failure("INVALID_ARGUMENT", `${expiresAt} is no time at which something expires`);
    if (key.length > LONGEST_WORDS || note.length > LONGEST_WORDS)
      throw failure("CACHE_TOO_LARGE", `the cache keeps no key or note of more than ${LONGEST_WORDS} characters`);
    const limits = this.#options.limits();
    const { maxBytes, maxEntryBytes } = limits.kinds[kind];
    const most = Math.min(options.maxBytes ?? maxEntryBytes, maxEntryBytes, maxBytes, limits.maxBytes);
    const catalogue = await this.#folder.needed();
    const bytes = await collect(body, most, NAMES[kind], signal);
    const digest = await digestOf(bytes);
    const entry: CacheEntry = {
      ...{ kind, key, digest: Buffer.from(digest, "base64").toString("hex"), size: bytes.length },
      ...{ storedAt: this.#options.clock.now(), note, ...(expiresAt !== undefined && { expiresAt }) },
    };
    await this.#track(this.#store(catalogue, entry, digest, bytes));
    return entry;
  }

  async get(
    kind: VaultKind,
    key: string,
  ): Promise<{ readonly entry: CacheEntry; readonly body: Uint8Array } | undefined> {
    const catalogue = await this.#folder.open();
    const found = catalogue && (await this.#find(catalogue, kind, key));
    this.#counts[kind][found === undefined ? "misses" : "hits"]++;
    return found;
  }

  async peek(kind: VaultKind, key: string): Promise<CacheEntry | undefined> {
    const catalogue = await this.#folder.open();
    for (;;) {
      const slot = await catalogue?.settled(kind, slotId(kind, key));
      if (catalogue === undefined || slot === undefined) return undefined;
      const entry = await catalogue.entry(slot, key);
      if (catalogue.isUnchanged(slot)) return entry;
    }
  }

  async amend(
    kind: VaultKind,
    key: string,
    change: { expiresAt?: number | undefined; note?: string },
  ): Promise<boolean> {
    const catalogue = await this.#folder.open();
    return catalogue !== undefined && this.#track(catalogue.amend(kind, key, slotId(kind, key), change));
  }

  async remove(kind: VaultKind, key: string): Promise<boolean> {
    const catalogue = await this.#folder.open();
    const slot = catalogue?.ledger.get(kind, slotId(kind, key));
    if (catalogue === undefined || slot === undefined) return false;
    return (await this.#track(catalogue.forget([slot]))).entries > 0;
  }

  pin(kind: VaultKind, key: string): Disposable {
    const id = slotId(kind, key);
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        const left = (this.#pins.get(id) ?? 1) - 1;
        if (left > 0) this.#pins.set(id, left);
        else this.#pins.delete(id);
      },
    };
  }

  async stats(): Promise<Readonly<Record<VaultKind, KindStats>>> {
    const ledger = (await this.#folder.open())?.ledger;
    const { kinds } = this.#options.limits();
    const of = (kind: VaultKind): KindStats => ({
      entries: ledger?.count(kind) ?? 0,
      bytes: ledger?.bytes(kind) ?? 0,
      maxBytes: kinds[kind].maxBytes,
      ...this.#counts[kind],
    });
    return { metadata: of("metadata"), thumbnail: of("thumbnail"), fragment: of("fragment") };
  }

  async cleanupExpired(signal?: AbortSignal): Promise<Freed> {
    const now = this.#options.clock.now();
    return this.#keepUp(signal, (catalogue, pace) => forgetAll(catalogue, pace, ({ expiresAt }) => expiresAt <= now));
  }

  async clear(kind?: VaultKind, signal?: AbortSignal): Promise<Freed> {
    return this.#keepUp(signal, (catalogue, pace) =>
      forgetAll(catalogue, pace, (slot) => kind === undefined || slot.kind === kind),
    );
  }

  async compactStorage(signal?: AbortSignal): Promise<Freed> {
    return this.#keepUp(signal, async (catalogue, pace) => {
      const swept = await this.#sweep(catalogue, pace, PROVE_MS);
      const trimmed = await trim(catalogue, this.#options.limits(), (kind) => this.#counts[kind].evicted++);
      await catalogue.writeUses();
      let bytes = swept.bytes + trimmed.bytes;
      for (const space of [ENTRIES, INDEX]) {
        await pace.step();
        bytes += (await this.#options.keyValue.compact?.(space)) ?? 0;
      }
      return { entries: swept.entries + trimmed.entries, bytes };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort(failure("SHUTTING_DOWN", "the cache is closed"));
    this.#folder.close();
    await Promise.allSettled([...this.#busy, this.#upkeep]);
    await this.#folder.leave();
  }

  // ── storing and finding ───────────────────────────────────────────────────────────────────────────────────────────

  async #store(catalogue: Catalogue, entry: CacheEntry, digest: string, bytes: Uint8Array): Promise<void> {
    const { ledger } = catalogue;
    const { kind, key, size } = entry;
    const id = slotId(kind, key);
    const victims = ledger.victims(kind, size, this.#options.limits(), id);
    if (victims === undefined)
      throw failure("CACHE_FULL", `${NAMES[kind]} of ${size} bytes is not kept: what would have to go is in use`);
    ledger.reserve(kind, size);
    let reserved = size;
    const settle = (): void => {
      ledger.reserve(kind, -reserved);
      reserved = 0;
    };
    try {
      const evicted = catalogue.forget(victims);
      for (const victim of victims) this.#counts[victim.kind].evicted++;
      await evicted;
      const { added } = await this.#bodies.inTurn(digest, async () => {
        await this.#bodies.ensure(digest, bytes);
        settle();
        // In the sums at once, and so the body is safe; what the database says need not be waited for in here.
        return { added: catalogue.add(id, entry) };
      });
      await added;
      this.#missingTold = false;
    } catch (error) {
      await catalogue.discard(digest);
      throw error;
    } finally {
      settle();
    }
  }

  async #find(
    catalogue: Catalogue,
    kind: VaultKind,
    key: string,
  ): Promise<{ entry: CacheEntry; body: Uint8Array } | undefined> {
    for (;;) {
      const slot = await catalogue.settled(kind, slotId(kind, key));
      if (slot === undefined) return undefined;
      const [entry, body] = await Promise.all([catalogue.entry(slot, key), this.#read(slot)]);
      if (!catalogue.isUnchanged(slot)) continue;
      if (body === "unreadable") return undefined;
      if (entry === undefined || typeof body === "string") {
        await this.#track(this.#drop(catalogue, slot, typeof body === "string" ? body : "damaged", key));
        return undefined;
      }
      await catalogue.touch(slot, this.#options.clock.now());
      return { entry, body };
    }
  }

  /** The body. One that the system does not give may be there tomorrow: it is a miss, and stays. */
  async #read(slot: Slot): Promise<Uint8Array | NoBody | "unreadable"> {
    try {
      return await this.#bodies.read(slot.body.digest, slot.body.size);
    } catch (error) {
      this.#options.logger.warn({ err: error }, "a cached body could not be read; it is fetched anew");
      return "unreadable";
    }
  }

  /** Drops an entry whose body is not what was stored, and the body with it. Others that share it find it gone. */
  async #drop(catalogue: Catalogue, slot: Slot, why: NoBody, key?: string): Promise<Freed> {
    const { kind, body } = slot;
    this.#counts[kind].damaged++;
    const fields = { kind, digest: body.digest, size: body.size, ...(key !== undefined && { key }) };
    const { logger } = this.#options;
    if (why === "damaged") logger.warn(fields, "a cached body is damaged; it is dropped and fetched anew");
    else if (this.#missingTold) logger.debug(fields, "a cached body is gone");
    else logger.warn(fields, "a cached body is gone: something else deletes in the cache's folder; it is fetched anew");
    this.#missingTold ||= why === "gone";
    try {
      const freed = await catalogue.forget([slot]);
      if (why === "gone" || !catalogue.ledger.hasBody(body.digest)) return freed;
      // Shared, or stored anew meanwhile: proved again before it goes.
      const bytes = await this.#bodies.inTurn(body.digest, async () =>
        (await this.#bodies.read(body.digest, body.size)) === "damaged" ? this.#bodies.remove(body.digest) : 0,
      );
      return { entries: freed.entries, bytes: freed.bytes + (bytes ?? 0) };
    } catch (error) {
      logger.warn({ err: error, ...fields }, "what is damaged in the cache could not be dropped");
      return { entries: 0, bytes: 0 };
    }
  }

  // ── upkeep ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** One at a time. */
  #keepUp(signal: AbortSignal | undefined, work: (catalogue: Catalogue, pace: Pace) => Promise<Freed>): Promise<Freed> {
    const all = signal === undefined ? this.#ended.signal : AbortSignal.any([signal, this.#ended.signal]);
    const run = this.#upkeep.then(async () => {
      all.throwIfAborted();
      return work(await this.#folder.needed(), new Pace(all, this.#options.busy));
    });
    this.#upkeep = run.catch(() => undefined);
    return run;
  }

  async #sweep(catalogue: Catalogue, pace: Pace, proveMs: number): Promise<Freed> {
    await this.#folder.confirm();
    const { missing, bytes: swept } = await sweepFolder(catalogue, this.#bodies, pace);
    const damaged = proveMs > 0 ? await prove(catalogue, this.#bodies, pace, proveMs) : [];
    let [entries, bytes] = [0, swept];
    for (const [slots, why] of [
      [missing, "gone"],
      [damaged, "damaged"],
    ] as const)
      for (const slot of slots) {
        const freed = await this.#drop(catalogue, slot, why);
        entries += freed.entries;
        bytes += freed.bytes;
        await pace.step();
      }
    return { entries, bytes };
  }

  /** What has no name is looked for, beside everything else. */
  #sweepLater(catalogue: Catalogue): void {
    const sweep = this.#upkeep.then(() => this.#sweep(catalogue, new Pace(this.#ended.signal, this.#options.busy), 0));
    this.#upkeep = sweep.catch((error: unknown) => {
      if (!this.#ended.signal.aborted) this.#options.logger.warn({ err: error }, "the cache could not be swept");
    });
  }

  /** The end waits for it. */
  async #track<T>(work: Promise<T>): Promise<T> {
    this.#busy.add(work);
    try {
      return await work;
    } finally {
      this.#busy.delete(work);
    }
  }
}

function zero(): Counts {
  return { hits: 0, misses: 0, evicted: 0, damaged: 0 };
}
