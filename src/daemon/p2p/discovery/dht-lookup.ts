/**
 * Looking for peers in the DHT. What its nodes say is written by anybody, so of each lookup only so many are handed on, drawn
 * evenly from all nodes that answered, few from one neighbourhood.
 */
import type DHT from "bittorrent-dht";
import type { Clock } from "../../core/ports/runtime.ts";
import { type EndpointFilter, neighbourhood } from "./endpoint-filter.ts";

/** Peers that one lookup gives at most, and those of one neighbourhood. */
const MOST_PEERS = 40;
const MOST_NEIGHBOURS = 4;

/** Peers that are taken of one node in a lookup, before it is drawn from them. */
const MOST_PER_NODE = 100;

/** A lookup is answered so long after its first peer was found, or so long after it began; in milliseconds. */
const AFTER_FIRST_MS = 1000;
const LOOKUP_MS = 12_000;

interface Place {
  readonly host: string;
  readonly port: number;
}

/** Where it is looked. */
interface LookupInit {
  readonly dht: DHT;
  readonly filter: EndpointFilter;
  readonly clock: Clock;
  /** The node ends. */
  readonly ended: AbortSignal;
}

/** Peers, "address:port", by the node that named them. @throws the signal's reason */
export async function lookup(
  { dht, filter, clock, ended }: LookupInit,
  key: Buffer,
  caller: AbortSignal,
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const sets = new Map<string, Set<string>>();
  const enough = new AbortController();
  const signal = AbortSignal.any([caller, enough.signal, ended]);
  let cancel = clock.timer(LOOKUP_MS, () => enough.abort());
  const onPeer = (peer: Place, infoHash: Uint8Array, from: (Partial<Place> & { readonly address?: string }) | null) => {
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

/** Runs something with a callback, and waits for it no longer than the signal says. @throws Error; the signal's reason */
export function until(signal: AbortSignal, run: (done: (error: Error | null) => void) => void): Promise<void> {
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
