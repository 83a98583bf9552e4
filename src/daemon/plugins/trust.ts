/**
 * Whose code is this? A plugin runs with all rights of the daemon, so nobody else may be able to put one there: neither into
 * the file, nor by way of a folder above it.
 */
import type { Stats } from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

const OTHERS_MAY_WRITE = 0o022;
const STICKY = 0o1000;

/** Files and folders of one plugin, its node_modules included. */
const MOST_ENTRIES = 50_000;

/** Of them, looked at side by side. */
const AT_ONCE = 64;

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

/**
 * Looks at everything inside of a plugin's own folder: what its file imports runs with the same rights.
 *
 * @returns as {@link distrust}
 */
export async function distrustInside(folder: string): Promise<string | undefined> {
  const me = process.geteuid?.();
  if (me === undefined) return undefined;
  const waiting = [await realpath(folder)];
  const entered = new Set<string>();
  let seen = 0;
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (entered.has(next)) continue;
    entered.add(next);
    const paths = (await readdir(next)).map((name) => join(next, name));
    seen += paths.length;
    if (seen > MOST_ENTRIES) return `${folder} holds more than ${MOST_ENTRIES} files, too many to be looked at`;
    for (let at = 0; at < paths.length; at += AT_ONCE) {
      const looked = await Promise.all(paths.slice(at, at + AT_ONCE).map((path) => lookAt(path, me)));
      waiting.push(...looked.flatMap(({ inner }) => inner ?? []));
      const problem = looked.find((each) => each.problem !== undefined)?.problem;
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

/** @returns what is wrong with an entry, and the folder to look into if it is one or leads to one */
async function lookAt(path: string, me: number): Promise<{ readonly problem?: string; readonly inner?: string }> {
  const found = await lstat(path);
  if (!found.isSymbolicLink()) {
    const problem = problemOf(path, found, me, false);
    return { ...(problem !== undefined && { problem }), ...(found.isDirectory() && { inner: path }) };
  }
  const real = await realpath(path).catch(() => undefined);
  // It leads nowhere, so nothing can be loaded; whoever puts something there is looked at then.
  if (real === undefined) return {};
  const problem = await distrust(real);
  return { ...(problem !== undefined && { problem }), ...((await stat(real)).isDirectory() && { inner: real }) };
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
