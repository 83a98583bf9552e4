/** Waiting for what peers bring about: looked at anew whenever something has changed, for so long and no longer. */
import type { DownloadError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/runtime.ts";

/** One who waits. */
interface Waiter {
  look(): void;
}

/** All who wait in a swarm. */
export class Waiting {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();
  #scheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiters.size;
  }

  /** Something has changed. */
  changed(): void {
    if (this.#scheduled || this.#waiters.size === 0) return;
    this.#scheduled = true;
    // Once for all that changes in a turn.
    queueMicrotask(() => {
      this.#scheduled = false;
      for (const waiter of [...this.#waiters]) waiter.look();
    });
  }

  /**
   * Waits until there is what is looked for.
   *
   * @param look - what is waited for, undefined while it is not there; throws if it will never be
   * @param giveUp - milliseconds that it may still take, given how long it took so far
   * @param why - the error when that is over
   */
  async until<T>(
    look: () => T | undefined,
    giveUp: (waitedMs: number) => number,
    why: () => DownloadError,
    signal: AbortSignal,
  ): Promise<T> {
    signal.throwIfAborted();
    const first = look();
    if (first !== undefined) return first;
    const start = this.#clock.monotonic();
    return await new Promise<T>((resolve, reject) => {
      let cancel: (() => void) | undefined;
      const end = (): void => {
        cancel?.();
        this.#waiters.delete(waiter);
        signal.removeEventListener("abort", onAbort);
      };
      const onAbort = (): void => {
        end();
        reject(signal.reason);
      };
      const waiter: Waiter = {
        look: () => {
          try {
            const found = look();
            if (found !== undefined) {
              end();
              resolve(found);
              return;
            }
          } catch (error) {
            end();
            reject(error);
            return;
          }
          const left = giveUp(this.#clock.monotonic() - start);
          cancel?.();
          if (left > 0) cancel = this.#clock.timer(left, waiter.look);
          else {
            end();
            reject(why());
          }
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiters.add(waiter);
      waiter.look();
    });
  }
}
