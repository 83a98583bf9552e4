/** A node of the DHT that runs: the library, its socket, the way that packets take, and what is kept for the next time. */
import { once } from "node:events";
import { isIPv4 } from "node:net";
import type DHT from "bittorrent-dht";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import { resolveHost } from "../resolve-host.ts";
import { DhtItems } from "./dht-items.ts";
import { lookup, until } from "./dht-lookup.ts";
import { type DhtRelays, DhtRoute } from "./dht-route.ts";
import { DhtSocket, type PacketCounts } from "./dht-socket.ts";
import { type DhtState, readDhtState, writeDhtState } from "./dht-state.ts";
import { isSigned } from "./ed25519.ts";
import { EndpointFilter, ownNetworks, reachOf } from "./endpoint-filter.ts";

/** Milliseconds between two writings of the node's state, and two attempts to find nodes when there are none. */
const SAVE_MS = 10 * 60_000;
const BOOTSTRAP_MS = 15_000;

/** Nodes that are enough to begin with: every walk finds nearer ones by itself. */
const ENOUGH_NODES = 8;

/** Addresses of one of them that are asked. */
const MOST_ADDRESSES = 4;

/** Milliseconds that more than the first is waited for. */
const FEW_MS = 700;

/** Milliseconds after which a beginning without an answer is gone on from. */
const READY_MS = 10_000;

/** What a node is made of. */
export interface DhtNodeInit {
  /** "host:port"; nobody else is asked first. */
  readonly bootstrap: readonly string[];
  /** UDP; 0: any. */
  readonly port: number;
  /** Where the node's state is kept. */
  readonly file: string;
  /** Where UDP does not get through. */
  readonly relays: DhtRelays | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Something has broken while it ran. */
  readonly onError: (error: Error) => void;
}

interface Parts {
  readonly dht: DHT;
  readonly socket: DhtSocket;
  readonly items: DhtItems;
  readonly filter: EndpointFilter;
  readonly route: DhtRoute | undefined;
}

/** See above. */
export class DhtNode {
  readonly #init: DhtNodeInit;
  readonly #parts: Parts;
  readonly #ended = new AbortController();

  private constructor(init: DhtNodeInit, parts: Parts) {
    this.#init = init;
    this.#parts = parts;
  }

  /** Starts one, and waits until nodes answer; not for ever, since there may be no network yet. @throws Error; the signal's reason */
  static async start(init: DhtNodeInit, signal: AbortSignal): Promise<DhtNode> {
    const { port, file, relays, clock, logger } = init;
    const [state, { default: Node }, bootstrap] = await Promise.all([
      readDhtState(file),
      import("bittorrent-dht"),
      placesOf(init.bootstrap, signal),
    ]);
    const filter = filterFor(init.bootstrap, bootstrap);
    signal.throwIfAborted();
    const socket = new DhtSocket(filter, clock, relays?.only !== true);
    let dht: DHT | undefined;
    const route =
      relays &&
      new DhtRoute({
        ...{ socket, relays, clock, logger, nodeId: state.id },
        nodes: () => dht?.nodes.toArray() ?? [],
        onSwitch: () => dht && askFirst(dht, bootstrap),
      });
    route?.start();
    try {
      // There is no other way, and the library gives up for a while when nobody answers.
      if (relays?.only) await route?.settled;
      dht = new Node({
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
      await bound(dht, port);
      dht.on("error", (error: Error) => init.onError(error));
    } catch (error) {
      route?.[Symbol.dispose]();
      if (dht) await ended(dht);
      throw error;
    }
    const { nodes } = dht;
    const items = new DhtItems({
      ...{ socket, clock, nodeId: dht.nodeId },
      nearby: (target) => nodes.closest(target, 16).map((node) => ({ id: node.id, host: node.host, port: node.port })),
    });
    for (const node of state.nodes) if (filter.allows(node.host, node.port)) dht.addNode(node);
    const node = new DhtNode(init, { dht, socket, items, filter, route });
    if (!relays?.only || route?.isOpen) await isReady(dht, clock, route, signal);
    void node.#upkeep();
    logger.debug({ port: socket.address().port, nodes: nodes.toArray().length }, "the DHT has started");
    return node;
  }
  /** For people. */
  get state(): string {
    const { dht, route } = this.#parts;
    const count = dht.nodes.toArray().length;
    const nodes = count === 0 ? "no node answers" : `${count} nodes`;
    return route?.state === undefined ? nodes : `${nodes}, ${route.state}`;
  }

  get counts(): PacketCounts {
    return this.#parts.socket.counts;
  }

  /** UDP; 0: none. */
  get port(): number {
    return this.#parts.socket.address().port;
  }

  get items(): DhtItems {
    return this.#parts.items;
  }

  /** Peers by the node that named them; see dht-lookup.ts. @throws the signal's reason */
  lookup(key: Buffer, signal: AbortSignal): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const { dht, filter } = this.#parts;
    return lookup({ dht, filter, clock: this.#init.clock, ended: this.#ended.signal }, key, signal);
  }

  /**
   * Says that we are at this port, of the address that packets come from.
   *
   * @returns false: that is a relay's, where nobody would find us
   * @throws Error if nobody took it; the signal's reason
   */
  async announce(key: Buffer, port: number, signal: AbortSignal): Promise<boolean> {
    const { dht, socket } = this.#parts;
    if (socket.relay) return false;
    await until(signal, (done) => dht.announce(key, port, done));
    return true;
  }

  async close(): Promise<void> {
    const { dht, route } = this.#parts;
    this.#ended.abort();
    // Nodes that one could begin with next time; an empty list would only hide the former one.
    if (dht.nodes.toArray().length > 0) await this.#save();
    route?.[Symbol.dispose]();
    await ended(dht);
  }

  /** Writes down who is there, and asks the configured nodes again while nobody is. */
  async #upkeep(): Promise<void> {
    const { clock, bootstrap } = this.#init;
    const { dht } = this.#parts;
    const { signal } = this.#ended;
    let saved = clock.monotonic();
    while (!signal.aborted) {
      if (dht.nodes.toArray().length === 0) askFirst(dht, await placesOf(bootstrap, signal));
      else if (clock.monotonic() - saved >= SAVE_MS) {
        saved = clock.monotonic();
        await this.#save();
      }
      await clock.sleep(BOOTSTRAP_MS, signal).catch(() => undefined);
    }
  }

  async #save(): Promise<void> {
    const { dht } = this.#parts;
    const { file, logger } = this.#init;
    const state: DhtState = { id: dht.nodeId, nodes: dht.nodes.toArray().map(({ host, port }) => ({ host, port })) };
    await writeDhtState(file, state).catch((error: unknown) => {
      logger.warn({ err: error, file }, "the DHT's nodes cannot be written down");
    });
  }
}

/** Asks the configured nodes whether they are there. */
function askFirst(dht: DHT, bootstrap: readonly string[]): void {
  for (const place of bootstrap) {
    const [host = "", port] = place.split(":");
    dht.addNode({ host, port: Number(port) });
  }
}

function ended(dht: DHT): Promise<void> {
  return new Promise((resolve) => dht.destroy(resolve));
}

/** The configured nodes by their addresses; those whose names are not known now are left out. */
async function placesOf(bootstrap: readonly string[], signal: AbortSignal): Promise<string[]> {
  const places = bootstrap.map(async (place) => {
    const at = place.lastIndexOf(":");
    const found = await resolveHost(place.slice(0, at), { signal, family: 4 }).catch(() => []);
    return found.slice(0, MOST_ADDRESSES).map((address) => `${address}${place.slice(at)}`);
  });
  return (await Promise.all(places)).flat();
}

/** What a person configured by an address, or by a name of the own network, may be called wherever it lies. */
function filterFor(bootstrap: readonly string[], places: readonly string[]): EndpointFilter {
  const hostOf = (place: string): string => place.slice(0, place.lastIndexOf(":"));
  const own = bootstrap.map(hostOf).every((host) => isIPv4(host) || /^[^.]+$|\.(local|lan|internal)$/i.test(host));
  const addresses = own ? places.map(hostOf) : bootstrap.map(hostOf).filter((host) => isIPv4(host));
  return new EndpointFilter({
    networks: [...ownNetworks(), ...addresses.map((address) => `${address}/32`)],
    loopback: addresses.some((address) => reachOf(address) === "loopback"),
  });
}

/** Takes a port. @throws Error */
function bound(dht: DHT, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    dht.once("error", reject);
    dht.listen(port, "0.0.0.0", () => {
      dht.off("error", reject);
      resolve();
    });
  });
}

/** Waits until some nodes are known, or the library has asked all that it could. */
async function isReady(dht: DHT, clock: Clock, route: DhtRoute | undefined, signal: AbortSignal): Promise<void> {
  const late = new AbortController();
  const until = AbortSignal.any([late.signal, signal]);
  const cancel = clock.timer(READY_MS, () => late.abort());
  const enough = Promise.withResolvers<void>();
  let cancelFew: (() => void) | undefined;
  const onNode = () => {
    const count = dht.nodes.toArray().length;
    if (count >= ENOUGH_NODES) enough.resolve();
    else if (count > 0) cancelFew ??= clock.timer(FEW_MS, enough.resolve);
  };
  dht.on("node", onNode);
  onNode();
  const done = async () => {
    if (!dht.ready) await once(dht, "ready", { signal: until });
    if (dht.nodes.toArray().length > 0 || route === undefined) return;
    // UDP does not get through, it seems: it may go by a relay.
    await route.settled;
    if (route.isOpen && dht.nodes.toArray().length === 0) await once(dht, "node", { signal: until });
  };
  await Promise.race([enough.promise, done().catch(() => undefined)]);
  late.abort();
  dht.off("node", onNode);
  cancelFew?.();
  cancel();
}
