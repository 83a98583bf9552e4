/** What is done with a damaged database: a copy is kept first, then LevelDB saves what it can, and the rest is told. */
import { cp, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Level } from "level";

/** LevelDB's own repair; the types of `level` leave it out because browsers do not have it. */
const repair = (Level as unknown as { repair(location: string): Promise<void> }).repair;

/**
 * Copies the database to `NAME.corrupt-TIMESTAMP` beside it. A copy of exactly these files that an earlier start made is
 * used again, so that a daemon which is started over and over does not fill the disk.
 *
 * @returns the copy's path and whether it was made now
 */
export async function keepCopy(directory: string, now: Date): Promise<{ path: string; made: boolean }> {
  const files = await listing(directory);
  const parent = dirname(directory);
  const begin = `${basename(directory)}.corrupt-`;
  for (const name of await readdir(parent)) {
    if (name.startsWith(begin) && (await listing(join(parent, name))) === files)
      return { path: join(parent, name), made: false };
  }
  const path = join(parent, begin + now.toISOString().replaceAll(/[-:]|\.\d+/g, ""));
  await copyDatabase(directory, path);
  return { path, made: true };
}

/** Lets LevelDB rebuild the database's manifest and tables from whatever can be read. */
export async function repairDatabase(directory: string): Promise<void> {
  await repair(directory);
}

/** Puts the files back as they were before a repair that saved nothing. */
export async function restoreCopy(copy: string, directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await copyDatabase(copy, directory);
}

async function copyDatabase(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, preserveTimestamps: true, filter: (path) => isData(basename(path)) });
}

/** The lock and the text logs are not data, and change with every attempt to open. */
const isData = (name: string): boolean => name !== "LOCK" && name !== "LOG" && name !== "LOG.old";

async function listing(directory: string): Promise<string> {
  const lines: string[] = [];
  for (const name of (await readdir(directory)).filter(isData).sort()) {
    const { size, mtimeMs } = await stat(join(directory, name));
    lines.push(`${name} ${size} ${Math.trunc(mtimeMs)}`);
  }
  return lines.join("\n");
}
