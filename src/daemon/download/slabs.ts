/**
 * Buffers of one chunk each, used again and again: allocating 8 MiB for every chunk would cost more than filling it. They are
 * shared memory, so that another thread can hash them where they are.
 */
import type { SharedBytes } from "./chunk-hasher.ts";

/** Lends buffers. */
export class Slabs {
  readonly #free = new Map<number, SharedBytes[]>();
  readonly #keepBytes: () => number;
  #freeBytes = 0;

  /** @param keepBytes - how much memory may lie idle; asked whenever a buffer comes back */
  constructor(keepBytes: () => number) {
    this.#keepBytes = keepBytes;
  }

  /** A buffer of exactly `size` bytes with arbitrary content. */
  take(size: number): SharedBytes {
    const slab = this.#free.get(size)?.pop();
    if (!slab) return Buffer.from(new SharedArrayBuffer(size));
    this.#freeBytes -= size;
    return slab;
  }

  /** Gives a buffer back; nobody may look at it any more. */
  give(slab: SharedBytes): void {
    if (this.#freeBytes + slab.length > this.#keepBytes()) return;
    const list = this.#free.get(slab.length);
    if (list) list.push(slab);
    else this.#free.set(slab.length, [slab]);
    this.#freeBytes += slab.length;
  }

  /** Lets go of everything that lies idle. */
  clear(): void {
    this.#free.clear();
    this.#freeBytes = 0;
  }
}
