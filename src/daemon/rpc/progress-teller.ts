/** Tells how far a long call is, a few times a second and no faster than the caller takes it. */
import type { Clock } from "../core/ports/runtime.ts";
import type { Send } from "./calls.ts";

/** Milliseconds between two messages about the progress. */
const PROGRESS_MS = 200;

/** Sends the newest of what is told; what comes too soon is left out. */
export class ProgressTeller<R> {
  readonly #clock: Clock;
  readonly #send: Send<R>;
  #next = Number.NEGATIVE_INFINITY;
  #stage: string | undefined;
  #sending = false;
  /** Resolves when nothing is on its way. */
  last: Promise<void> = Promise.resolve();

  constructor(clock: Clock, send: Send<R>) {
    this.#clock = clock;
    this.#send = send;
  }

  /** @param stage - a new one is told at once */
  tell(stage: string, message: () => R): void {
    const now = this.#clock.monotonic();
    if (this.#sending || (now < this.#next && stage === this.#stage)) return;
    this.#next = now + PROGRESS_MS;
    this.#stage = stage;
    this.#sending = true;
    // A caller that has left ends the work by the signal.
    this.last = this.#send(message())
      .catch(() => undefined)
      .finally(() => {
        this.#sending = false;
      });
  }
}
