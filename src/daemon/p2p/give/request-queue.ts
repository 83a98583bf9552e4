/**
 * The requests of one peer, in the order of their turns. One that is over keeps its place while pieces are still read for it, or
 * its refusal waits for the peer to read: else asking for what is not here, or cancelling at once, would cost nothing.
 */

import type { Wanted } from "./giver-request.ts";
import { misbehaved } from "./giver-words.ts";

/** Requests of one peer at once. */
const MOST_REQUESTS = 64;

/** A request that is being answered. */
export interface Request extends Wanted {
  /** Where the next piece begins. */
  position: number;
  credit: number;
  /** Pieces that are being read, and its refusal, if that has not left yet. */
  pending: number;
}

/** See above. */
export class RequestQueue {
  readonly #requests = new Map<number, Request>();
  /** Those that are over, and pending. */
  readonly #leaving = new Set<Request>();

  /** @throws DownloadError PEER_MISBEHAVED if there are too many, or its number is taken */
  add(wanted: Wanted): Request {
    if (this.#requests.size + this.#leaving.size >= MOST_REQUESTS)
      throw misbehaved(`more than ${MOST_REQUESTS} requests at once`);
    if (this.#requests.has(wanted.id)) throw misbehaved("two requests have the same number");
    const request = { ...wanted, position: wanted.start, pending: 0 };
    this.#requests.set(wanted.id, request);
    return request;
  }

  get(id: number): Request | undefined {
    return this.#requests.get(id);
  }

  /** It is not over. */
  has(request: Request): boolean {
    return this.#requests.get(request.id) === request;
  }

  /** The next request that can be served; it goes behind the others. */
  next(): Request | undefined {
    for (const [id, request] of this.#requests) {
      if (!request.admitted || request.credit === 0 || request.position === request.end) continue;
      this.#requests.delete(id);
      this.#requests.set(id, request);
      return request;
    }
    return undefined;
  }

  /** It is over. */
  drop(request: Request): void {
    this.#requests.delete(request.id);
    if (request.pending > 0) this.#leaving.add(request);
  }

  /** One thing less is pending. */
  settle(request: Request): void {
    if (--request.pending === 0) this.#leaving.delete(request);
  }

  clear(): void {
    this.#requests.clear();
    this.#leaving.clear();
  }
}
