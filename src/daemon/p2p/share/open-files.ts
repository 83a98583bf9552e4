/**
 * Reads shared files by descriptors that stay open for a while, and notices a file that is not what was shared: another size,
 * time or inode number, when it is opened and after each read. What changes its bytes changes its time first.
 */
import { close, constants, fstat, open, read, type Stats } from "node:fs";
import { type DownloadError, failure } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import type { SharedFile } from "./share-store.ts";
import type { FileIdentity } from "./walk.ts";

/** Not through a symbolic link that was put in its place, and without waiting for the other end of a pipe. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Descriptors that are kept open. */
const MOST_OPEN = 64;

/** Milliseconds for which one that nobody uses stays open: it keeps a removed file's room on the disk. */
const IDLE_MS = 10_000;

interface Opened {
  /** Bare: a FileHandle costs as much as the system calls, for each of many small files. */
  readonly descriptor: Promise<number>;
  users: number;
  /** It is closed when its last user leaves. */
  dropped: boolean;
  usedAt: number;
}

/** Descriptors of shared files. */
export class OpenFiles implements AsyncDisposable {
  readonly #clock: Clock;
  /** The least recently used first. */
  readonly #opened = new Map<string, Opened>();
  #cancelSweep: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Reads bytes of a file that are all there.
   *
   * @param into - memory that may be used for them
   * @throws DownloadError SHARE_CHANGED if it is not what was shared any more; FileSystemError IO_ERROR
   */
  async read(file: SharedFile, position: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    const opened = this.#enter(file);
    try {
      const descriptor = await opened.descriptor;
      const bytes = into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
      for (let filled = 0; filled < length; ) {
        const count = await readInto(descriptor, bytes, filled, position);
        if (count === 0) throw changed(file.path);
        filled += count;
      }
      requireSame(file, await statOf(descriptor));
      return bytes;
    } catch (error) {
      this.#drop(file.path, opened);
      throw readError(error, file.path);
    } finally {
      this.#leave(opened);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cancelSweep?.();
    for (const [path, opened] of this.#opened) this.#drop(path, opened);
  }

  #enter(file: SharedFile): Opened {
    const known = this.#opened.get(file.path);
    const opened = known ?? { descriptor: openSame(file), users: 0, dropped: false, usedAt: 0 };
    opened.users++;
    opened.usedAt = this.#clock.monotonic();
    this.#opened.delete(file.path);
    this.#opened.set(file.path, opened);
    if (!known) this.#makeRoom();
    this.#cancelSweep ??= this.#clock.timer(IDLE_MS, () => this.#sweep());
    return opened;
  }

  #leave(opened: Opened): void {
    opened.users--;
    if (opened.dropped && opened.users === 0) closeOf(opened);
  }

  #drop(path: string, opened: Opened): void {
    if (this.#opened.get(path) === opened) this.#opened.delete(path);
    if (opened.dropped) return;
    opened.dropped = true;
    if (opened.users === 0) closeOf(opened);
  }

  #makeRoom(): void {
    for (const [path, opened] of this.#opened) {
      if (this.#opened.size <= MOST_OPEN) return;
      if (opened.users === 0) this.#drop(path, opened);
    }
  }

  #sweep(): void {
    this.#cancelSweep = undefined;
    const before = this.#clock.monotonic() - IDLE_MS;
    for (const [path, opened] of this.#opened)
      if (opened.users === 0 && opened.usedAt <= before) this.#drop(path, opened);
    if (this.#opened.size > 0) this.#cancelSweep = this.#clock.timer(IDLE_MS, () => this.#sweep());
  }
}

async function openSame(file: SharedFile): Promise<number> {
  const descriptor = await called<number>((done) => open(file.path, FLAGS, done));
  try {
    const stats = await statOf(descriptor);
    if (!stats.isFile()) throw changed(file.path);
    requireSame(file, stats);
    return descriptor;
  } catch (error) {
    close(descriptor, nothing);
    throw error;
  }
}

/** @returns bytes read from `position` + `from` on into `bytes` from `from` on; 0 at the end of the file */
function readInto(descriptor: number, bytes: Uint8Array, from: number, position: number): Promise<number> {
  return called((done) => read(descriptor, bytes, from, bytes.length - from, position + from, done));
}

const statOf = (descriptor: number): Promise<Stats> => called((done) => fstat(descriptor, done));

function called<T>(make: (done: (error: Error | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => make((error, value) => (error ? reject(error) : resolve(value))));
}

function closeOf({ descriptor }: Opened): void {
  // What could not be opened was told to who wanted it; what was only read has nothing more to say.
  descriptor.then((opened) => close(opened, nothing), nothing);
}

function nothing(): void {}

function requireSame({ path, size, mtimeMs, ino }: SharedFile, found: FileIdentity): void {
  if (found.size !== size || found.mtimeMs !== mtimeMs || found.ino !== ino) throw changed(path);
}

function changed(path: string): DownloadError {
  return failure("SHARE_CHANGED", `${path} is not what it was when it was shared`, { metadata: { path } });
}

function readError(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  // It was moved or removed, or something else was put in its place.
  if (code === "ENOENT" || code === "ENOTDIR") {
    const gone = failure("SHARE_CHANGED", `${path} is not there any more`, { cause: error, metadata: { path } });
    return gone;
  }
  if (code === "ELOOP")
    return failure("SHARE_CHANGED", `${path} is a symbolic link now`, { cause: error, metadata: { path } });
  if (code === undefined || !("syscall" in (error as object))) return error;
  return failure("IO_ERROR", `reading ${path} failed: ${(error as Error).message}`, {
    cause: error,
    metadata: { path },
  });
}
