/**
 * Keeps the files of a list in the folders that whoever sent it may write to, by where their targets really are: the names
 * alone do not tell, since a symbolic link below an allowed folder may lead out of it.
 */

import { isInside, realTarget } from "../../shared/real-target.ts";
import { failure } from "../core/errors.ts";
import type { DownloadRequest } from "../core/session.ts";

/** Folders whose answer is remembered; a list has few. */
const REMEMBERED = 1000;

/** The folders that one list may write to. */
export class AllowedTargets {
  readonly #folders: readonly string[];
  readonly #allowed = new Map<string, Promise<boolean>>();

  /** @param folders - absolute */
  constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  /** @throws FileSystemError TARGET_NOT_ALLOWED */
  async assertAllowed({ options: { output, directory } }: DownloadRequest): Promise<void> {
    const path = output ?? directory;
    if (path === undefined || (await this.#isAllowed(path, output === undefined))) return;
    throw failure("TARGET_NOT_ALLOWED", `${path} is in none of the folders that may be written to`, {
      metadata: { path },
    });
  }

  /** @param again - the same path will be asked for by other entries */
  #isAllowed(path: string, again: boolean): Promise<boolean> {
    const allowed = this.#allowed.get(path) ?? this.#look(path);
    if (again && this.#allowed.size < REMEMBERED) this.#allowed.set(path, allowed);
    return allowed;
  }

  async #look(path: string): Promise<boolean> {
    const real = await realTarget(path);
    if (real === undefined) return false;
    const folders = await Promise.all(this.#folders.map((folder) => realTarget(folder)));
    return folders.some((folder) => folder !== undefined && isInside(folder, real));
  }
}
