/**
 * The exchange of knocks and answers between this peer and others, by whatever carries their signals. For each pair there is
 * one message in each direction; what it says is put together of our knock and our answer, and sent again when either
 * changes, the last word alone where several come at once.
 */
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { ShareKeys, Signalling } from "../types.ts";
import { type Answer, type Knock, type PairMessage, packMessage, unpackMessage } from "./knock.ts";

/** What it is made of. */
export interface RendezvousOptions {
  readonly signalling: Signalling;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Pairs that are listened to at most, of all shares. */
const MOST_PAIRS = 128;
/** Tries of a message that nobody takes. */
const TRIES = 4;
const RETRY_MS = 1500;
/** Changes that come within this are sent as one, in milliseconds. */
const GATHER_MS = 30;

/** A peer, as seen from this one, for a share. Disposal ends the use of one holder; the pair itself ends with the last. */
export interface PairHandle extends Disposable {
  /** What we want of it, as taker; undefined: nothing any more. */
  knock(knock: Knock | undefined): void;
  /** What we answer, as giver. */
  answer(answer: Answer): void;
}

/** Who is told what comes. */
export interface PairListener {
  readonly onKnock?: (knock: Knock) => void;
  readonly onAnswer?: (answer: Answer) => void;
}

/** See above. */
export class Rendezvous implements Disposable {
  readonly #options: RendezvousOptions;
  readonly #pairs = new Map<string, Pair>();

  constructor(options: RendezvousOptions) {
    this.#options = options;
  }

  /** Begins to listen to a peer. Undefined: there are too many already. */
  open(keys: ShareKeys, self: string, peerId: string, listener: PairListener): PairHandle | undefined {
    const name = `${keys.publicId} ${peerId}`;
    let pair = this.#pairs.get(name);
    if (pair === undefined) {
      if (this.#pairs.size >= MOST_PAIRS) return undefined;
      pair = new Pair(this.#options, keys, self, peerId);
      this.#pairs.set(name, pair);
    }
    const held = pair;
    held.join(listener);
    return {
      knock: (knock) => held.say({ knock }),
      answer: (answer) => held.say({ answer }),
      [Symbol.dispose]: () => {
        held.listeners.delete(listener);
        if (held.listeners.size > 0 || this.#pairs.get(name) !== held) return;
        held.close();
        this.#pairs.delete(name);
      },
    };
  }

  [Symbol.dispose](): void {
    for (const pair of this.#pairs.values()) pair.close();
    this.#pairs.clear();
  }
}

/** The state of one pair. */
class Pair {
  readonly listeners = new Set<PairListener>();
  readonly #options: RendezvousOptions;
  readonly #keys: ShareKeys;
  readonly #self: string;
  readonly #peerId: string;
  readonly #ended = new AbortController();
  #mine: PairMessage = {};
  #unsent = false;
  #sending = false;
  /** What came last: who begins to listen later has to hear it too. */
  #heard: PairMessage = {};

  constructor(options: RendezvousOptions, keys: ShareKeys, self: string, peerId: string) {
    this.#options = options;
    this.#keys = keys;
    this.#self = self;
    this.#peerId = peerId;
    options.signalling.receive(keys, peerId, self, (bytes) => this.#hear(unpackMessage(bytes)), this.#ended.signal);
  }

  /** One more listens, and hears in the next turn what came before. */
  join(listener: PairListener): void {
    this.listeners.add(listener);
    if (this.#heard.knock || this.#heard.answer)
      queueMicrotask(() => this.listeners.has(listener) && tell(listener, this.#heard));
  }

  #hear(message: PairMessage): void {
    this.#heard = message;
    for (const listener of [...this.listeners]) tell(listener, message);
  }

  say(part: { readonly knock?: Knock | undefined; readonly answer?: Answer }): void {
    const { knock = undefined, answer } = { ...this.#mine, ...part };
    this.#mine = { ...(knock && { knock }), ...(answer && { answer }) };
    // That nothing is wanted any more need not be told.
    if (part.knock === undefined && part.answer === undefined) return;
    this.#unsent = true;
    if (!this.#sending) void this.#send();
  }

  async #send(): Promise<void> {
    const { signalling, clock, logger } = this.#options;
    const { signal } = this.#ended;
    this.#sending = true;
    let tries = 0;
    try {
      while (this.#unsent && !signal.aborted && tries < TRIES) {
        await clock.sleep(tries === 0 ? GATHER_MS : RETRY_MS * tries, signal);
        this.#unsent = false;
        try {
          await signalling.send(this.#keys, this.#self, this.#peerId, packMessage(this.#mine), signal);
          tries = 0;
        } catch (error) {
          logger.debug({ peer: this.#peerId, error }, "A signal could not be left for a peer.");
          this.#unsent = true;
          tries += 1;
        }
      }
    } catch {
      // It has ended while it waited.
    } finally {
      this.#sending = false;
    }
  }

  close(): void {
    this.#ended.abort();
  }
}

function tell({ onKnock, onAnswer }: PairListener, message: PairMessage): void {
  if (message.knock) onKnock?.(message.knock);
  if (message.answer) onAnswer?.(message.answer);
}
