/**
 * Who may wait for peers at the same time. Whoever waits takes no place among the downloads, as long as these are not too many
 * (download/manager.ts): so with a list of codes behind which nobody is, some are looked for, and the others have their turns
 * later, one behind the other, and hold nothing meanwhile.
 */
import { failure } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/runtime.ts";

/**
 * Who waits at once, of all shares; fewer than may wait without taking a place. Where a person has named a peer there is somebody
 * to ask at once.
 */
const MOST_WAITING = 24;
const MOST_WITH_PEERS = 30;

/** Milliseconds after which the first of the others may have its turn, that each takes, and for which one is put off at most. */
const FIRST_MS = 10_000;
const TURN_MS = 30_000 / MOST_WAITING;
const LONGEST_MS = 10 * 60_000;

/** See above. */
export class SearchTurns {
  readonly #clock: Clock;
  /** By the monotonic clock: the last turn that was given. */
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Lets somebody wait.
   *
   * @param waiting - how many do so
   * @param named - a person has named peers of it
   * @throws NetworkError PEERS_NOT_FOUND, with when it is to come again
   */
  enter(publicId: string, waiting: number, named: boolean): void {
    if (waiting < (named ? MOST_WITH_PEERS : MOST_WAITING)) return;
    const now = this.#clock.monotonic();
    this.#last = Math.min(Math.max(now + FIRST_MS, this.#last + TURN_MS), now + LONGEST_MS);
    throw failure("PEERS_NOT_FOUND", "other codes are being looked for; this one has its turn when they are through", {
      retryAfterMs: Math.ceil(this.#last - now),
      metadata: { held: publicId },
    });
  }
}
