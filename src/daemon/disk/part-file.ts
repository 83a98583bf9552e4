/** A file under construction, on the callback API of node:fs: a promise for each call would cost more than it brings. */
import { close, constants, fdatasync, fstat, ftruncate, open, read, write } from "node:fs";
import { dirname } from "node:path";
import { asDownloadError, failure } from "../core/errors.ts";
import type { PartFile } from "../core/ports.ts";
import { freeSpace } from "./space.ts";

/** Opens a part file for reading and writing; makes it if it does not exist. A symbolic link is not followed. */
export function openPart(path: string): Promise<PartFile> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  return new Promise((resolve, reject) => {
    open(path, flags, 0o666, (error, fd) => (error ? reject(asDownloadError(error)) : resolve(new DiskPart(path, fd))));
  });
}

class DiskPart implements PartFile {
  readonly path: string;
  #fd: number | undefined;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const fd = this.#open();
      const step = (offset: number): void => {
        // One call may write less than it was given: a signal, a quota, a disk that is nearly full.
        write(fd, bytes, offset, bytes.length - offset, position + offset, (error, written) => {
          if (error) reject(asDownloadError(error));
          else if (offset + written < bytes.length) step(offset + written);
          else resolve();
        });
      };
      step(0);
    });
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const fd = this.#open();
      const bytes = Buffer.allocUnsafeSlow(length);
      const step = (offset: number): void => {
        read(fd, bytes, offset, length - offset, position + offset, (error, count) => {
          if (error) reject(asDownloadError(error));
          else if (count === 0 || offset + count === length) resolve(bytes.subarray(0, offset + count));
          else step(offset + count);
        });
      };
      step(0);
    });
  }

  sync(): Promise<void> {
    return done((callback) => fdatasync(this.#open(), callback));
  }

  async reserve(size: number): Promise<void> {
    const free = await freeSpace(dirname(this.path));
    const missing = size - (await this.size());
    if (missing > free)
      throw failure("DISK_FULL", `${this.path} needs ${missing} more bytes, ${free} are free`, {
        metadata: { needed: String(missing), free: String(free) },
      });
    // Node has no fallocate(2): the length is set, the blocks come with the bytes.
    if (missing > 0) await this.truncate(size);
  }

  truncate(size: number): Promise<void> {
    return done((callback) => ftruncate(this.#open(), size, callback));
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fstat(this.#open(), (error, stats) => (error ? reject(asDownloadError(error)) : resolve(stats.size)));
    });
  }

  async close(): Promise<void> {
    const fd = this.#fd;
    if (fd === undefined) return;
    this.#fd = undefined;
    await done((callback) => close(fd, callback));
  }

  #open(): number {
    if (this.#fd === undefined) throw failure("INTERNAL", `${this.path} is closed`);
    return this.#fd;
  }
}

function done(call: (callback: (error: NodeJS.ErrnoException | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error ? reject(asDownloadError(error)) : resolve()));
  });
}
