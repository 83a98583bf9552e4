/**
 * Where one message ends and the next begins in a stream of TURN (RFC 8489 §6.2.2). Channels are never opened here, so there
 * is nothing else in it. What is longer than anything that was asked for is passed over without being kept.
 */
import { LONGEST_STUN, STUN_HEADER, stunLength } from "./stun-wire.ts";

/** Cuts a stream into messages. */
export class TurnFrames {
  #rest: Buffer = Buffer.alloc(0);
  #skip = 0;

  /** Takes bytes as they come. @returns the messages that are whole now; undefined: this is no TURN, and the stream is lost */
  push(bytes: Buffer): Buffer[] | undefined {
    const messages: Buffer[] = [];
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const passed = Math.min(this.#skip, rest.length);
      this.#skip -= passed;
      rest = rest.subarray(passed);
      const [first] = rest;
      if (first === undefined) break;
      // The first two bits of every message are zero.
      if ((first & 0xc0) !== 0) return undefined;
      if (rest.length < STUN_HEADER) break;
      const length = stunLength(rest);
      if (length === undefined) return undefined;
      if (length > LONGEST_STUN) this.#skip = length;
      else if (rest.length < length) break;
      else {
        messages.push(rest.subarray(0, length));
        rest = rest.subarray(length);
      }
    }
    // Never more than a message: a copy, so that it does not hold a larger piece of memory.
    this.#rest = Buffer.from(rest);
    return messages;
  }
}
