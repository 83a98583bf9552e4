/** A catalogue on its way from one peer: no more than was offered is taken, and it is whole when it has the offer's root. */

import { breach } from "../channel/wire.ts";
import { catalogueRoot } from "../share/catalogue.ts";
import type { Offer } from "../types.ts";

/** One transfer. */
export class CatalogueTransfer {
  readonly #offer: Offer;
  /** As large as what was offered, at most 64 MiB; the system gives memory only to what was written. */
  #bytes: Buffer | undefined;
  #filled = 0;
  #open = true;
  readonly #done = Promise.withResolvers<Buffer>();
  /** When the last byte came, on the clock that never goes back. */
  last: number;

  constructor(offer: Offer, now: number) {
    this.#offer = offer;
    this.last = now;
  }

  /** Resolves with its bytes; rejects with why it does not come, or PEER_MISBEHAVED. */
  get done(): Promise<Buffer> {
    return this.#done.promise;
  }

  /** Bytes that have not come. */
  get missing(): number {
    return this.#offer.catalogueSize - this.#filled;
  }

  /** Takes the next bytes. @throws NetworkError PEER_MISBEHAVED */
  take(bytes: Buffer, now: number): void {
    if (!this.#open) return;
    if (bytes.length > this.missing) throw breach("its list of files is longer than it said");
    this.#bytes ??= Buffer.allocUnsafeSlow(this.#offer.catalogueSize);
    bytes.copy(this.#bytes, this.#filled);
    this.#filled += bytes.length;
    this.last = now;
    if (this.missing > 0) return;
    if (catalogueRoot(this.#bytes) !== this.#offer.root) throw breach("its list of files is not the one it offered");
    this.#open = false;
    this.#done.resolve(this.#bytes);
  }

  /** It does not come. */
  fail(error: unknown): void {
    this.#open = false;
    this.#bytes = undefined;
    this.#done.reject(error);
  }
}
