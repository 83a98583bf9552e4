/** The header of a FLAC frame (RFC 9639 §9.1). Only one whose CRC-8 is right is a header. */
import { crc8 } from "./crc.ts";

/** Sync, 4 bytes of settings, 7 of the number, 2 of the block size, 2 of the rate, CRC-8. */
export const LONGEST_HEADER = 16;

/** What a frame says of itself. */
export interface FrameHeader {
  /** The number counts samples, not frames. */
  readonly variable: boolean;
  /** Of the frame, or of its first sample. */
  readonly number: number;
  /** Samples of each channel. */
  readonly blockSize: number;
  /** Hz; 0: that of STREAMINFO. */
  readonly sampleRate: number;
  /** 0 to 10: one less than the channels, or how two are coded together. */
  readonly assignment: number;
  /** 0: that of STREAMINFO. */
  readonly bitsPerSample: number;
  /** Bytes of the header. */
  readonly length: number;
}

const RATES = [0, 88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];
const BITS = [0, 8, 12, -1, 16, 20, 24, 32];

/** Channels of an assignment. */
export function channelsOf(assignment: number): number {
  return assignment < 8 ? assignment + 1 : 2;
}

/**
 * Reads the header at `at`. `bytes` holds {@link LONGEST_HEADER} bytes from there on, or all that there are.
 *
 * @returns undefined if there is none
 */
export function readFrameHeader(bytes: Uint8Array, at: number): FrameHeader | undefined {
  const [sync, coded, shape, depth] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  if (sync !== 0xff || coded === undefined || (coded & 0xfe) !== 0xf8) return undefined;
  if (shape === undefined || depth === undefined || (depth & 1) !== 0) return undefined;
  const [sizeCode, rateCode] = [shape >> 4, shape & 15];
  const [assignment, bitsCode] = [depth >> 4, (depth >> 1) & 7];
  const bitsPerSample = BITS[bitsCode] ?? -1;
  if (sizeCode === 0 || rateCode === 15 || assignment > 10 || bitsPerSample < 0) return undefined;
  const numbered = readNumber(bytes, at + 4);
  if (numbered === undefined) return undefined;
  let next = numbered.next;
  const take = (count: number): number => {
    let value = 0;
    for (let left = count; left > 0; left--) value = (value << 8) | (bytes[next++] ?? 0);
    return value;
  };
  const blockSize = sizeCode === 6 ? take(1) + 1 : sizeCode === 7 ? take(2) + 1 : commonSize(sizeCode);
  const sampleRate =
    rateCode === 12 ? take(1) * 1000 : rateCode === 13 ? take(2) : rateCode === 14 ? take(2) * 10 : RATES[rateCode];
  if (next >= bytes.length || crc8(bytes, at, next) !== bytes[next]) return undefined;
  return {
    variable: (coded & 1) === 1,
    number: numbered.value,
    blockSize,
    sampleRate: sampleRate ?? 0,
    assignment,
    bitsPerSample,
    length: next + 1 - at,
  };
}

function commonSize(code: number): number {
  if (code === 1) return 192;
  return code < 6 ? 576 << (code - 2) : 256 << (code - 8);
}

/** A number of up to 36 bits, coded as UTF-8 would (§9.1.5). */
function readNumber(bytes: Uint8Array, at: number): { readonly value: number; readonly next: number } | undefined {
  const first = bytes[at];
  if (first === undefined || first === 0xff || (first & 0xc0) === 0x80) return undefined;
  if (first < 0x80) return { value: first, next: at + 1 };
  const length = Math.clz32(~first << 24);
  let value = first & (0x7f >> length);
  for (let index = 1; index < length; index++) {
    const byte = bytes[at + index];
    if (byte === undefined || (byte & 0xc0) !== 0x80) return undefined;
    value = value * 64 + (byte & 0x3f);
  }
  return { value, next: at + length };
}
