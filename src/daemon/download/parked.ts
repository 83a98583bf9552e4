/**
 * Sessions that wait because nobody was here who gives what they fetch. When somebody comes they go on at once, not each after
 * its own back-off. Kept in memory: after a restart the schedule does it.
 */
import type { Session } from "../core/session.ts";

/** What is waited with. */
const CODES = new Set(["PEERS_NOT_FOUND", "PEERS_UNREACHABLE", "PEER_REFUSED", "PEER_BUSY", "CONNECTION_LOST"]);

/** Who waits, by share. */
export class Parked {
  readonly #byShare = new Map<string, Set<string>>();

  /** Looks at what became of a run. */
  note({ id, url, status, error }: Session): void {
    const share = shareOf(url);
    if (share === undefined) return;
    const waits = status === "waiting" && error !== undefined && CODES.has(error.code);
    const parked = this.#byShare.get(share) ?? new Set();
    if (waits) this.#byShare.set(share, parked.add(id));
    else if (parked.delete(id) && parked.size === 0) this.#byShare.delete(share);
  }

  /** Those of a share; from now on they are nobody's any more. */
  take(share: string): readonly string[] {
    const parked = [...(this.#byShare.get(share) ?? [])];
    this.#byShare.delete(share);
    return parked;
  }
}

/** The public id in a URL of a share. */
function shareOf(url: string): string | undefined {
  return /^snatch:share\/([0-9a-f]{32})/.exec(url)?.[1];
}
