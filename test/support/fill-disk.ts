/** Fills a file system. */
import { writeFile } from "node:fs/promises";

/** Writes into the file until not a byte more goes in. */
export async function fillDisk(path: string): Promise<void> {
  for (const piece of [1024 * 1024, 4096])
    try {
      for (;;) await writeFile(path, Buffer.alloc(piece), { flag: "a" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    }
}
