/** A clock that stands still until the test moves it. */
import type { Clock } from "../../src/daemon/core/ports/runtime.ts";

/** A {@link Clock} in the hand of a test: time passes only in {@link TestClock.advance}. */
export class TestClock implements Clock {
  readonly #timers = new Set<{ readonly due: number; readonly callback: () => void }>();
  readonly #start: number;
  #now: number;
  /** What the wall's clock is ahead of the timers. */
  #ahead = 0;

  /** @param start - milliseconds since the epoch */
  constructor(start = Date.parse("2026-11-22T12:00:00Z")) {
    this.#start = start;
    this.#now = start;
  }

  now(): number {
    return this.#now + this.#ahead;
  }

  monotonic(): number {
    return this.#now - this.#start;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = this.timer(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  timer(ms: number, callback: () => void): () => void {
    const timer = { due: this.#now + Math.max(0, ms), callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** The wall's clock jumps by `ms`, and no timer notices: the machine has slept, or somebody has set the clock. */
  jump(ms: number): void {
    this.#ahead += ms;
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets `ms` pass: what falls due is called in order, each at its own time, and what it set going gets its turn. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const next = [...this.#timers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.due);
      next.callback();
      await settle();
    }
    this.#now = end;
  }
}

/** Lets promises that are ready run on. */
function settle(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
