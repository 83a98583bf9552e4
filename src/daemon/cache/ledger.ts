/**
 * What the vault knows of all entries: sizes, the order of use, pins, who shares a body. Everything here happens at once,
 * without waiting, so that the sums are right at any moment; the database is told in the same moment and follows in order.
 *
 * The order of use is the order of a `Map`: who is used is put behind the others.
 */
import { KINDS } from "./records.ts";
import type { VaultKind, VaultLimits } from "./vault.ts";

/** Entries of all kinds, at most: bodies may be empty, and entries are not free. */
const MOST_ENTRIES = 500_000;

/** A body that entries name. */
export interface Body {
  /** SHA-256, base64. */
  readonly digest: string;
  readonly size: number;
  /** Entries that name it. */
  refs: number;
  /** The last walk that met it, and the last that proved it. */
  seen: number;
  proved: number;
}

/** One entry. */
export interface Slot {
  readonly id: string;
  readonly kind: VaultKind;
  body: Body;
  /** Milliseconds since the epoch. */
  used: number;
  /** The same; Infinity: never. */
  expiresAt: number;
  /** Until the database has it, or while its record is changed. */
  writing: Promise<void> | undefined;
}

/** A kind's entries, the least recently used first. */
interface Shelf {
  readonly slots: Map<string, Slot>;
  bytes: number;
  /** Bytes of bodies that are being stored. */
  reserved: number;
}

/** The sums. */
export class Ledger {
  readonly #shelves: Readonly<Record<VaultKind, Shelf>> = { metadata: shelf(), thumbnail: shelf(), fragment: shelf() };
  readonly #bodies = new Map<string, Body>();
  readonly #pins: ReadonlyMap<string, number>;
  /** The number of the walk through the folder that is under way, or of the last. */
  walk = 0;

  /** @param pins - how often each id is pinned */
  constructor(pins: ReadonlyMap<string, number>) {
    this.#pins = pins;
  }

  get(kind: VaultKind, id: string): Slot | undefined {
    return this.#shelves[kind].slots.get(id);
  }

  /** True if the slot is still the one of its id. */
  holds(slot: Slot): boolean {
    return this.get(slot.kind, slot.id) === slot;
  }

  hasBody(digest: string): boolean {
    return this.#bodies.has(digest);
  }

  bodies(): Iterable<Body> {
    return this.#bodies.values();
  }

  *slots(kind?: VaultKind): Generator<Slot> {
    for (const each of kind === undefined ? KINDS : [kind]) yield* this.#shelves[each].slots.values();
  }

  count(kind: VaultKind): number {
    return this.#shelves[kind].slots.size;
  }

  bytes(kind: VaultKind): number {
    return this.#shelves[kind].bytes;
  }

  isPinned(slot: Slot): boolean {
    return this.#pins.has(slot.id);
  }

  /** Makes an entry, the most recently used of its kind. @returns it, and the one in whose place it is */
  add(entry: {
    readonly id: string;
    readonly kind: VaultKind;
    readonly digest: string;
    readonly size: number;
    readonly used: number;
    readonly expiresAt: number;
  }): { readonly slot: Slot; readonly replaced: Slot | undefined } {
    const { id, kind, digest, size, used, expiresAt } = entry;
    const body = this.#bodies.get(digest) ?? { digest, size, refs: 0, seen: this.walk, proved: this.walk };
    const slot: Slot = { id, kind, body, used, expiresAt, writing: undefined };
    const replaced = this.get(kind, id);
    // The body before: a shared one must not be without a name in between.
    this.#enter(slot, replaced);
    return { slot, replaced };
  }

  /** Puts an entry back that could not be removed, unless another has its place. */
  restore(slot: Slot): void {
    if (this.get(slot.kind, slot.id) !== undefined) return;
    // Another entry may have stored the same body anew meanwhile.
    slot.body = this.#bodies.get(slot.body.digest) ?? slot.body;
    this.#enter(slot, undefined);
  }

  /** Takes an entry out. Its body has no name any more if {@link Ledger.hasBody} says so. */
  remove(slot: Slot): void {
    const { slots } = this.#shelves[slot.kind];
    if (slots.get(slot.id) !== slot) return;
    slots.delete(slot.id);
    this.#leave(slot);
  }

  touch(slot: Slot, now: number): void {
    const { slots } = this.#shelves[slot.kind];
    slot.used = now;
    slots.delete(slot.id);
    slots.set(slot.id, slot);
  }

  reserve(kind: VaultKind, bytes: number): void {
    this.#shelves[kind].reserved += bytes;
  }

  /**
   * Who has to go for so many bytes more, the least recently used first; undefined if there are not enough who may.
   * @param replaced - the entry in whose place it comes: it stays until then, and is allowed for only if nothing else helps
   */
  victims(kind: VaultKind, size: number, limits: VaultLimits, replaced?: string): readonly Slot[] | undefined {
    const { slots, enough } = this.leaving(kind, size, limits, replaced);
    return enough ? slots : undefined;
  }

  /** As `victims`; also those that would go where they are not enough. */
  leaving(
    kind: VaultKind,
    size: number,
    limits: VaultLimits,
    replaced?: string,
  ): { readonly slots: readonly Slot[]; readonly enough: boolean } {
    const gone = new Set<Slot>();
    const credit = replaced === undefined ? 0 : (this.get(kind, replaced)?.body.size ?? 0);
    const shelf = this.#shelves[kind];
    const free = (slots: Iterable<Slot>, bytes: number, count: number): boolean => {
      let [left, most] = [bytes, count];
      for (const slot of slots) {
        if (left <= 0 && most <= 0) return true;
        if (gone.has(slot) || slot.id === replaced || this.isPinned(slot)) continue;
        gone.add(slot);
        left -= slot.body.size;
        most--;
      }
      return left <= credit && most <= 0;
    };
    const here = free(shelf.slots.values(), shelf.bytes + shelf.reserved + size - limits.kinds[kind].maxBytes, 0);
    let [bytes, count] = [size - limits.maxBytes, 1 - MOST_ENTRIES];
    for (const each of KINDS) {
      bytes += this.#shelves[each].bytes + this.#shelves[each].reserved;
      count += this.count(each);
    }
    for (const slot of gone) {
      bytes -= slot.body.size;
      count--;
    }
    const everywhere = free(this.#oldestFirst(), bytes, count);
    return { slots: [...gone], enough: here && everywhere };
  }

  /** Entries of all kinds, merged by time of use. */
  *#oldestFirst(): Generator<Slot> {
    const rows = KINDS.map((kind) => this.#shelves[kind].slots.values());
    const heads = rows.map((row) => row.next().value);
    for (;;) {
      let oldest = -1;
      heads.forEach((head, at) => {
        if (head !== undefined && head.used < (heads[oldest]?.used ?? Number.POSITIVE_INFINITY)) oldest = at;
      });
      const head = heads[oldest];
      if (head === undefined) return;
      yield head;
      heads[oldest] = rows[oldest]?.next().value;
    }
  }

  #enter(slot: Slot, replaced: Slot | undefined): void {
    const shelf = this.#shelves[slot.kind];
    slot.body.refs++;
    this.#bodies.set(slot.body.digest, slot.body);
    shelf.bytes += slot.body.size;
    shelf.slots.delete(slot.id);
    shelf.slots.set(slot.id, slot);
    if (replaced !== undefined) this.#leave(replaced);
  }

  #leave(slot: Slot): void {
    this.#shelves[slot.kind].bytes -= slot.body.size;
    if (--slot.body.refs === 0) this.#bodies.delete(slot.body.digest);
  }
}

function shelf(): Shelf {
  return { slots: new Map(), bytes: 0, reserved: 0 };
}
