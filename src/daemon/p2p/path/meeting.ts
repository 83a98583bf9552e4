/** The taker's side of a rendezvous: its knock, and what the giver answers to it. */
import { randomBytes } from "node:crypto";
import type { Clock } from "../../core/ports/runtime.ts";
import type { Endpoint } from "../types.ts";
import { Gathered } from "./gathered.ts";
import { ANSWER_ID_BYTES, type Answer } from "./knock.ts";
import type { PairHandle } from "./rendezvous.ts";

/** What a knock says, beside its number. */
interface Said {
  readonly reverse?: true;
  readonly punch?: readonly Endpoint[];
  readonly ice?: Buffer;
}

/** Our knock, which grows as there is more to say; it is withdrawn at the end. */
export class Meeting implements Disposable {
  readonly nonce = randomBytes(32);
  readonly said: Gathered<Said>;
  readonly #pair: PairHandle;
  /** The last few answers: each has what the ones before had. */
  readonly #answers: Answer[] = [];
  readonly #waiting = new Set<() => void>();

  /** @param open - begins to listen to the peer; undefined: there are too many that are listened to */
  static begin(
    open: (onAnswer: (answer: Answer) => void) => PairHandle | undefined,
    clock: Clock,
  ): Meeting | undefined {
    let meeting: Meeting | undefined;
    const pair = open((answer) => {
      if (meeting) meeting.#put(answer);
    });
    meeting = pair && new Meeting(pair, clock);
    return meeting;
  }

  private constructor(pair: PairHandle, clock: Clock) {
    this.#pair = pair;
    const send = ({ reverse, punch = [], ice }: Said) =>
      pair.knock({ nonce: this.nonce, reverse: reverse === true, punch, ...(ice && { ice }) });
    this.said = new Gathered<Said>({}, send, clock);
  }

  #put(answer: Answer): void {
    this.#answers.splice(0, Math.max(0, this.#answers.length - 3));
    this.#answers.push(answer);
    for (const look of [...this.#waiting]) look();
  }

  /** The last answer to this knock that fits. */
  find(fits: (answer: Answer) => boolean): Answer | undefined {
    const id = this.nonce.subarray(0, ANSWER_ID_BYTES);
    return this.#answers.findLast((answer) => answer.to.equals(id) && fits(answer));
  }

  /** The same, as soon as there is one. @throws the signal's reason */
  next(fits: (answer: Answer) => boolean, signal: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.find(fits);
        if (!found && !signal.aborted) return;
        this.#waiting.delete(look);
        signal.removeEventListener("abort", look);
        if (found) resolve(found);
        else reject(signal.reason);
      };
      this.#waiting.add(look);
      signal.addEventListener("abort", look, { once: true });
      look();
    });
  }

  [Symbol.dispose](): void {
    this.said[Symbol.dispose]();
    this.#pair.knock(undefined);
    this.#pair[Symbol.dispose]();
  }
}
