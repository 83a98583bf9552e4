/**
 * The entries: sums in memory and records in the database, kept in step, and bodies that go when nothing names them.
 *
 * A change is made in memory in the same moment in which the database is told, and the database applies what it is told in
 * order; so no lock is needed, and what fails in the database is taken back in memory. A body is in its place before an entry
 * names it, and an entry is gone before its body is: what a kill leaves is at most a body without a name.
 */
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { Logger } from "../core/ports/runtime.ts";
import type { Bodies } from "./bodies.ts";
import { Ledger, type Slot } from "./ledger.ts";
import { decodeEntry, decodeLine, ENTRIES, encodeEntry, encodeLine, INDEX, kindOf } from "./records.ts";
import type { CacheEntry, Freed, VaultKind } from "./vault.ts";

/** Uses that are written down together. A kill forgets the last ones, which costs a little of the order. */
const USES_AT_ONCE = 256;
/** Records that are deleted together. */
const DELETED_AT_ONCE = 1000;

/** What may be changed of an entry. `expiresAt: undefined` takes the time away. */
export type Change = { readonly expiresAt?: number | undefined; readonly note?: string };

/** See the head of this file. */
export class Catalogue {
  readonly ledger: Ledger;
  readonly #keyValue: KeyValue;
  readonly #bodies: Bodies;
  readonly #logger: Logger;
  readonly #used = new Set<Slot>();

  constructor(keyValue: KeyValue, bodies: Bodies, pins: ReadonlyMap<string, number>, logger: Logger) {
    this.#keyValue = keyValue;
    this.#bodies = bodies;
    this.#logger = logger;
    this.ledger = new Ledger(pins);
  }

  /** Reads the index. Lines that are none are deleted; their bodies then have no name. */
  async load(): Promise<void> {
    const found: (Parameters<Ledger["add"]>[0] & { readonly used: number })[] = [];
    const bad: string[] = [];
    for await (const [id, text] of this.#keyValue.entries(INDEX)) {
      const [kind, line] = [kindOf(id), decodeLine(text)];
      if (kind === undefined || line === undefined) bad.push(id);
      else found.push({ id, kind, ...line });
    }
    for (const each of found.sort((a, b) => a.used - b.used)) this.ledger.add(each);
    if (bad.length > 0) await this.#keyValue.write(bad.flatMap(deletions));
  }

  /** Forgets what is written down of all entries: their bodies are not here. */
  async void(): Promise<void> {
    for (const space of [ENTRIES, INDEX]) {
      let keys: string[] = [];
      const flush = async (): Promise<void> => {
        await this.#keyValue.write(keys.map((key) => ({ type: "del", space, key })));
        keys = [];
      };
      for await (const [key] of this.#keyValue.entries(space)) if (keys.push(key) >= DELETED_AT_ONCE) await flush();
      await flush();
    }
  }

  /** The slot, once nothing of it is being written; undefined if there is none. */
  async settled(kind: VaultKind, id: string): Promise<Slot | undefined> {
    for (;;) {
      const slot = this.ledger.get(kind, id);
      if (slot?.writing === undefined) return slot;
      await slot.writing;
    }
  }

  /** What is written down of a slot; undefined if that is something else. */
  async entry(slot: Slot, key: string): Promise<CacheEntry | undefined> {
    const text = await this.#keyValue.get(ENTRIES, slot.id);
    const entry = text === undefined ? undefined : decodeEntry(slot.kind, text);
    return entry?.key === key && entry.size === slot.body.size && entry.digest === hexOf(slot) ? entry : undefined;
  }

  /** True if the slot is still the one of its id, and nothing of it is being written. */
  isUnchanged(slot: Slot): boolean {
    return slot.writing === undefined && this.ledger.holds(slot);
  }

  /**
   * Makes an entry of a body that is there. To be called in the digest's turn; resolves when the database has it, which need
   * not be waited for in there.
   */
  async add(id: string, entry: CacheEntry): Promise<void> {
    const { kind, size, storedAt: used, expiresAt = Number.POSITIVE_INFINITY } = entry;
    const digest = Buffer.from(entry.digest, "hex").toString("base64");
    const { slot, replaced } = this.ledger.add({ id, kind, digest, size, used, expiresAt });
    try {
      await this.#writing(slot, this.#write(slot, entry));
    } catch (error) {
      if (this.ledger.holds(slot)) {
        this.ledger.remove(slot);
        if (replaced !== undefined) this.ledger.restore(replaced);
      }
      throw error;
    }
    if (replaced !== undefined) await this.discard(replaced.body.digest);
  }

  /** Changes what is kept with a body. @returns false if the entry has gone */
  async amend(kind: VaultKind, key: string, id: string, change: Change): Promise<boolean> {
    for (;;) {
      const slot = await this.settled(kind, id);
      if (slot === undefined) return false;
      // Another may have been quicker to go on.
      if (this.isUnchanged(slot)) return this.#writing(slot, this.#amend(slot, key, change));
    }
  }

  async #amend(slot: Slot, key: string, change: Change): Promise<boolean> {
    const entry = await this.entry(slot, key);
    if (entry === undefined || !this.ledger.holds(slot)) return false;
    const { expiresAt: before, ...lasting } = entry;
    const expiresAt = "expiresAt" in change ? change.expiresAt : before;
    const { note = entry.note } = change;
    const held = slot.expiresAt;
    slot.expiresAt = expiresAt ?? Number.POSITIVE_INFINITY;
    try {
      await this.#write(slot, { ...lasting, note, ...(expiresAt !== undefined && { expiresAt }) });
    } catch (error) {
      slot.expiresAt = held;
      throw error;
    }
    return true;
  }

  /**
   * Removes entries, and the bodies that nothing names any more.
   * @throws DownloadError if the database cannot be told; the entries then stay
   */
  async forget(slots: readonly Slot[]): Promise<Freed> {
    const present = slots.filter((slot) => this.ledger.holds(slot));
    if (present.length === 0) return { entries: 0, bytes: 0 };
    for (const slot of present) this.ledger.remove(slot);
    try {
      await this.#keyValue.write(present.flatMap(({ id }) => deletions(id)));
    } catch (error) {
      for (const slot of present) this.ledger.restore(slot);
      throw error;
    }
    let bytes = 0;
    for (const { body } of present) bytes += await this.discard(body.digest);
    return { entries: present.length, bytes };
  }

  /** Removes a body if nothing names it. What cannot be removed is left to the sweep. @returns bytes */
  async discard(digest: string): Promise<number> {
    if (this.ledger.hasBody(digest)) return 0;
    return this.#bodies.inTurn(digest, async () => {
      if (this.ledger.hasBody(digest)) return 0;
      try {
        return (await this.#bodies.remove(digest)) ?? 0;
      } catch (error) {
        this.#logger.warn({ err: error }, "a body that the cache does not need could not be removed");
        return 0;
      }
    });
  }

  /** An entry was used. Written down later, with others. */
  async touch(slot: Slot, now: number): Promise<void> {
    this.ledger.touch(slot, now);
    this.#used.add(slot);
    if (this.#used.size >= USES_AT_ONCE) await this.writeUses();
  }

  async writeUses(): Promise<void> {
    const slots = [...this.#used].filter((slot) => this.isUnchanged(slot));
    this.#used.clear();
    if (slots.length > 0) await this.#keyValue.write(slots.map(lineOf));
  }

  #write(slot: Slot, entry: CacheEntry): Promise<void> {
    return this.#keyValue.write([
      { type: "put", space: ENTRIES, key: slot.id, value: encodeEntry(entry) },
      lineOf(slot),
    ]);
  }

  /** Marks the slot until the work has ended. */
  async #writing<T>(slot: Slot, work: Promise<T>): Promise<T> {
    const mark = work.then(
      () => undefined,
      () => undefined,
    );
    slot.writing = mark;
    try {
      return await work;
    } finally {
      slot.writing = undefined;
    }
  }
}

function lineOf({ id, body: { digest, size }, used, expiresAt }: Slot): Write {
  return { type: "put", space: INDEX, key: id, value: encodeLine({ digest, size, used, expiresAt }) };
}

function deletions(id: string): Write[] {
  return [
    { type: "del", space: ENTRIES, key: id },
    { type: "del", space: INDEX, key: id },
  ];
}

function hexOf({ body }: Slot): string {
  return Buffer.from(body.digest, "base64").toString("hex");
}
