/**
 * Which tracks of an MP4 file are encrypted (ISO/IEC 14496-12 §8.12: the entries of their sample descriptions are `enca`, `encv` …).
 * ffprobe shows the format below the protection in its place, so the boxes are looked at here.
 */
import { type FileHandle, open } from "node:fs/promises";

const CONTAINERS: ReadonlySet<string> = new Set(["moov", "trak", "mdia", "minf", "stbl"]);
const PROTECTED = /^(enc[avtsm]|drm[is])$/;
/** Boxes that are looked at: an honest file has a few hundred. */
const MOST = 20_000;

/** For each track in its order, whether it is encrypted. Empty if the file is none of these, or cannot be read so. */
export async function protectedTracks(path: string): Promise<readonly boolean[]> {
  const tracks: boolean[] = [];
  await using file = await open(path, "r");
  const { size } = await file.stat();
  const walk = { left: MOST };
  await look(file, { start: 0, end: size }, walk, tracks);
  return tracks;
}

async function look(
  file: FileHandle,
  range: { readonly start: number; readonly end: number },
  walk: { left: number },
  tracks: boolean[],
): Promise<void> {
  for (let at = range.start; at + 8 <= range.end && walk.left-- > 0; ) {
    const head = await bytesAt(file, at, 16);
    const type = head.toString("latin1", 4, 8);
    const short = head.readUInt32BE(0);
    const headLength = short === 1 ? 16 : 8;
    const length = short === 1 ? Number(head.readBigUInt64BE(8)) : short === 0 ? range.end - at : short;
    if (length < headLength || at + length > range.end) return;
    if (type === "trak") tracks.push(false);
    if (CONTAINERS.has(type)) await look(file, { start: at + headLength, end: at + length }, walk, tracks);
    if (type === "stsd" && tracks.length > 0) {
      const entry = await bytesAt(file, at + headLength + 8, 8);
      if (PROTECTED.test(entry.toString("latin1", 4, 8))) tracks[tracks.length - 1] = true;
    }
    at += length;
  }
}

/** Zeros behind the end of the file. */
async function bytesAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await file.read(bytes, 0, length, position);
  return bytes;
}
