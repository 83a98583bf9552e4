/**
 * Cuts bytes into lines: LF or CRLF, whatever the cut of the chunks. A line that is too long is announced with its
 * beginning only and is never held as a whole, so memory stays bounded by the longest line that is accepted.
 */

/** Bytes of a line, without its end, that are accepted. */
export const LONGEST_LINE = 64 * 1024;

/** Bytes kept of a line that is longer. */
const KEPT = 1024;

/** A line as it stands in the list. */
export interface RawLine {
  /** Counted from 1. */
  readonly number: number;
  /** Byte offset of the line in the list. */
  readonly offset: number;
  /** Without its end; only the beginning if `tooLong`. */
  readonly bytes: Buffer;
  readonly tooLong: boolean;
}

/** Cuts what is pushed into lines. */
export class LineSplitter {
  #pieces: Uint8Array[] = [];
  #length = 0;
  #offset: number;
  #number: number;

  /**
   * @param offset - where the first pushed byte stands in the list
   * @param number - the number of the line that begins there
   */
  constructor(offset = 0, number = 1) {
    this.#offset = offset;
    this.#number = number;
  }

  /** The lines that end in this chunk. The chunk may be used again once the generator has ended. */
  *push(chunk: Uint8Array): Generator<RawLine, void> {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, end), false);
      from = end + 1;
      yield this.#take(1);
    }
    this.#keep(chunk.subarray(from), true);
  }

  /** The last line, if it has no end. */
  *end(): Generator<RawLine, void> {
    if (this.#length > 0) yield this.#take(0);
  }

  /** Where the line after the last one begins. */
  get position(): { readonly offset: number; readonly line: number } {
    return { offset: this.#offset, line: this.#number };
  }

  #keep(piece: Uint8Array, copy: boolean): void {
    if (piece.length === 0) return;
    // One byte more than is accepted is enough to know that a line is too long.
    const room = LONGEST_LINE + 1 - this.#length;
    if (room > 0) {
      const kept = piece.subarray(0, room);
      this.#pieces.push(copy ? Uint8Array.from(kept) : kept);
    }
    this.#length += piece.length;
  }

  #take(endLength: number): RawLine {
    const tooLong = this.#length > LONGEST_LINE;
    let bytes = Buffer.concat(this.#pieces);
    if (tooLong) bytes = bytes.subarray(0, KEPT);
    else if (bytes.at(-1) === 13) bytes = bytes.subarray(0, -1);
    const line: RawLine = { number: this.#number++, offset: this.#offset, bytes, tooLong };
    this.#offset += this.#length + endLength;
    this.#pieces = [];
    this.#length = 0;
    return line;
  }
}
