/**
 * Files and folders for downloads. What survives a power cut, and in which order, is decided here and in place.ts:
 * write < fdatasync < (the caller's record) < rename < fsync of the folder.
 */
import { constants, type Stats } from "node:fs";
import { access, mkdir, open, rm, stat, statfs, utimes } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, normalize } from "node:path";
import { asDownloadError, failure } from "../core/errors.ts";
import type { Claim, FileStore, PartFile, ReadableFile } from "../core/ports/files.ts";
import type { IfExists } from "../core/session.ts";
import { CALLS, type Calls, called, type Medium, mediumOf, POOLED } from "./calls.ts";
import { Claims, kindOf } from "./claims.ts";
import { fileError, isMissing, naming } from "./file-error.ts";
import { fits, safeName } from "./filename.ts";
import { FolderSync } from "./folder-sync.ts";
import { Guard } from "./guard.ts";
import { nearest } from "./nearest.ts";
import { OneLook } from "./one-look.ts";
import { openPartFile, openReadOnly, READ_FLAGS, requireFile } from "./part-file.ts";
import { renameInto } from "./place.ts";

/** Bytes of one piece of {@link DiskFileStore.readStream}. */
const READ_BYTES = 1024 * 1024;

/** Milliseconds for which a folder that was there is taken to be there still: many small files would ask as many times. */
const REMEMBERED_MS = 100;

/** Folders that are remembered. */
const REMEMBERED = 1000;

/** What a file is known by later. */
export interface FileIdentity {
  readonly size: number;
  readonly mtimeMs: number;
  readonly ino: number;
}

/** {@link FileStore} on the disks of this machine. */
export class DiskFileStore implements FileStore {
  readonly #claims = new Claims();
  readonly #folders = new FolderSync();
  /** Folders that were there and could be written, and when that was. */
  readonly #seen = new Map<string, { readonly at: number; readonly medium: Medium }>();
  readonly #free = new Map<string, { readonly bytes: number; readonly at: number }>();
  readonly #making = new OneLook<void>();
  readonly #measuring = new OneLook<number>();
  readonly #guard: Guard;
  #mask: number | undefined;

  /** @param guarded - folders into which nothing is downloaded, absolute; asked for each folder anew */
  constructor(guarded: () => Promise<readonly string[]> = () => Promise.resolve([])) {
    this.#guard = new Guard(guarded);
  }

  async openPart(path: string, options: { readonly empty?: boolean } = {}): Promise<PartFile> {
    try {
      return await openPartFile(path, options.empty, this.#callsIn(dirname(path)));
    } catch (error) {
      const folder = dirname(path);
      if (asDownloadError(error).code !== "DIRECTORY_MISSING" || !this.#seen.delete(folder)) throw error;
      // It was there a moment ago.
      await this.ensureDirectory(folder);
      return openPartFile(path, options.empty);
    }
  }

  async exists(path: string): Promise<boolean> {
    return (await kindOf(path)) !== undefined;
  }

  async stat(path: string): Promise<FileIdentity | undefined> {
    try {
      const { size, mtimeMs, ino } = await stat(path);
      return { size, mtimeMs, ino };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw fileError(error, "looking at", path);
    }
  }

  async ensureDirectory(path: string): Promise<void> {
    const known = this.#seen.get(path);
    if (known !== undefined && performance.now() - known.at < REMEMBERED_MS) return;
    await this.#making.at(path, () => this.#ensureDirectory(path));
  }

  async #ensureDirectory(path: string): Promise<void> {
    await this.#guard.assertFree(path);
    await this.#makeDirectory(path);
    const { type } = await naming("looking at", path, statfs(path));
    if (this.#seen.size >= REMEMBERED) this.#seen.clear();
    this.#seen.set(path, { at: performance.now(), medium: mediumOf(type) });
  }

  #callsIn(folder: string): Calls {
    return CALLS[this.#seen.get(folder)?.medium ?? "unknown"];
  }

  async #makeDirectory(path: string): Promise<void> {
    try {
      await mkdir(path, { recursive: true });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Node says ENOENT for every parent in which it may not make one: the parent knows why.
      if (code === "ENOENT") await naming("making the folder", path, access(await nearest(path), constants.W_OK));
      if (code !== "EEXIST") throw fileError(error, "making the folder", path);
      throw failure("DIRECTORY_MISSING", `${path} is a file, not a folder`, { metadata: { path } });
    }
    await naming("writing to the folder", path, access(path, constants.W_OK | constants.X_OK));
  }

  openRead(path: string): Promise<ReadableFile> {
    return openReadOnly(path);
  }

  async claim(directory: string, name: string, policy: IfExists): Promise<Claim> {
    await this.#guard.assertFree(directory);
    return this.#claims.claim(join(directory, safeName(name)), policy, this.#callsIn(directory));
  }

  async claimPath(path: string, policy: IfExists): Promise<Claim> {
    checkLiteral(path);
    await this.#guard.assertFree(dirname(path));
    return this.#claims.claim(normalize(path), policy, this.#callsIn(dirname(path)));
  }

  async reclaim(path: string, policy: IfExists): Promise<Claim | undefined> {
    await this.#guard.assertFree(dirname(path));
    return this.#claims.reclaim(path, policy);
  }

  async place(
    part: string,
    target: string,
    options: { mtimeMs?: number; mode?: number; replace: boolean },
  ): Promise<FileIdentity> {
    // It may have come to be watched meanwhile.
    await this.#guard.assertFree(dirname(target));
    // Asked once.
    this.#mask ??= process.umask();
    // What it leaves of the bits that open(2) with 0666 would give. Whoever made the file says no more than that it can be run.
    const mode = (0o666 | ((options.mode ?? 0) & 0o111)) & ~this.#mask;
    const folder = dirname(target);
    const calls = dirname(part) === folder ? this.#callsIn(folder) : POOLED;
    const how = { ...options, mode, calls };
    await naming("moving the finished file to", target, renameInto(part, target, how));
    const [{ size, mtimeMs, ino }] = await Promise.all([
      naming(
        "looking at",
        target,
        called<Stats>((done) => calls.statAgain(target, done)),
      ),
      this.#folders.sync(folder, calls),
    ]);
    return { size, mtimeMs, ino };
  }

  remove(path: string): Promise<void> {
    return naming("removing", path, rm(path, { force: true }));
  }

  setModified(path: string, mtimeMs: number): Promise<void> {
    return naming("setting the time of", path, utimes(path, new Date(), mtimeMs / 1000));
  }

  async freeSpace(directory: string, maxAgeMs = 0): Promise<number> {
    const known = this.#free.get(directory);
    if (known && performance.now() - known.at < maxAgeMs) return known.bytes;
    const look = (): Promise<number> => this.#rememberSpace(directory);
    return maxAgeMs > 0 ? this.#measuring.at(directory, look) : look();
  }

  async #rememberSpace(directory: string): Promise<number> {
    const bytes = await this.#freeSpace(directory);
    if (this.#free.size >= REMEMBERED) this.#free.clear();
    this.#free.set(directory, { bytes, at: performance.now() });
    return bytes;
  }

  async #freeSpace(directory: string): Promise<number> {
    // A folder that is still to be made will lie in its parent's file system.
    const path = await nearest(directory);
    const { bavail, bsize } = await naming("looking at the free space of", path, statfs(path));
    return bavail * bsize;
  }

  async *readStream(path: string): AsyncIterable<Uint8Array> {
    try {
      await requireFile(path);
      const file = await open(path, READ_FLAGS);
      yield* file.createReadStream({ highWaterMark: READ_BYTES }) as AsyncIterable<Uint8Array>;
    } catch (error) {
      if (!isMissing(error)) throw fileError(error, "reading", path);
      throw failure("IO_ERROR", `reading ${path} failed: it is not there`, { cause: error, metadata: { path } });
    }
  }
}

/** A path that a person wrote is taken as it is, if it can be a file at all. @throws FileSystemError NAME_INVALID */
function checkLiteral(path: string): void {
  const why = !isAbsolute(path)
    ? "it is not absolute"
    : path.endsWith("/")
      ? "it ends in a slash, and a file is wanted"
      : fits(basename(path))
        ? undefined
        : "its last part is longer than 255 bytes, or holds a NUL";
  if (why !== undefined)
    throw failure("NAME_INVALID", `${JSON.stringify(path)} cannot be a file: ${why}`, { metadata: { path } });
}
