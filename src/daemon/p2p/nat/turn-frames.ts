/**
 * Where one message ends and the next begins in a stream of TURN (RFC 8656 §12.5, RFC 8489 §6.2.2). Channels are not used
 * here, so their data is passed over; so is what is longer than anything that was asked for, without keeping it.
 */
import { LONGEST_STUN, STUN_HEADER, stunLength } from "./stun-wire.ts";

/** Bytes of a channel's header, and what it begins with (two bits, 01). */
const CHANNEL_HEADER = 4;

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
      if ((first & 0xc0) === 0x40) {
        if (rest.length < CHANNEL_HEADER) break;
        const length = rest.readUInt16BE(2);
        this.#skip = CHANNEL_HEADER + length + (-length & 3);
        continue;
      }
      // The first two bits are what tells them apart: anything else has lost its place.
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
