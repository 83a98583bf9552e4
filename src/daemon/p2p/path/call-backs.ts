/**
 * Calls back takers that cannot call us. Where they are called is named by whoever knows the code, which need not be a
 * friend: so no service that listens elsewhere may come to harm by it. What is sent cannot be chosen by anybody, only
 * unprivileged ports are called, of private addresses those of our own network alone and none of this machine, and no more
 * than some in a minute.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { PeerPath } from "../../core/peers.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import type { Endpoint, PeerStream } from "../types.ts";
import { connectTcp } from "./dial.ts";

/** First byte of a call back. */
export const REVERSE = 0x52;
/** Bytes after it: half of them are random, the other half prove that the caller has read the taker's number. */
export const CALL_BYTES = 32;

const REVERSE_MS = 5000;
const MOST_ENDPOINTS = 4;
const FIRST_PORT = 1024;
/** Calls in a minute, of all takers. */
const MOST_A_MINUTE = 60;
const MINUTE_MS = 60_000;

/** What the calls need. */
export interface CallBackOptions {
  readonly clock: Clock;
  /** May this address be called, for a peer? */
  readonly allows: (address: string) => boolean;
  readonly pathTo: (endpoint: Endpoint) => PeerPath;
}

/** See above. */
export class CallBacks {
  readonly #options: CallBackOptions;
  /** When the last ones were made, by the monotonic clock. */
  #made: number[] = [];

  constructor(options: CallBackOptions) {
    this.#options = options;
  }

  /**
   * Calls a taker.
   *
   * @param nonce - the number of its knock
   * @param use - becomes the giver on a connection
   * @throws AggregateError, Error if nothing came of it
   */
  async call(
    endpoints: readonly Endpoint[],
    nonce: Uint8Array,
    use: (peer: PeerStream) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { allows, pathTo, clock } = this.#options;
    const now = clock.monotonic();
    this.#made = this.#made.filter((at) => now - at < MINUTE_MS);
    const places = endpoints
      .filter(({ host, port }) => port >= FIRST_PORT && allows(host))
      .slice(0, Math.min(MOST_ENDPOINTS, MOST_A_MINUTE - this.#made.length));
    this.#made.push(...places.map(() => now));
    await Promise.any(
      places.map(async (endpoint) => {
        const { host, port } = endpoint;
        const socket = await connectTcp(host, port, { clock, timeoutMs: REVERSE_MS, signal });
        socket.write(Buffer.concat([Buffer.of(REVERSE), callTo(nonce)]));
        await use({ stream: socket, path: pathTo(endpoint), remoteAddress: host });
      }),
    );
  }
}

/** What a call begins with, after the first byte. */
export function callTo(nonce: Uint8Array, random: Uint8Array = randomBytes(CALL_BYTES / 2)): Buffer {
  const mac = createHmac("sha256", nonce).update("snatch-call-1\n").update(random).digest();
  return Buffer.concat([random, mac.subarray(0, CALL_BYTES - random.length)]);
}

/** Whether a call is meant for who has said this number. */
export function isCallTo(nonce: Uint8Array, call: Uint8Array): boolean {
  return call.length === CALL_BYTES && timingSafeEqual(callTo(nonce, call.subarray(0, CALL_BYTES / 2)), call);
}
