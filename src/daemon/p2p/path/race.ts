/**
 * The race of paths to one peer. Straight calls go first (local network, IPv6, public and mapped ports, side by side); when
 * they fail, or a second later, the peer is asked to call back and both call each other at once (simultaneous open); a moment
 * later ICE is tried too, which goes through a relay at the worst. The first path on which both have proved the code wins,
 * and the others are given up. Modes leave out what they rule out.
 */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { asDownloadError, failure } from "../../core/errors.ts";
import type { PeerMode, PeerPath } from "../../core/peers.ts";
import type { Clock } from "../../core/ports.ts";
import type { Channel, Endpoint, PeerStream, Presence, ShareKeys } from "../types.ts";
import { dialAll } from "./dial.ts";
import { type IceOptions, offerIce } from "./ice.ts";
import type { IceLibrary } from "./ice-library.ts";
import { ANSWER_ID_BYTES, type Answer } from "./knock.ts";
import { type AskOuterPort, openPunchPort, punch } from "./punch.ts";
import type { PairHandle, Rendezvous } from "./rendezvous.ts";

/** What all races of this machine share. */
export interface RaceParts {
  readonly mode: PeerMode;
  readonly clock: Clock;
  readonly self: () => string;
  /** Undefined: nothing carries signals. */
  readonly rendezvous: Rendezvous | undefined;
  /** STUN over TCP. */
  readonly askOuterPort: AskOuterPort;
  /** Own global IPv6 addresses. */
  readonly ipv6: () => readonly string[];
  readonly ice: IceLibrary;
  readonly iceOptions: Omit<IceOptions, "allows">;
  /** Lets a giver call back, while somebody can reach our listener; undefined: nobody can. */
  readonly expectCall: ((nonce: Buffer, onCall: (socket: Socket, address: string) => void) => () => void) | undefined;
  readonly pathTo: (endpoint: Endpoint) => PeerPath;
  readonly pathOfCall: (socket: Socket, address: string) => PeerPath;
}

/** Whom to reach. */
export interface RaceTarget {
  readonly keys: ShareKeys;
  /** The best first. */
  readonly endpoints: readonly Endpoint[];
  /** What it says of itself; absent: it can only be called. */
  readonly presence: Presence | undefined;
  /** May this address be called by TCP? */
  readonly allows: (address: string) => boolean;
  /** May it be a part of a path by ICE? */
  readonly allowsIce: (address: string) => boolean;
  /** Proves the code. @throws DownloadError if that fails, or the peer is not wanted */
  readonly authenticate: (peer: PeerStream, signal: AbortSignal) => Promise<Channel>;
}

/** When the ways begin, in milliseconds, while the ones before are still tried. */
const HEAD_STARTS = { knock: 1000, ice: 2500 } as const;
/** How long all of it may take: signals go by the DHT, which is slow. */
const RACE_MS = 60_000;
/** How long the taker calls when the answer is here. The giver began before. */
const PUNCH_MS = 12_000;

/**
 * Reaches a peer.
 *
 * @throws NetworkError PEERS_UNREACHABLE that says what was tried; PEER_REFUSED if one answered and did not prove the code; the
 *   signal's reason
 */
export function race(parts: RaceParts, target: RaceTarget, signal: AbortSignal): Promise<Channel> {
  return new Race(parts, target, signal).run();
}

class Race {
  readonly #parts: RaceParts;
  readonly #target: RaceTarget;
  readonly #outer: AbortSignal;
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  readonly #won = Promise.withResolvers<Channel>();
  readonly #failures: string[] = [];
  readonly #answers: string[] = [];
  #winner: Channel | undefined;

  constructor(parts: RaceParts, target: RaceTarget, outer: AbortSignal) {
    this.#parts = parts;
    this.#target = target;
    this.#outer = outer;
    this.#signal = AbortSignal.any([outer, this.#over.signal]);
    this.#won.promise.catch(() => undefined);
  }

  async run(): Promise<Channel> {
    const { clock } = this.#parts;
    const cancel = clock.timer(RACE_MS, () => {
      this.#failures.push(`nothing came of it within ${RACE_MS / 1000} s`);
      this.#over.abort(new Error("it took too long"));
    });
    const all = this.#allWays().then(
      () => this.#won.reject(this.#lost()),
      () => this.#won.reject(this.#outer.aborted ? this.#outer.reason : this.#lost()),
    );
    try {
      return await this.#won.promise;
    } finally {
      cancel();
      this.#over.abort(new Error("another way was faster"));
      await all;
    }
  }

  /** Resolves when every way has failed; a way that wins ends the others. */
  async #allWays(): Promise<void> {
    const { mode } = this.#parts;
    const { presence } = this.#target;
    const straight = this.#call();
    const { rendezvous, self } = this.#parts;
    if (presence === undefined || rendezvous === undefined) return straight;
    const can = new Set(presence.capabilities);
    const answers = new Answers();
    const pair = rendezvous.open(this.#target.keys, self(), presence.peerId, { onAnswer: (one) => answers.put(one) });
    if (pair === undefined) {
      this.#failures.push("too many peers are being reached at once");
      return straight;
    }
    using meeting = new Meeting(pair);
    await Promise.all([
      straight,
      mode !== "relay-only" && this.#meet(meeting, answers, can.has("punch"), straight),
      can.has("ice") && this.#ice(meeting, answers, straight),
    ]);
  }

  /** Straight calls. */
  async #call(): Promise<void> {
    const { mode, pathTo } = this.#parts;
    const { endpoints, allows } = this.#target;
    if (mode === "relay-only" || endpoints.length === 0) return;
    const use = (peer: PeerStream) => this.#use(peer, this.#signal);
    const group = { endpoints, allows, pathOf: pathTo, use, signal: this.#signal };
    await dialAll(group, (where, error) => this.#failed(`a call to ${where}`, error));
  }

  /** Being called back, and simultaneous open: told in one knock. */
  async #meet(meeting: Meeting, answers: Answers, canPunch: boolean, straight: Promise<void>): Promise<void> {
    const { expectCall, askOuterPort, ipv6, pathOfCall } = this.#parts;
    await this.#headStart(HEAD_STARTS.knock, straight);
    const ended = Promise.withResolvers<void>();
    this.#signal.addEventListener("abort", () => ended.resolve(), { once: true });
    const stop = expectCall?.(meeting.nonce, (socket, address) => {
      const peer = { stream: socket, path: pathOfCall(socket, address), remoteAddress: address };
      this.#use(peer, this.#signal).catch((error) => this.#failed(`its call back from ${address}`, error));
    });
    if (stop) meeting.say({ reverse: true });
    try {
      if (!canPunch) return stop && (await ended.promise);
      using port = await openPunchPort(askOuterPort, ipv6(), this.#signal);
      if (port.outer.length === 0) throw new Error("the NAT here takes another port for each destination");
      meeting.say({ punch: port.outer });
      const { punch: theirs } = await answers.next((answer) => answer.punch.length > 0, meeting.nonce, this.#signal);
      const targets = theirs.filter(({ host }) => this.#target.allows(host));
      const { socket, endpoint } = await punch(port, targets, PUNCH_MS, this.#signal);
      await this.#use({ stream: socket, path: "punched", remoteAddress: endpoint.host }, this.#signal);
    } catch (error) {
      this.#failed("TCP simultaneous open", error);
      if (stop && !this.#signal.aborted) await ended.promise;
    } finally {
      stop?.();
    }
  }

  async #ice(meeting: Meeting, answers: Answers, straight: Promise<void>): Promise<void> {
    const { ice, iceOptions, mode } = this.#parts;
    try {
      if (mode !== "relay-only") await this.#headStart(HEAD_STARTS.ice, straight, HEAD_STARTS.ice - HEAD_STARTS.knock);
      const library = await ice.load();
      if (library === undefined) throw new Error(ice.problem);
      const end = await offerIce(library, { ...iceOptions, allows: this.#target.allowsIce }, this.#signal);
      try {
        meeting.say({ ice: end.signal });
        const answer = await answers.next(({ ice: theirs }) => theirs !== undefined, meeting.nonce, this.#signal);
        await end.answer(answer.ice as Buffer);
        await this.#use(await end.stream, this.#signal);
      } catch (error) {
        end.close();
        throw error;
      }
    } catch (error) {
      this.#failed("ICE", error);
    }
  }

  /** Waits until the way before has had its time; less if it has failed. */
  async #headStart(ms: number, before: Promise<void>, rest = 0): Promise<void> {
    const { clock } = this.#parts;
    const early = before.then(() => clock.sleep(rest, this.#signal));
    early.catch(() => undefined);
    await Promise.race([clock.sleep(ms, this.#signal), early]);
    this.#signal.throwIfAborted();
  }

  /** Proves the code on a path. @throws DownloadError if that fails: the path's stream is destroyed */
  async #use(peer: PeerStream, signal: AbortSignal): Promise<void> {
    let channel: Channel;
    try {
      channel = await this.#target.authenticate(peer, signal);
    } catch (error) {
      peer.stream.destroy();
      const { code, message } = asDownloadError(error);
      if (code === "PEER_REFUSED") this.#answers.push(message);
      throw error;
    }
    if (this.#winner !== undefined || this.#outer.aborted) {
      channel.close();
      return;
    }
    this.#winner = channel;
    this.#won.resolve(channel);
    this.#over.abort(new Error("another way was faster"));
  }

  #failed(way: string, error: unknown): void {
    if (this.#signal.aborted) return;
    this.#failures.push(`${way}: ${asDownloadError(error).message}`);
  }

  #lost() {
    const { presence, endpoints } = this.#target;
    const [first] = endpoints;
    const who = presence ? `peer ${presence.peerId.slice(0, 8)}` : `${first?.host} port ${first?.port}`;
    const tried = this.#failures.length > 0 ? this.#failures.join("; ") : "there is no way that p2p.mode allows";
    // It was reached, and says where it is itself.
    if (this.#answers.length === this.#failures.length && this.#answers[0] !== undefined)
      return failure("PEER_REFUSED", this.#answers[0]);
    return failure("PEERS_UNREACHABLE", `${who} was not reached: ${tried}`);
  }
}

/** Our knock, which grows as there is more to say; it is withdrawn at the end. */
class Meeting implements Disposable {
  readonly nonce = randomBytes(32);
  readonly #pair: PairHandle;
  #said: { reverse?: true; punch?: readonly Endpoint[]; ice?: Buffer } = {};

  constructor(pair: PairHandle) {
    this.#pair = pair;
  }

  say(more: { readonly reverse?: true; readonly punch?: readonly Endpoint[]; readonly ice?: Buffer }): void {
    this.#said = { ...this.#said, ...more };
    const { reverse = false, punch = [], ice } = this.#said;
    this.#pair.knock({ nonce: this.nonce, reverse, punch, ...(ice && { ice }) });
  }

  [Symbol.dispose](): void {
    this.#pair.knock(undefined);
    this.#pair[Symbol.dispose]();
  }
}

/** What the giver has answered, for whoever waits for some of it. */
class Answers {
  readonly #all: Answer[] = [];
  readonly #waiting = new Set<() => void>();

  put(answer: Answer): void {
    // Only the last few: each has what the ones before had.
    this.#all.splice(0, Math.max(0, this.#all.length - 3));
    this.#all.push(answer);
    for (const look of [...this.#waiting]) look();
  }

  /** The first that fits. @throws the signal's reason */
  next(fits: (answer: Answer) => boolean, nonce: Buffer, signal: AbortSignal): Promise<Answer> {
    const id = nonce.subarray(0, ANSWER_ID_BYTES);
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.#all.findLast((answer) => answer.to.equals(id) && fits(answer));
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
}
