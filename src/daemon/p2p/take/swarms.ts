/** All shares that are fetched, by public id. A caller over TCP has swarms of its own: they reach less. */
import { failure } from "../../core/errors.ts";
import type { PeerState } from "../../core/peers.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { ChunkSource, PeerSources } from "../../core/ports/sources.ts";
import { deriveKeys } from "../keys.ts";
import type { SecretStore } from "../secret-store.ts";
import { readShareUrl } from "../share-url.ts";
import type { Channel, PeerNetwork, Servable, ShareKeys } from "../types.ts";
import { Bans } from "./bans.ts";
import type { SharedFiles } from "./file-lists.ts";
import { OpenSwarm } from "./open-swarm.ts";
import { PeerSource, type SwarmUse } from "./peer-source.ts";
import { SearchTurns } from "./search-turns.ts";
import { Swarm } from "./swarm.ts";

/** Shares whose bans outlive their swarms. */
const MOST_BANS = 256;

/** What swarms need. */
export interface SwarmsParts {
  readonly network: PeerNetwork;
  readonly secrets: Pick<SecretStore, "get">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Channels of one share at once, each way. */
  readonly maxPeers: () => number;
  /** Gives over a channel, in the role of the giver. */
  readonly give: (channel: Channel, servable: Servable) => void;
}

/** How a swarm is used. */
export interface SwarmOptions {
  /** A caller over TCP wants it. */
  readonly remote: boolean;
  /** Peers that a person named: "host:port". */
  readonly explicit?: readonly string[];
  /** What is fetched is given on. */
  readonly share?: boolean;
}

/** Fetches shares. */
export class Swarms implements PeerSources, AsyncDisposable {
  readonly #parts: SwarmsParts;
  readonly #open = new Map<string, OpenSwarm>();
  readonly #bans = new Map<string, Bans>();
  readonly #listeners = new Set<(publicId: string, here: boolean) => void>();
  readonly #turns: SearchTurns;
  #ended = false;

  constructor(parts: SwarmsParts) {
    this.#parts = parts;
    this.#turns = new SearchTurns(parts.clock);
  }

  /**
   * For whoever is about to wait for the peers of a share, if nobody is here: too many may wait already.
   *
   * @throws NetworkError PEERS_NOT_FOUND, with when it is to come again
   */
  enter(publicId: string, { remote, explicit = [] }: Pick<SwarmOptions, "remote" | "explicit">): void {
    if (this.#open.get(keyOf(publicId, remote))?.swarm.deserted === false) return;
    const deserted = [...this.#open.values()].filter(({ swarm }) => swarm.deserted);
    const waiting = deserted.reduce((sum, { users }) => sum + users, 0);
    this.#turns.enter(publicId, waiting, explicit.length > 0);
  }

  /**
   * The swarm of a share, for as long as the answer is not disposed of, and a while longer.
   *
   * @throws DownloadError SHARE_NOT_FOUND if its code is not here, SHUTTING_DOWN
   */
  use(publicId: string, { remote, explicit = [], share = false }: SwarmOptions): SwarmUse {
    if (this.#ended) throw failure("SHUTTING_DOWN", "the daemon is ending");
    const key = keyOf(publicId, remote);
    const open = this.#open.get(key) ?? this.#make(key, this.#keys(publicId), remote);
    return open.use(explicit, share);
  }

  /** @throws DownloadError INVALID_URL */
  peer(url: string): ChunkSource {
    const named = readShareUrl(url);
    if (!named) throw failure("INVALID_URL", "that is no URL of a share");
    return new PeerSource(named, () => this.use(named.publicId, named));
  }

  seeking(url: string): boolean {
    // Asked again and again, for each of many files.
    if (![...this.#open.values()].some(({ swarm }) => swarm.deserted)) return false;
    const named = readShareUrl(url);
    const open = named ? this.#of(named.publicId) : [];
    return open.length > 0 && open.every(({ swarm }) => swarm.deserted);
  }

  onPresence(listener: (publicId: string, here: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** What a share that is being fetched, or was until just now, consists of. */
  known(publicId: string): SharedFiles | undefined {
    return this.#of(publicId).find(({ swarm }) => swarm.known)?.swarm.known;
  }

  /** A share of what was fetched takes over from the download that gave it on: its peers keep their channels. */
  handOver(successor: Servable): void {
    for (const open of this.#of(successor.keys.publicId)) open.handOver(successor);
  }

  /** Peers that give, for people. */
  peers(): readonly PeerState[] {
    return [...this.#open.values()].flatMap(({ swarm }) => swarm.peers());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await Promise.all([...this.#open.values()].map((open) => open.end()));
  }

  #of(publicId: string): readonly OpenSwarm[] {
    return [...this.#open.values()].filter(({ swarm }) => swarm.keys.publicId === publicId);
  }

  #keys(publicId: string): ShareKeys {
    const secret = this.#parts.secrets.get(publicId);
    const keys = secret && deriveKeys(secret);
    if (keys?.publicId === publicId) return keys;
    throw failure(
      "SHARE_NOT_FOUND",
      `the code of the share ${publicId.slice(0, 8)} is not kept here (any more); fetch it by its code`,
    );
  }

  #make(key: string, keys: ShareKeys, remote: boolean): OpenSwarm {
    const { network, clock, logger, maxPeers, give } = this.#parts;
    const open: OpenSwarm = new OpenSwarm({
      swarm: new Swarm({
        keys,
        remote,
        network,
        clock,
        logger,
        bans: this.#bansOf(keys.publicId),
        maxPeers,
        onFiles: (files) => open.filesKnown(files),
        onPresence: (here) => {
          for (const listener of this.#listeners) listener(keys.publicId, here);
        },
      }),
      network,
      clock,
      logger,
      maxPeers,
      give,
      onEnd: () => {
        if (this.#open.get(key) === open) this.#open.delete(key);
      },
    });
    this.#open.set(key, open);
    return open;
  }

  /** Whoever lied is not forgotten with the swarm. */
  #bansOf(publicId: string): Bans {
    const bans = this.#bans.get(publicId) ?? new Bans();
    this.#bans.delete(publicId);
    this.#bans.set(publicId, bans);
    for (const oldest of this.#bans.keys()) {
      if (this.#bans.size <= MOST_BANS) break;
      this.#bans.delete(oldest);
    }
    return bans;
  }
}

const keyOf = (publicId: string, remote: boolean): string => `${publicId}${remote ? "?remote" : ""}`;
