/**
 * The mainline DHT (BEP 5) by bittorrent-dht: whoever has a share announces himself under its lookup key, and whoever wants
 * it looks there. The node starts at its first use, and ends a while after its last: the library is not even loaded before.
 * IPv4 only: mainline's IPv6 half (BEP 32) is not in the library.
 */
import { asDownloadError } from "../../core/errors.ts";
import type { PeerDiscovery, PeerInfo } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { Item, ItemStore, PutResult } from "./dht-items.ts";
import { draw } from "./dht-lookup.ts";
import { DhtNode } from "./dht-node.ts";
import type { DhtRelays } from "./dht-route.ts";
import type { PacketCounts } from "./dht-socket.ts";
import type { SigningKey } from "./ed25519.ts";

/** Milliseconds until an announcement is made again: nodes forget after half an hour. */
const RENEW_MS = 12 * 60_000;

/** Milliseconds until an announcement that nobody took is tried again. */
const RETRY_MS = 20_000;

/** Milliseconds that the node goes on after its last use. */
const LINGER_MS = 60_000;

/** `dht` of the configuration. */
interface DhtSettings {
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
  /** Where UDP does not get through, or is not to be used. */
  readonly relays?: DhtRelays | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A node of the DHT, while there is something to look for. */
export class Dht implements PeerDiscovery, ItemStore, AsyncDisposable {
  readonly name = "dht";
  readonly #init: DhtInit;
  readonly #ended = new AbortController();
  #uses = 0;
  #running: Promise<DhtNode> | undefined;
  #now: DhtNode | undefined;
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
    return this.#now?.state ?? (this.#running ? "starting" : "idle");
  }

  /** Since the node was started; undefined while there is none. */
  get counts(): PacketCounts | undefined {
    return this.#now?.counts;
  }

  /** UDP, 0: none; undefined while there is no node. */
  get port(): number | undefined {
    return this.#now?.port;
  }

  /** @throws SystemResourceError, NetworkError if the node cannot start; the signal's reason */
  async discoverPeers(fileHash: string, signal: AbortSignal): Promise<readonly PeerInfo[]> {
    if (!this.#init.settings().enabled) return [];
    using _use = this.#use();
    const sets = await (await this.#start()).lookup(Buffer.from(fileHash, "hex"), signal);
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
        const node = await this.#start();
        if (!(await node.announce(Buffer.from(fileHash, "hex"), self.externalPort, signal))) again = RETRY_MS;
      } catch (error) {
        if (signal.aborted) return;
        this.#init.logger.debug({ err: error }, "the DHT did not take the announcement");
        again = RETRY_MS;
      }
      await this.#init.clock.sleep(again * (0.9 + 0.2 * Math.random()), signal).catch(() => undefined);
    }
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

  #start(): Promise<DhtNode> {
    this.#ended.signal.throwIfAborted();
    this.#running ??= this.#ending.then(() => this.#open());
    this.#running.then(undefined, (error) => {
      this.#problem = asDownloadError(error).message;
      this.#running = undefined;
    });
    return this.#running;
  }

  async #open(): Promise<DhtNode> {
    const { settings, file, relays, clock, logger } = this.#init;
    const { bootstrap, port } = settings();
    const onError = (error: Error) => {
      this.#problem = error.message;
      logger.warn({ err: error }, "the DHT");
    };
    const init = { ...{ bootstrap, port, file, relays, clock, logger }, onError };
    this.#now = await DhtNode.start(init, this.#ended.signal);
    this.#problem = undefined;
    return this.#now;
  }

  #stop(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return this.#ending;
    this.#running = undefined;
    this.#ending = this.#close(running);
    return this.#ending;
  }

  async #close(starting: Promise<DhtNode>): Promise<void> {
    const node = await starting.catch(() => undefined);
    this.#now = undefined;
    await node?.close();
  }
}
