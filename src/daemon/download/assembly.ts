/**
 * The chunks of one file that are being filled. Bytes are received straight into a slab of one chunk, from several
 * connections and in any order; a chunk that has all of its bytes is written and hashed side by side. A chunk that is half
 * full survives the connection that began it.
 */
import { failure } from "../core/errors.ts";
import { chunkRange } from "../core/manifest.ts";
import type { PartFile } from "../core/ports/files.ts";
import type { ChunkHasher, SharedBytes } from "./chunk-hasher.ts";
import type { Slabs } from "./slabs.ts";

/** Chunks that may be on their way to the disk before connections are held back. */
const IN_FLIGHT = 3;

/** What is known of a chunk whose bytes were written. */
export interface ChunkInfo {
  readonly index: number;
  readonly sha256: string;
  readonly length: number;
  /** Where its bytes came from, as numbered by {@link Assembly.received}. */
  readonly sources: readonly number[];
}

/** A chunk whose bytes were written, as the assembly hands it on. */
export interface WrittenChunk extends ChunkInfo {
  /** It is counted elsewhere from now on, and not among what is pending. Without it that is so when it was taken. */
  counted(): void;
}

/** What an assembly works with. */
export interface AssemblyInit {
  readonly part: PartFile;
  readonly slabs: Slabs;
  readonly hasher: Pick<ChunkHasher, "sha256">;
  readonly chunkSize: number;
  /** Absent if nobody knows how long the file is. */
  readonly size?: number;
  /** True if nobody reads the bytes again soon; see {@link PartFile.write}. */
  readonly passing?: boolean;
  /** Takes a chunk whose bytes are written. */
  readonly onChunk: (chunk: WrittenChunk) => Promise<void>;
}

interface Open {
  readonly slab: SharedBytes;
  received: number;
  readonly sources: Set<number>;
}

/** Puts chunks together. Disposal lets go of those that are not whole. */
export class Assembly implements Disposable {
  readonly #init: AssemblyInit;
  readonly #open = new Map<number, Open>();
  readonly #inFlight = new Set<Promise<void>>();
  readonly #recording = new Set<Promise<void>>();
  #pending = 0;
  #error: { readonly thrown: unknown } | undefined;

  constructor(init: AssemblyInit) {
    this.#init = init;
  }

  /** Bytes that were received and are not recorded. */
  get pendingBytes(): number {
    return this.#pending;
  }

  /** True while the disk is what holds the connections back. */
  get busy(): boolean {
    return this.#inFlight.size >= IN_FLIGHT;
  }

  /**
   * Memory for the bytes at `position`: up to `end`, to the end of the chunk, or `most` bytes. Never empty.
   * @throws what went wrong with an earlier chunk
   */
  space(position: number, end: number, most: number): SharedBytes {
    if (this.#error) throw this.#error.thrown;
    const { chunkSize } = this.#init;
    const index = Math.floor(position / chunkSize);
    const { slab } = this.#chunk(index);
    const from = position - index * chunkSize;
    return slab.subarray(from, Math.min(slab.length, from + most, end - index * chunkSize));
  }

  /**
   * So many bytes were put at `position`.
   * @param source - who sent them
   * @returns resolves when more can be taken; undefined if that is now
   */
  received(position: number, count: number, source: number): Promise<void> | undefined {
    const index = Math.floor(position / this.#init.chunkSize);
    const chunk = this.#chunk(index);
    chunk.received += count;
    chunk.sources.add(source);
    this.#pending += count;
    if (chunk.received > chunk.slab.length) throw failure("INTERNAL", `chunk ${index} has got bytes twice`);
    if (chunk.received === chunk.slab.length) this.#complete(index, chunk, chunk.slab);
    return this.busy ? Promise.race(this.#inFlight) : undefined;
  }

  /** The stream of a file of unknown length has ended: what is in the last slab is the last chunk. */
  end(): void {
    for (const [index, chunk] of this.#open)
      if (chunk.received > 0) this.#complete(index, chunk, chunk.slab.subarray(0, chunk.received));
  }

  /** Waits until everything that is whole is written and recorded. @throws what went wrong on the way */
  async drain(): Promise<void> {
    while (this.#inFlight.size > 0 || this.#recording.size > 0)
      await Promise.allSettled([...this.#inFlight, ...this.#recording]);
    if (this.#error) throw this.#error.thrown;
  }

  /** To be called when no connection can write into a slab any more. */
  [Symbol.dispose](): void {
    for (const { slab, received } of this.#open.values()) {
      this.#pending -= received;
      this.#init.slabs.give(slab);
    }
    this.#open.clear();
  }

  #chunk(index: number): Open {
    let chunk = this.#open.get(index);
    if (!chunk) {
      const { chunkSize, size = Number.POSITIVE_INFINITY, slabs } = this.#init;
      const { start, end } = chunkRange(index, size, chunkSize);
      chunk = { slab: slabs.take(end - start), received: 0, sources: new Set() };
      this.#open.set(index, chunk);
    }
    return chunk;
  }

  #complete(index: number, { slab, sources }: Open, bytes: SharedBytes): void {
    this.#open.delete(index);
    const { part, chunkSize, onChunk, slabs, hasher, passing = false } = this.#init;
    const { length } = bytes;
    const settled = (thrown: unknown): void => {
      this.#error ??= { thrown };
    };
    const written = Promise.all([part.write(bytes, index * chunkSize, { passing }), hasher.sha256(bytes)]).then(
      ([, digest]) => {
        slabs.give(slab);
        let pending = length;
        const counted = (): void => {
          this.#pending -= pending;
          pending = 0;
        };
        const recorded = onChunk({ index, sha256: digest, length, sources: [...sources], counted })
          .catch(settled)
          .finally(() => {
            counted();
            this.#recording.delete(recorded);
          });
        this.#recording.add(recorded);
      },
    );
    const job = written.catch(settled).finally(() => this.#inFlight.delete(job));
    this.#inFlight.add(job);
  }
}
