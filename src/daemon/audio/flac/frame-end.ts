/**
 * Where a frame ends, by its own coding (RFC 9639 §9.2): subframes are walked through without being decoded. Only for the
 * last frame of a file behind which there is more; where a frame follows, its sync and both CRCs say it faster.
 */
import type { FrameHeader } from "./frame-header.ts";
import { channelsOf } from "./frame-header.ts";

/** Reads bits, the most significant one first. Behind the end there are none: it throws RangeError. */
class Bits {
  readonly #bytes: Uint8Array;
  /** In bits. */
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at * 8;
  }

  /** The next whole byte. */
  get byte(): number {
    return Math.ceil(this.#at / 8);
  }

  skip(count: number): void {
    this.#at += count;
    if (this.#at > this.#bytes.length * 8) throw new RangeError("the frame ends behind the file");
  }

  /** At most 24 bits. */
  take(count: number): number {
    const first = this.#at;
    this.skip(count);
    let value = 0;
    for (let at = first; at < first + count; at++) value = 2 * value + this.#bit(at);
    return value;
  }

  /** Zeros up to a one, which is taken as well. */
  unary(): number {
    const first = this.#at;
    let at = first;
    const end = this.#bytes.length * 8;
    while (at < end && this.#bit(at) === 0) at += at % 8 === 0 && this.#bytes[at / 8] === 0 ? 8 : 1;
    this.#at = at;
    this.skip(1);
    return at - first;
  }

  #bit(at: number): number {
    return ((this.#bytes[at >> 3] ?? 0) >> (7 - (at & 7))) & 1;
  }
}

/**
 * @param bytes - the frame from its first byte on, and what is behind it
 * @param bitsPerSample - of the frame
 * @returns the length of the frame in bytes; undefined if this is no whole frame
 */
export function frameLength(bytes: Uint8Array, header: FrameHeader, bitsPerSample: number): number | undefined {
  const bits = new Bits(bytes, header.length);
  try {
    for (let channel = 0; channel < channelsOf(header.assignment); channel++)
      skipSubframe(bits, header.blockSize, bitsPerSample + (isSide(header.assignment, channel) ? 1 : 0));
    const end = bits.byte + 2;
    return end <= bytes.length ? end : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The difference of two channels needs a bit more. */
function isSide(assignment: number, channel: number): boolean {
  return assignment === 9 ? channel === 0 : (assignment === 8 || assignment === 10) && channel === 1;
}

function skipSubframe(bits: Bits, blockSize: number, bitsPerSample: number): void {
  if (bits.take(1) !== 0) throw new RangeError("no subframe");
  const type = bits.take(6);
  const wasted = bits.take(1) === 0 ? 0 : bits.unary() + 1;
  const width = bitsPerSample - wasted;
  if (width < 1) throw new RangeError("no subframe");
  if (type < 2) {
    bits.skip(type === 0 ? width : width * blockSize);
    return;
  }
  const [order, predicted] = type >= 32 ? [type - 31, true] : [type - 8, false];
  if (order < 0 || (!predicted && order > 4) || order > blockSize) throw new RangeError("no subframe");
  bits.skip(order * width);
  if (predicted) {
    const precision = bits.take(4) + 1;
    if (precision === 16) throw new RangeError("no subframe");
    bits.skip(5 + order * precision);
  }
  skipResidual(bits, blockSize, order);
}

function skipResidual(bits: Bits, blockSize: number, order: number): void {
  const method = bits.take(2);
  if (method > 1) throw new RangeError("no residual");
  const parameterBits = method === 0 ? 4 : 5;
  const escaped = method === 0 ? 15 : 31;
  const partitions = 1 << bits.take(4);
  const each = Math.floor(blockSize / partitions);
  if (each * partitions !== blockSize || each < order) throw new RangeError("no residual");
  for (let partition = 0; partition < partitions; partition++) {
    const count = partition === 0 ? each - order : each;
    const parameter = bits.take(parameterBits);
    if (parameter === escaped) bits.skip(bits.take(5) * count);
    else
      for (let sample = 0; sample < count; sample++) {
        bits.unary();
        bits.skip(parameter);
      }
  }
}
