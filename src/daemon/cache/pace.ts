/**
 * Work that nobody waits for, done so that nobody feels it: after each few milliseconds of it comes a rest nine times as
 * long, whatever the machine makes of a millisecond.
 */
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds of work between two rests. */
const WORK_MS = 8;
/** A rest is so many times as long as the work before it. */
const REST = 9;

/** The rhythm of one piece of work. */
export class Pace {
  readonly #signal: AbortSignal | undefined;
  #since = performance.now();

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  /** To be called between two steps. Rests if it is time to. @throws the signal's reason */
  async step(): Promise<void> {
    this.#signal?.throwIfAborted();
    const worked = performance.now() - this.#since;
    if (worked < WORK_MS) return;
    await sleep(worked * REST, undefined, this.#signal && { signal: this.#signal }).catch((error: unknown) => {
      this.#signal?.throwIfAborted();
      throw error;
    });
    this.#since = performance.now();
  }
}
