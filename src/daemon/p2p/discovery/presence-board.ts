/**
 * A few places in the DHT where those who know a code say that they are there. The places are the same for all, so each
 * takes one that is free: nobody there, or nobody for ten minutes. What was seen is remembered with its sequence number,
 * and an older item that some node hands out again changes nothing. Ages are judged by our clock, but who is seen to write
 * is there, whatever his clock says.
 */
import type { Clock } from "../../core/ports/runtime.ts";
import type { Presence, ShareKeys } from "../types.ts";
import { type Item, type ItemStore, isAhead, type PutResult } from "./dht-items.ts";
import { type SigningKey, signingKey } from "./ed25519.ts";
import { decodePresence, encodePresence, open, saltOf, seal } from "./signal-codec.ts";

/** Places of a share, and those of a group: a group is looked at only when all before it are taken. */
const SLOTS = 16;
const GROUP = 4;

/** Milliseconds without a word after which a place may be taken by another. */
export const STALE_MS = 10 * 60_000;

/** A sequence number beyond this leaves no room: somebody with the code has spoilt the place. */
const LAST_SEQUENCE = 2 ** 52;

interface Slot {
  readonly salt: Buffer;
  /** What was seen there last. */
  item?: Item;
  /** Absent: somebody has left, or it cannot be read. */
  presence?: Presence | undefined;
  /** When it was seen to change, by the monotonic clock. */
  changedAt?: number;
}

/** The places of one share. */
export class PresenceBoard {
  readonly #keys: ShareKeys;
  readonly #items: ItemStore;
  readonly #clock: Clock;
  readonly #key: SigningKey;
  readonly #slots: readonly Slot[];

  constructor(keys: ShareKeys, { items, clock }: { readonly items: ItemStore; readonly clock: Clock }) {
    this.#keys = keys;
    this.#items = items;
    this.#clock = clock;
    this.#key = signingKey(keys.signalSeed);
    this.#slots = Array.from({ length: SLOTS }, (_, index) => ({ salt: saltOf(keys, "presence", String(index)) }));
  }

  /** Who is there, as far as it was looked; the latest word of each. */
  get present(): readonly Presence[] {
    const latest = new Map<string, Presence>();
    for (const slot of this.#slots) {
      const presence = this.#fresh(slot);
      if (presence !== undefined && presence.time >= (latest.get(presence.peerId)?.time ?? 0))
        latest.set(presence.peerId, presence);
    }
    return [...latest.values()];
  }

  /** Looks at the places, a group after the other. @param whole - go on after a group that is not full @throws as the store does */
  async look(whole: boolean, onGroup: () => void = () => {}): Promise<void> {
    for (let start = 0; start < SLOTS; start += GROUP) {
      const group = this.#slots.slice(start, start + GROUP);
      await Promise.all(group.map((slot) => this.#read(slot)));
      onGroup();
      if (!whole && group.some((slot) => this.#isFree(slot))) return;
    }
  }

  /** Looks at one. @returns who is there, if anybody */
  async lookAt(index: number): Promise<string | undefined> {
    await this.#read(this.#slot(index));
    return this.holderOf(index);
  }

  /** Who is in a place, as far as it was looked. */
  holderOf(index: number): string | undefined {
    return this.#fresh(this.#slot(index))?.peerId;
  }

  /** A place to take: one that is the peer's already, or any free one of the first group that has one. */
  choose(peerId: string): number | undefined {
    const own = this.#slots.findIndex((slot) => slot.presence?.peerId === peerId);
    if (own >= 0) return own;
    const first = this.#slots.findIndex((slot) => this.#isFree(slot));
    if (first < 0) return undefined;
    const start = first - (first % GROUP);
    const free = this.#slots.slice(start, start + GROUP).filter((slot) => this.#isFree(slot));
    return this.#slots.indexOf(free[Math.floor(Math.random() * free.length)] as Slot);
  }

  /** Writes into a place. @param presence - undefined: it is left @throws as the store does */
  async write(index: number, presence: Presence | undefined): Promise<PutResult> {
    const slot = this.#slot(index);
    const content = presence === undefined ? new Uint8Array() : encodePresence(presence);
    const former = slot.item?.sequence;
    const item = {
      value: seal(this.#keys, slot.salt, [], content),
      sequence: Math.max((former ?? 0) + 1, Math.floor(this.#clock.now() / 1000)),
    };
    const result = await this.#items.put(this.#key, slot.salt, item, former);
    if (result.stored > result.refused) this.#saw(slot, item);
    return result;
  }

  async #read(slot: Slot): Promise<void> {
    const item = await this.#items.get(this.#key.publicKey, slot.salt);
    if (item !== undefined) this.#saw(slot, item);
  }

  #saw(slot: Slot, item: Item): void {
    if (slot.item !== undefined) {
      if (!isAhead(item, slot.item)) return;
      slot.changedAt = this.#clock.monotonic();
    }
    slot.item = item;
    const content = open(this.#keys, slot.salt, [], item.value);
    slot.presence = content === undefined ? undefined : decodePresence(content);
  }

  #isFree(slot: Slot): boolean {
    return this.#fresh(slot) === undefined && (slot.item?.sequence ?? 0) < LAST_SEQUENCE;
  }

  #fresh({ presence, changedAt }: Slot): Presence | undefined {
    if (presence === undefined) return undefined;
    const seen = changedAt !== undefined && this.#clock.monotonic() - changedAt < STALE_MS;
    return seen || Math.abs(this.#clock.now() - presence.time) < STALE_MS ? presence : undefined;
  }

  #slot(index: number): Slot {
    const slot = this.#slots[index];
    if (slot === undefined) throw new RangeError(`there is no place ${index}`);
    return slot;
  }
}
