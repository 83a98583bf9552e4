/**
 * Token bucket: an average rate with a small burst. It lets the taker go into debt and tells how long the debt lasts, so
 * that bytes which are here already are never held in pieces.
 */
import type { Clock } from "./ports/runtime.ts";

/** The burst, in seconds of the rate. */
const BURST_S = 0.1;

/** Limits a flow of bytes. */
export class RateLimit {
  readonly #clock: Clock;
  #rate = 0;
  #tokens = 0;
  #last = 0;
  readonly #sleepers = new Set<() => void>();

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
    // Who sleeps off a debt at the old rate would not feel the new one.
    for (const wake of [...this.#sleepers]) wake();
  }

  /** Takes `bytes` out, as {@link RateLimit.take}, and waits. @returns undefined if there is nothing to wait for */
  pass(bytes: number, signal: AbortSignal): Promise<void> | undefined {
    const ms = this.take(bytes);
    return ms === 0 ? undefined : this.#sleep(ms, signal);
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        cancel();
        this.#sleepers.delete(end);
        signal.removeEventListener("abort", end);
        if (signal.aborted) reject(signal.reason);
        else resolve();
      };
      const cancel = this.#clock.timer(ms, end);
      this.#sleepers.add(end);
      signal.addEventListener("abort", end);
      if (signal.aborted) end();
    });
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
