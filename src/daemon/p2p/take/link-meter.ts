/**
 * How fast a peer gives while it is asked: an average over some seconds, of the time in which anything was waited for. Silence
 * counts while it lasts, not only when the next byte has come: who trickles would look fast until then.
 */
import type { Clock } from "../../core/ports/runtime.ts";

/** Milliseconds of a sample at least, and what is left of the average after so long. */
const SAMPLE_MS = 500;
const KEPT = 0.7;

/** Milliseconds after which something can be said though nothing came. */
const SILENT_MS = 1000;

/** Milliseconds without being asked after which a peer may have become another: it is worth a try again. */
const STALE_MS = 60_000;

/** Measures one link. */
export class LinkMeter {
  readonly #clock: Clock;
  #busy = false;
  #since = 0;
  /** Of the sample that grows: bytes, and the time in which something was asked for. */
  #bytes = 0;
  #ms = 0;
  #rate: number | undefined;
  /** Bytes in all. */
  total = 0;
  /** When the last byte came. */
  last: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.last = clock.monotonic();
  }

  /** Something is asked for from now on, or nothing. */
  busy(busy: boolean): void {
    if (busy === this.#busy) return;
    const now = this.#clock.monotonic();
    // Silence is only told from a stall since something was asked for.
    if (busy) this.last = now;
    else this.#ms += now - this.#since;
    this.#since = now;
    this.#busy = busy;
  }

  /** Bytes came. */
  add(bytes: number): void {
    this.total += bytes;
    this.#bytes += bytes;
    this.last = this.#clock.monotonic();
    const ms = this.#ms + (this.#busy ? this.last - this.#since : 0);
    if (ms < SAMPLE_MS) return;
    this.#rate = this.#average(ms);
    this.#bytes = 0;
    this.#ms = 0;
    this.#since = this.last;
  }

  /** Bytes a second; undefined while that cannot be told, or not any more. */
  get rate(): number | undefined {
    const passed = this.#clock.monotonic() - this.#since;
    if (!this.#busy && passed >= STALE_MS) return undefined;
    const ms = this.#ms + (this.#busy ? passed : 0);
    return ms < SILENT_MS ? this.#rate : this.#average(ms);
  }

  /** With the sample that grows. */
  #average(ms: number): number {
    const rate = (this.#bytes / ms) * 1000;
    return this.#rate === undefined ? rate : rate + KEPT ** (ms / SAMPLE_MS) * (this.#rate - rate);
  }

  /** Milliseconds without a byte since something was asked for. */
  get idleMs(): number {
    return this.#clock.monotonic() - this.last;
  }
}
