/** What stands before the frames of a FLAC file: an ID3 tag perhaps, the magic, and metadata blocks (RFC 9639 §6, §8). */
import type { FileHandle } from "node:fs/promises";

/** What the file says of its whole (§8.2). */
export interface StreamInfo {
  readonly minBlockSize: number;
  readonly maxBlockSize: number;
  /** Bytes; 0: not said. */
  readonly maxFrameSize: number;
  /** Hz. */
  readonly sampleRate: number;
  readonly channels: number;
  readonly bitsPerSample: number;
  /** Of each channel; 0: not said. */
  readonly totalSamples: number;
  /** Of the decoded samples, hex; undefined: not said (all zero). */
  readonly md5: string | undefined;
}

/** What is wrong before the first frame. */
export interface HeadProblem {
  readonly kind: "empty" | "not-flac" | "truncated" | "metadata";
  readonly offset: number;
  readonly message: string;
}

/** The part before the frames. */
export type Head =
  | { readonly info: StreamInfo; readonly audioAt: number; readonly id3Bytes: number }
  | { readonly problem: HeadProblem };

/** More than any honest file has; a hostile one could hold a block of nothing every 4 bytes. */
const MOST_BLOCKS = 4096;
const INFO_LENGTH = 34;

/** Reads it; of blocks only the lengths and STREAMINFO. */
export async function readHead(file: FileHandle, size: number): Promise<Head> {
  if (size === 0) return wrong("empty", 0, "the file is empty");
  const at = await id3Length(file);
  const magic = (await read(file, at, 4)).toString("latin1");
  if (magic !== "fLaC")
    return "fLaC".startsWith(magic) && at + 4 > size
      ? wrong("truncated", size, "the file ends before its first block")
      : wrong(
          "not-flac",
          at,
          `the file does not begin as FLAC does, with "fLaC"${magic === "OggS" ? ": it is Ogg" : ""}`,
        );
  let info: StreamInfo | undefined;
  let next = at + 4;
  for (let block = 0; block < MOST_BLOCKS; block++) {
    const head = await read(file, next, 4);
    if (head.length < 4) return wrong("truncated", size, "the file ends within its metadata");
    const [type, length] = [head.readUInt8(0) & 0x7f, head.readUIntBE(1, 3)];
    if (type === 127) return wrong("metadata", next, "a metadata block has the forbidden type 127");
    if ((block === 0) !== (type === 0) || (type === 0 && length !== INFO_LENGTH))
      return wrong("metadata", next, "STREAMINFO is not the first block, once, with 34 bytes");
    if (next + 4 + length > size) return wrong("truncated", size, "the file ends within its metadata");
    if (type === 0) {
      info = parseInfo(await read(file, next + 4, INFO_LENGTH));
      if (info === undefined) return wrong("metadata", next, "STREAMINFO holds values that no stream can have");
    }
    next += 4 + length;
    if ((head.readUInt8(0) & 0x80) !== 0 && info) return { info, audioAt: next, id3Bytes: at };
  }
  return wrong("metadata", next, `there are more than ${MOST_BLOCKS} metadata blocks`);
}

function wrong(kind: HeadProblem["kind"], offset: number, message: string): Head {
  return { problem: { kind, offset, message } };
}

/** Bytes of the ID3v2 tag that some programs put in front of everything. */
async function id3Length(file: FileHandle): Promise<number> {
  const head = await read(file, 0, 10);
  if (head.length < 10 || head.toString("latin1", 0, 3) !== "ID3") return 0;
  const sizes = [...head.subarray(6, 10)];
  if (sizes.some((byte) => byte > 0x7f)) return 0;
  const footer = (head.readUInt8(5) & 0x10) === 0 ? 0 : 10;
  return sizes.reduce((sum, byte) => sum * 128 + byte, 0) + 10 + footer;
}

function parseInfo(bytes: Buffer): StreamInfo | undefined {
  const packed = bytes.readBigUInt64BE(10);
  const info = {
    minBlockSize: bytes.readUInt16BE(0),
    maxBlockSize: bytes.readUInt16BE(2),
    maxFrameSize: bytes.readUIntBE(7, 3),
    sampleRate: Number(packed >> 44n),
    channels: Number((packed >> 41n) & 7n) + 1,
    bitsPerSample: Number((packed >> 36n) & 31n) + 1,
    totalSamples: Number(packed & 0xfffffffffn),
  };
  const md5 = bytes.toString("hex", 18);
  const possible = info.minBlockSize <= info.maxBlockSize && info.maxBlockSize >= 16 && info.bitsPerSample >= 4;
  return possible ? { ...info, md5: /^0+$/.test(md5) ? undefined : md5 } : undefined;
}

/** Bytes at a place; fewer only at the end of the file. */
export async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
