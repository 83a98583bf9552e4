/**
 * What was read ahead for requests that were then cancelled. To ask and to cancel costs a peer a few bytes, and the disk a
 * megabyte: so much is free, as where a quicker peer was found, and is so again when as much was taken; more has to wait.
 */
import type { Clock } from "../../core/ports/runtime.ts";
import { RateLimit } from "../../core/rate-limit.ts";

/** Bytes. */
const FREE = 8 * 1024 * 1024;

/** Bytes a second beyond that. */
const RATE = 1024 * 1024;

/** Of one channel. */
export class VainReads {
  readonly #limit: RateLimit;
  #free = FREE;

  constructor(clock: Clock) {
    this.#limit = new RateLimit(clock, RATE);
  }

  /** Bytes were sent. */
  sent(bytes: number): void {
    this.#free = Math.min(this.#free + bytes, FREE);
  }

  /** Bytes were read, and nobody wants them. @returns resolves when more may be read; undefined if that is now */
  wasted(bytes: number, signal: AbortSignal): Promise<void> | undefined {
    this.#free -= bytes;
    if (this.#free >= 0) return undefined;
    this.#free = 0;
    return this.#limit.pass(bytes, signal);
  }
}
