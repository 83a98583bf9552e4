/** Can a folder be written, now or once it is made? Asked without making or changing anything. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** What was found of a folder. */
export interface FolderState {
  readonly exists: boolean;
  /** Why nothing can be written there; undefined if something can. */
  readonly obstacle?: string;
}

/** Looks at a folder, or where it is not there at the nearest one above in which it would be made. */
export async function folderState(folder: string): Promise<FolderState> {
  for (let current = folder; ; current = dirname(current)) {
    const exists = current === folder;
    try {
      if (!(await stat(current)).isDirectory()) return { exists, obstacle: `${current} is not a folder` };
      await access(current, constants.W_OK | constants.X_OK);
      return { exists };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" && dirname(current) !== current) continue;
      if (code === "ENOTDIR" && dirname(current) !== current) continue;
      return { exists, obstacle: obstacle(code, current, exists) };
    }
  }
}

function obstacle(code: string | undefined, folder: string, exists: boolean): string {
  const purpose = exists ? "cannot be written" : "does not let a folder be made in it";
  if (code === "EACCES" || code === "EPERM") return `${folder} ${purpose}: its rights do not allow it`;
  if (code === "EROFS") return `${folder} ${purpose}: the file system is read-only`;
  return `${folder} ${purpose}: ${code ?? "unknown error"}`;
}
