/**
 * Calls of the file system: in the thread pool, or at once where nothing has to be waited for.
 *
 * A trip to the pool costs ten times what the kernel needs to answer from memory (30 µs and 3 µs of processor time), and a
 * small file needs ten calls. So what is surely in memory is asked for at once: all of a file system that lies there, and
 * on a local disk what was looked at or made a moment ago. What may wait for a disk, a network or another process is never
 * called from the event loop.
 */
import * as fs from "node:fs";

/** Where a folder lies, as far as it says how long a call can take. */
export type Medium = "memory" | "local" | "unknown";

/** statfs(2): tmpfs, ramfs. */
const IN_MEMORY = new Set([0x01021994, 0x858458f6]);
/** ext2 to ext4, XFS, Btrfs, F2FS, ZFS. */
const LOCAL = new Set([0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1]);

/** What kind of medium a file system of this type (f_type of statfs(2)) is on. */
export function mediumOf(type: number): Medium {
  return IN_MEMORY.has(type) ? "memory" : LOCAL.has(type) ? "local" : "unknown";
}

type Done<T> = (error: NodeJS.ErrnoException | null, value: T) => void;
type End = (error: NodeJS.ErrnoException | null) => void;

/** The calls that a small file needs; `done` may be called before they return. */
export interface Calls {
  open(path: string, flags: number | string, mode: number, done: Done<number>): void;
  write(fd: number, bytes: Uint8Array, offset: number, length: number, position: number, done: Done<number>): void;
  fdatasync(fd: number, done: End): void;
  fsync(fd: number, done: End): void;
  /** Of a file without bytes that are still to be written. */
  closeSynced(fd: number, done: End): void;
  lstat(path: string, done: Done<fs.Stats>): void;
  /** Of what was looked at a moment ago. */
  lstatAgain(path: string, done: Done<fs.Stats>): void;
  /** Of what was made a moment ago. */
  statAgain(path: string, done: Done<fs.Stats>): void;
  utimes(path: string, atime: Date, mtime: Date, done: End): void;
  chmod(path: string, mode: number, done: End): void;
  rename(from: string, to: string, done: End): void;
}

/** In the thread pool, all of them. */
export const POOLED: Calls = {
  open: fs.open,
  write: fs.write,
  fdatasync: fs.fdatasync,
  fsync: fs.fsync,
  closeSynced: fs.close,
  lstat: fs.lstat,
  lstatAgain: fs.lstat,
  statAgain: fs.stat,
  utimes: fs.utimes,
  chmod: fs.chmod,
  rename: fs.rename,
};

const AT_ONCE: Calls = {
  open: atOnce(fs.openSync),
  write: atOnce(
    fs.writeSync as (fd: number, bytes: Uint8Array, at: number, length: number, position: number) => number,
  ),
  fdatasync: atOnce(fs.fdatasyncSync),
  fsync: atOnce(fs.fsyncSync),
  closeSynced: atOnce(fs.closeSync),
  lstat: atOnce(lstatSync),
  lstatAgain: atOnce(lstatSync),
  statAgain: atOnce((path: string) => fs.statSync(path)),
  utimes: atOnce(fs.utimesSync),
  chmod: atOnce(fs.chmodSync),
  rename: atOnce(fs.renameSync),
};

const { closeSynced, lstatAgain, statAgain } = AT_ONCE;

/** How calls are made to files on a medium. */
export const CALLS: Readonly<Record<Medium, Calls>> = {
  memory: AT_ONCE,
  local: { ...POOLED, closeSynced, lstatAgain, statAgain },
  unknown: POOLED,
};

/** ENOENT, the usual answer, is not worth an error with a stack. */
const MISSING: NodeJS.ErrnoException = Object.assign(new Error("ENOENT"), { code: "ENOENT" });

function lstatSync(path: string): fs.Stats {
  const stats = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw MISSING;
  return stats;
}

function atOnce<A extends unknown[], T>(call: (...args: A) => T): (...args: [...A, Done<T>]) => void {
  return (...given) => {
    const done = given.pop() as Done<T>;
    let value: T;
    try {
      value = call(...(given as unknown as A));
    } catch (error) {
      done(error as NodeJS.ErrnoException, undefined as T);
      return;
    }
    done(null, value);
  };
}

/** One call as a promise. @param make - makes it, with what is to be called back */
export function called<T = void>(
  make: (done: (error: NodeJS.ErrnoException | null, value?: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    make((error, value) => (error ? reject(error) : resolve(value as T)));
  });
}
