/**
 * Token bucket: an average rate with a small burst. It lets the taker go into debt and tells how long the debt lasts, so
 * that bytes which are here already are never held in pieces.
 */
import type { Clock } from "../core/ports.ts";

/** The burst, in seconds of the rate. */
const BURST_S = 0.1;

/** Limits a flow of bytes. */
export class RateLimit {
  readonly #clock: Clock;
  #rate = 0;
  #tokens = 0;
  #last = 0;

  /** @param rate - bytes a second; 0 is unlimited */
  constructor(clock: Clock, rate = 0) {
    this.#clock = clock;
    this.set(rate);
  }

  /** Bytes a second; 0 is unlimited. */
  get rate(): number {
    return this.#rate;
  }

  /** Sets the rate; holds for the next byte. An old debt is forgotten, so that a raised limit is felt at once. */
  set(rate: number): void {
    this.#rate = rate;
    this.#tokens = rate * BURST_S;
    this.#last = this.#clock.monotonic();
  }

  /** Takes `bytes` out. @returns milliseconds to wait before taking more; 0 for none */
  take(bytes: number): number {
    if (this.#rate === 0) return 0;
    const now = this.#clock.monotonic();
    const earned = ((now - this.#last) / 1000) * this.#rate;
    this.#tokens = Math.min(this.#tokens + earned, this.#rate * BURST_S) - bytes;
    this.#last = now;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#rate) * 1000;
  }
}
