/**
 * A second descriptor of a part file, for bytes that nobody reads again soon: they go to the disk past the page cache
 * (O_DIRECT, open(2)). There they would cost a copy and a page of memory for every 4 KiB, push out what other programs
 * need, and wait until the file is synced; this way the disk works from the first chunk on, and the last sync is short.
 *
 * Not every system and file system can do it, and none of them with every address: what does not suit is written as ever.
 */
import { close, constants, open } from "node:fs";

/** What position, length and memory have to be multiples of: the largest block that is in use. */
const ALIGNMENT = 4096;

/** Below this many bytes the page cache is quicker: it makes one write of many. */
const LEAST = 1024 * 1024;

/** How a file system says that it cannot, or not from this memory. */
const REFUSALS: ReadonlySet<string | undefined> = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP"]);

/** Undefined where the system knows no such thing. */
const DIRECT: number | undefined = constants.O_DIRECT;

/** Opens when it is first of use. */
export class DirectDescriptor {
  readonly #of: number;
  #opened: Promise<number | undefined> | undefined;
  #usable = DIRECT !== undefined;

  /** @param of - the descriptor of the same file; stays the caller's */
  constructor(of: number) {
    this.#of = of;
  }

  /** The descriptor to write with; undefined if these bytes have to go another way. */
  async suiting(bytes: Uint8Array, position: number): Promise<number | undefined> {
    const { length, byteOffset } = bytes;
    const aligned = length % ALIGNMENT === 0 && position % ALIGNMENT === 0 && byteOffset % ALIGNMENT === 0;
    if (!this.#usable || !aligned || length < LEAST) return undefined;
    this.#opened ??= this.#open();
    return await this.#opened;
  }

  /** True if a write failed because it was direct. From then on, none is. */
  refused({ code }: NodeJS.ErrnoException): boolean {
    if (!REFUSALS.has(code)) return false;
    this.#usable = false;
    return true;
  }

  async close(): Promise<void> {
    this.#usable = false;
    const descriptor = await this.#opened;
    if (descriptor !== undefined) await new Promise<void>((resolve) => close(descriptor, () => resolve()));
  }

  /** By its descriptor, not by its path: that may lead to another file by now. Whatever is wrong: there is another way. */
  #open(): Promise<number | undefined> {
    return new Promise((resolve) => {
      open(`/proc/self/fd/${this.#of}`, constants.O_WRONLY | (DIRECT ?? 0), (error, descriptor) =>
        resolve(error ? undefined : descriptor),
      );
    });
  }
}
