/**
 * How long a giver waits for a peer: one that takes nothing of what it asked for, or says nothing, keeps memory and a place
 * that others want.
 */
import { failure } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import type { Channel } from "../types.ts";
import { misbehaved } from "./giver-words.ts";

/**
 * Milliseconds in which a peer has to take something of what it asked for. On a very slow path what is on the way takes longer
 * to arrive; whoever goes on granting credit shows that it does, and gets more time.
 */
const TAKE_MS = 60_000;
const MOST_TAKE_MS = 300_000;

/** Milliseconds without a frame: takers ping every ten seconds. */
const SILENCE_MS = 60_000;

/** Ends a channel whose peer lets it wait too long. */
export class Patience {
  readonly #clock: Clock;
  readonly #channel: Channel;
  #cancelSilence: (() => void) | undefined;
  #heard = 0;
  #granted = 0;

  constructor(clock: Clock, channel: Channel) {
    this.#clock = clock;
    this.#channel = channel;
  }

  /** From now on the peer has to say something now and then. */
  start(): void {
    this.heard(false);
    this.#listen();
  }

  /** A frame came. @param granted - it grants credit */
  heard(granted: boolean): void {
    this.#heard = this.#clock.monotonic();
    if (granted) this.#granted = this.#heard;
  }

  /** Waits until the peer has taken what was sent. */
  async inTime(taken: Promise<void> | undefined): Promise<void> {
    if (taken === undefined) return;
    const begun = this.#clock.monotonic();
    const wait = (): (() => void) =>
      this.#clock.timer(this.#end(begun) - this.#clock.monotonic(), () => {
        if (this.#end(begun) > this.#clock.monotonic()) cancel = wait();
        else this.#channel.close(misbehaved("the peer takes nothing of what it asked for"));
      });
    let cancel = wait();
    try {
      await taken;
    } finally {
      cancel();
    }
  }

  /** The channel has ended. */
  stop(): void {
    this.#cancelSilence?.();
  }

  #end(begun: number): number {
    return Math.min(Math.max(begun, this.#granted) + TAKE_MS, begun + MOST_TAKE_MS);
  }

  #listen(): void {
    const left = this.#heard + SILENCE_MS - this.#clock.monotonic();
    if (left > 0) this.#cancelSilence = this.#clock.timer(left, () => this.#listen());
    else this.#channel.close(failure("TIMED_OUT", `the peer has said nothing for ${SILENCE_MS / 1000} seconds`));
  }
}
