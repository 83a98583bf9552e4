/**
 * Time as the machine has it. Node's timers take at most 2^31 - 1 ms and fire at once beyond that, so a longer wait is
 * made of several.
 */
import type { Clock } from "../core/ports/runtime.ts";

/** The longest wait that a timer of Node takes, in milliseconds: 24.8 days. */
const LONGEST_MS = 2 ** 31 - 1;

/** The {@link Clock} of the daemon. A `timer` lets the process end; a `sleep` that somebody awaits does not. */
export class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = after(ms, false, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  timer(ms: number, callback: () => void): () => void {
    return after(ms, true, callback);
  }
}

/** Calls back once, after any time. Counted by the monotonic clock, since each part may end late. */
function after(ms: number, unref: boolean, callback: () => void): () => void {
  const end = performance.now() + ms;
  let timer: NodeJS.Timeout;
  const wait = (left: number) => {
    const next = left > LONGEST_MS ? () => wait(end - performance.now()) : callback;
    timer = setTimeout(next, Math.min(Math.max(left, 0), LONGEST_MS));
    if (unref) timer.unref();
  };
  wait(ms);
  return () => clearTimeout(timer);
}
