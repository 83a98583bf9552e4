/** How fast a peer gives while it is asked: an average over some seconds, of the time in which anything was asked for. */
import type { Clock } from "../../core/ports.ts";

/** Milliseconds of a sample, and the weight of the newest one. */
const SAMPLE_MS = 500;
const WEIGHT = 0.3;

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
    const rate = (this.#bytes / ms) * 1000;
    this.#rate = this.#rate === undefined ? rate : this.#rate + WEIGHT * (rate - this.#rate);
    this.#bytes = 0;
    this.#ms = 0;
    this.#since = this.last;
  }

  /** Bytes a second; undefined while that cannot be told. */
  get rate(): number | undefined {
    return this.#rate;
  }

  /** Milliseconds without a byte since something was asked for. */
  get idleMs(): number {
    return this.#clock.monotonic() - this.last;
  }
}
