/**
 * How a part file gets its final name. Nobody ever sees half a file under it: the name comes by one rename, after the
 * bytes are synced and before the folder is.
 */
import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { failure } from "../core/errors.ts";
import { type Calls, called } from "./calls.ts";
import { kindOf } from "./claims.ts";

/** How to place. */
export interface PlaceOptions {
  readonly mtimeMs?: number;
  readonly replace: boolean;
  /** Permission bits of the finished file. */
  readonly mode: number;
  readonly calls: Calls;
}

/**
 * Renames `part` to `target`, which may lie in another file system: then the bytes are copied beside the target and
 * synced first, and renamed there. The folder is not synced here.
 *
 * Without `replace` an existing target is refused. Node has no rename that refuses by itself, so a file that another
 * program makes between the look and the rename would be replaced.
 *
 * @throws FileSystemError TARGET_EXISTS; errors of Node
 */
export async function renameInto(part: string, target: string, options: PlaceOptions): Promise<void> {
  const { mtimeMs, replace, mode, calls } = options;
  const [, , taken] = await Promise.all([
    mtimeMs !== undefined && called((done) => calls.utimes(part, new Date(), new Date(mtimeMs), done)),
    called((done) => calls.chmod(part, mode, done)),
    // Looked at when it was claimed.
    !replace && kindOf(target, { lstat: calls.lstatAgain }),
  ]);
  if (taken) throw failure("TARGET_EXISTS", `${target} has appeared meanwhile`, { metadata: { path: target } });
  try {
    await called((done) => calls.rename(part, target, done));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EXDEV") throw error;
    await copyAcross(part, target);
  }
}

async function copyAcross(part: string, target: string): Promise<void> {
  const copy = join(dirname(target), `.${randomUUID()}.part`);
  try {
    const { atime, mtime } = await stat(part);
    // Copies the mode too, and shares the blocks where the file system can.
    await copyFile(part, copy, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await using file = await open(copy, "r+");
    await file.utimes(atime, mtime);
    await file.sync();
    await rename(copy, target);
  } catch (error) {
    await rm(copy, { force: true });
    throw error;
  }
  await rm(part);
}
