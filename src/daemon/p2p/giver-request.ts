/** What a peer asks for, read from its frame, and how much is read ahead for all peers together. */
import { failure } from "../core/errors.ts";

/** Bytes of a request frame's payload. */
const LENGTH = 28;

/** Pieces in memory for all channels, beyond the one that each may have. */
const MOST_AHEAD = 64;

/** A request as it came. */
export interface Wanted {
  readonly id: number;
  readonly file: number;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  credit: number;
  /** It was found to be of bytes that are here. */
  admitted: boolean;
}

/** @throws DownloadError PEER_MISBEHAVED */
export function readRequest(payload: Buffer): Wanted {
  if (payload.length !== LENGTH)
    throw failure("PEER_MISBEHAVED", `a request has ${payload.length} bytes, not ${LENGTH}`);
  const start = Number(payload.readBigUInt64BE(8));
  const length = Number(payload.readBigUInt64BE(16));
  if (!Number.isSafeInteger(start + length) || length === 0)
    throw failure("PEER_MISBEHAVED", "a request is of bytes that cannot be");
  return {
    id: payload.readUInt32BE(0),
    file: payload.readUInt32BE(4),
    start,
    end: start + length,
    credit: payload.readUInt32BE(24),
    admitted: false,
  };
}

/** Counts the pieces that lie in memory. */
export class ReadAhead {
  #pieces = 0;

  /** @param own - pieces that the channel has already. A channel without one is never kept waiting */
  mayEnter(own: number): boolean {
    return own === 0 || this.#pieces < MOST_AHEAD;
  }

  enter(): void {
    this.#pieces++;
  }

  leave(): void {
    this.#pieces--;
  }
}
