/**
 * What may still come for requests that have ended here: the other end hears of that late. Bytes up to what was granted, and
 * an end for each; whatever is more, or for requests that never were, is a breach. Nothing is kept of each request.
 */
import { breach } from "../channel/wire.ts";

/** Requests are numbered with 32 bits. */
export const LAST_REQUEST = 0xffff_ffff;

/** Requests of one link that are over. */
export class PastRequests {
  #next = 1;
  #bytes = 0;
  #endings = 0;

  /** A number for the next request. */
  nextId(): number {
    return this.#next++;
  }

  /** A request is over. @param granted - bytes that may still come for it */
  ended(granted: number): void {
    this.#bytes += granted;
    this.#endings++;
  }

  /** Bytes came for one that is over. @throws NetworkError PEER_MISBEHAVED */
  data(id: number, length: number): void {
    this.#check(id);
    this.#bytes -= length;
    if (this.#bytes < 0) throw breach("it goes on sending what was given up");
  }

  /** The other end says of one that it has ended, or is refused. @throws NetworkError PEER_MISBEHAVED */
  ending(id: number): void {
    this.#check(id);
    if (--this.#endings < 0) throw breach("it ends requests again and again");
  }

  #check(id: number): void {
    if (id === 0 || id >= this.#next) throw breach(`it answers request ${id}, which there was not`);
  }
}
