/**
 * Folders into which nothing is downloaded, whoever asks: a file in a watched folder is a list, and lists are obeyed. By
 * where a folder really is, so that no symbolic link leads around it.
 */

import { realTarget } from "../../shared/real-target.ts";
import { failure } from "../core/errors.ts";
import { naming } from "./file-error.ts";
import { OneLook } from "./one-look.ts";

/** Milliseconds for which a folder that was free is taken to be free still: many small files would ask as many times. */
const REMEMBERED_MS = 100;

/** Folders that are remembered. */
const REMEMBERED = 1000;

/** Keeps files out of folders. */
export class Guard {
  readonly #folders: () => Promise<readonly string[]>;
  readonly #free = new Map<string, number>();
  readonly #looks = new OneLook<void>();

  /** @param folders - absolute; asked anew, since they change */
  constructor(folders: () => Promise<readonly string[]>) {
    this.#folders = folders;
  }

  /**
   * Looks at a folder that a file is to be put into; it may still have to be made.
   *
   * @throws FileSystemError TARGET_NOT_ALLOWED; what looking at the folder comes to
   */
  async assertFree(folder: string): Promise<void> {
    const known = this.#free.get(folder);
    if (known !== undefined && performance.now() - known < REMEMBERED_MS) return;
    await this.#looks.at(folder, () => this.#look(folder));
  }

  async #look(folder: string): Promise<void> {
    const real = await naming("looking at", folder, realTarget(folder));
    for (const guarded of await this.#folders()) {
      // One that cannot be looked at cannot be watched either, and stands in nobody's way.
      if (real === undefined || (await realTarget(guarded).catch(() => guarded)) !== real) continue;
      throw failure("TARGET_NOT_ALLOWED", `nothing is downloaded into ${folder}: ${guarded} is a watched folder`, {
        metadata: { path: folder },
      });
    }
    if (this.#free.size >= REMEMBERED) this.#free.clear();
    this.#free.set(folder, performance.now());
  }
}
