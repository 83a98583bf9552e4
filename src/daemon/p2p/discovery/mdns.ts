/**
 * Peers on the local network, by multicast DNS (RFC 6762) and service discovery (RFC 6763), over IPv4: a network on which
 * two machines have IPv6 alone is rare, and the IPv6 addresses of a peer come by the other ways. An instance is named by a
 * hash of the share's lookup key, which tells those something who know the code, and nobody else. Nothing is sent or
 * answered, and no socket is open, before something is announced or looked for. Where there is no multicast, as in many
 * containers, nothing is found, and that is all.
 */
import { createHash } from "node:crypto";
import { isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import type { MulticastDNS, QueryPacket, ResponsePacket } from "multicast-dns";
import type { PeerDiscovery, PeerInfo } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import { EndpointFilter, isPortNumber, ownNetworks, reachOf } from "./endpoint-filter.ts";
import { isPeerId } from "./signal-codec.ts";

/** The service type (RFC 6763 §7). */
const SERVICE = "_snatch._tcp.local";

/** Seconds for which an answer may be kept (RFC 6762 §10). */
const TTL = 120;

/** Milliseconds after the first answer in which others may come, and after which none is waited for. */
const AFTER_FIRST_MS = 60;
const ANSWER_MS = 1000;

/** Milliseconds for which the socket stays open after its last use. */
const LINGER_MS = 10_000;

/** Answers that one question takes. */
const MOST_PEERS = 32;

/** Answers a second: a flood of questions is answered no further. */
const MOST_ANSWERS = 20;

/** What it needs. */
export interface MulticastInit {
  readonly enabled: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the interface that is used alone; default: all. */
  readonly address?: string;
}

interface Announced {
  readonly instance: string;
  readonly hash: string;
  readonly self: PeerInfo;
}

/** Finds peers on the local network. */
export class MulticastDiscovery implements PeerDiscovery, AsyncDisposable {
  readonly name = "mdns";
  readonly #init: MulticastInit;
  readonly #announced = new Set<Announced>();
  readonly #waiting = new Set<(response: ResponsePacket, from: string) => void>();
  #uses = 0;
  #socket: Promise<MulticastDNS | undefined> | undefined;
  #cancelClose: (() => void) | undefined;
  #problem: string | undefined;
  #answers = { second: 0, count: 0 };
  #ended = false;

  constructor(init: MulticastInit) {
    this.#init = init;
  }

  /** For people. */
  get state(): string {
    if (!this.#init.enabled()) return "off";
    return this.#problem ?? (this.#socket === undefined ? "idle" : "listening");
  }

  async discoverPeers(fileHash: string, signal: AbortSignal): Promise<readonly PeerInfo[]> {
    if (!this.#init.enabled() || this.#ended) return [];
    using _use = this.#use();
    const socket = await this.#open();
    if (socket === undefined || signal.aborted) return [];
    const { instance, hash } = namesOf(fileHash);
    const filter = this.#filter();
    const peers = new Map<string, PeerInfo>();
    const done = Promise.withResolvers<void>();
    let cancel = this.#init.clock.timer(ANSWER_MS, done.resolve);
    const onResponse = (response: ResponsePacket, from: string): void => {
      for (const peer of peersIn(response, instance, hash, from)) {
        if (!filter.allows(peer.externalIp, peer.externalPort) || peers.size >= MOST_PEERS) continue;
        if (this.#isOwn(peer)) continue;
        if (peers.size === 0) {
          cancel();
          cancel = this.#init.clock.timer(AFTER_FIRST_MS, done.resolve);
        }
        peers.set(`${peer.externalIp}|${peer.externalPort}`, peer);
      }
    };
    this.#waiting.add(onResponse);
    signal.addEventListener("abort", () => done.resolve(), { once: true });
    try {
      socket.query([{ name: instance, type: "SRV" }]);
      await done.promise;
    } finally {
      cancel();
      this.#waiting.delete(onResponse);
    }
    return [...peers.values()];
  }

  async announce(fileHash: string, self: PeerInfo): Promise<AsyncDisposable> {
    const use = this.#init.enabled() && !this.#ended && portOf(self) > 0 ? this.#use() : undefined;
    const announced = { ...namesOf(fileHash), self };
    const socket = use && (await this.#open());
    if (socket !== undefined) {
      this.#announced.add(announced);
      // Unasked, once: who waits for it need not ask again (RFC 6762 §8.3).
      socket.respond({ answers: recordsOf(announced, TTL) });
    }
    return {
      [Symbol.asyncDispose]: async () => {
        // A time to live of 0 takes it back (RFC 6762 §10.1).
        if (this.#announced.delete(announced) && socket !== undefined && !this.#ended)
          await new Promise<void>((resolve) => socket.respond({ answers: recordsOf(announced, 0) }, () => resolve()));
        use?.[Symbol.dispose]();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#cancelClose?.();
    await this.#close();
  }

  #use(): Disposable {
    this.#uses++;
    this.#cancelClose?.();
    let used = true;
    return {
      [Symbol.dispose]: () => {
        if (!used) return;
        used = false;
        if (--this.#uses === 0 && !this.#ended)
          this.#cancelClose = this.#init.clock.timer(LINGER_MS, () => void this.#close());
      },
    };
  }

  #open(): Promise<MulticastDNS | undefined> {
    this.#socket ??= this.#bind().catch((error: unknown) => {
      this.#problem = `no multicast here: ${error instanceof Error ? error.message : String(error)}`;
      this.#init.logger.debug({ err: error }, "multicast DNS cannot be used");
      this.#socket = undefined;
      return undefined;
    });
    return this.#socket;
  }

  async #bind(): Promise<MulticastDNS> {
    const { default: makeSocket } = await import("multicast-dns");
    const { address } = this.#init;
    // Bound to all addresses: a socket that is bound to one gets no multicast.
    const socket = makeSocket({ bind: "0.0.0.0", ...(address !== undefined && { interface: address }) });
    // An interface without multicast, a network that is down: it goes on with the others.
    socket.on("warning", (error) => this.#init.logger.debug({ err: error }, "multicast DNS"));
    socket.on("query", (query) => this.#answer(socket, query));
    socket.on("response", (response, { address: from }) => {
      for (const onResponse of this.#waiting) onResponse(response, from);
    });
    await new Promise<void>((resolve, reject) => {
      socket.once("ready", resolve);
      socket.on("error", reject);
    });
    this.#problem = undefined;
    return socket;
  }

  #answer(socket: MulticastDNS, query: QueryPacket): void {
    const asked = new Set((query.questions ?? []).slice(0, 32).map(({ name }) => String(name).toLowerCase()));
    for (const announced of this.#announced) {
      if (!asked.has(announced.instance)) continue;
      const second = Math.floor(this.#init.clock.monotonic() / 1000);
      if (second !== this.#answers.second) this.#answers = { second, count: 0 };
      if (++this.#answers.count > MOST_ANSWERS) return;
      socket.respond({ answers: recordsOf(announced, TTL) });
    }
  }

  async #close(): Promise<void> {
    const socket = await this.#socket;
    this.#socket = undefined;
    if (socket !== undefined) await new Promise<void>((resolve) => socket.destroy(resolve));
  }

  /** What comes from a neighbour is of this network, or of this machine. */
  #filter(): EndpointFilter {
    const { address } = this.#init;
    return new EndpointFilter({
      networks: ownNetworks(),
      loopback: address !== undefined && reachOf(address) === "loopback",
    });
  }

  #isOwn(peer: PeerInfo): boolean {
    return [...this.#announced].some(({ self }) => self.peerId !== "" && self.peerId === peer.peerId);
  }
}

/** How a share is called on the network: nothing of the code, and not its key in the DHT either. */
function namesOf(fileHash: string): { readonly instance: string; readonly hash: string } {
  const hash = createHash("sha256").update(`snatch-mdns-1\n${fileHash}`).digest("hex");
  return { instance: `${hash.slice(0, 16)}.${SERVICE}`, hash };
}

/** A pointer to the instance, where it is, and how it is told from another whose name happens to be the same. */
function recordsOf({ instance, hash, self }: Announced, ttl: number) {
  const host = `${instance.slice(0, 16)}-${self.peerId.slice(0, 8) || "peer"}.local`;
  return [
    { name: SERVICE, type: "PTR" as const, ttl, data: instance },
    {
      name: instance,
      type: "SRV" as const,
      ttl,
      data: { port: portOf(self), target: host, priority: 0, weight: 0 },
    },
    { name: instance, type: "TXT" as const, ttl, data: [`k=${hash}`, `id=${self.peerId}`] },
    ...ownAddresses().map((data) => ({ name: host, type: "A" as const, ttl, data })),
  ];
}

/** Neighbours do not come by way of the router. */
function portOf({ localPort, externalPort }: PeerInfo): number {
  return localPort ?? externalPort;
}

function ownAddresses(): readonly string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ address, internal }) => !internal && isIPv4(address))
    .map(({ address }) => address)
    .slice(0, 4);
}

/**
 * The peer of an answer. It is where the answer came from: an address that it names itself could be anybody's.
 * A time to live of 0 says that it has gone.
 */
function peersIn(response: ResponsePacket, instance: string, hash: string, from: string): readonly PeerInfo[] {
  const records = [...(response.answers ?? []), ...(response.additionals ?? [])].slice(0, 64);
  let port: number | undefined;
  let texts: readonly string[] = [];
  for (const record of records) {
    if (!("name" in record) || String(record.name).toLowerCase() !== instance) continue;
    if (record.type === "SRV" && isPortNumber(record.data.port) && record.ttl !== 0) port = record.data.port;
    if (record.type === "TXT") texts = [record.data].flat().map((text) => text.toString());
  }
  const textOf = (key: string) => texts.find((text) => text.startsWith(`${key}=`))?.slice(key.length + 1) ?? "";
  if (port === undefined || textOf("k") !== hash || !isPeerId(textOf("id"))) return [];
  return [
    {
      peerId: textOf("id"),
      publicKey: new Uint8Array(),
      externalIp: from,
      externalPort: port,
      natType: "unknown",
      capabilities: [],
    },
  ];
}
