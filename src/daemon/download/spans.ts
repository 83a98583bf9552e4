/**
 * Who fetches which bytes. What is missing of a file is a list of gaps; a connection takes a span off a gap, and when no
 * gap is left it takes over a part of what another connection still has to do, so that the end of a file never waits for
 * one slow connection.
 */

import type { ByteRange } from "../core/ports/sources.ts";

/** Neighbouring bytes that one connection fetches in one request: `next` up to `end`, exclusive. `end` may shrink. */
export interface Span {
  /** The byte that comes next. */
  next: number;
  /** Bytes before this one may be on their way into memory at this moment: they cannot be taken over. */
  reserved: number;
  /** One behind the last byte. */
  end: number;
  /** Bytes a second of the connection that has the span; undefined while it is too young to tell. */
  readonly rate: () => number | undefined;
}

/** Which of the bytes that nobody has taken had better be fetched next; undefined if it does not matter. */
export type Choose = (gaps: readonly ByteRange[]) => ByteRange | undefined;

interface Gap {
  start: number;
  end: number;
}

/** No request asks for more chunks than this, so that the end of a file is shared out evenly. */
const LONGEST_SPAN = 64;

/** Bytes below which a new request costs more than it brings. */
const LEAST_TAKEN = 16 * 1024;

/** How much quicker than another a connection has to be to leave it less than that: the slower one can then not take it back. */
const MUCH_QUICKER = 2;

/** What a connection has to do in this time, in seconds, is left to it. */
const WORTH_S = 0.25;

/** The bytes that are still to be fetched, and the spans under way. */
export class Spans {
  readonly #chunkSize: number;
  readonly #gaps: Gap[] = [];
  readonly #taken = new Set<Span>();

  /**
   * @param size - bytes of the file
   * @param done - the chunks that are here
   */
  constructor(size: number, chunkSize: number, done: { has(index: number): boolean }) {
    this.#chunkSize = chunkSize;
    for (let start = 0; start < size; start += chunkSize) {
      if (done.has(start / chunkSize)) continue;
      const end = Math.min(start + chunkSize, size);
      const last = this.#gaps.at(-1);
      if (last?.end === start) last.end = end;
      else this.#gaps.push({ start, end });
    }
  }

  /** Bytes that nobody has taken yet. */
  get waiting(): number {
    let bytes = 0;
    for (const { start, end } of this.#gaps) bytes += end - start;
    return bytes;
  }

  /** Bytes that are not here yet. */
  get left(): number {
    let bytes = this.waiting;
    for (const { next, end } of this.#taken) bytes += end - next;
    return bytes;
  }

  /** True when every byte was fetched. */
  get finished(): boolean {
    return this.#gaps.length === 0 && this.#taken.size === 0;
  }

  /** What nobody has taken yet. */
  get gaps(): readonly ByteRange[] {
    return this.#gaps;
  }

  /** Takes what the probe asked for, as far as it is missing from its first byte on. */
  takeAt(start: number, end: number, rate: Span["rate"]): Span | undefined {
    const gap = this.#gaps.find((each) => each.start <= start && start < each.end);
    return gap && this.#cut(this.#from(gap, start), end, rate);
  }

  /** As {@link Spans.take}, of what `choose` would have first; undefined if that does not matter to it. */
  takeChosen(workers: number, rate: Span["rate"], choose: Choose): Span | undefined {
    const size = this.#chunkSize;
    if (this.#gaps.length === 0) return undefined;
    // Torn ones first: they hold memory.
    const torn = this.#gaps.filter(({ start }) => start % size !== 0);
    const chosen = (torn.length > 0 ? choose(torn) : undefined) ?? choose(this.#gaps);
    const gap = chosen && this.#gaps.find(({ start, end }) => start <= chosen.start && chosen.start < end);
    if (!gap) return undefined;
    const start = Math.max(gap.start, Math.floor(chosen.start / size) * size);
    const end = Math.ceil(Math.max(chosen.end, start + 1) / size) * size;
    return this.#cut(this.#from(gap, start), Math.min(end, this.#share(start, workers)), rate);
  }

  /**
   * A span for one of `workers` connections: the rest of a chunk that was left half full, or its fair share of half of
   * what waits (guided self-scheduling), so that spans get shorter towards the end; or a part of another's span; or
   * nothing.
   */
  take(workers: number, rate: Span["rate"]): Span | undefined {
    const size = this.#chunkSize;
    const torn = this.#gaps.find(({ start }) => start % size !== 0);
    const gap = torn ?? this.#gaps[0];
    if (!gap) return this.#takeOver(rate);
    return this.#cut(gap, torn ? (Math.floor(gap.start / size) + 1) * size : this.#share(gap.start, workers), rate);
  }

  /** A connection is done with its span, wholly or not: what it did not fetch waits again. */
  release(span: Span): void {
    this.#taken.delete(span);
    if (span.next < span.end) this.putBack(span.next, span.end);
  }

  /** Bytes that nobody has any more are missing again. */
  putBack(start: number, end: number): void {
    const at = this.#gaps.findIndex((gap) => gap.start > start);
    this.#gaps.splice(at === -1 ? this.#gaps.length : at, 0, { start, end });
  }

  /** Leaves a connection nothing behind the chunk under way: it is to end soon. */
  shorten(span: Span): void {
    const end = Math.ceil(Math.max(span.next + 1, span.reserved) / this.#chunkSize) * this.#chunkSize;
    if (!this.#taken.has(span) || end >= span.end) return;
    const rest = { next: end, reserved: end, end: span.end, rate: span.rate };
    span.end = end;
    this.release(rest);
  }

  /** Where the fair share of what waits ends, that begins at `start`. */
  #share(start: number, workers: number): number {
    const size = this.#chunkSize;
    const chunks = Math.ceil(this.waiting / (2 * Math.max(workers, 1) * size));
    return (Math.floor(start / size) + Math.min(chunks, LONGEST_SPAN)) * size;
  }

  /** The part of a gap from `start` on, as a gap of its own. */
  #from(gap: Gap, start: number): Gap {
    if (start <= gap.start) return gap;
    const rest = { start, end: gap.end };
    gap.end = start;
    this.#gaps.splice(this.#gaps.indexOf(gap) + 1, 0, rest);
    return rest;
  }

  #cut(gap: Gap, end: number, rate: Span["rate"]): Span {
    const span = { next: gap.start, reserved: gap.start, end: Math.min(end, gap.end), rate };
    gap.start = span.end;
    if (gap.start === gap.end) this.#gaps.splice(this.#gaps.indexOf(gap), 1);
    this.#taken.add(span);
    return span;
  }

  /** From the one that would need longest for the rest; each gets as much of it as it does in the same time. */
  #takeOver(rate: Span["rate"]): Span | undefined {
    const usual = this.#usualRate();
    let victim: { span: Span; rate: number; seconds: number } | undefined;
    for (const span of this.#taken) {
      const bytes = span.end - Math.max(span.next, span.reserved);
      const speed = Math.max(span.rate() ?? usual, 1);
      const seconds = bytes / speed;
      if (bytes < LEAST_TAKEN || seconds < WORTH_S || seconds <= (victim?.seconds ?? 0)) continue;
      if (bytes < 2 * LEAST_TAKEN && !((rate() ?? 0) >= MUCH_QUICKER * (span.rate() ?? Number.POSITIVE_INFINITY)))
        continue;
      victim = { span, rate: speed, seconds };
    }
    if (!victim) return undefined;
    const { span: from } = victim;
    const first = Math.max(from.next, from.reserved);
    const own = Math.max(rate() ?? usual, 1);
    const kept = Math.floor(((from.end - first) * victim.rate) / (own + victim.rate));
    const start = Math.min(first + kept, from.end - LEAST_TAKEN);
    const span = { next: start, reserved: start, end: from.end, rate };
    from.end = start;
    this.#taken.add(span);
    return span;
  }

  #usualRate(): number {
    const rates = [...this.#taken].flatMap((span) => span.rate() ?? []);
    return rates.length === 0 ? 1 : rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  }
}
