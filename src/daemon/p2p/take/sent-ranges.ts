/**
 * Who sent which bytes of a file, so that a wrong chunk is held against whoever sent it, and against nobody else. Chunks of
 * which it is not known who of several lied are fetched from one alone, until it is.
 */
import type { ByteRange } from "../../core/ports/sources.ts";
import type { BanSubject } from "./bans.ts";

/** Rows of bytes that are remembered: a chunk is judged soon after it came. */
const MOST_RANGES = 4096;

/** Chunks that are to come from one alone. */
const MOST_ALONE = 1024;

/** Bytes in a row from one peer; grows while they come. */
export interface SentRange {
  start: number;
  /** Exclusive. */
  end: number;
  readonly sender: BanSubject;
  /** It was too slow with what came next, so that another had to go on. */
  left?: boolean;
}

/** What is remembered of one file. */
export class SentRanges {
  readonly #chunkSize: number;
  #ranges: SentRange[] = [];
  readonly #alone = new Set<number>();

  constructor(chunkSize: number) {
    this.#chunkSize = chunkSize;
  }

  /** A peer begins to send. @returns what is moved on as bytes come */
  begin(start: number, sender: BanSubject): SentRange {
    const range = { start, end: start, sender };
    this.#ranges.push(range);
    if (this.#ranges.length > MOST_RANGES) this.#ranges.splice(0, MOST_RANGES / 4);
    return range;
  }

  /** All who sent some of these bytes. */
  senders({ start, end }: ByteRange): readonly BanSubject[] {
    const found = new Map<string, BanSubject>();
    // Who has begun, and sent nothing, is not to blame.
    for (const range of this.#ranges)
      if (range.start < range.end && range.start < end && range.end > start)
        found.set(range.sender.peerId, range.sender);
    return [...found.values()];
  }

  /** Of all who sent some of these bytes: who was left for being slow, or all of them. */
  suspects(range: ByteRange): readonly BanSubject[] {
    const { start, end } = range;
    const slow = this.#ranges.filter((one) => one.left && one.start < one.end && one.start < end && one.end > start);
    if (slow.length === 0) return this.senders(range);
    return [...new Map(slow.map(({ sender }) => [sender.peerId, sender])).values()];
  }

  /** These bytes were judged: what comes in their place is another matter. */
  forget({ start, end }: ByteRange): void {
    this.#ranges = this.#ranges.flatMap((range) => {
      if (range.start >= end || range.end <= start) return [range];
      const before = range.start < start ? [{ ...range, end: start }] : [];
      if (range.end < end) return before;
      // The object itself: it may go on growing.
      range.start = end;
      return [...before, range];
    });
  }

  /** A chunk is to come from one peer. */
  setAlone(chunk: number): void {
    if (this.#alone.size < MOST_ALONE) this.#alone.add(chunk);
  }

  /** The chunk was right. @returns true if it was to come from one peer */
  settled(chunk: number): boolean {
    return this.#alone.delete(chunk);
  }

  /** Whether a chunk is to come from one peer. */
  isAlone(chunk: number): boolean {
    return this.#alone.has(chunk);
  }

  /** Where what is asked for at `position` has to end at most: a chunk that comes from one peer is asked for by itself. */
  bound(position: number, end: number): number {
    if (this.#alone.size === 0) return end;
    const first = Math.floor(position / this.#chunkSize);
    if (this.#alone.has(first)) return Math.min(end, (first + 1) * this.#chunkSize);
    let bound = end;
    for (const chunk of this.#alone) if (chunk > first) bound = Math.min(bound, chunk * this.#chunkSize);
    return bound;
  }
}
