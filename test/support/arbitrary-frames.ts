/** Streams of frames as a hostile peer may send them: right ones, wrong ones and noise, cut anywhere. */
import fc from "fast-check";
import { FRAME, type FrameType, LONGEST_FRAME } from "../../src/daemon/p2p/types.ts";

/** A frame that is what it says. */
export interface RightFrame {
  readonly type: FrameType;
  readonly payload: Buffer;
}

/** Bytes of a frame. */
export function encodeFrame(type: number, payload: Uint8Array, length = payload.length + 1): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length, 0);
  head.writeUInt8(type, 4);
  return Buffer.concat([head, payload]);
}

const bytes = (least: number, most: number) =>
  fc.uint8Array({ minLength: least, maxLength: most }).map((a) => Buffer.from(a));

/** Long payloads cost most of the time if every byte of them is drawn. */
const long = fc.tuple(fc.nat(LONGEST_FRAME - 1), fc.nat(255)).map(([length, byte]) => Buffer.alloc(length, byte));

const right = (type: FrameType, payload: fc.Arbitrary<Buffer>) => payload.map((payload) => ({ type, payload }));

/** Frames that a giver may send. */
export const giverFrames: fc.Arbitrary<RightFrame> = fc.oneof(
  right(
    FRAME.data,
    fc.oneof(
      bytes(4, 300),
      long.filter(({ length }) => length >= 4),
    ),
  ),
  right(FRAME.end, bytes(4, 4)),
  right(FRAME.refuse, bytes(4, 500)),
  right(FRAME.offer, bytes(2, 500)),
  right(FRAME.catalogue, fc.oneof(bytes(0, 100), long)),
  right(FRAME.haveMap, bytes(4, 1000)),
  right(FRAME.have, bytes(8, 8)),
  right(FRAME.pong, bytes(8, 8)),
);

/** Frames that a taker may send. */
export const takerFrames: fc.Arbitrary<RightFrame> = fc.oneof(
  right(FRAME.request, bytes(28, 28)),
  right(FRAME.catalogueRequest, bytes(4, 4)),
  right(FRAME.cancel, bytes(4, 4)),
  right(FRAME.credit, bytes(8, 8)),
  right(FRAME.ping, bytes(8, 8)),
  right(FRAME.complete, bytes(0, 0)),
);

const lengths = fc.oneof(
  fc.constantFrom(0, 1, 2, 5, LONGEST_FRAME, LONGEST_FRAME + 1, 0x7fffffff, 0x80000000, 0xffffffff),
  fc.nat(2 * LONGEST_FRAME),
);

/** Bytes on a channel: frames of either side, those with another length or type than is right, goodbyes, and noise. */
export const hostileStream: fc.Arbitrary<Buffer> = fc
  .array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.oneof(giverFrames, takerFrames).map(({ type, payload }) => encodeFrame(type, payload)),
      },
      fc
        .tuple(fc.nat(255), lengths, bytes(0, 200))
        .map(([type, length, payload]) => encodeFrame(type, payload, length)),
      fc
        .tuple(fc.constantFrom(...Object.values(FRAME)), bytes(0, 60))
        .map(([type, payload]) => encodeFrame(type, payload)),
      bytes(0, 100),
      fc.json().map((text) => encodeFrame(FRAME.bye, Buffer.from(text))),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Buffer.concat(parts));

/** Where a stream is cut, in bytes of each piece; the last one repeats. */
export const cuts: fc.Arbitrary<readonly number[]> = fc.array(
  fc.oneof(fc.constantFrom(1, 4, 5, 9), fc.integer({ min: 1, max: 70_000 })),
  { minLength: 1, maxLength: 8 },
);

/** Cuts it. Tiny pieces of long streams are made longer: a byte at a time is only tried where that ends soon. */
export function cut(stream: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, index = 0; at < stream.length; index++) {
    const wanted = sizes[Math.min(index, sizes.length - 1)] ?? 1;
    const size = Math.max(wanted, index > 500 ? 20_000 : 1);
    pieces.push(stream.subarray(at, at + size));
    at += size;
  }
  return pieces;
}
