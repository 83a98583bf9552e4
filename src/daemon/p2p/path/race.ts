/**
 * The race of paths to one peer. Straight calls go first (local network, IPv6, public and mapped ports, side by side). When
 * they fail, or a second later, the peer is told in one message all other ways by which it may meet us: it calls back, both
 * call each other at once (simultaneous open), or ICE, which goes through a relay at the worst. The first path on which both
 * have proved the code wins, and the others are given up; only ICE waits for the simultaneous open while that may work, which
 * is a TCP connection, several times as fast. Modes leave out what they rule out.
 */
import type { Socket } from "node:net";
import { asDownloadError, failure } from "../../core/errors.ts";
import type { PeerMode, PeerPath } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { Channel, Endpoint, PeerStream, Presence, ShareKeys } from "../types.ts";
import { dialAll } from "./dial.ts";
import { type IceOptions, offerIce } from "./ice.ts";
import type { IceLibrary } from "./ice-library.ts";
import { Meeting } from "./meeting.ts";
import { type AskOuterPort, openPunchPort, punch } from "./punch.ts";
import type { Rendezvous } from "./rendezvous.ts";

/** What all races of this machine share. */
export interface RaceParts {
  readonly mode: PeerMode;
  readonly clock: Clock;
  readonly logger: Logger;
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

/** How long straight calls are tried before others are asked for help, in milliseconds. */
const HEAD_START_MS = 1000;
/** How long a path by ICE waits for the simultaneous open, in milliseconds, since both can have begun with it. */
const PUNCH_FIRST_MS = 3000;
/** How long all of it may take: signals go by the DHT, which is slow. */
const RACE_MS = 60_000;
/** How long a call back is waited for, in milliseconds. */
const CALL_BACK_MS = 20_000;
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
    const { rendezvous, self, clock } = this.#parts;
    const { presence, keys } = this.#target;
    const straight = this.#call();
    if (presence === undefined || rendezvous === undefined) return straight;
    const { peerId } = presence;
    const meeting = Meeting.begin((onAnswer) => rendezvous.open(keys, self(), peerId, { onAnswer }), clock);
    if (meeting === undefined) {
      this.#failures.push("too many peers are being reached at once");
      return straight;
    }
    using held = meeting;
    await Promise.all([straight, this.#meet(held, new Set(presence.capabilities), straight)]);
  }

  /** Straight calls. */
  async #call(): Promise<void> {
    const { mode, pathTo, clock } = this.#parts;
    const { endpoints, allows } = this.#target;
    if (mode === "relay-only" || endpoints.length === 0) return;
    const use = (peer: PeerStream) => this.#use(peer, this.#signal);
    const group = { clock, endpoints, allows, pathOf: pathTo, use, signal: this.#signal };
    await dialAll(group, (where, error) => this.#failed(`a call to ${where}`, error));
  }

  /** All ways that the peer has to have a part in. */
  async #meet(meeting: Meeting, can: ReadonlySet<string>, straight: Promise<void>): Promise<void> {
    const { mode, clock } = this.#parts;
    if (mode !== "relay-only") {
      const headStart = new AbortController();
      const until = AbortSignal.any([this.#signal, headStart.signal]);
      await Promise.race([clock.sleep(HEAD_START_MS, until), straight.catch(() => undefined)]).finally(() =>
        headStart.abort(),
      );
    }
    this.#signal.throwIfAborted();
    const punches = mode !== "relay-only" && can.has("punch");
    const punched = punches ? this.#punch(meeting) : Promise.resolve();
    const others = Promise.all([punched, can.has("ice") && this.#ice(meeting, punched)]);
    await Promise.all([others, mode !== "relay-only" && this.#beCalled(meeting, others)]);
  }

  /** @param others - the other ways: a call is waited for at least as long as they are tried */
  async #beCalled(meeting: Meeting, others: Promise<unknown>): Promise<void> {
    const { expectCall, pathOfCall, clock } = this.#parts;
    if (expectCall === undefined) return;
    const stop = expectCall(meeting.nonce, (socket, address) => {
      const peer = { stream: socket, path: pathOfCall(socket, address), remoteAddress: address };
      this.#use(peer, this.#signal).catch((error) => this.#failed(`its call back from ${address}`, error));
    });
    meeting.said.add({ reverse: true });
    try {
      await Promise.all([clock.sleep(CALL_BACK_MS, this.#signal), others]);
      this.#failed("being called back", new Error(`nobody came within ${CALL_BACK_MS / 1000} s`));
    } catch {
      // The race is over.
    } finally {
      stop();
    }
  }

  async #punch(meeting: Meeting): Promise<void> {
    const { askOuterPort, ipv6, clock } = this.#parts;
    const ready = meeting.said.expect();
    try {
      using port = await openPunchPort(askOuterPort, ipv6(), clock, this.#signal);
      if (port.outer.length === 0) throw new Error("the NAT here takes another port for each destination");
      meeting.said.add({ punch: port.outer });
      ready();
      const { punch: theirs } = await meeting.next((answer) => answer.punch.length > 0, this.#signal);
      const targets = theirs.filter(({ host }) => this.#target.allows(host));
      const { socket, endpoint } = await punch(port, targets, { clock, durationMs: PUNCH_MS, signal: this.#signal });
      await this.#use({ stream: socket, path: "punched", remoteAddress: endpoint.host }, this.#signal);
    } catch (error) {
      this.#failed("TCP simultaneous open", error);
    } finally {
      ready();
    }
  }

  /** @param punched - ends when the simultaneous open is over, one way or the other */
  async #ice(meeting: Meeting, punched: Promise<void>): Promise<void> {
    const { ice, iceOptions, clock, logger } = this.#parts;
    const { presence } = this.#target;
    const ready = meeting.said.expect();
    try {
      const library = await ice.load();
      if (library === undefined) throw new Error(ice.problem);
      const end = await offerIce(library, { ...iceOptions, allows: this.#target.allowsIce }, this.#signal);
      try {
        meeting.said.add({ ice: end.signal });
        ready();
        const said = clock.monotonic();
        const answer = await meeting.next(({ ice: theirs }) => theirs !== undefined, this.#signal);
        await end.answer(answer.ice as Buffer);
        const answered = clock.monotonic();
        const peer = await end.stream;
        const [toAnswer, toPath] = [answered - said, clock.monotonic() - answered].map(Math.round);
        logger.debug({ peer: presence?.peerId, path: peer.path, toAnswer, toPath }, "A path by ICE stands.");
        // The giver answers with both together, so that without a port to be punched there is nothing to wait for.
        if (meeting.find(({ punch }) => punch.length > 0)) {
          const rest = PUNCH_FIRST_MS - (clock.monotonic() - answered);
          await Promise.race([punched, clock.sleep(Math.max(0, rest), this.#signal)]);
          this.#signal.throwIfAborted();
        }
        await this.#use(peer, this.#signal);
      } catch (error) {
        end.close();
        throw error;
      }
    } catch (error) {
      this.#failed("ICE", error);
    } finally {
      ready();
    }
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
