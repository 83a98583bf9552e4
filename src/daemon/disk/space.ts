/** Room on a disk. */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { asDownloadError } from "../core/errors.ts";

/** Bytes that this process may still write in the folder's file system; of the nearest parent if it does not exist. */
export async function freeSpace(directory: string): Promise<number> {
  for (let at = directory; ; at = dirname(at)) {
    try {
      const { bavail, bsize } = await statfs(at);
      return bavail * bsize;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || at === dirname(at)) throw asDownloadError(error);
    }
  }
}
