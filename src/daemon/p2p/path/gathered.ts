/**
 * What is said in one message although its parts are there one after the other: a message by way of a DHT takes seconds, and
 * the next waits until it is through. So what is soon there is waited for, and what comes later goes in a message of its own.
 */
import type { Clock } from "../../core/ports/runtime.ts";

/** How long a part is waited for, in milliseconds: a little longer than STUN and TURN take where they work. */
const PATIENCE_MS = 2500;

/** See above. */
export class Gathered<T extends object> implements Disposable {
  readonly #send: (all: T) => void;
  readonly #clock: Clock;
  #all: T;
  #expected = 0;
  #cancel: (() => void) | undefined;
  #isLate = false;
  #isNew = false;
  #ended = false;

  /** @param send - is handed all parts that there are, each time that it should be said */
  constructor(first: T, send: (all: T) => void, clock: Clock) {
    this.#all = first;
    this.#send = send;
    this.#clock = clock;
  }

  /** A part is being made. @returns to be called, once or more, when it was added or will not come */
  expect(): () => void {
    this.#expected += 1;
    this.#cancel ??= this.#clock.timer(PATIENCE_MS, () => {
      this.#isLate = true;
      this.#flush();
    });
    let waits = true;
    return () => {
      if (!waits) return;
      waits = false;
      this.#expected -= 1;
      this.#flush();
    };
  }

  /** A part is there. */
  add(part: Partial<T>): void {
    this.#all = { ...this.#all, ...part };
    this.#isNew = true;
    this.#flush();
  }

  #flush(): void {
    if (this.#ended || !this.#isNew || (this.#expected > 0 && !this.#isLate)) return;
    this.#isNew = false;
    this.#send(this.#all);
  }

  /** Nothing is said any more. */
  [Symbol.dispose](): void {
    this.#ended = true;
    this.#cancel?.();
  }
}
