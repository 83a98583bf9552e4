/**
 * Who is not to be asked any more for a share, and who is suspected. Who alone sent a wrong chunk, or broke the protocol, is
 * banned at once; where several sent parts of one, each is suspected, and the chunk is fetched from one alone. Identities
 * cost nothing, so that an address from which two banned ones came is not let in either; a relay's address is nobody's.
 */
import type { PeerPath } from "../../core/peers.ts";

/** Peers and addresses that are remembered: the oldest are forgotten. */
const MOST_REMEMBERED = 1000;

/** Banned identities from one address until it is banned itself. */
const IDENTITIES = 2;

/** Wrong chunks, or stalls, to which a peer was a party without being proved guilty. */
const MOST_DOUBTS = 3;

/** What is known of a peer by its channel. */
export interface BanSubject {
  readonly peerId: string;
  readonly remoteAddress: string;
  readonly path: PeerPath;
  /** What it sent may have been changed on the way. */
  readonly inClear: boolean;
}

/** Bans of one share. */
export class Bans {
  readonly #peers = new Map<string, true>();
  readonly #addresses = new Map<string, Set<string>>();
  readonly #doubts = new Map<string, number>();
  readonly #stalls = new Map<string, number>();
  /** Chunks of this share may come in the clear; not any more once something was wrong with what came so. */
  plain = true;

  /** Not to be asked any more. */
  ban({ peerId, remoteAddress, path }: BanSubject): void {
    remember(this.#peers, peerId, true);
    this.#doubts.delete(peerId);
    this.#stalls.delete(peerId);
    if (path === "relay-udp" || path === "relay-tcp" || remoteAddress === "") return;
    const banned = this.#addresses.get(remoteAddress) ?? new Set();
    if (banned.size < IDENTITIES) banned.add(peerId);
    remember(this.#addresses, remoteAddress, banned);
  }

  /** Whether a peer that was found is to be called. */
  isBanned(peerId: string): boolean {
    return this.#peers.has(peerId);
  }

  /** Whether a peer that has come is to be let in. */
  refuses({ peerId, remoteAddress, path }: BanSubject): boolean {
    if (this.#peers.has(peerId)) return true;
    if (path === "relay-udp" || path === "relay-tcp") return false;
    return (this.#addresses.get(remoteAddress)?.size ?? 0) >= IDENTITIES;
  }

  /** It sent a part of a wrong chunk. @returns true if that was once too often */
  doubt(peerId: string): boolean {
    return count(this.#doubts, peerId);
  }

  /** How much it is suspected. */
  doubts(peerId: string): number {
    return this.#doubts.get(peerId) ?? 0;
  }

  /** A chunk that it sent alone was right. */
  trust(peerId: string): void {
    const doubts = this.#doubts.get(peerId);
    if (doubts !== undefined && doubts > 1) this.#doubts.set(peerId, doubts - 1);
    else this.#doubts.delete(peerId);
    this.#stalls.delete(peerId);
  }

  /** It was asked, and sent nothing. @returns true if that was once too often */
  stalled(peerId: string): boolean {
    return count(this.#stalls, peerId);
  }
}

function count(counts: Map<string, number>, peerId: string): boolean {
  const now = (counts.get(peerId) ?? 0) + 1;
  remember(counts, peerId, now);
  return now >= MOST_DOUBTS;
}

/** Puts it last, and forgets the first if there are too many. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= MOST_REMEMBERED) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}
