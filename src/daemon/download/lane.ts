/**
 * One connection's way into the assembly: it lends the memory that bytes are received into, a little at a time, so that
 * what is not yet lent can be taken over by another connection.
 */
import { copyInto } from "../core/byte-target.ts";
import type { ByteTarget } from "../core/ports/http.ts";
import type { RangeStream } from "../core/ports/sources.ts";
import type { Assembly } from "./assembly.ts";
import { Meter } from "./meter.ts";
import type { Run } from "./run.ts";
import type { Span } from "./spans.ts";

/** Bytes lent at once: few on a slow connection, whose rest others may want; many on a fast one. */
const LEAST_LENT = 16 * 1024;
const MOST_LENT = 1024 * 1024;

/** Milliseconds until a connection's rate says something. */
const YOUNG_MS = 500;

/** Thrown into a stream whose remaining bytes were taken over by another connection. */
const TAKEN_OVER = new Error("the rest of this span was taken over");

/** Receives spans over one connection at a time. */
export class Lane {
  readonly #run: Run;
  readonly #assembly: Assembly;
  readonly #meter: Meter;
  readonly #since: number;
  #lastByte: number;
  #lent = 4 * LEAST_LENT;
  #held = 0;

  constructor(run: Run, assembly: Assembly) {
    this.#run = run;
    this.#assembly = assembly;
    this.#meter = new Meter(run.engine.clock);
    this.#since = run.engine.clock.monotonic();
    this.#lastByte = this.#since;
  }

  /** Bytes a second; undefined while it is too young to tell. */
  readonly rate = (): number | undefined =>
    this.#run.engine.clock.monotonic() - this.#since < YOUNG_MS ? undefined : this.#meter.rate();

  /** True while a limit or the disk holds the connection back. */
  get held(): boolean {
    return this.#held > 0;
  }

  /**
   * Receives a stream into the span and moves `span.next` on. Returns when the stream has ended, or when the span has (it
   * may have been cut meanwhile).
   *
   * @param source - number of the place that the stream comes from
   * @param requested - where the request ends (exclusive); the span may have been cut since
   */
  async receive(stream: RangeStream, span: Span, source: number, requested: number): Promise<void> {
    const target: ByteTarget = {
      space: () => {
        if (span.next >= span.end) throw TAKEN_OVER;
        const room = this.#assembly.space(span.next, span.end, this.#lent);
        span.reserved = span.next + room.length;
        return room;
      },
      filled: (count) => {
        const lent = span.reserved - span.next;
        if (count === lent) this.#lent = Math.min(this.#lent * 2, MOST_LENT);
        else if (count * 4 < lent) this.#lent = Math.max(this.#lent / 2, LEAST_LENT);
        const disk = this.#assembly.received(span.next, count, source);
        span.next += count;
        this.#count(count);
        // Cut exactly here: more bytes are on the way, and none of them is ours.
        if (span.next >= span.end && span.end < requested) throw TAKEN_OVER;
        return this.#holdBack(count, disk);
      },
    };
    try {
      await (stream.receive ? stream.receive(target) : stream.pipe(copyInto(target)));
    } catch (error) {
      if (error !== TAKEN_OVER) throw error;
    } finally {
      span.reserved = span.next;
    }
  }

  /** Milliseconds since the last byte. */
  get idleMs(): number {
    return this.#run.engine.clock.monotonic() - this.#lastByte;
  }

  #count(bytes: number): void {
    this.#lastByte = this.#run.engine.clock.monotonic();
    this.#run.received += bytes;
    this.#meter.add(bytes);
    this.#run.meter.add(bytes);
    this.#run.engine.meter.add(bytes);
  }

  /** Back-pressure: the disk first, then the limits. */
  #holdBack(bytes: number, disk: Promise<void> | undefined): Promise<void> | undefined {
    const run = this.#run;
    const own = run.limit.pass(bytes, run.signal);
    const all = run.engine.limit.pass(bytes, run.signal);
    if (!disk && !own && !all) return undefined;
    this.#held++;
    return Promise.all([disk, own, all])
      .then(() => undefined)
      .finally(() => void this.#held--);
  }
}
