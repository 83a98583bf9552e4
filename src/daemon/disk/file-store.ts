/** Files and folders, as far as a download needs them: names claimed, parts opened, finished files put in place. */
import { createReadStream } from "node:fs";
import { access, chmod, constants, copyFile, lstat, mkdir, open, rename, rm, stat, utimes } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { asDownloadError, failure } from "../core/errors.ts";
import type { FileStore, PartFile } from "../core/ports.ts";
import type { IfExists } from "../core/session.ts";
import { numberedName, safeName } from "./filename.ts";
import { FolderSync } from "./folder-sync.ts";
import { openPart } from "./part-file.ts";
import { freeSpace } from "./space.ts";

/** How a file is known again. */
type Identity = { size: number; mtimeMs: number; ino: number };

/** Bytes read at a time for digests. */
const READ_BYTES = 1024 * 1024;

/** {@link FileStore} on this machine's disks. */
export class DiskFileStore implements FileStore {
  readonly #claimed = new Set<string>();
  readonly #folders = new FolderSync();

  openPart(path: string): Promise<PartFile> {
    return openPart(path);
  }

  async exists(path: string): Promise<boolean> {
    return (await identity(path, lstat)) !== undefined;
  }

  stat(path: string): Promise<Identity | undefined> {
    return identity(path, stat);
  }

  async ensureDirectory(path: string): Promise<void> {
    try {
      await mkdir(path, { recursive: true });
      await access(path, constants.W_OK | constants.X_OK);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST" || code === "ENOTDIR")
        throw failure("DIRECTORY_MISSING", `${path} is not a folder`, { cause: error, metadata: { path } });
      throw asDownloadError(error);
    }
  }

  async claim(directory: string, name: string, policy: IfExists): Promise<string> {
    return this.claimPath(join(directory, safeName(name)), policy);
  }

  async claimPath(path: string, policy: IfExists): Promise<string> {
    if (policy === "rename") return this.#claimFree(path);
    this.reclaim(path);
    try {
      const found = await lstat(path).catch(absent);
      if (found?.isDirectory()) throw failure("TARGET_EXISTS", `${path} is a folder`, { metadata: { path } });
      if (found && policy === "skip")
        throw failure("TARGET_EXISTS", `${path} is there already`, { metadata: { path } });
      return path;
    } catch (error) {
      this.release(path);
      throw asDownloadError(error);
    }
  }

  reclaim(path: string): void {
    if (this.#claimed.has(path))
      throw failure("TARGET_BUSY", `${path} is being written by another download`, { metadata: { path } });
    this.#claimed.add(path);
  }

  release(path: string): void {
    this.#claimed.delete(path);
  }

  async place(part: string, target: string, options: { mtimeMs?: number; replace: boolean }): Promise<Identity> {
    try {
      if (options.mtimeMs !== undefined) {
        const seconds = options.mtimeMs / 1000;
        await utimes(part, seconds, seconds);
      }
      if (!options.replace && (await this.exists(target)))
        throw failure("TARGET_EXISTS", `${target} is there already`, { metadata: { path: target } });
      await rename(part, target).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "EXDEV") throw error;
        return moveAcross(part, target);
      });
      await this.#folders.sync(dirname(target));
      const placed = await identity(target, stat);
      if (!placed)
        throw failure("IO_ERROR", `${target} vanished as it was put in place`, { metadata: { path: target } });
      return placed;
    } catch (error) {
      throw asDownloadError(error);
    } finally {
      this.release(target);
    }
  }

  async remove(path: string): Promise<void> {
    await rm(path, { force: true }).catch((error: unknown) => {
      throw asDownloadError(error);
    });
  }

  freeSpace(directory: string): Promise<number> {
    return freeSpace(directory);
  }

  readStream(path: string): AsyncIterable<Uint8Array> {
    return createReadStream(path, { highWaterMark: READ_BYTES });
  }

  /** The name itself, else the first free "name (n)". */
  async #claimFree(path: string): Promise<string> {
    for (let number = 0; ; number++) {
      const candidate = number === 0 ? path : join(dirname(path), numberedName(basename(path), number));
      if (this.#claimed.has(candidate)) continue;
      // Claimed first: another download may look at the same name while this one waits for the disk.
      this.#claimed.add(candidate);
      const taken = await this.exists(candidate).catch((error: unknown) => {
        this.release(candidate);
        throw error;
      });
      if (!taken) return candidate;
      this.release(candidate);
    }
  }
}

/** A target on another file system than its part, such as a bind mount: copied beside itself first, then renamed. */
async function moveAcross(part: string, target: string): Promise<void> {
  const copy = `${target}.copying`;
  await copyFile(part, copy, constants.COPYFILE_FICLONE);
  const { mode, atime, mtime } = await stat(part);
  await chmod(copy, mode);
  await utimes(copy, atime, mtime);
  const handle = await open(copy, "r+");
  await handle.datasync().finally(() => handle.close());
  await rename(copy, target);
  await rm(part, { force: true });
}

async function identity(path: string, look: typeof stat | typeof lstat): Promise<Identity | undefined> {
  const found = await look(path).catch(absent);
  return found && { size: found.size, mtimeMs: found.mtimeMs, ino: found.ino };
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw asDownloadError(error);
}
