/**
 * What ways to find peers answer, made safe: anything may come from a plugin or a stranger. Of each share only so many
 * candidates are kept, few from one neighbourhood; one that has failed makes room, and is not named again for a while.
 */
import type { PeerInfo } from "../../core/peers.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import { isPortNumber, neighbourhood, reachOf } from "./endpoint-filter.ts";
import { isNatType, isPeerId } from "./signal-codec.ts";

/** Candidates of a share that have not failed, and those of one neighbourhood. */
const MOST = 64;
const MOST_NEIGHBOURS = 4;

/** Candidates that are remembered in all. */
const MOST_REMEMBERED = 1024;

/** Milliseconds until one that failed may be named again, and one that was named already. */
const FAILED_MS = 3 * 60_000;
const NAMED_MS = 5 * 60_000;

/** Peers that are looked at in one answer. */
const MOST_ANSWERED = 200;

interface Candidate {
  readonly around: string | undefined;
  readonly since: number;
  readonly failed: boolean;
}

/** The candidates of one share. */
export class Candidates {
  readonly #clock: Clock;
  readonly #known = new Map<string, Candidate>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True if it is news, and there is room for it. */
  admit(peer: PeerInfo): boolean {
    const now = this.#clock.monotonic();
    const name = placeOf(peer);
    const known = this.#known.get(name);
    if (known !== undefined && now - known.since < (known.failed ? FAILED_MS : NAMED_MS)) return false;
    this.#known.delete(name);
    const around = neighbourhood(peer.externalIp);
    let [all, near] = [0, 0];
    for (const [other, { failed, since, around: itsAround }] of this.#known) {
      if (now - since >= (failed ? FAILED_MS : NAMED_MS)) this.#known.delete(other);
      else if (!failed) {
        all++;
        if (around !== undefined && itsAround === around) near++;
      }
    }
    if (all >= MOST || near >= MOST_NEIGHBOURS) return false;
    this.#known.set(name, { around, since: now, failed: false });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_REMEMBERED) break;
      this.#known.delete(oldest);
    }
    return true;
  }

  /** It could not be reached, or did not know the code. */
  failed(peer: Pick<PeerInfo, "externalIp" | "externalPort">): void {
    const known = this.#known.get(placeOf(peer));
    if (known === undefined) return;
    this.#known.set(placeOf(peer), { ...known, since: this.#clock.monotonic(), failed: true });
  }
}

/** The peers of an answer that can be called. @throws TypeError if it is no list */
export function peersOf(answer: unknown): readonly PeerInfo[] {
  if (!Array.isArray(answer)) throw new TypeError("the answer is no list of peers");
  return answer.slice(0, MOST_ANSWERED).flatMap((value: unknown) => peerOf(value) ?? []);
}

function peerOf(value: unknown): PeerInfo | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const {
    peerId,
    publicKey,
    externalIp,
    externalPort,
    natType,
    capabilities,
  }: Partial<Record<keyof PeerInfo, unknown>> = value;
  if (typeof externalIp !== "string" || !isPortNumber(externalPort) || reachOf(externalIp) === "unusable")
    return undefined;
  return {
    peerId: typeof peerId === "string" && isPeerId(peerId) ? peerId : "",
    publicKey: publicKey instanceof Uint8Array && publicKey.length <= 4096 ? publicKey : new Uint8Array(),
    externalIp,
    externalPort,
    natType: isNatType(natType) ? natType : "unknown",
    capabilities: Array.isArray(capabilities)
      ? capabilities.filter((item): item is string => typeof item === "string" && item.length <= 32).slice(0, 8)
      : [],
  };
}

function placeOf({ externalIp, externalPort }: Pick<PeerInfo, "externalIp" | "externalPort">): string {
  return `${externalIp.toLowerCase()}|${externalPort}`;
}
