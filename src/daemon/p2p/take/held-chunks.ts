/**
 * Which chunks the peer at the other end of a link has, as it says. It may lie: what it says decides only whom to ask. What
 * is remembered is bounded by what its offer announced, and by the catalogue once that is here.
 */

import { breach } from "../channel/wire.ts";
import type { Offer } from "../types.ts";

/** Bytes of a digest: a catalogue of so many bytes describes at most that many chunks less. */
const DIGEST = 32;

/** Gains that are kept until the catalogue is here. */
const MOST_EARLY = 65_536;

/** Chunks of a file, by the catalogue. @throws never; 0 for an empty file */
export type ChunkCount = (file: number) => number;

/** What one peer holds. */
export class HeldChunks {
  readonly #offer: Offer;
  readonly #maps = new Map<number, Uint8Array>();
  #early: [file: number, chunk: number][] | undefined = [];
  #chunkCount: ChunkCount | undefined;
  #mapBytes = 0;
  #frames = 0;

  constructor(offer: Offer) {
    this.#offer = offer;
  }

  /** It has all of it. */
  get complete(): boolean {
    return this.#offer.complete;
  }

  /** Whether it has a chunk; false until the catalogue is here, if it does not have all. */
  has(file: number, chunk: number): boolean {
    if (this.#offer.complete) return true;
    if (!this.#chunkCount) return false;
    const byte = this.#maps.get(file)?.[chunk >> 3] ?? 0;
    return (byte & (0x80 >> (chunk & 7))) !== 0;
  }

  /** It says so, but does not give it. */
  lacks(file: number, chunk: number): void {
    const map = this.#maps.get(file);
    const byte = map?.[chunk >> 3];
    if (map && byte !== undefined) map[chunk >> 3] = byte & ~(0x80 >> (chunk & 7));
  }

  /** The catalogue is here. @throws NetworkError PEER_MISBEHAVED if what came before does not fit it */
  fit(chunkCount: ChunkCount): void {
    this.#chunkCount = chunkCount;
    for (const [file, map] of this.#maps) this.#checkMap(file, map, chunkCount);
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const [file, chunk] of early) this.#gain(file, chunk, chunkCount);
  }

  /** Takes a `haveMap` frame. @throws NetworkError PEER_MISBEHAVED */
  map(payload: Buffer): void {
    this.#count();
    const file = payload.readUInt32BE(0);
    const bits = payload.subarray(4);
    const { fileCount, catalogueSize } = this.#offer;
    if (file >= fileCount) throw breach(`it says what it has of file ${file}; there are ${fileCount}`);
    if (this.#chunkCount) this.#checkMap(file, bits, this.#chunkCount);
    this.#mapBytes += bits.length - (this.#maps.get(file)?.length ?? 0);
    // Each map may waste seven bits.
    if (this.#mapBytes > catalogueSize / DIGEST / 8 + fileCount)
      throw breach("it says that it has more chunks than its list of files can name");
    this.#maps.set(file, Uint8Array.from(bits));
  }

  /** Takes a `have` frame. @throws NetworkError PEER_MISBEHAVED */
  gained(payload: Buffer): readonly [file: number, chunk: number] {
    this.#count();
    const file = payload.readUInt32BE(0);
    const chunk = payload.readUInt32BE(4);
    if (this.#chunkCount) this.#gain(file, chunk, this.#chunkCount);
    else if (this.#early && this.#early.length < MOST_EARLY) this.#early.push([file, chunk]);
    return [file, chunk];
  }

  #gain(file: number, chunk: number, chunkCount: ChunkCount): void {
    const { fileCount } = this.#offer;
    const count = file < fileCount ? chunkCount(file) : 0;
    if (chunk >= count) throw breach(`it says that it has chunk ${chunk} of file ${file}, which there is not`);
    let map = this.#maps.get(file);
    if (!map) {
      map = new Uint8Array(Math.ceil(count / 8));
      this.#maps.set(file, map);
    }
    map[chunk >> 3] = (map[chunk >> 3] ?? 0) | (0x80 >> (chunk & 7));
  }

  #checkMap(file: number, bits: Uint8Array, chunkCount: ChunkCount): void {
    const count = chunkCount(file);
    if (bits.length !== Math.ceil(count / 8))
      throw breach(`what it says of file ${file} has ${bits.length} bytes, for ${count} chunks`);
  }

  /** Each map and each chunk can come twice, as after a change at the other end; more is noise. */
  #count(): void {
    const { fileCount, catalogueSize } = this.#offer;
    if (++this.#frames > 2 * (fileCount + catalogueSize / DIGEST) + 16)
      throw breach("it says again and again what it has");
  }
}
