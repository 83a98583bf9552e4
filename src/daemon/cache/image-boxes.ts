/**
 * The size of an AVIF or HEIC image: of all items whose size is told (ispe boxes, ISO/IEC 23008-12 §6.5.3) the largest, since
 * the one that is shown is put together from the others. Boxes in boxes are read only on the way there.
 */
import type { ImageSize } from "./image-size.ts";

/** Boxes on the way to ispe, and the bytes of their own before the boxes inside of them. */
const WAY: Readonly<Record<string, number>> = { meta: 4, iprp: 0, ipco: 0 };

/** Boxes that are looked at in all, and properties that are taken. */
const MOST_BOXES = 10_000;

/** @throws Error if no size is told; RangeError if the file is cut short */
export function isobmffSize(bytes: Buffer): ImageSize {
  const seen = { boxes: 0, width: 0, height: 0 };
  walk(bytes, seen);
  if (seen.width === 0 || seen.height === 0) throw new Error("it does not tell its size");
  return { width: seen.width, height: seen.height, frames: 1 };
}

function walk(bytes: Buffer, seen: { boxes: number; width: number; height: number }): void {
  for (let at = 0; at + 8 <= bytes.length; ) {
    if (++seen.boxes > MOST_BOXES) throw new Error(`it has more than ${MOST_BOXES} boxes`);
    const type = bytes.toString("latin1", at + 4, at + 8);
    const short = bytes.readUInt32BE(at);
    const head = short === 1 ? 16 : 8;
    // 0: to the end; 1: the length is too large for 32 bits.
    const length = short === 0 ? bytes.length - at : short === 1 ? Number(bytes.readBigUInt64BE(at + 8)) : short;
    if (length < head) throw new Error("a box of it has no length");
    const body = bytes.subarray(at + head, at + length);
    const skipped = WAY[type];
    if (skipped !== undefined) walk(body.subarray(skipped), seen);
    if (type === "moov") throw new Error("it is a sequence of pictures");
    if (type === "ispe") {
      seen.width = Math.max(seen.width, body.readUInt32BE(4));
      seen.height = Math.max(seen.height, body.readUInt32BE(8));
    }
    at += length;
  }
}
