/**
 * Where a path really leads. What is allowed or refused by folder is decided by this and never by the text of a path, which
 * a symbolic link makes mean something else.
 */
import { lstat, realpath } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";

/** The path with every link of its existing part followed; undefined if one of them leads nowhere. */
export async function realTarget(path: string): Promise<string | undefined> {
  try {
    let existing = resolve(path);
    let rest = "";
    while (!(await exists(existing)) && existing !== dirname(existing)) {
      rest = join(basename(existing), rest);
      existing = dirname(existing);
    }
    return join(await realpath(existing), rest);
  } catch (error) {
    if (["ENOENT", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** True if the path is the folder or lies below it; both absolute, and where they really are. */
export function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === "" || (way !== ".." && !way.startsWith("../") && !isAbsolute(way));
}

/** Links count as themselves. */
async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}
