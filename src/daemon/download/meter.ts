/** How fast bytes come: an average over the last seconds, weighted towards now. */
import type { Clock } from "../core/ports/runtime.ts";

/** Seconds after which a sample has lost about two thirds of its weight. */
const WINDOW_S = 3;

/** Measures a flow. */
export class Meter {
  readonly #clock: Clock;
  #since: number;
  #bytes = 0;
  #rate = 0;
  #started: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.monotonic();
    this.#started = this.#since;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Bytes a second. */
  rate(): number {
    const now = this.#clock.monotonic();
    const elapsed = (now - this.#since) / 1000;
    if (elapsed >= 0.2) {
      // An exponential average of uneven steps; during the first seconds the plain mean, which it would underrate.
      const age = (now - this.#started) / 1000;
      const weight = 1 - Math.exp(-elapsed / Math.min(WINDOW_S, Math.max(age, 0.2)));
      this.#rate += weight * (this.#bytes / elapsed - this.#rate);
      this.#bytes = 0;
      this.#since = now;
    }
    return this.#rate;
  }
}
