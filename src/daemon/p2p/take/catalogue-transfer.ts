/** A catalogue on its way from one peer: no more than was offered is taken, and it is whole when it has the offer's root. */

import type { Hash } from "node:crypto";
import { breach } from "../channel/wire.ts";
import { catalogueHash } from "../share/catalogue.ts";
import type { Offer } from "../types.ts";

/** Milliseconds after which it is estimated how long it will take. */
const MEASURE_MS = 2000;

/** One transfer. */
export class CatalogueTransfer {
  readonly #offer: Offer;
  /** As large as what was offered, at most 64 MiB; the system gives memory only to what was written. */
  #bytes: Buffer | undefined;
  #filled = 0;
  /** Of what has come: a large one at once would keep everything else waiting. */
  readonly #hash: Hash = catalogueHash();
  readonly #begun: number;
  #open = true;
  readonly #done = Promise.withResolvers<Buffer>();
  /** When the last byte came, on the clock that never goes back. */
  last: number;

  constructor(offer: Offer, now: number) {
    this.#offer = offer;
    this.last = now;
    this.#begun = now;
  }

  /** Resolves with its bytes; rejects with why it does not come, or PEER_MISBEHAVED. */
  get done(): Promise<Buffer> {
    return this.#done.promise;
  }

  /** Bytes are waited for. */
  get open(): boolean {
    return this.#open && this.missing > 0;
  }

  /** Milliseconds that the rest will take; 0 while that cannot be told. */
  msLeft(now: number): number {
    const ms = now - this.#begun;
    return ms < MEASURE_MS ? 0 : (this.missing / Math.max(this.#filled, 1)) * ms;
  }

  /** Bytes that have not come. */
  get missing(): number {
    return this.#offer.catalogueSize - this.#filled;
  }

  /** Takes the next bytes. @throws NetworkError PEER_MISBEHAVED */
  take(bytes: Buffer, now: number): void {
    if (bytes.length > this.missing) throw breach("its list of files is longer than it said");
    const at = this.#filled;
    this.#filled += bytes.length;
    this.last = now;
    if (!this.#open) return;
    this.#bytes ??= Buffer.allocUnsafeSlow(this.#offer.catalogueSize);
    bytes.copy(this.#bytes, at);
    this.#hash.update(bytes);
    if (this.missing > 0) return;
    if (this.#hash.digest("hex") !== this.#offer.root) throw breach("its list of files is not the one it offered");
    this.#open = false;
    this.#done.resolve(this.#bytes);
    this.#bytes = undefined;
  }

  /** It does not come, or is not waited for any more: what still comes is counted, and not kept. */
  fail(error: unknown): void {
    this.#open = false;
    this.#bytes = undefined;
    this.#done.reject(error);
  }
}
