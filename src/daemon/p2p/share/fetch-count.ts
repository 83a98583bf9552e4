/**
 * How often a share was fetched whole, told by the bytes that were given: what a peer says of itself alone counts for nothing.
 * Each peer has an account of its bytes. It has fetched the share when it says so and was given half of it at least (the rest
 * may have come from others), when it was given nearly all of it and then nothing more for a while, or when it was given so
 * much more than all that it must be fetching it again. What peers were given that went away before that is added up: a
 * share's worth of it is a fetch too, so that nobody gets more by changing his name. Accounts go with the record, so that a
 * restart changes nothing.
 */
import type { Clock } from "../../core/ports/runtime.ts";

/** Of the share: who was given that much may have all that is of use. */
const NEARLY_ALL = 0.95;

/** Of the share: who was given less and has all of it has fetched it from others. */
const MUCH = 0.5;

/**
 * Milliseconds without a byte after which a peer that was given nearly everything counts: the last bytes may have been lost
 * with the connection, and it comes back for them.
 */
const SETTLE_MS = 60_000;

/** Bytes that are given twice because a connection has lost them; but no more than the share has. */
const LOST = 16 * 1024 * 1024;

/** Accounts; of more the smallest become one. */
const MOST_ACCOUNTS = 200;

/** The account of those that have none. */
const OTHERS = "";

/** What a count is made of. */
export interface FetchCountParts {
  /** Bytes of the share. */
  readonly size: number;
  /** Bytes by peer id, as they were kept. */
  readonly given: Readonly<Record<string, number>>;
  readonly clock: Clock;
  /** It was fetched once more. */
  readonly onFetched: () => void;
}

/** Counts the fetches of one share. */
export class FetchCount {
  readonly #parts: FetchCountParts;
  readonly #given: Map<string, number>;
  /** Channels of peers. */
  readonly #here = new Map<string, number>();
  /** Of those, who was counted and was given nothing since. */
  readonly #satisfied = new Set<string>();
  /** Of a share without a byte, who has said that it has it. */
  readonly #emptyHanded = new Set<string>();
  readonly #settling = new Map<string, { last: number; cancel: () => void }>();
  #ended = false;

  constructor(parts: FetchCountParts) {
    this.#parts = parts;
    this.#given = new Map(Object.entries(parts.given));
    for (const peer of this.#given.keys()) this.#settle(peer);
  }

  /** To be kept. */
  get accounts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#given);
  }

  /** Peers that have a channel and may be fetching, or may come back for the last bytes. @param but - it is not counted */
  underWay(but: string): number {
    const peers = new Set([...this.#here.keys(), ...this.#settling.keys()]);
    return [...peers].filter((peer) => peer !== but && !this.#satisfied.has(peer)).length;
  }

  /** A peer has a channel. @returns to be called when that ends */
  joined(peer: string): () => void {
    this.#here.set(peer, (this.#here.get(peer) ?? 0) + 1);
    return () => {
      const left = (this.#here.get(peer) ?? 1) - 1;
      if (left > 0) this.#here.set(peer, left);
      else {
        this.#here.delete(peer);
        this.#satisfied.delete(peer);
      }
      this.#addUp();
    };
  }

  /** A peer was given bytes. @returns true if that is to be written down soon */
  sent(peer: string, bytes: number): boolean {
    if (this.#ended) return false;
    const { size } = this.#parts;
    const before = this.#given.get(peer) ?? 0;
    const given = before + bytes;
    this.#given.set(peer, given);
    this.#satisfied.delete(peer);
    if (given >= size + Math.min(size, Math.max(LOST, size - NEARLY_ALL * size))) this.#count(peer, given - size);
    else if (given >= NEARLY_ALL * size) this.#settle(peer);
    if (this.#given.size > MOST_ACCOUNTS) this.#merge();
    return before < NEARLY_ALL * size && given >= NEARLY_ALL * size;
  }

  /** A peer says that it has everything. @returns true if that was a fetch */
  completed(peer: string): boolean {
    const given = this.#given.get(peer) ?? 0;
    const { size } = this.#parts;
    if (this.#ended) return false;
    if (size === 0 ? this.#emptyHanded.has(peer) : given < MUCH * size) return false;
    if (size === 0 && this.#emptyHanded.size < MOST_ACCOUNTS) this.#emptyHanded.add(peer);
    this.#count(peer, 0);
    return true;
  }

  /** Nothing is counted any more. */
  end(): void {
    for (const { cancel } of this.#settling.values()) cancel();
    this.#settling.clear();
    this.#ended = true;
  }

  /** @param rest - bytes that its account keeps */
  #count(peer: string, rest: number): void {
    this.#settling.get(peer)?.cancel();
    this.#settling.delete(peer);
    if (rest > 0) this.#given.set(peer, rest);
    else this.#given.delete(peer);
    if (rest <= 0 && this.#here.has(peer)) this.#satisfied.add(peer);
    this.#settle(peer);
    this.#parts.onFetched();
  }

  /** If it was given nearly everything it counts when it was given nothing more for a while. */
  #settle(peer: string): void {
    const { clock, size } = this.#parts;
    if (peer === OTHERS || size === 0 || (this.#given.get(peer) ?? 0) < NEARLY_ALL * size) return;
    const now = clock.monotonic();
    const known = this.#settling.get(peer);
    if (known) {
      known.last = now;
      return;
    }
    const settling = { last: now, cancel: (): void => undefined };
    const wait = (ms: number): void => {
      settling.cancel = clock.timer(ms, () => {
        const left = settling.last + SETTLE_MS - clock.monotonic();
        if (left > 0) wait(left);
        else this.#count(peer, 0);
      });
    };
    this.#settling.set(peer, settling);
    wait(SETTLE_MS);
  }

  /** What those were given that went away. */
  #addUp(): void {
    const { size } = this.#parts;
    if (this.#ended) return;
    const gone = [...this.#given].filter(([peer]) => !this.#here.has(peer) && !this.#settling.has(peer));
    if (size === 0 || gone.reduce((sum, [, bytes]) => sum + bytes, 0) < size) return;
    for (const [peer] of gone) this.#given.delete(peer);
    this.#parts.onFetched();
  }

  #merge(): void {
    const others = [...this.#given].filter(([peer]) => peer !== OTHERS && !this.#here.has(peer));
    const [least] = others.toSorted(([, a], [, b]) => a - b);
    if (!least) return;
    this.#given.delete(least[0]);
    this.#given.set(OTHERS, (this.#given.get(OTHERS) ?? 0) + least[1]);
  }
}
