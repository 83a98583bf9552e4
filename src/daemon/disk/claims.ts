/**
 * Targets that are spoken for. Two downloads of one name never get the same path, though neither file is there yet: a
 * path is held in this process from the moment it is chosen until the file is in place or given up.
 */
import type { Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { failure } from "../core/errors.ts";
import type { Claim } from "../core/ports/files.ts";
import type { IfExists } from "../core/session.ts";
import { type Calls, called, POOLED } from "./calls.ts";
import { fileError, isMissing } from "./file-error.ts";
import { numberedName } from "./filename.ts";

/** Names whose next free number is remembered; forgetting one only costs looking again. */
const REMEMBERED = 10_000;

/** The claimed paths of this process. */
export class Claims {
  readonly #taken = new Set<string>();
  /** The last number given out for a path, so that the thousandth "index.html" is not tried a thousand times. */
  readonly #numbers = new Map<string, number>();

  /** Claims `path`, or a numbered one beside it. @throws FileSystemError TARGET_EXISTS, TARGET_BUSY */
  async claim(path: string, policy: IfExists, calls: Calls = POOLED): Promise<Claim> {
    if (policy === "rename") return this.#claimFree(path, calls);
    const claim = this.#take(path);
    if (claim === undefined)
      throw failure("TARGET_BUSY", `another download is on its way to ${path}`, { metadata: { path } });
    try {
      const found = await kindOf(path, calls);
      if (found === "folder") throw failure("TARGET_EXISTS", `${path} is a folder`, { metadata: { path } });
      if (found !== undefined && policy === "skip")
        throw failure("TARGET_EXISTS", `${path} is there already, and is not to be replaced`, { metadata: { path } });
      return claim;
    } catch (error) {
      claim[Symbol.dispose]();
      throw error;
    }
  }

  /** Claims exactly `path`; undefined if another holds it, or if something is there that may not be replaced. */
  async reclaim(path: string, policy: IfExists): Promise<Claim | undefined> {
    const claim = this.#take(path);
    if (claim === undefined) return undefined;
    try {
      const found = await kindOf(path);
      if (found === undefined || (found === "file" && policy === "overwrite")) return claim;
    } catch (error) {
      claim[Symbol.dispose]();
      throw error;
    }
    claim[Symbol.dispose]();
    return undefined;
  }

  #take(path: string): Claim | undefined {
    if (this.#taken.has(path)) return undefined;
    this.#taken.add(path);
    let held = true;
    return {
      path,
      [Symbol.dispose]: () => {
        // Once: by the second time the path may be another's.
        if (held) this.#taken.delete(path);
        held = false;
      },
    };
  }

  async #claimFree(path: string, calls: Calls): Promise<Claim> {
    for (let number = this.#numbers.get(path) ?? 0; ; number++) {
      const candidate = number === 0 ? path : join(dirname(path), numberedName(basename(path), number));
      // Taken before the file system is asked: the next one who asks meanwhile gets another.
      const claim = this.#take(candidate);
      if (claim === undefined) continue;
      try {
        if ((await kindOf(candidate, calls)) === undefined) {
          this.#remember(path, number);
          return claim;
        }
      } catch (error) {
        claim[Symbol.dispose]();
        throw error;
      }
      claim[Symbol.dispose]();
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
export async function kindOf(
  path: string,
  { lstat }: Pick<Calls, "lstat"> = POOLED,
): Promise<"folder" | "file" | undefined> {
  try {
    const stats = await called<Stats>((done) => lstat(path, done));
    return stats.isDirectory() ? "folder" : "file";
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw fileError(error, "looking at", path);
  }
}
