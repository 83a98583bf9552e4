/**
 * The giver's side of a rendezvous: takers knock, and are met by whichever ways they name. Several at once, bounded; who
 * comes when there are too many waits, and of those who wait only the last ones are kept. Each way that comes about is handed
 * on to prove the code; the taker decides which one it uses.
 */
import type { PeerMode, PeerPath } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { Endpoint, PeerStream, Presence } from "../types.ts";
import { CallBacks } from "./call-backs.ts";
import { Gathered } from "./gathered.ts";
import { answerIce, type IceOptions } from "./ice.ts";
import type { IceLibrary } from "./ice-library.ts";
import { ANSWER_ID_BYTES, type Answer, type Knock } from "./knock.ts";
import { type AskOuterPort, openPunchPort, punch } from "./punch.ts";

/** What it is made of. */
export interface AnswererOptions {
  readonly mode: PeerMode;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly askOuterPort: AskOuterPort;
  readonly ipv6: () => readonly string[];
  readonly ice: IceLibrary;
  readonly iceOptions: Omit<IceOptions, "allows">;
  /** May this address be called by TCP, for a peer? */
  readonly allows: (address: string) => boolean;
  /** May ICE ask it? */
  readonly allowsIce: (address: string) => boolean;
  readonly pathTo: (endpoint: Endpoint) => PeerPath;
  /** Becomes the giver on a path. @throws if the code was not proved; the stream ends then */
  readonly accept: (peer: PeerStream, signal: AbortSignal) => Promise<void>;
}

/** Takers that are met at once, and those that wait. */
const MOST_AT_ONCE = 8;
const MOST_WAITING = 32;
/** How long a taker is tried, in milliseconds: it hears of our answer only when it looks. */
const MEETING_MS = 45_000;
const PUNCH_MS = 25_000;

/** A taker that is being met. */
interface Meeting {
  readonly nonce: string;
  readonly presence: Presence;
  readonly answer: Gathered<Answer>;
  readonly stop: AbortController;
  readonly done: Set<"reverse" | "punch" | "ice">;
  knock: Knock;
}

/** See above. */
export class Answerer implements Disposable {
  readonly #options: AnswererOptions;
  /** By share and peer; those that have begun first. */
  readonly #meetings = new Map<string, Meeting>();
  readonly #waiting = new Map<string, () => void>();
  readonly #callBacks: CallBacks;
  readonly #closed = new AbortController();

  constructor(options: AnswererOptions) {
    this.#options = options;
    this.#callBacks = new CallBacks(options);
  }

  /** How many are met now. */
  get count(): number {
    return this.#meetings.size;
  }

  /**
   * A taker knocks, for the first time or with more to say.
   *
   * @param name - of share and peer
   * @param presence - what it says of itself
   */
  knock(name: string, presence: Presence, knock: Knock, reply: (answer: Answer) => void): void {
    if (this.#closed.signal.aborted) return;
    const nonce = knock.nonce.toString("hex");
    const former = this.#meetings.get(name);
    if (former?.nonce === nonce) {
      former.knock = knock;
      this.#go(name, former);
      return;
    }
    former?.stop.abort();
    this.#meetings.delete(name);
    this.#waiting.delete(name);
    const begin = () => {
      const first = { to: knock.nonce.subarray(0, ANSWER_ID_BYTES), punch: [] };
      const answer = new Gathered<Answer>(first, reply, this.#options.clock);
      const meeting: Meeting = { nonce, presence, knock, answer, stop: new AbortController(), done: new Set() };
      this.#meetings.set(name, meeting);
      const cancel = this.#options.clock.timer(MEETING_MS, () => meeting.stop.abort());
      meeting.stop.signal.addEventListener("abort", () => {
        cancel();
        answer[Symbol.dispose]();
        if (this.#meetings.get(name) === meeting) this.#meetings.delete(name);
        this.#next();
      });
      this.#go(name, meeting);
    };
    this.#waiting.set(name, begin);
    this.#next();
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size > MOST_WAITING && oldest !== undefined) this.#waiting.delete(oldest);
  }

  /** A taker has come by itself: no way to it is looked for any more. */
  reached(name: string): void {
    this.#waiting.delete(name);
    this.#meetings.get(name)?.stop.abort();
  }

  #next(): void {
    const [first] = this.#waiting;
    if (first === undefined || this.#meetings.size >= MOST_AT_ONCE || this.#closed.signal.aborted) return;
    this.#waiting.delete(first[0]);
    first[1]();
  }

  /** Begins the ways that the knock names and that have not begun. */
  #go(name: string, meeting: Meeting): void {
    const { knock, done } = meeting;
    const { mode } = this.#options;
    const tcp = mode === "auto" || mode === "no-relay";
    if (tcp && knock.reverse) this.#way(name, meeting, "reverse", () => this.#callBack(meeting));
    if (tcp && knock.punch.length > 0) this.#way(name, meeting, "punch", () => this.#punch(meeting));
    const { ice } = knock;
    if (mode !== "lan-only" && ice) this.#way(name, meeting, "ice", () => this.#ice(meeting, ice));
    if (done.size === 0) meeting.stop.abort();
  }

  #way(name: string, meeting: Meeting, way: "reverse" | "punch" | "ice", go: () => Promise<void>): void {
    if (meeting.done.has(way)) return;
    meeting.done.add(way);
    const { logger } = this.#options;
    go().then(
      // The others are given up: the taker has proved the code on this one. Whichever it proved too goes on.
      () => meeting.stop.abort(),
      (error: unknown) => {
        if (!meeting.stop.signal.aborted)
          logger.debug({ peer: name, way, error }, "A taker could not be met this way.");
      },
    );
  }

  async #callBack({ presence, knock, stop }: Meeting): Promise<void> {
    const { signal } = stop;
    await this.#callBacks.call(presence.endpoints, knock.nonce, (peer) => this.#options.accept(peer, signal), signal);
  }

  async #punch(meeting: Meeting): Promise<void> {
    const { askOuterPort, ipv6, allows, clock } = this.#options;
    const { signal } = meeting.stop;
    const ready = meeting.answer.expect();
    try {
      const targets = meeting.knock.punch.filter(({ host }) => allows(host));
      if (targets.length === 0) throw new Error("the taker names no port that may be called");
      using port = await openPunchPort(askOuterPort, ipv6(), clock, signal);
      if (port.outer.length === 0) throw new Error("the NAT here takes another port for each destination");
      meeting.answer.add({ punch: port.outer });
      ready();
      const { socket, endpoint } = await punch(port, targets, { clock, durationMs: PUNCH_MS, signal });
      await this.#options.accept({ stream: socket, path: "punched", remoteAddress: endpoint.host }, signal);
    } finally {
      ready();
    }
  }

  async #ice(meeting: Meeting, offer: Buffer): Promise<void> {
    const { ice, iceOptions, allowsIce } = this.#options;
    const { signal } = meeting.stop;
    const ready = meeting.answer.expect();
    try {
      const library = await ice.load();
      if (library === undefined) throw new Error(ice.problem);
      const end = await answerIce(library, { ...iceOptions, allows: allowsIce }, offer, signal);
      meeting.answer.add({ ice: end.signal });
      ready();
      await this.#options.accept(await end.stream, signal);
    } finally {
      ready();
    }
  }

  /** Gives up whatever is being tried. */
  [Symbol.dispose](): void {
    this.#closed.abort();
    this.#waiting.clear();
    for (const { stop } of [...this.#meetings.values()]) stop.abort();
  }
}
