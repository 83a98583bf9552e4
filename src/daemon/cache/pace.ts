/**
 * Work that nobody waits for, done so that nobody feels it: after each few milliseconds of it comes a rest nine times as
 * long, whatever the machine makes of a millisecond, and one much longer while something is downloaded.
 */
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds of work between two rests. */
const WORK_MS = 8;
/** A rest is so many times as long as the work before it. */
const REST = 9;
/** The same while there is other work. */
const REST_BESIDE = 60;

/** The rhythm of one piece of work. */
export class Pace {
  readonly #signal: AbortSignal | undefined;
  readonly #busy: () => boolean;
  #since = performance.now();

  /** @param busy - true while something is downloaded */
  constructor(signal: AbortSignal | undefined, busy: () => boolean = () => false) {
    this.#signal = signal;
    this.#busy = busy;
  }

  /** To be called between two steps. Rests if it is time to. @throws the signal's reason */
  async step(): Promise<void> {
    this.#signal?.throwIfAborted();
    const worked = performance.now() - this.#since;
    if (worked < WORK_MS) return;
    const rest = worked * (this.#busy() ? REST_BESIDE : REST);
    await sleep(rest, undefined, this.#signal && { signal: this.#signal }).catch((error: unknown) => {
      this.#signal?.throwIfAborted();
      throw error;
    });
    this.#since = performance.now();
  }
}
