/**
 * The mainline DHT (BEP 5) by bittorrent-dht: whoever has a share announces himself under its lookup key, and whoever wants
 * it looks there. The node starts at its first use, and ends a while after its last: the library is not even loaded before.
 * What the DHT says is written by anybody, so of each lookup only so many are handed on, drawn evenly from all nodes that
 * answered, few from one neighbourhood. IPv4 only: mainline's IPv6 half (BEP 32) is not in the library.
 */
import { lookup as resolveName } from "node:dns/promises";
import { once } from "node:events";
import { isIPv4 } from "node:net";
import type DHT from "bittorrent-dht";
import { asDownloadError } from "../../core/errors.ts";
import type { PeerDiscovery, PeerInfo } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports.ts";
import { DhtItems, type Item, type ItemStore, type PutResult } from "./dht-items.ts";
import { DhtSocket, type PacketCounts } from "./dht-socket.ts";
import { type DhtState, readDhtState, writeDhtState } from "./dht-state.ts";
import type { SigningKey } from "./ed25519.ts";
import { isSigned } from "./ed25519.ts";
import { EndpointFilter, neighbourhood, ownNetworks, reachOf } from "./endpoint-filter.ts";

/** Peers that one lookup gives at most, and those of one neighbourhood. */
const MOST_PEERS = 40;
const MOST_NEIGHBOURS = 4;

/** Peers that are taken of one node in a lookup, before it is drawn from them. */
const MOST_PER_NODE = 100;

/** A lookup is answered so long after its first peer was found, or so long after it began; in milliseconds. */
const AFTER_FIRST_MS = 1000;
const LOOKUP_MS = 12_000;

/** Milliseconds until an announcement is made again: nodes forget after half an hour. */
const RENEW_MS = 12 * 60_000;

/** Milliseconds until an announcement that nobody took is tried again. */
const RETRY_MS = 20_000;

/** Milliseconds that the node goes on after its last use. */
const LINGER_MS = 60_000;

/** Milliseconds between two writings of the node's state, and two attempts to find nodes when there are none. */
const SAVE_MS = 10 * 60_000;
const BOOTSTRAP_MS = 15_000;

/** Milliseconds after which a beginning without an answer is gone on from. */
const READY_MS = 10_000;

/** `dht` of the configuration. */
export interface DhtSettings {
  readonly enabled: boolean;
  /** "host:port"; nobody else is asked first. */
  readonly bootstrap: readonly string[];
  /** UDP; 0: any. */
  readonly port: number;
}

/** What the DHT needs. */
export interface DhtInit {
  readonly settings: () => DhtSettings;
  /** Where the node's state is kept. */
  readonly file: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Running {
  readonly dht: DHT;
  readonly socket: DhtSocket;
  readonly items: DhtItems;
  readonly filter: EndpointFilter;
  /** Ends what goes on beside it. */
  readonly ending: AbortController;
}

/** A node of the DHT, while there is something to look for. */
export class Dht implements PeerDiscovery, ItemStore, AsyncDisposable {
  readonly name = "dht";
  readonly #init: DhtInit;
  readonly #ended = new AbortController();
  #uses = 0;
  #running: Promise<Running> | undefined;
  #now: Running | undefined;
  #ending: Promise<void> = Promise.resolve();
  #cancelEnd: (() => void) | undefined;
  #problem: string | undefined;

  constructor(init: DhtInit) {
    this.#init = init;
  }

  /** For people. */
  get state(): string {
    if (!this.#init.settings().enabled) return "off";
    if (this.#problem !== undefined) return this.#problem;
    if (this.#now === undefined) return "idle";
    const nodes = this.#now.dht.nodes.toArray().length;
    return nodes === 0 ? "no node answers" : `${nodes} nodes`;
  }

  /** Since the node was started; undefined while there is none. */
  get counts(): PacketCounts | undefined {
    return this.#now?.socket.counts;
  }

  /** UDP; undefined while there is no node. */
  get port(): number | undefined {
    return this.#now?.dht.listening ? this.#now.socket.address().port : undefined;
  }

  /** @throws SystemResourceError, NetworkError if the node cannot start; the signal's reason */
  async discoverPeers(fileHash: string, signal: AbortSignal): Promise<readonly PeerInfo[]> {
    if (!this.#init.settings().enabled) return [];
    using _use = this.#use();
    const running = await this.#start();
    const sets = await this.#lookup(running, Buffer.from(fileHash, "hex"), signal);
    return draw(sets).map((place) => {
      const [host = "", port] = place.split(":");
      return {
        peerId: "",
        publicKey: new Uint8Array(),
        externalIp: host,
        externalPort: Number(port),
        natType: "unknown",
        capabilities: [],
      };
    });
  }

  /** Announces the TCP port under the key, and again before it is forgotten, until the answer is disposed of. */
  announce(fileHash: string, self: PeerInfo): Promise<AsyncDisposable> {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#ended.signal]);
    const done =
      this.#init.settings().enabled && self.externalPort > 0 ? this.#renew(fileHash, self, signal) : undefined;
    return Promise.resolve({
      [Symbol.asyncDispose]: async () => {
        stop.abort();
        await done;
      },
    });
  }

  async get(publicKey: Buffer, salt: Buffer): Promise<Item | undefined> {
    if (!this.#init.settings().enabled) return undefined;
    using _use = this.#use();
    return (await this.#start()).items.get(publicKey, salt);
  }

  async put(key: SigningKey, salt: Buffer, item: Item, replaces?: number): Promise<PutResult> {
    if (!this.#init.settings().enabled) return { stored: 0, refused: 0 };
    using _use = this.#use();
    return (await this.#start()).items.put(key, salt, item, replaces);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    this.#cancelEnd?.();
    await this.#stop();
  }

  async #renew(fileHash: string, self: PeerInfo, signal: AbortSignal): Promise<void> {
    using _use = this.#use();
    while (!signal.aborted) {
      let again = RENEW_MS;
      try {
        const { dht } = await this.#start();
        await until(signal, (done) => dht.announce(Buffer.from(fileHash, "hex"), self.externalPort, done));
      } catch (error) {
        if (signal.aborted) return;
        this.#init.logger.debug({ err: error }, "the DHT did not take the announcement");
        again = RETRY_MS;
      }
      await this.#init.clock.sleep(again * (0.9 + 0.2 * Math.random()), signal).catch(() => undefined);
    }
  }

  /** Peers by the node that named them. */
  async #lookup(
    { dht, filter }: Running,
    key: Buffer,
    caller: AbortSignal,
  ): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const sets = new Map<string, Set<string>>();
    const enough = new AbortController();
    const signal = AbortSignal.any([caller, enough.signal, this.#ended.signal]);
    const { clock } = this.#init;
    let cancel = clock.timer(LOOKUP_MS, () => enough.abort());
    const onPeer = (
      peer: Place,
      infoHash: Uint8Array,
      from: (Partial<Place> & { readonly address?: string }) | null,
    ) => {
      if (!key.equals(infoHash) || !filter.allows(peer.host, peer.port)) return;
      const teller = from === null ? "" : `${from.host ?? from.address}:${from.port}`;
      const set = sets.get(teller) ?? new Set();
      if (set.size >= MOST_PER_NODE) return;
      if (sets.size === 0) {
        cancel();
        cancel = clock.timer(AFTER_FIRST_MS, () => enough.abort());
      }
      sets.set(teller, set.add(`${peer.host}:${peer.port}`));
    };
    dht.on("peer", onPeer);
    let abort: (() => void) | undefined;
    try {
      await until(signal, (done) => {
        abort = dht.lookup(key, done);
      });
    } catch {
      caller.throwIfAborted();
    } finally {
      cancel();
      abort?.();
      dht.off("peer", onPeer);
    }
    return sets;
  }

  #use(): Disposable {
    this.#uses++;
    this.#cancelEnd?.();
    return {
      [Symbol.dispose]: () => {
        if (--this.#uses > 0 || this.#ended.signal.aborted) return;
        this.#cancelEnd = this.#init.clock.timer(LINGER_MS, () => void this.#stop());
      },
    };
  }

  #start(): Promise<Running> {
    this.#ended.signal.throwIfAborted();
    this.#running ??= this.#ending.then(() => this.#open());
    this.#running.then(undefined, (error) => {
      this.#problem = asDownloadError(error).message;
      this.#running = undefined;
    });
    return this.#running;
  }

  async #open(): Promise<Running> {
    const { settings, file, clock, logger } = this.#init;
    const { bootstrap, port } = settings();
    const [state, { default: Node }] = await Promise.all([readDhtState(file), import("bittorrent-dht")]);
    this.#ended.signal.throwIfAborted();
    const filter = await filterFor(bootstrap);
    const socket = new DhtSocket(filter, clock);
    const dht = new Node({
      nodeId: state.id,
      // As a list: an empty one is nobody, and nothing the library's own.
      bootstrap,
      socket,
      verify: isSigned,
      maxAge: 45 * 60_000,
      maxPeers: 2000,
      maxTables: 100,
      maxValues: 500,
    });
    dht.on("warning", () => undefined);
    dht.on("error", (error: Error) => {
      this.#problem = error.message;
      logger.warn({ err: error }, "the DHT");
    });
    const ending = new AbortController();
    const items = new DhtItems({
      socket,
      clock,
      nodeId: dht.nodeId,
      nearby: (target) => dht.nodes.closest(target, 16).map(({ id, host, port }) => ({ id, host, port })),
    });
    const running = { dht, socket, items, filter, ending };
    try {
      await bound(dht, port);
    } catch (error) {
      await new Promise<void>((resolve) => dht.destroy(resolve));
      throw error;
    }
    this.#now = running;
    this.#problem = undefined;
    for (const node of state.nodes) if (filter.allows(node.host, node.port)) dht.addNode(node);
    await isReady(dht, clock, this.#ended.signal);
    void this.#upkeep(running, bootstrap);
    logger.debug({ port: socket.address().port, nodes: dht.nodes.toArray().length }, "the DHT has started");
    return running;
  }

  /** Writes down who is there, and asks the configured nodes again while nobody is. */
  async #upkeep({ dht, ending }: Running, bootstrap: readonly string[]): Promise<void> {
    const { clock } = this.#init;
    let saved = clock.monotonic();
    while (!ending.signal.aborted) {
      if (dht.nodes.toArray().length === 0)
        for (const place of bootstrap) {
          const [host = "", port] = place.split(":");
          dht.addNode({ host, port: Number(port) });
        }
      else if (clock.monotonic() - saved >= SAVE_MS) {
        saved = clock.monotonic();
        await this.#save(dht);
      }
      await clock.sleep(BOOTSTRAP_MS, ending.signal).catch(() => undefined);
    }
  }

  async #save(dht: DHT): Promise<void> {
    const nodes = dht.nodes.toArray().map(({ host, port }) => ({ host, port }));
    const state: DhtState = { id: dht.nodeId, nodes };
    await writeDhtState(this.#init.file, state).catch((error: unknown) => {
      this.#init.logger.warn({ err: error, file: this.#init.file }, "the DHT's nodes cannot be written down");
    });
  }

  #stop(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return this.#ending;
    this.#running = undefined;
    this.#ending = this.#close(running);
    return this.#ending;
  }

  async #close(starting: Promise<Running>): Promise<void> {
    const running = await starting.catch(() => undefined);
    if (running === undefined) return;
    const { dht, ending } = running;
    ending.abort();
    this.#now = undefined;
    // Nodes that one could begin with next time; an empty list would only hide the former one.
    if (dht.nodes.toArray().length > 0) await this.#save(dht);
    await new Promise<void>((resolve) => dht.destroy(resolve));
  }
}

interface Place {
  readonly host: string;
  readonly port: number;
}

/** Draws from each node's peers in turn, so that one that names hundreds gets no more than its part. */
export function draw(sets: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] {
  const piles = shuffled([...sets.values()].map((set) => shuffled([...set])));
  const drawn = new Set<string>();
  const neighbours = new Map<string, number>();
  for (let round = 0; piles.some((pile) => round < pile.length); round++)
    for (const pile of piles) {
      const place = pile[round];
      if (place === undefined || drawn.has(place) || drawn.size >= MOST_PEERS) continue;
      const around = neighbourhood(place.slice(0, place.lastIndexOf(":")));
      const count = around === undefined ? 0 : (neighbours.get(around) ?? 0);
      if (count >= MOST_NEIGHBOURS) continue;
      if (around !== undefined) neighbours.set(around, count + 1);
      drawn.add(place);
    }
  return [...drawn];
}

function shuffled<T>(list: T[]): T[] {
  for (let at = list.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    const [a, b] = [list[at] as T, list[other] as T];
    list[at] = b;
    list[other] = a;
  }
  return list;
}

/** What a person configured may be called, wherever it lies. */
async function filterFor(bootstrap: readonly string[]): Promise<EndpointFilter> {
  const hosts = bootstrap.map((place) => place.slice(0, place.lastIndexOf(":")));
  const named = hosts.filter((host) => !isIPv4(host) && /^[^.]+$|\.(local|lan|internal)$/i.test(host));
  const found = await Promise.all(named.map((name) => resolveName(name, { all: true, family: 4 }).catch(() => [])));
  const addresses = [...hosts.filter((host) => isIPv4(host)), ...found.flat().map(({ address }) => address)];
  return new EndpointFilter({
    networks: [...ownNetworks(), ...addresses.map((address) => `${address}/32`)],
    loopback: addresses.some((address) => reachOf(address) === "loopback"),
  });
}

function bound(dht: DHT, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    dht.once("error", reject);
    dht.listen(port, "0.0.0.0", () => {
      dht.off("error", reject);
      resolve();
    });
  });
}

/** Waits until the nearest nodes are known; not for ever, since there may be no network yet. */
async function isReady(dht: DHT, clock: Clock, ended: AbortSignal): Promise<void> {
  if (dht.ready) return;
  const late = new AbortController();
  const cancel = clock.timer(READY_MS, () => late.abort());
  await once(dht, "ready", { signal: AbortSignal.any([late.signal, ended]) }).catch(() => undefined);
  cancel();
}

/** Runs something with a callback, and waits for it no longer than the signal says. @throws Error; the signal's reason */
function until(signal: AbortSignal, run: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    run((error) => {
      signal.removeEventListener("abort", onAbort);
      if (error) reject(error);
      else resolve();
    });
  });
}
