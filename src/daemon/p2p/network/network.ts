/**
 * The network: it is found, finds, and reaches (see types.ts, PeerNetwork). This is where the parts meet: the port and its
 * mapping (awake-network.ts), who is let in (publication.ts), being there for others (membership.ts), whom to call and when
 * (seeker.ts), by which paths (path/), and the proof of the code inside each of them (encryption.ts).
 */
import type { Socket } from "node:net";
import { type DownloadError, failure } from "../../core/errors.ts";
import type { NetworkState, PeerState } from "../../core/peers.ts";
import { race } from "../path/race.ts";
import type { PairHandle } from "../path/rendezvous.ts";
import type {
  Channel,
  ChannelTaker,
  PeerNetwork,
  PeerStream,
  Presence,
  Search,
  Servable,
  ShareKeys,
} from "../types.ts";
import { AwakeNetwork } from "./awake-network.ts";
import { Membership } from "./membership.ts";
import type { NetworkOptions } from "./network-options.ts";
import { Publication } from "./publication.ts";
import {
  allowsTcp,
  isLan,
  mayBeAskedByIce,
  mayBeCalled,
  mayBeCalledBack,
  orderEndpoints,
  pathFrom,
  pathTo,
} from "./reach-policy.ts";
import { Seeker } from "./seeker.ts";

/** How long the port stays open when nothing is given or fetched any more, in milliseconds. */
const GRACE_MS = 60_000;

interface Member {
  readonly membership: Membership;
  holders: number;
}

/** See above. */
export class Network implements PeerNetwork, AsyncDisposable {
  readonly #options: NetworkOptions;
  readonly #publications = new Set<Publication>();
  readonly #seekers = new Set<Seeker>();
  readonly #members = new Map<string, Member>();
  #awake: Promise<AwakeNetwork> | undefined;
  #current: AwakeNetwork | undefined;
  #uses = 0;
  #cancelSleep: (() => void) | undefined;
  #reached = false;
  #ended = false;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** @throws NetworkError CONNECT_FAILED if no port can be opened; FileSystemError IDENTITY_INVALID */
  async publish(servable: Servable, give: (channel: Channel) => void): Promise<AsyncDisposable> {
    await using use = new AsyncDisposableStack();
    const awake = await this.#use(use);
    awake.mapPort(true);
    const publication = new Publication({
      ...{ servable, give, clock: this.#options.clock },
      refuses: (peerId) => this.#refuses(servable.keys, peerId),
    });
    this.#publications.add(publication);
    use.defer(() => {
      this.#publications.delete(publication);
      publication[Symbol.dispose]();
    });
    const membership = this.#join(awake, servable.keys, use);
    use.defer(membership.publish());
    use.use(this.#attend(awake, membership, servable.keys));
    return use.move();
  }

  /** @throws NetworkError CONNECT_FAILED if no port can be opened; FileSystemError IDENTITY_INVALID */
  async seek(taker: ChannelTaker): Promise<Search> {
    await using use = new AsyncDisposableStack();
    const awake = await this.#use(use);
    const { clock, logger, mode, encryption, finder } = this.#options;
    const { keys } = taker;
    const seeker = new Seeker({
      ...{ taker, clock, logger, order: orderEndpoints, self: () => encryption.peerId },
      allowsLookup: mode !== "lan-only",
      allowsTcp: (address) => allowsTcp(mode, address),
      ...{ mayBeCalled, mayBeAskedByIce },
      failed: (place) => finder.failed(keys.lookupKey, place),
      connect: (peer, of, signal) => encryption.connect(peer, of, { signal, plain: taker.plain }),
      reach: (target, signal) => race(this.#raceParts(awake), target, signal),
    });
    this.#seekers.add(seeker);
    use.defer(() => {
      this.#seekers.delete(seeker);
      seeker[Symbol.dispose]();
    });
    // First of all, so that nothing stands before a peer that a person named.
    seeker.start();
    const membership = this.#join(awake, keys, use);
    use.defer(membership.onPresence((presence) => seeker.present(presence)));
    if (mode !== "relay-only") finder.discover(keys.lookupKey, (peer) => seeker.found(peer), seeker.signal);
    awake.mapPort(false);
    const held = use.move();
    return { look: () => seeker.look(), [Symbol.asyncDispose]: () => held.disposeAsync() };
  }

  /** How the network looks from here. @param probe - ask the servers for the kind of NAT now */
  async state(probe: boolean, signal: AbortSignal): Promise<NetworkState> {
    const { encryption, mode, suite, ice, finder } = this.#options;
    await using use = new AsyncDisposableStack();
    if (probe) await (await this.#use(use)).probe(signal, true);
    else await encryption.start();
    const awake = this.#current;
    const mapping = awake?.mappingState;
    const nat = awake?.nat;
    const port = awake?.listener?.port;
    ice.look();
    const externalIp = mapping?.externalIp ?? nat?.external?.address;
    return {
      listening: port !== undefined,
      peerId: encryption.peerId,
      ...(port !== undefined && { port }),
      localAddresses: awake?.addresses.map(({ address }) => address) ?? [],
      ...(externalIp !== undefined && { externalIp }),
      ...(mapping?.externalPort !== undefined && { externalPort: mapping.externalPort }),
      ...(mapping?.mappedBy && { mappedBy: mapping.mappedBy }),
      ...(mapping?.until !== undefined && { mappedUntil: mapping.until }),
      ...(mapping?.problem !== undefined && { mappingProblem: mapping.problem }),
      natType: nat?.natType ?? "unknown",
      ...(nat?.mapping && { mapping: nat.mapping }),
      ...(nat?.filtering && { filtering: nat.filtering }),
      reached: this.#reached,
      mode,
      suite,
      ice: ice.problem === undefined,
      ...(ice.problem !== undefined && { iceProblem: ice.problem }),
      discovery: finder.states(),
      peers: this.#peers(),
    };
  }

  #peers(): PeerState[] {
    return [...this.#publications, ...this.#seekers].flatMap(({ peers }) => peers);
  }

  #raceParts(awake: AwakeNetwork): Parameters<typeof race>[0] {
    const { mode, clock, logger, encryption, stun, ice, iceServers } = this.#options;
    const { listener, rendezvous } = awake;
    return {
      ...{ mode, clock, logger, rendezvous, ice, pathTo },
      self: () => encryption.peerId,
      askOuterPort: (port, signal) => stun.outerTcpPorts(port, signal),
      ipv6: () => awake.ipv6,
      iceOptions: { ...iceServers, mode, clock },
      expectCall: listener && ((nonce, onCall) => listener.expect(nonce, onCall)),
      pathOfCall: (socket, address) => pathFrom(address, socket.localAddress ?? ""),
    };
  }

  /** A way that somebody has come in by: whose share it is shows when the code is proved. */
  async #accept(peer: PeerStream, signal: AbortSignal): Promise<void> {
    const { encryption } = this.#options;
    const port = this.#current?.listener?.port;
    const { channel, share } = await encryption.accept(peer, () => this.#publications, {
      signal,
      ...(port !== undefined && { port }),
    });
    share.take(channel, peer);
    this.#current?.answerer.reached(`${channel.publicId} ${channel.peerId}`);
  }

  async #come(socket: Socket, address: string): Promise<void> {
    const path = pathFrom(address, socket.localAddress ?? "");
    try {
      await this.#accept({ stream: socket, path, remoteAddress: address }, new AbortController().signal);
    } catch (error) {
      // The code was proved; what he is told is on its way.
      if (![...this.#publications].some((publication) => publication.hasRefused(error))) throw error;
    }
    if (!isLan(address)) this.#reached = true;
  }

  #refuses(keys: ShareKeys, peerId: string): DownloadError | undefined {
    if (peerId === this.#options.encryption.peerId) return failure("PEER_REFUSED", "it is this machine itself");
    const banned = [...this.#seekers].some((seeker) => seeker.publicId === keys.publicId && seeker.isBanned(peerId));
    return banned ? failure("PEER_REFUSED", "you have sent wrong bytes, or broken the protocol") : undefined;
  }

  /** Listens to the takers that know the code and cannot simply call. */
  #attend(awake: AwakeNetwork, membership: Membership, keys: ShareKeys): Disposable {
    const { rendezvous, answerer } = awake;
    const { encryption } = this.#options;
    const pairs = new Map<string, PairHandle>();
    const end = membership.onPresence(({ peerId }: Presence) => {
      if (pairs.has(peerId) || !rendezvous) return;
      const pair: PairHandle | undefined = rendezvous.open(keys, encryption.peerId, peerId, {
        onKnock: (knock) => {
          const presence = membership.presenceOf(peerId);
          if (presence && pair && this.#refuses(keys, peerId) === undefined)
            answerer.knock(`${keys.publicId} ${peerId}`, presence, knock, (answer) => pair.answer(answer));
        },
      });
      if (pair) pairs.set(peerId, pair);
    });
    const forget = membership.onForgotten((peerId) => {
      pairs.get(peerId)?.[Symbol.dispose]();
      pairs.delete(peerId);
    });
    return {
      [Symbol.dispose]: () => {
        end();
        forget();
        for (const pair of pairs.values()) pair[Symbol.dispose]();
      },
    };
  }

  /** The membership of a share, made by its first holder and ended by the last. */
  #join(awake: AwakeNetwork, keys: ShareKeys, use: AsyncDisposableStack): Membership {
    const { signalling, finder, encryption, mode, clock, logger } = this.#options;
    let member = this.#members.get(keys.publicId);
    if (member === undefined) {
      const membership = new Membership({
        ...{ keys, finder, clock, logger, announces: mode !== "relay-only" },
        signalling: mode === "lan-only" ? undefined : signalling,
        self: () => encryption.peerId,
        presence: (shares) => awake.presence(shares),
        info: () => awake.info(),
      });
      member = { membership, holders: 0 };
      this.#members.set(keys.publicId, member);
      membership.start();
    }
    const held = member;
    held.holders += 1;
    use.defer(async () => {
      held.holders -= 1;
      if (held.holders > 0) return;
      this.#members.delete(keys.publicId);
      await held.membership[Symbol.asyncDispose]();
    });
    return held.membership;
  }

  /** Wakes the network, if nothing else has, and keeps it awake until the stack is disposed of. */
  async #use(use: AsyncDisposableStack): Promise<AwakeNetwork> {
    if (this.#ended) throw failure("SHUTTING_DOWN", "the daemon is ending");
    this.#uses += 1;
    this.#cancelSleep?.();
    use.defer(() => {
      this.#uses -= 1;
      if (this.#uses > 0 || this.#ended) return;
      this.#cancelSleep = this.#options.clock.timer(GRACE_MS, () => void this.#sleep());
    });
    this.#awake ??= this.#wake();
    return await this.#awake;
  }

  async #wake(): Promise<AwakeNetwork> {
    const { encryption, mode } = this.#options;
    try {
      await encryption.start();
      const awake = new AwakeNetwork(this.#options, {
        accept: (socket, address) => this.#come(socket, address),
        allows: (address) => allowsTcp(mode, address),
        answerer: {
          accept: (peer, signal) => this.#accept(peer, signal),
          ...{ allows: mayBeCalledBack, allowsIce: mayBeAskedByIce, pathTo },
        },
      });
      await awake.start();
      this.#current = awake;
      void awake.probe(new AbortController().signal);
      return awake;
    } catch (error) {
      this.#awake = undefined;
      throw error;
    }
  }

  async #sleep(): Promise<void> {
    if (this.#uses > 0 && !this.#ended) return;
    const awake = this.#awake;
    this.#awake = undefined;
    this.#current = undefined;
    await (await awake?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }

  /** Ends everything at once; what was published and sought is over. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#cancelSleep?.();
    for (const seeker of this.#seekers) seeker[Symbol.dispose]();
    for (const publication of this.#publications) publication[Symbol.dispose]();
    await Promise.all([...this.#members.values()].map(({ membership }) => membership[Symbol.asyncDispose]()));
    await this.#sleep();
  }
}
