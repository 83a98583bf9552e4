/** The index of a fragmented MP4 (`sidx`, ISO/IEC 14496-12 §8.16.3): where its pieces are, and how long. */

/** A piece of the file. */
export interface IndexedPiece {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly durationSeconds: number;
}

/**
 * Reads an index.
 *
 * @param bytes - that begin with the box, or with other boxes in front of it
 * @param at - where in the file they begin
 * @returns undefined if there is none, if it is damaged, or if it leads to further indexes
 */
export function readSidx(bytes: Buffer, at: number): readonly IndexedPiece[] | undefined {
  for (let start = 0; start + 8 <= bytes.length; ) {
    const size = bytes.readUInt32BE(start);
    if (size < 8 || start + size > bytes.length) return undefined;
    if (bytes.toString("latin1", start + 4, start + 8) === "sidx")
      return piecesOf(bytes.subarray(start + 8, start + size), at + start + size);
    start += size;
  }
  return undefined;
}

function piecesOf(box: Buffer, end: number): readonly IndexedPiece[] | undefined {
  // Version and flags, reference id, timescale; then time and offset of 4 or 8 bytes each, a reserved field, the count.
  const wide = box[0] === 1;
  const head = wide ? 32 : 24;
  if (box.length < head) return undefined;
  const scale = box.readUInt32BE(8);
  const offset = wide ? Number(box.readBigUInt64BE(20)) : box.readUInt32BE(16);
  const count = box.readUInt16BE(head - 2);
  if (scale === 0 || count === 0 || box.length < head + count * 12) return undefined;
  let position = end + offset;
  const pieces: IndexedPiece[] = [];
  for (let index = 0; index < count; index++) {
    const entry = box.readUInt32BE(head + index * 12);
    const duration = box.readUInt32BE(head + index * 12 + 4);
    // The first bit: it refers to another index.
    if (entry >= 0x8000_0000 || entry === 0) return undefined;
    pieces.push({ start: position, end: position + entry, durationSeconds: duration / scale });
    position += entry;
  }
  return Number.isSafeInteger(position) ? pieces : undefined;
}
