/**
 * The size of an image, read from its header alone: nothing is decoded, so a bomb does no harm here, and is found before it
 * does any elsewhere. Where a format says its size in more than one place (each frame of a GIF, canvas and picture of a WebP,
 * every item of an AVIF), all of them are read, and the image is refused if they do not agree: that is how a bomb hides.
 *
 * Sources: PNG 3rd edition §11.2.1, §12; T.81 (JPEG) §B.2.2; GIF89a §18–20; RFC 9649 (WebP); ISO/IEC 23008-12 §6.5.3 (ispe); BITMAPINFOHEADER.
 */
import { isobmffSize } from "./image-boxes.ts";

/** What a header says. */
export interface ImageSize {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Pictures in the file, at least 1: each is unpacked to the whole size. */
  readonly frames: number;
}

/** Reads a header. @throws Error that says what is wrong with it; RangeError if it is cut short */
type SizeReader = (bytes: Buffer) => ImageSize;

/** By the media type that the first bytes prove. */
export const SIZE_READERS: Readonly<Record<string, SizeReader>> = {
  "image/png": pngSize,
  "image/apng": pngSize,
  "image/jpeg": jpegSize,
  "image/gif": gifSize,
  "image/webp": webpSize,
  "image/bmp": bmpSize,
  "image/avif": isobmffSize,
  "image/heic": isobmffSize,
  "image/heif": isobmffSize,
};

/** Deflate makes at most so many bytes of one. */
const DEFLATE_RATIO = 1032;

/** Samples of a pixel, by PNG's colour type. */
const PNG_SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

function pngSize(bytes: Buffer): ImageSize {
  if (bytes.readUInt32BE(8) !== 13 || bytes.toString("latin1", 12, 16) !== "IHDR")
    throw new Error("it does not begin with IHDR");
  const width = bytes.readUInt32BE(16);
  const height = bytes.readUInt32BE(20);
  const bits = (PNG_SAMPLES[bytes.readUInt8(25)] ?? 0) * bytes.readUInt8(24);
  if (bits === 0) throw new Error("its colour type is unknown");
  let frames = 1;
  let data = 0;
  for (let at = 33; at + 12 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    if (type === "IHDR") throw new Error("it has two IHDR");
    if (type === "acTL") frames = Math.max(1, bytes.readUInt32BE(at + 8));
    if (type === "IDAT") data += Math.min(length, bytes.length - at);
    if (type === "fcTL") {
      const right = bytes.readUInt32BE(at + 12) + bytes.readUInt32BE(at + 20);
      const bottom = bytes.readUInt32BE(at + 16) + bytes.readUInt32BE(at + 24);
      requireInside(right, bottom, width, height);
    }
    if (type === "IEND") break;
    at += 12 + length;
  }
  if ((width * height * bits) / 8 > data * DEFLATE_RATIO + 1024)
    throw new Error(`it says ${width} x ${height} pixels, which its ${data} bytes of data cannot hold`);
  return { width, height, frames };
}

function jpegSize(bytes: Buffer): ImageSize {
  let size: ImageSize | undefined;
  for (let at = 2; at < bytes.length; ) {
    if (bytes.readUInt8(at) !== 0xff) throw new Error("its markers are broken");
    const marker = bytes.readUInt8(at + 1);
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (marker === 0xd9) break;
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) {
      at += 2;
      continue;
    }
    const length = bytes.readUInt16BE(at + 2);
    if (length < 2) throw new Error("a segment of it has no length");
    // Every SOFn; DHT, JPG and DAC lie among them.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      if (size !== undefined) throw new Error("it has two frame headers");
      size = { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7), frames: 1 };
    }
    at += 2 + length;
    if (marker === 0xda) at = afterScan(bytes, at);
  }
  if (size === undefined) throw new Error("it has no frame header");
  return size;
}

/** Where the next marker is behind entropy-coded data: 0xFF is stuffed with 0x00 there, or restarts. */
function afterScan(bytes: Buffer, from: number): number {
  for (let at = from; ; ) {
    at = bytes.indexOf(0xff, at);
    const next = at < 0 ? undefined : bytes[at + 1];
    if (next === undefined) return bytes.length;
    if (next !== 0 && !(next >= 0xd0 && next <= 0xd7)) return at;
    at += 2;
  }
}

function gifSize(bytes: Buffer): ImageSize {
  const width = bytes.readUInt16LE(6);
  const height = bytes.readUInt16LE(8);
  const colours = (flags: number): number => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let frames = 0;
  for (let at = 13 + colours(bytes.readUInt8(10)); at < bytes.length; ) {
    const kind = bytes.readUInt8(at);
    if (kind === 0x3b) break;
    if (kind === 0x21) at = afterBlocks(bytes, at + 2);
    else if (kind === 0x2c) {
      const [left, top] = [bytes.readUInt16LE(at + 1), bytes.readUInt16LE(at + 3)];
      requireInside(left + bytes.readUInt16LE(at + 5), top + bytes.readUInt16LE(at + 7), width, height);
      frames++;
      at = afterBlocks(bytes, at + 11 + colours(bytes.readUInt8(at + 9)));
    } else throw new Error("its blocks are broken");
  }
  if (frames === 0) throw new Error("it has no picture");
  return { width, height, frames };
}

function afterBlocks(bytes: Buffer, from: number): number {
  let at = from;
  for (let length = bytes.readUInt8(at); length > 0; length = bytes.readUInt8(at)) at += 1 + length;
  return at + 1;
}

function webpSize(bytes: Buffer): ImageSize {
  const size = webpChunks(bytes, 12, undefined);
  if (size === undefined) throw new Error("it has no picture");
  return size;
}

/** @param canvas - undefined at the top; the frame's size inside of a frame */
function webpChunks(bytes: Buffer, from: number, canvas: ImageSize | undefined): ImageSize | undefined {
  let whole = canvas;
  let frames = 0;
  for (let at = from; at + 8 <= bytes.length; ) {
    const type = bytes.toString("latin1", at, at + 4);
    const length = bytes.readUInt32LE(at + 4);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (type === "VP8X") {
      if (whole !== undefined) throw new Error("it has two headers");
      whole = { width: body.readUIntLE(4, 3) + 1, height: body.readUIntLE(7, 3) + 1, frames: 1 };
    }
    const picture = type === "VP8 " ? vp8Size(body) : type === "VP8L" ? vp8lSize(body) : undefined;
    if (picture !== undefined) {
      frames++;
      whole ??= picture;
      if (picture.width !== whole.width || picture.height !== whole.height)
        throw new Error(
          `its picture is ${picture.width} x ${picture.height} on a canvas of ${whole.width} x ${whole.height}`,
        );
    }
    if (type === "ANMF") {
      if (whole === undefined || canvas !== undefined) throw new Error("it has a frame without a canvas");
      const frame = { width: body.readUIntLE(6, 3) + 1, height: body.readUIntLE(9, 3) + 1, frames: 1 };
      const [left, top] = [body.readUIntLE(0, 3) * 2, body.readUIntLE(3, 3) * 2];
      requireInside(left + frame.width, top + frame.height, whole.width, whole.height);
      webpChunks(body, 16, frame);
      frames++;
    }
    at += 8 + length + (length % 2);
  }
  if (frames === 0) throw new Error("it has no picture");
  return whole && { ...whole, frames };
}

function vp8Size(body: Buffer): ImageSize {
  if (body.readUIntBE(3, 3) !== 0x9d012a) throw new Error("its key frame is broken");
  return { width: body.readUInt16LE(6) & 0x3fff, height: body.readUInt16LE(8) & 0x3fff, frames: 1 };
}

function vp8lSize(body: Buffer): ImageSize {
  if (body.readUInt8(0) !== 0x2f) throw new Error("its lossless data is broken");
  const bits = body.readUInt32LE(1);
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1, frames: 1 };
}

function bmpSize(bytes: Buffer): ImageSize {
  const header = bytes.readUInt32LE(14);
  const old = header === 12;
  const width = old ? bytes.readUInt16LE(18) : bytes.readInt32LE(18);
  // Negative: from the top down.
  const height = Math.abs(old ? bytes.readUInt16LE(20) : bytes.readInt32LE(22));
  const bits = bytes.readUInt16LE(old ? 24 : 28);
  const packed = !old && ![0, 3, 6].includes(bytes.readUInt32LE(30));
  if (!packed && Math.ceil((width * bits) / 32) * 4 * height > bytes.length)
    throw new Error(`it says ${width} x ${height} pixels, which its ${bytes.length} bytes cannot hold`);
  return { width, height, frames: 1 };
}

function requireInside(right: number, bottom: number, width: number, height: number): void {
  if (right > width || bottom > height)
    throw new Error(`a picture of it reaches to ${right} x ${bottom} on a canvas of ${width} x ${height}`);
}
