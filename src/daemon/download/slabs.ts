/**
 * Buffers of one chunk each, used again and again: allocating 8 MiB for every chunk would cost more than filling it. They are
 * shared memory, so that another thread can hash them where they are, and large ones begin with a page, so that they can be
 * written straight to the disk.
 */
import type { SharedBytes } from "./chunk-hasher.ts";

/** Bytes from which it matters where a buffer begins. */
const ALIGNED_BYTES = 1024 * 1024;

/** Bytes that WebAssembly's memory is counted in. */
const WASM_PAGE = 64 * 1024;

/** Node's types do not name it. */
declare const WebAssembly: {
  readonly Memory: new (limits: {
    readonly initial: number;
    readonly maximum: number;
    readonly shared: true;
  }) => { readonly buffer: SharedArrayBuffer };
};

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
    if (!slab) return Buffer.from(sharedMemory(size), 0, size);
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

/** The one memory in JavaScript that is made of whole pages; any other begins 16 bytes into one. */
function sharedMemory(size: number): SharedArrayBuffer {
  if (size < ALIGNED_BYTES) return new SharedArrayBuffer(size);
  const pages = Math.ceil(size / WASM_PAGE);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer;
  } catch {
    // It asks for far more addresses than bytes, and a limit (RLIMIT_AS) may be in the way.
    return new SharedArrayBuffer(size);
  }
}
