/**
 * Who fetches which chunks. The missing chunks of a file are runs of neighbours; a connection takes a span off the
 * longest run, and when nothing is left to take it steals the second half of what another connection still has to do.
 */

/** Neighbouring chunks that one connection fetches in one request: `next` up to `end`, exclusive. `end` may shrink. */
export interface Span {
  /** The chunk that is being filled. */
  next: number;
  /** One behind the last chunk. */
  end: number;
}

/** No request asks for more chunks than this, so that the end of a file is shared out evenly. */
const LONGEST_SPAN = 64;

/** The chunks that are still to be fetched, and the spans under way. */
export class Spans {
  readonly #free: Span[] = [];
  readonly #taken = new Set<Span>();

  /**
   * @param count - chunks of the grid
   * @param done - those that are here
   */
  constructor(count: number, done: { has(index: number): boolean }) {
    for (let index = 0; index < count; index++) {
      if (done.has(index)) continue;
      const last = this.#free.at(-1);
      if (last?.end === index) last.end++;
      else this.#free.push({ next: index, end: index + 1 });
    }
  }

  /** Chunks that nobody has taken yet. */
  get waiting(): number {
    return this.#free.reduce((sum, span) => sum + span.end - span.next, 0);
  }

  /** True when every chunk was fetched. */
  get finished(): boolean {
    return this.#free.length === 0 && this.#taken.size === 0;
  }

  /** Takes the first missing chunk alone: the probe. */
  takeFirst(): Span | undefined {
    return this.#cut(0, 1);
  }

  /**
   * A span for one of `workers` connections: its fair share of half of what waits (guided self-scheduling), so that
   * spans get shorter towards the end; or half of another's span; or nothing.
   */
  take(workers: number): Span | undefined {
    const share = Math.ceil(this.waiting / (2 * Math.max(workers, 1)));
    return this.#cut(0, Math.min(share, LONGEST_SPAN)) ?? this.#steal();
  }

  /** A connection is done with its span, wholly or not: what it did not fetch waits again. */
  release(span: Span): void {
    this.#taken.delete(span);
    if (span.next >= span.end) return;
    const at = this.#free.findIndex((free) => free.next > span.next);
    this.#free.splice(at === -1 ? this.#free.length : at, 0, span);
  }

  #cut(run: number, chunks: number): Span | undefined {
    const free = this.#free[run];
    if (!free) return undefined;
    const span = { next: free.next, end: Math.min(free.next + chunks, free.end) };
    free.next = span.end;
    if (free.next === free.end) this.#free.splice(run, 1);
    this.#taken.add(span);
    return span;
  }

  /** The chunk being filled stays with its owner. */
  #steal(): Span | undefined {
    let victim: Span | undefined;
    for (const span of this.#taken) if (span.end - span.next > (victim ? victim.end - victim.next : 1)) victim = span;
    if (!victim) return undefined;
    const middle = victim.next + Math.ceil((victim.end - victim.next) / 2);
    const span = { next: middle, end: victim.end };
    victim.end = middle;
    this.#taken.add(span);
    return span;
  }
}
