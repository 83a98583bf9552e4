/**
 * Opens a paper of a list for writing. Whoever may drop lists may also put things beside them: through a link the daemon
 * would write into a file of its own, and a FIFO would hold it up.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { failure } from "../core/errors.ts";

/**
 * @param flags - O_WRONLY and more
 * @throws FileSystemError NOT_WRITABLE if the path is no regular file, and what the file system throws
 */
export async function openPaper(path: string, flags: number): Promise<FileHandle> {
  const file = await open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o666).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ELOOP" || error.code === "ENXIO") throw notRegular(path);
      throw error;
    },
  );
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw notRegular(path);
}

function notRegular(path: string): Error {
  return failure("NOT_WRITABLE", `${path} is not a regular file, so nothing is written to it`, { metadata: { path } });
}
