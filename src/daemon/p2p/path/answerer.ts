/**
 * The giver's side of a rendezvous: takers knock, and are met by whichever ways they name. Several at once, bounded; who
 * comes when there are too many waits, and of those who wait only the last ones are kept. Each way that comes about is handed
 * on to prove the code; the taker decides which one it uses.
 */
import type { PeerMode, PeerPath } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports.ts";
import type { Endpoint, PeerStream, Presence } from "../types.ts";
import { connectTcp } from "./dial.ts";
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
  /** May this address be called, for a peer? */
  readonly allows: (address: string) => boolean;
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
const REVERSE_MS = 5000;
const MOST_REVERSE = 4;
const REVERSE = Buffer.of(0x52);

/** A taker that is being met. */
interface Meeting {
  readonly nonce: string;
  readonly presence: Presence;
  readonly reply: (answer: Answer) => void;
  readonly stop: AbortController;
  readonly done: Set<"reverse" | "punch" | "ice">;
  knock: Knock;
  answer: Answer;
  running: number;
}

/** See above. */
export class Answerer implements Disposable {
  readonly #options: AnswererOptions;
  /** By share and peer; those that have begun first. */
  readonly #meetings = new Map<string, Meeting>();
  readonly #waiting = new Map<string, () => void>();
  readonly #closed = new AbortController();

  constructor(options: AnswererOptions) {
    this.#options = options;
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
      const answer = { to: knock.nonce.subarray(0, ANSWER_ID_BYTES), punch: [] };
      const meeting: Meeting = {
        ...{ nonce, presence, reply, knock, answer, running: 0 },
        ...{ stop: new AbortController(), done: new Set() },
      };
      this.#meetings.set(name, meeting);
      const cancel = this.#options.clock.timer(MEETING_MS, () => meeting.stop.abort());
      meeting.stop.signal.addEventListener("abort", () => {
        cancel();
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
    meeting.running += 1;
    go()
      .then(
        // The others are given up: the taker has proved the code on this one. Whichever it proved too goes on.
        () => meeting.stop.abort(),
        (error: unknown) => logger.debug({ peer: name, way, error }, "A taker could not be met this way."),
      )
      .finally(() => {
        meeting.running -= 1;
      });
  }

  async #callBack({ presence, knock, stop }: Meeting): Promise<void> {
    const { allows, pathTo } = this.#options;
    const endpoints = presence.endpoints.filter(({ host }) => allows(host)).slice(0, MOST_REVERSE);
    await Promise.any(
      endpoints.map(async (endpoint) => {
        const { host, port } = endpoint;
        const socket = await connectTcp(host, port, { timeoutMs: REVERSE_MS, signal: stop.signal });
        socket.write(Buffer.concat([REVERSE, knock.nonce]));
        await this.#options.accept({ stream: socket, path: pathTo(endpoint), remoteAddress: host }, stop.signal);
      }),
    );
  }

  async #punch(meeting: Meeting): Promise<void> {
    const { askOuterPort, ipv6, allows } = this.#options;
    const { signal } = meeting.stop;
    const targets = meeting.knock.punch.filter(({ host }) => allows(host));
    using port = await openPunchPort(askOuterPort, ipv6(), signal);
    if (port.outer.length === 0 || targets.length === 0) throw new Error("simultaneous open cannot work between us");
    this.#reply(meeting, { punch: port.outer });
    const { socket, endpoint } = await punch(port, targets, PUNCH_MS, signal);
    await this.#options.accept({ stream: socket, path: "punched", remoteAddress: endpoint.host }, signal);
  }

  async #ice(meeting: Meeting, offer: Buffer): Promise<void> {
    const { ice, iceOptions, allows } = this.#options;
    const { signal } = meeting.stop;
    const library = await ice.load();
    if (library === undefined) throw new Error(ice.problem);
    const end = await answerIce(library, { ...iceOptions, allows }, offer, signal);
    this.#reply(meeting, { ice: end.signal });
    await this.#options.accept(await end.stream, signal);
  }

  #reply(meeting: Meeting, more: Partial<Answer>): void {
    meeting.answer = { ...meeting.answer, ...more };
    meeting.reply(meeting.answer);
  }

  /** Gives up whatever is being tried. */
  [Symbol.dispose](): void {
    this.#closed.abort();
    this.#waiting.clear();
    for (const { stop } of [...this.#meetings.values()]) stop.abort();
  }
}
