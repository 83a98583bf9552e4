/**
 * Targets that are spoken for. Two downloads of one name never get the same path, though neither file is there yet: a
 * path is reserved in this process from the moment it is chosen until the file is in place or given up.
 */
import { lstat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { failure } from "../core/errors.ts";
import type { IfExists } from "../core/session.ts";
import { fileError, isMissing } from "./file-error.ts";
import { numberedName } from "./filename.ts";

/** Names whose next free number is remembered; forgetting one only costs looking again. */
const REMEMBERED = 10_000;

/** The reserved paths of this process. */
export class Claims {
  readonly #taken = new Set<string>();
  /** The last number given out for a path, so that the thousandth "index.html" is not tried a thousand times. */
  readonly #numbers = new Map<string, number>();

  /** Reserves `path`, or a numbered one beside it. @throws FileSystemError TARGET_EXISTS, TARGET_BUSY */
  async claim(path: string, policy: IfExists): Promise<string> {
    if (policy === "rename") return this.#claimFree(path);
    this.reserve(path);
    try {
      const found = await kindOf(path);
      if (found === "folder") throw failure("TARGET_EXISTS", `${path} is a folder`, { metadata: { path } });
      if (found !== undefined && policy === "skip")
        throw failure("TARGET_EXISTS", `${path} is there already, and is not to be replaced`, { metadata: { path } });
      return path;
    } catch (error) {
      this.release(path);
      throw error;
    }
  }

  /** @throws FileSystemError TARGET_BUSY */
  reserve(path: string): void {
    if (this.#taken.has(path))
      throw failure("TARGET_BUSY", `another download is on its way to ${path}`, { metadata: { path } });
    this.#taken.add(path);
  }

  release(path: string): void {
    this.#taken.delete(path);
  }

  async #claimFree(path: string): Promise<string> {
    for (let number = this.#numbers.get(path) ?? 0; ; number++) {
      const candidate = number === 0 ? path : join(dirname(path), numberedName(basename(path), number));
      if (this.#taken.has(candidate)) continue;
      // Taken before the file system is asked: the next one who asks meanwhile gets another.
      this.#taken.add(candidate);
      try {
        if ((await kindOf(candidate)) === undefined) {
          this.#remember(path, number);
          return candidate;
        }
      } catch (error) {
        this.#taken.delete(candidate);
        throw error;
      }
      this.#taken.delete(candidate);
    }
  }

  #remember(path: string, number: number): void {
    // The plain name may become free again; a number is only a place to go on from.
    if (number === 0) return;
    if (this.#numbers.size >= REMEMBERED) this.#numbers.clear();
    this.#numbers.set(path, number);
  }
}

/** What bears a name, also a symbolic link that leads nowhere. */
export async function kindOf(path: string): Promise<"folder" | "file" | undefined> {
  try {
    return (await lstat(path)).isDirectory() ? "folder" : "file";
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw fileError(error, "looking at", path);
  }
}
