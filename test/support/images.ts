/** Small images of every kind that is taken, made byte by byte so that their headers can be made to lie. */
import { crc32, deflateSync } from "node:zlib";

const u8 = (...values: number[]) => Buffer.from(values);
const number = (size: number, value: number, little: boolean): Buffer => {
  const bytes = Buffer.alloc(size);
  if (little) bytes.writeUIntLE(value, 0, size);
  else bytes.writeUIntBE(value, 0, size);
  return bytes;
};
const be = (size: number, value: number) => number(size, value, false);
const le = (size: number, value: number) => number(size, value, true);
const text = (value: string) => Buffer.from(value, "latin1");

function pngChunk(type: string, body: Buffer): Buffer {
  const all = Buffer.concat([text(type), body]);
  return Buffer.concat([be(4, body.length), all, be(4, crc32(all))]);
}

/** @param data - pixels that are in it, of 3 bytes each; default: all */
export function png(width: number, height: number, data = width * height, extra: readonly Buffer[] = []): Buffer {
  return Buffer.concat([
    text("\x89PNG\r\n\x1a\n"),
    pngChunk("IHDR", Buffer.concat([be(4, width), be(4, height), u8(8, 2, 0, 0, 0)])),
    ...extra,
    pngChunk("IDAT", deflateSync(Buffer.alloc(data * 3 + height))),
    pngChunk("IEND", Buffer.alloc(0)),
  ]);
}

/** The chunk that says how many pictures an animated PNG has. */
export function animation(frames: number): Buffer {
  return pngChunk("acTL", Buffer.concat([be(4, frames), be(4, 0)]));
}

/** @param frames - frame headers; each says the size */
export function jpeg(width: number, height: number, frames = 1): Buffer {
  const frame = Buffer.concat([u8(0xff, 0xc0), be(2, 11), u8(8), be(2, height), be(2, width), u8(1, 1, 0x11, 0)]);
  return Buffer.concat([
    u8(0xff, 0xd8, 0xff, 0xe0),
    be(2, 16),
    text("JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
    // A thumbnail inside of a segment is not the picture.
    Buffer.concat([u8(0xff, 0xe1), be(2, 2 + frame.length), frame]),
    ...Array<Buffer>(frames).fill(frame),
    Buffer.concat([u8(0xff, 0xda), be(2, 8), u8(1, 1, 0, 0, 63, 0)]),
    u8(0x12, 0xff, 0x00, 0x34, 0xff, 0xd0, 0x56),
    u8(0xff, 0xd9),
  ]);
}

/** @param frame - the size that its picture says */
export function gif(
  width: number,
  height: number,
  frame: readonly [number, number] = [width, height],
  frames = 1,
): Buffer {
  const picture = Buffer.concat([
    u8(0x2c),
    le(2, 0),
    le(2, 0),
    le(2, frame[0]),
    le(2, frame[1]),
    u8(0, 2, 2, 0x44, 1, 0),
  ]);
  return Buffer.concat([
    text("GIF89a"),
    le(2, width),
    le(2, height),
    u8(0x80, 0, 0, 0, 0, 0, 255, 255, 255),
    u8(0x21, 0xf9, 4, 0, 0, 0, 0, 0),
    ...Array<Buffer>(frames).fill(picture),
    u8(0x3b),
  ]);
}

function riff(...chunks: readonly (readonly [type: string, body: Buffer])[]): Buffer {
  const parts = chunks.map(([type, body]) =>
    Buffer.concat([text(type), le(4, body.length), body, Buffer.alloc(body.length % 2)]),
  );
  const all = Buffer.concat([text("WEBP"), ...parts]);
  return Buffer.concat([text("RIFF"), le(4, all.length), all]);
}

const lossless = (width: number, height: number): readonly [string, Buffer] => [
  "VP8L",
  Buffer.concat([u8(0x2f), le(4, width - 1 + (height - 1) * 2 ** 14), Buffer.alloc(8)]),
];

/** @param canvas - the size that its extended header says, if it is to have one */
export function webp(width: number, height: number, canvas?: readonly [number, number]): Buffer {
  if (canvas === undefined) return riff(lossless(width, height));
  const header = Buffer.concat([u8(0, 0, 0, 0), le(3, canvas[0] - 1), le(3, canvas[1] - 1)]);
  return riff(["VP8X", header], lossless(width, height));
}

/** A lossy one. */
export function webpLossy(width: number, height: number): Buffer {
  return riff(["VP8 ", Buffer.concat([u8(0x30, 1, 0, 0x9d, 1, 0x2a), le(2, width), le(2, height), Buffer.alloc(8)])]);
}

/** @param data - bytes of pixels that are in it; default: all */
export function bmp(width: number, height: number, data = Math.ceil((width * 24) / 32) * 4 * height): Buffer {
  return Buffer.concat([
    text("BM"),
    le(4, 54 + data),
    le(4, 0),
    le(4, 54),
    le(4, 40),
    le(4, width),
    le(4, height),
    le(2, 1),
    le(2, 24),
    Buffer.alloc(24),
    Buffer.alloc(data),
  ]);
}

const box = (type: string, ...bodies: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(bodies);
  return Buffer.concat([be(4, 8 + body.length), text(type), body]);
};

/** An AVIF ("avif") or HEIC ("heic") with one item for each size. */
export function isobmff(brand: "avif" | "heic", ...sizes: readonly (readonly [number, number])[]): Buffer {
  const items = sizes.map(([width, height]) => box("ispe", be(4, 0), be(4, width), be(4, height)));
  return Buffer.concat([
    box("ftyp", text(brand), be(4, 0), text("mif1"), text(brand)),
    box("meta", be(4, 0), box("iprp", box("ipco", ...items))),
    box("mdat", Buffer.alloc(16)),
  ]);
}
