/**
 * A file under construction, on a bare descriptor: one call to the thread pool and one promise for each write, at its own
 * position, so that any number of them can be under way side by side.
 */
import { close, constants, fstat, ftruncate, read, statfs, write } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { failure } from "../core/errors.ts";
import type { PartFile, ReadableFile } from "../core/ports/files.ts";
import { type Calls, POOLED } from "./calls.ts";
import { DirectDescriptor } from "./direct-descriptor.ts";
import { fileError, naming } from "./file-error.ts";

/** Not through a symbolic link: in a folder that others can write to it may lead anywhere. */
const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

/** A piece of more bytes is copied in the thread pool, whatever it is copied to. */
const SMALL = 64 * 1024;

/** Only for us until it is whole. */
const MODE = 0o600;

/** Opens or makes a part file. @throws FileSystemError, SystemResourceError */
export function openPartFile(path: string, empty = false, calls: Calls = POOLED): Promise<PartFile> {
  return openWith(path, empty ? FLAGS | constants.O_TRUNC : FLAGS, calls);
}

/** Without waiting for the other end of a FIFO. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** Opens a file that is to be looked at only. @throws FileSystemError, also if it is no regular file; SystemResourceError */
export async function openReadOnly(path: string): Promise<ReadableFile> {
  await naming("opening", path, requireFile(path));
  return openWith(path, READ_FLAGS);
}

/** Asked before a file is opened: opening alone makes some devices do things. @throws FileSystemError IO_ERROR, what Node throws */
export async function requireFile(path: string): Promise<void> {
  if ((await stat(path)).isFile()) return;
  throw failure("IO_ERROR", `reading ${path} failed: it is not a regular file`, {
    metadata: { path },
    retryable: false,
  });
}

function openWith(path: string, flags: number, calls: Calls = POOLED): Promise<PartFile> {
  return new Promise((resolve, reject) => {
    calls.open(path, flags, MODE, (error, descriptor) => {
      if (error) reject(fileError(error, "opening", path));
      else resolve(new DescriptorPartFile(path, descriptor, calls));
    });
  });
}

class DescriptorPartFile implements PartFile {
  readonly path: string;
  readonly #descriptor: number;
  readonly #calls: Calls;
  readonly #direct: DirectDescriptor;
  #closed: Promise<void> | undefined;
  /** All that was written is on the disk. */
  #synced = false;

  constructor(path: string, descriptor: number, calls: Calls) {
    this.path = path;
    this.#descriptor = descriptor;
    this.#calls = calls;
    this.#direct = new DirectDescriptor(descriptor);
  }

  async write(bytes: Uint8Array, position: number, options?: { readonly passing: boolean }): Promise<void> {
    this.#synced = false;
    const direct = options?.passing ? await this.#direct.suiting(bytes, position) : undefined;
    const put = bytes.length <= SMALL ? this.#calls.write : write;
    await new Promise<void>((resolve, reject) => {
      const writeFrom = (offset: number, descriptor: number): void => {
        put(descriptor, bytes, offset, bytes.length - offset, position + offset, (error, written) => {
          if (error && descriptor === direct && this.#direct.refused(error)) writeFrom(offset, this.#descriptor);
          else if (error) reject(fileError(error, "writing", this.path));
          // A nearly full disk takes a part and says why only when it is asked for the rest.
          else if (offset + written < bytes.length) writeFrom(offset + written, this.#descriptor);
          else resolve();
        });
      };
      this.#check(reject, "writing", () => writeFrom(0, direct ?? this.#descriptor));
    });
  }

  read(position: number, length: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(length);
    return new Promise((resolve, reject) => {
      const readFrom = (offset: number): void => {
        read(this.#descriptor, bytes, offset, length - offset, position + offset, (error, count) => {
          if (error) reject(fileError(error, "reading", this.path));
          else if (count > 0 && offset + count < length) readFrom(offset + count);
          else resolve(bytes.subarray(0, offset + count));
        });
      };
      this.#check(reject, "reading", () => readFrom(0));
    });
  }

  async sync(): Promise<void> {
    // A write that begins meanwhile says otherwise again.
    this.#synced = true;
    try {
      await this.#call("syncing", (done) => this.#calls.fdatasync(this.#descriptor, done));
    } catch (error) {
      this.#synced = false;
      throw error;
    }
  }

  async reserve(size: number): Promise<void> {
    const { size: now, blocks } = await this.#stat();
    const free = await this.#free();
    const missing = size - blocks * 512;
    if (missing > free) {
      throw failure("DISK_FULL", `${this.path} needs ${missing} more bytes, and ${free} are free in its folder`, {
        metadata: { path: this.path, needed: String(missing), free: String(free) },
      });
    }
    // Node has no fallocate: the length is set, and the blocks come with the bytes.
    if (size > now) await this.truncate(size);
  }

  truncate(size: number): Promise<void> {
    return this.#call("resizing", (done) => ftruncate(this.#descriptor, size, done));
  }

  async size(): Promise<number> {
    return (await this.#stat()).size;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const end = this.#synced ? this.#calls.closeSynced : close;
    await Promise.all([
      this.#direct.close(),
      new Promise<void>((resolve, reject) => {
        end(this.#descriptor, (error) => (error ? reject(fileError(error, "closing", this.path)) : resolve()));
      }),
    ]);
  }

  #stat(): Promise<{ size: number; blocks: number }> {
    return new Promise((resolve, reject) => {
      this.#check(reject, "looking at", () =>
        fstat(this.#descriptor, (error, stats) =>
          error ? reject(fileError(error, "looking at", this.path)) : resolve(stats),
        ),
      );
    });
  }

  #free(): Promise<number> {
    return new Promise((resolve, reject) => {
      statfs(dirname(this.path), (error, { bavail, bsize } = {} as never) =>
        error ? reject(fileError(error, "looking at the free space of", this.path)) : resolve(bavail * bsize),
      );
    });
  }

  #call(doing: string, work: (done: (error: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#check(reject, doing, () =>
        work((error) => (error ? reject(fileError(error, doing, this.path)) : resolve())),
      );
    });
  }

  /** A closed descriptor's number may be another file's by now. */
  #check(reject: (error: Error) => void, doing: string, work: () => void): void {
    if (this.#closed === undefined) work();
    else reject(failure("IO_ERROR", `${doing} ${this.path} failed: it is closed`, { metadata: { path: this.path } }));
  }
}
