/** What a peer asks for, read from its frame, and how much is read ahead for all peers together. */
import { failure } from "../../core/errors.ts";

/** Bytes of a request frame's payload. */
const LENGTH = 28;

/** Bytes of a frame of data, or of the catalogue. */
export const PIECE = 256 * 1024;

/** Pieces in memory for all channels, beyond the one that each may have. */
const MOST_AHEAD = 64;

/** Memory that waits to be used again: for a few channels all that they ever need. */
const MOST_SPARE = 16;

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

/**
 * Counts the pieces that lie in memory, and uses that again and again: a gigabyte of garbage a second would keep many times as
 * much of it, and cost a tenth of the speed.
 */
export class ReadAhead {
  #pieces = 0;
  #spare: Uint8Array[] = [];
  #resting = true;

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

  /** Memory for one piece. */
  memory(): Uint8Array {
    this.#resting = false;
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(PIECE);
  }

  /** Nobody reads or writes this memory any more. */
  free(memory: Uint8Array): void {
    if (!this.#resting && this.#spare.length < MOST_SPARE) this.#spare.push(memory);
  }

  /** Nothing is given now. */
  rest(): void {
    this.#resting = true;
    this.#spare = [];
  }
}
