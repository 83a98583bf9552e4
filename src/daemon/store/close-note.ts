/**
 * A note of the files as they were when the database was closed.
 *
 * LevelDB takes a log that is cut short for one that a crash cut, and goes on without a word. After a clean end nothing
 * may be shorter than it was: the note makes that visible.
 */
import { open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The note's name, in the database's folder. */
const NOTE = "CLOSED";
const DATA = /^(\d+\.(log|ldb|sst)|MANIFEST-\d+)$/;

/** Leaves the note. The database is closed. */
export async function writeCloseNote(directory: string): Promise<void> {
  const names = (await readdir(directory)).filter((name) => DATA.test(name)).sort();
  const lines = await Promise.all(names.map(async (name) => `${name} ${(await stat(join(directory, name))).size}\n`));
  await writeFile(join(directory, NOTE), lines.join(""), { flush: true });
}

/** Files that are gone or have another size than the note says. None if there is no note. */
export async function compareWithCloseNote(directory: string): Promise<{ file: string; problem: string }[]> {
  const note = await readFile(join(directory, NOTE), "utf8").catch(() => "");
  const found: { file: string; problem: string }[] = [];
  for (const line of note.split("\n")) {
    const [file = "", size] = line.split(" ");
    if (!DATA.test(file)) continue;
    const now = await stat(join(directory, file)).catch(() => undefined);
    if (now === undefined) found.push({ file, problem: "is missing" });
    else if (String(now.size) !== size) found.push({ file, problem: `has ${now.size} bytes, it had ${size}` });
  }
  return found;
}

/** Takes the note away, for good: one that came back after a power cut would accuse sound files. */
export async function removeCloseNote(directory: string): Promise<void> {
  await rm(join(directory, NOTE), { force: true });
  const folder = await open(directory);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
