/**
 * Whose code is this? A plugin runs with all rights of the daemon, so nobody else may be able to put one there: neither into
 * the file, nor by way of a folder above it.
 */
import type { Stats } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";

const OTHERS_MAY_WRITE = 0o022;
const STICKY = 0o1000;

/**
 * Looks at a file or folder, where it really lies, and at every folder above.
 *
 * @param path - absolute; it exists
 * @returns why it must not be trusted, and what to do; undefined if it may be
 */
export async function distrust(path: string): Promise<string | undefined> {
  const me = process.geteuid?.();
  // A system without owners has nothing to look at.
  if (me === undefined) return undefined;
  const real = await realpath(path);
  for (const each of new Set([...chain(real), ...chain(path)])) {
    const found = await stat(each);
    const above = each !== real && each !== path;
    const problem = problemOf(each, found, me, above);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function problemOf(path: string, { uid, mode }: Stats, me: number, above: boolean): string | undefined {
  if (uid !== me && uid !== 0)
    return `${path} belongs to user ${uid}, who is neither root nor the daemon's own (${me}): whoever that is could run code here`;
  if ((mode & OTHERS_MAY_WRITE) === 0) return undefined;
  // In a folder like /tmp others can add files, but not replace those of somebody else.
  if (above && (mode & STICKY) !== 0) return undefined;
  const rights = (mode & 0o7777).toString(8).padStart(4, "0");
  return `${path} can be written by others (mode ${rights}): chmod go-w '${path}'`;
}

/** The path and all folders above it. */
function chain(path: string): string[] {
  const above = dirname(path);
  return above === path ? [path] : [path, ...chain(above)];
}
