/**
 * Sequence numbers of events that never come twice, also after the daemon was killed: they are taken from blocks that are
 * reserved in the database before they are used. A clean end gives back what is left of the block.
 */
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import { SPACE } from "./keys.ts";

const KEY = "events";
const BLOCK = 10_000;
/** The next block is reserved when fewer than these are left: enough for the events until it is written. */
const MARGIN = 5000;

/** Reserves numbers. */
export class EventNumbers {
  readonly #store: KeyValue;
  /** Numbers below are reserved. */
  #reserved = 0;
  /** Announced, not yet used. */
  #announced = 0;

  constructor(store: KeyValue) {
    this.#store = store;
  }

  /** @returns the first number of this process */
  async start(): Promise<number> {
    const first = Number((await this.#store.get(SPACE.meta, KEY)) ?? 1);
    this.#reserved = first + BLOCK;
    await this.#store.write([this.#write()], { sync: true });
    return first;
  }

  /**
   * Announces events that are emitted when a write has ended.
   * @param newest - the newest number used
   * @returns what to write (synced) with it, if a block has to be reserved
   */
  announce(newest: number, count: number): Write[] {
    this.#announced += count;
    if (newest + this.#announced + MARGIN < this.#reserved) return [];
    this.#reserved = newest + this.#announced + BLOCK;
    return [this.#write()];
  }

  /** The announced events are emitted, or will not be. */
  settle(count: number, written: boolean): void {
    this.#announced -= count;
    // Whether the reservation is on the disk is not known: the next announcement makes a new one.
    if (!written) this.#reserved = 0;
  }

  /** Gives back what was not used. */
  async end(newest: number): Promise<void> {
    this.#reserved = newest + 1;
    await this.#store.write([this.#write()], { sync: true });
  }

  #write(): Write {
    return { type: "put", space: SPACE.meta, key: KEY, value: String(this.#reserved) };
  }
}
