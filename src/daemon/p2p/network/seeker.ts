/**
 * Getting channels for one share: peers that a person named are called at once, those that are found as they are found, and
 * each is reached by a race of paths. Nobody is asked twice at once, who cannot be reached is left alone for longer each time,
 * and strangers, of whom a DHT can name as many as somebody likes, wait behind those who know the code.
 */
import { isIP } from "node:net";
import { addressKind } from "../../core/address-kind.ts";
import { asDownloadError, type DownloadError, failure } from "../../core/errors.ts";
import type { PeerInfo, PeerState } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { RaceTarget } from "../path/race.ts";
import { needsNoLookup } from "../resolve-host.ts";
import type { Channel, ChannelTaker, Endpoint, PeerStream, Presence, ShareKeys } from "../types.ts";
import { CountedChannel } from "./counted-channel.ts";
import { KnownPlaces } from "./known-places.ts";

/** What a seeker is made of. */
export interface SeekerOptions {
  readonly taker: ChannelTaker;
  readonly self: () => string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** May name servers be asked, in this mode? */
  readonly allowsLookup: boolean;
  /** May TCP be tried with this address, in this mode? */
  readonly allowsTcp: (address: string) => boolean;
  /** May a place be called that a peer names? */
  readonly mayBeCalled: (place: Pick<Endpoint, "host" | "port">) => boolean;
  /** May ICE ask an address that a peer names? */
  readonly mayBeAskedByIce: (address: string) => boolean;
  /** A place that was found could not be reached, or did not know the code. */
  readonly failed: (place: Pick<PeerInfo, "externalIp" | "externalPort">) => void;
  readonly order: (endpoints: readonly Endpoint[]) => Endpoint[];
  /** Reaches a peer; see path/race.ts. */
  readonly reach: (target: RaceTarget, signal: AbortSignal) => Promise<Channel>;
  /** Proves the code; see encryption.ts. */
  readonly connect: (peer: PeerStream, keys: ShareKeys, signal: AbortSignal) => Promise<Channel>;
}

/** A peer that may have it. */
interface Target {
  readonly key: string;
  readonly kind: "explicit" | "present" | "found";
  readonly places: KnownPlaces;
  presence: Presence | undefined;
  peerId: string | undefined;
  failures: number;
  /** By the monotonic clock. */
  notBefore: number;
  running: AbortController | undefined;
}

/** Races at once, by how a peer came to be known. */
const MOST_RACES = { explicit: 8, present: 6, found: 16 } as const;
/** Peers that are kept in mind, by the same. */
const MOST_TARGETS = { explicit: 32, present: 64, found: 200 } as const;
/** The wait after a failure, in milliseconds: doubled each time. */
const FIRST_WAIT_MS = 2000;
const LONGEST_WAIT_MS = 5 * 60_000;
/** A peer that a person named is worth asking more often. */
const LONGEST_EXPLICIT_WAIT_MS = 15_000;
/** A channel that ends sooner counts as a failure, in milliseconds. */
const BRIEF_MS = 3000;
/** How often it is looked whether more channels are wanted, in milliseconds. */
const LOOK_MS = 1000;

/** See above. */
export class Seeker implements Disposable {
  readonly #options: SeekerOptions;
  readonly #ended = new AbortController();
  readonly #targets = new Map<string, Target>();
  readonly #links = new Map<
    string,
    { readonly channel: CountedChannel; readonly since: number; readonly target: Target }
  >();
  #cancel: (() => void) | undefined;
  #known = 0;

  constructor(options: SeekerOptions) {
    this.#options = options;
  }

  /** Ends what is under way. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Connected peers, for people. */
  get peers(): PeerState[] {
    return [...this.#links.values()].map(({ channel, since }) => channel.state("down", since));
  }

  get publicId(): string {
    return this.#options.taker.keys.publicId;
  }

  isBanned(peerId: string): boolean {
    return this.#options.taker.isBanned(peerId);
  }

  /** Calls whom a person named. */
  start(): void {
    for (const text of this.#options.taker.explicit) {
      const endpoint = readPlace(text);
      if (endpoint && !this.#options.allowsLookup && !needsNoLookup(endpoint.host))
        this.#tell(
          failure(
            "INVALID_ARGUMENT",
            `"${text}" is a name, and with p2p.mode = "lan-only" nobody is asked what it stands for, since that could be a ` +
              `server elsewhere: name the peer's address, such as 192.168.1.5:${endpoint.port}`,
          ),
        );
      else if (endpoint) this.#add("explicit", text, new KnownPlaces([endpoint]));
      else
        this.#tell(failure("PEERS_UNREACHABLE", `"${text}" is not a peer: HOST:PORT is wanted`, { retryable: false }));
    }
    this.look();
  }

  /** A way to find peers has named one. */
  found(peer: PeerInfo): void {
    const { externalIp: host, externalPort: port, peerId } = peer;
    if (isIP(host) === 0 || !(port > 0 && port < 65_536) || peerId === this.#options.self()) return;
    const known = [...this.#targets.values()].find((one) => peerId !== "" && one.peerId === peerId);
    const endpoint: Endpoint = { host, port, kind: addressKind(host) === "public" ? "direct" : "lan" };
    // That it is that peer nobody has proved: where there is no room beside its other places, it is one by itself.
    if (!known?.places.hint(endpoint))
      this.#add("found", `${host} ${port}`, new KnownPlaces([endpoint]), peerId || undefined);
    this.look();
  }

  /** One of those who know the code says where it is. */
  present(presence: Presence): void {
    if (!presence.shares) return;
    const endpoints = presence.endpoints.filter((place) => this.#options.mayBeCalled(place));
    const target = this.#add("present", presence.peerId, new KnownPlaces(), presence.peerId);
    if (target === undefined) return;
    // What it says now, in place of what it said; it is worth another try.
    target.places.say(endpoints);
    target.presence = presence;
    if (target.failures > 0) target.notBefore = Math.min(target.notBefore, this.#now + FIRST_WAIT_MS);
    this.look();
  }

  get #now(): number {
    return this.#options.clock.monotonic();
  }

  #add(kind: Target["kind"], key: string, places: KnownPlaces, peerId?: string): Target | undefined {
    const known = this.#targets.get(key);
    if (known) {
      known.peerId ??= peerId;
      return known;
    }
    const alike = [...this.#targets.values()].filter((one) => one.kind === kind);
    if (alike.length >= MOST_TARGETS[kind]) {
      // The one that has failed most makes room.
      const worst = alike.filter(({ running }) => !running).toSorted((a, b) => b.failures - a.failures)[0];
      if (worst === undefined || worst.failures === 0) return undefined;
      this.#targets.delete(worst.key);
    }
    const target: Target = {
      ...{ key, kind, places, presence: undefined, peerId },
      ...{ failures: 0, notBefore: 0, running: undefined },
    };
    this.#targets.set(key, target);
    return target;
  }

  /** Begins what can be begun, and looks again a little later. */
  look(): void {
    if (this.#ended.signal.aborted) return;
    this.#cancel?.();
    this.#cancel = this.#options.clock.timer(LOOK_MS, () => this.look());
    this.#tellKnown();
    const running = { explicit: 0, present: 0, found: 0 };
    for (const target of this.#targets.values()) if (target.running) running[target.kind] += 1;
    let wanted = this.#options.taker.wanted() - running.explicit - running.present;
    for (const kind of ["explicit", "present", "found"] as const) {
      const due = [...this.#targets.values()].filter((one) => one.kind === kind && this.#isDue(one));
      for (const target of due.toSorted((a, b) => a.failures - b.failures)) {
        if (wanted <= 0 || running[kind] >= MOST_RACES[kind]) break;
        running[kind] += 1;
        // Most of what a DHT names is not there: several are called for one that is wanted.
        if (kind !== "found") wanted -= 1;
        void this.#run(target);
      }
    }
  }

  #isDue(target: Target): boolean {
    return !target.running && target.notBefore <= this.#now && this.#mayCome(target);
  }

  /** It is not here, and may be asked. */
  #mayCome({ peerId }: Target): boolean {
    if (peerId === undefined) return true;
    return peerId !== this.#options.self() && !this.#links.has(peerId) && !this.isBanned(peerId);
  }

  /** What strangers name counts for nothing. */
  #tellKnown(): void {
    const known = [...this.#targets.values()].filter((one) => one.kind !== "found" && this.#mayCome(one)).length;
    if (known === this.#known) return;
    this.#known = known;
    this.#options.taker.othersKnown?.(known);
  }

  async #run(target: Target): Promise<void> {
    const { taker, reach, logger, order, allowsTcp, mayBeAskedByIce, failed } = this.#options;
    const running = new AbortController();
    target.running = running;
    try {
      const channel = await reach(
        {
          keys: taker.keys,
          endpoints: order(target.places.all),
          presence: target.presence,
          allows: (address) => allowsTcp(address) && this.#allows(address),
          allowsIce: (address) => mayBeAskedByIce(address) && this.#allows(address),
          authenticate: (peer, signal) => this.#authenticate(target, peer, signal),
        },
        AbortSignal.any([this.#ended.signal, running.signal]),
      );
      this.#link(target, channel);
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      this.#putOff(target);
      logger.debug({ share: taker.keys.publicId, target: target.key, error }, "A peer was not reached.");
      // What a stranger's address does not answer says nothing about the share.
      if (target.kind !== "found") this.#tell(asDownloadError(error));
      else for (const { host, port } of target.places.all) failed({ externalIp: host, externalPort: port });
    } finally {
      target.running = undefined;
      this.look();
    }
  }

  #putOff(target: Target): void {
    const longest = target.kind === "explicit" ? LONGEST_EXPLICIT_WAIT_MS : LONGEST_WAIT_MS;
    target.failures += 1;
    target.notBefore = this.#now + Math.min(longest, FIRST_WAIT_MS * 2 ** (target.failures - 1));
  }

  #allows(address: string): boolean {
    return !this.#options.taker.remote || addressKind(address) === "public";
  }

  /** @throws DownloadError if the code is not proved, or the peer is not wanted */
  async #authenticate(target: Target, peer: PeerStream, signal: AbortSignal): Promise<Channel> {
    const { taker, connect, self } = this.#options;
    const channel = await connect(peer, taker.keys, signal);
    const { peerId } = channel;
    target.peerId ??= peerId;
    if (peer.called && peerId === target.peerId) target.places.prove(peer.called);
    const refuse = (why: string): never => {
      channel.close();
      throw failure("PEERS_UNREACHABLE", why);
    };
    if (peerId === self()) refuse("it is this machine itself");
    if (this.isBanned(peerId))
      refuse("the peer there is not asked any more: it has sent wrong bytes, or said that the share has ended");
    if (this.#links.has(peerId)) refuse("the peer there is connected already");
    return channel;
  }

  #link(target: Target, inner: Channel): void {
    const { taker, clock } = this.#options;
    const { peerId } = inner;
    // While two races were won at the same time, or while the last turn passed.
    if (this.#ended.signal.aborted || this.#links.has(peerId) || inner.closed) {
      inner.close();
      return;
    }
    const began = this.#now;
    const channel = new CountedChannel(inner, () => {
      if (this.#links.get(peerId)?.channel !== channel) return;
      this.#links.delete(peerId);
      // It was let go of at this end.
      if (taker.wanted() <= 0) target.notBefore = 0;
      // Who closes the door at once, such as one who has enough others, is not to be asked every second.
      else if (this.#now - began < BRIEF_MS) this.#putOff(target);
      else {
        target.failures = 0;
        target.notBefore = this.#now + FIRST_WAIT_MS / 2;
      }
      this.look();
    });
    target.peerId = peerId;
    this.#links.set(peerId, { channel, since: clock.now(), target });
    taker.take(channel);
  }

  /** There are no channels, and this is why. */
  #tell(error: DownloadError): void {
    if (this.#links.size > 0 || this.#ended.signal.aborted) return;
    this.#options.taker.problem(error);
  }

  /** Nobody is called any more. Channels are their taker's to close. */
  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#ended.abort(failure("CANCELLED", "the peers are not wanted any more"));
  }
}

/** "host:port" or "[address]:port", as a person writes it. */
function readPlace(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text.trim());
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host !== undefined && port > 0 && port < 65_536 ? { host, port, kind: "explicit" } : undefined;
}
