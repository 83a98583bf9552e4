/** Where bytes go: part files, targets that are spoken for, and files in their place. */
import type { Digest, IfExists, StoredFile } from "../session.ts";

/** A finished file in its place, and what its bytes are. */
export interface PlacedFile {
  readonly file: StoredFile;
  /** Bytes of every chunk but the last. */
  readonly chunkSize: number;
  /** SHA-256 of each chunk, lower-case hex. */
  readonly chunks: readonly string[];
  /** Digests of the whole that were compared with it, and right. */
  readonly digests: readonly Digest[];
}

/** A file under construction. It never bears the final name. */
export interface PartFile {
  readonly path: string;
  /**
   * Writes all of `bytes` at `position`. With `passing`, nobody reads them again soon: they need not stay in memory, and go
   * straight to the disk where page-aligned memory, position, length and the file system allow it.
   */
  write(bytes: Uint8Array, position: number, options?: { readonly passing: boolean }): Promise<void>;
  /** Reads `length` bytes at `position`; fewer only at the end of the file. */
  read(position: number, length: number): Promise<Uint8Array>;
  /** Until this resolves, what was written may be lost in a power cut (fdatasync). */
  sync(): Promise<void>;
  /** Reserves room. @throws SystemResourceError DISK_FULL */
  reserve(size: number): Promise<void>;
  truncate(size: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** A file whose bytes are looked at. */
export type ReadableFile = Pick<PartFile, "path" | "read" | "size" | "close">;

/** A target that is spoken for in this process, until it is disposed of. Disposing of it again does nothing. */
export interface Claim extends Disposable {
  readonly path: string;
}

/** Files and folders, as far as a download needs them. Every method throws FileSystemError or SystemResourceError. */
export interface FileStore {
  /** Opens a part file for reading and writing, `empty` without what is in it; makes it (0600 & ~umask bits for others) if it does not exist. */
  openPart(path: string, options?: { readonly empty?: boolean }): Promise<PartFile>;
  exists(path: string): Promise<boolean>;
  stat(path: string): Promise<{ size: number; mtimeMs: number; ino: number } | undefined>;
  /** Makes the folder with its parents, and checks that it can be written. */
  ensureDirectory(path: string): Promise<void>;
  /** Opens a file that is to be looked at only. */
  openRead(path: string): Promise<ReadableFile>;
  /**
   * The target for a name in a folder under a policy: the name made safe, cut by bytes, and, for "rename", made unique.
   * @throws FileSystemError TARGET_EXISTS under "skip", TARGET_BUSY if another holds it, TARGET_NOT_ALLOWED in a folder into
   *   which nothing is downloaded
   */
  claim(directory: string, name: string, policy: IfExists): Promise<Claim>;
  /** The same for a path that is taken literally. */
  claimPath(path: string, policy: IfExists): Promise<Claim>;
  /** Claims a path that an earlier run had; undefined if another holds it now, or if a file is there and may not be replaced. */
  reclaim(path: string, policy: IfExists): Promise<Claim | undefined>;
  /**
   * Gives a synced part file its final name: mtime, mode, rename, sync of the folder (in groups). Refuses to replace an
   * existing file unless `replace`.
   * @param options.mode - permission bits: those for execution are given to the file, as far as the user's mask allows
   * @returns the identity of the file in place
   */
  place(
    part: string,
    target: string,
    options: { mtimeMs?: number; mode?: number; replace: boolean },
  ): Promise<{ size: number; mtimeMs: number; ino: number }>;
  remove(path: string): Promise<void>;
  /** Sets the time of a file's last change, in milliseconds since the epoch. */
  setModified(path: string, mtimeMs: number): Promise<void>;
  /** Bytes free for this process in the folder's file system. @param maxAgeMs - how old the answer may be; default 0 */
  freeSpace(directory: string, maxAgeMs?: number): Promise<number>;
  /** A file's bytes, for digests. */
  readStream(path: string): AsyncIterable<Uint8Array>;
}
