/**
 * What of the network is awake while there is something to give or to fetch: the port, its mapping on the router, what is
 * known of the NAT, and the exchange of signals. Made at the first use and taken down a while after the last, so that a
 * daemon that shares nothing has no open port and says nothing to anybody.
 */
import type { NatType, PeerInfo } from "../../core/peers.ts";
import type { LocalAddress } from "../nat/addresses.ts";
import type { NatReport } from "../nat/nat-type.ts";
import type { MappingState } from "../nat/port-mapping.ts";
import { Answerer, type AnswererOptions } from "../path/answerer.ts";
import { Rendezvous } from "../path/rendezvous.ts";
import { type Endpoint, MOST_PRESENCE_ENDPOINTS, type Presence } from "../types.ts";
import { Listener, type ListenerOptions } from "./listener.ts";
import type { NetworkOptions } from "./network-options.ts";

/** How long what is known of addresses and NAT is good, in milliseconds. */
const ADDRESSES_MS = 30_000;
const NAT_MS = 15 * 60_000;
/** A fetch that finds its peers at once needs no open port on the router, in milliseconds. */
const MAPPING_DELAY_MS = 3000;

/** What it needs of the network beside its options. */
export interface AwakeParts {
  readonly accept: ListenerOptions["accept"];
  readonly allows: (address: string) => boolean;
  readonly answerer: Pick<AnswererOptions, "accept" | "allows" | "allowsIce" | "pathTo">;
}

/** See above. */
export class AwakeNetwork implements AsyncDisposable {
  readonly listener: Listener | undefined;
  readonly rendezvous: Rendezvous | undefined;
  readonly answerer: Answerer;
  readonly #options: NetworkOptions;
  readonly #ended = new AbortController();
  #mapping: ReturnType<NetworkOptions["mapping"]> | undefined;
  #mappingWanted: (() => void) | undefined;
  #addresses: readonly LocalAddress[] = [];
  #addressesAt = Number.NEGATIVE_INFINITY;
  #nat: NatReport | undefined;
  #natAt = Number.NEGATIVE_INFINITY;
  #probing: Promise<void> | undefined;

  constructor(options: NetworkOptions, parts: AwakeParts) {
    this.#options = options;
    const { mode, clock, logger, signalling, iceServers, encryption } = options;
    // Whoever only goes by relays is called by nobody.
    if (mode !== "relay-only") {
      const { accept, allows } = parts;
      const plain: ListenerOptions["plain"] = (socket) => encryption.attachPlain(socket);
      this.listener = new Listener({ port: options.port, clock, logger, allows, accept, plain });
    }
    if (mode !== "lan-only" && signalling) this.rendezvous = new Rendezvous({ signalling, clock, logger });
    this.answerer = new Answerer({
      ...parts.answerer,
      ...{ mode, clock, logger, ice: options.ice },
      askOuterPort: (port, signal) => options.stun.outerTcpPorts(port, signal),
      ipv6: () => this.ipv6,
      iceOptions: { ...iceServers, mode, clock },
    });
  }

  /** Opens the port. @throws NetworkError CONNECT_FAILED if there is none */
  async start(): Promise<void> {
    await Promise.all([this.listener?.start(), this.#refreshAddresses()]);
  }

  /** The router is to let peers in: at once for a share, after a moment for a fetch. */
  mapPort(atOnce: boolean): void {
    const { mode, clock, mapping } = this.#options;
    const port = this.listener?.port;
    if (this.#mapping || port === undefined || mode === "lan-only" || this.#ended.signal.aborted) return;
    const map = () => {
      if (this.#mapping || this.#ended.signal.aborted) return;
      this.#mapping = mapping();
      void this.#mapping?.start(port);
    };
    if (atOnce) map();
    else this.#mappingWanted ??= clock.timer(MAPPING_DELAY_MS, map);
  }

  /** The port on the router. */
  get mappingState(): MappingState | undefined {
    return this.#mapping?.state;
  }

  /** What is known of the NAT. */
  get nat(): NatReport | undefined {
    return this.#nat;
  }

  /** Own addresses that others can use. */
  get addresses(): readonly LocalAddress[] {
    if (this.#options.clock.monotonic() - this.#addressesAt > ADDRESSES_MS) void this.#refreshAddresses();
    return this.#addresses;
  }

  /** Own global IPv6 addresses. */
  get ipv6(): readonly string[] {
    return this.addresses.flatMap(({ address, kind }) => (kind === "ipv6" ? [address] : []));
  }

  async #refreshAddresses(): Promise<void> {
    this.#addressesAt = this.#options.clock.monotonic();
    this.#addresses = await this.#options.localAddresses();
  }

  /** Asks STUN servers for the kind of NAT, if that was not done lately. Never rejects but for the signal's reason. */
  async probe(signal: AbortSignal, anew = false): Promise<void> {
    const { mode, stun, iceServers, clock, logger } = this.#options;
    // Whoever only goes by relays has no use for it, and need not show himself to more servers than that.
    if (mode === "lan-only" || mode === "relay-only" || iceServers.stun.length === 0) return;
    if (!anew && clock.monotonic() - this.#natAt < NAT_MS) return;
    this.#natAt = clock.monotonic();
    this.#probing ??= stun
      .classify(AbortSignal.any([signal, this.#ended.signal]))
      .then(
        (report) => {
          this.#nat = report;
        },
        (error: unknown) => logger.debug({ error }, "The kind of NAT could not be told."),
      )
      .finally(() => {
        this.#probing = undefined;
      });
    await this.#probing;
    signal.throwIfAborted();
  }

  /** Where this machine can be called. The best first. */
  get endpoints(): Endpoint[] {
    const port = this.listener?.port;
    if (port === undefined) return [];
    const own = this.addresses.map(({ address, kind }): Endpoint => ({ host: address, port, kind }));
    const mapping = this.mappingState;
    if (mapping?.reachable && mapping.externalIp !== undefined && mapping.externalPort !== undefined)
      own.splice(2, 0, { host: mapping.externalIp, port: mapping.externalPort, kind: "mapped" });
    return own.slice(0, MOST_PRESENCE_ENDPOINTS);
  }

  /** What a peer may try with us. */
  get capabilities(): string[] {
    const { mode, iceServers, ice } = this.#options;
    const { stun, turn } = iceServers;
    const tcp = mode === "auto" || mode === "no-relay";
    const servers = (mode === "relay-only" ? 0 : stun.length) + (mode === "no-relay" ? 0 : turn.length);
    return [
      ...(tcp && (stun.length > 0 || this.ipv6.length > 0) ? ["punch"] : []),
      ...(mode !== "lan-only" && ice.problem === undefined && servers > 0 ? ["ice"] : []),
      ...(tcp && this.listener?.port !== undefined ? ["reverse"] : []),
    ];
  }

  get natType(): NatType {
    return this.#nat?.natType ?? "unknown";
  }

  /** What we say of ourselves to those who know the code. */
  presence(shares: boolean): Presence {
    const { encryption, clock } = this.#options;
    const { endpoints, natType, capabilities } = this;
    return { peerId: encryption.peerId, shares, endpoints, natType, capabilities, time: clock.now() };
  }

  /** The same for ways to find peers. */
  info(): PeerInfo {
    const { encryption } = this.#options;
    const mapping = this.mappingState;
    const localPort = this.listener?.port;
    return {
      peerId: encryption.peerId,
      publicKey: encryption.publicKey,
      externalIp: mapping?.externalIp ?? this.#nat?.external?.address ?? "",
      externalPort: (mapping?.reachable ? mapping.externalPort : undefined) ?? localPort ?? 0,
      ...(localPort !== undefined && { localPort }),
      natType: this.natType,
      capabilities: this.capabilities,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new Error("the network is not needed any more"));
    this.#mappingWanted?.();
    this.answerer[Symbol.dispose]();
    this.rendezvous?.[Symbol.dispose]();
    await Promise.all([this.listener?.[Symbol.asyncDispose](), this.#mapping?.[Symbol.asyncDispose]()]);
  }
}
