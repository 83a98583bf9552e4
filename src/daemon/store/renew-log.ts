/**
 * A new log for a database whose log could not be written, such as on a full disk.
 *
 * LevelDB leaves half a record there, goes on behind it when there is room again, and reports success; what stands behind
 * the half record is not read at the next start. So the log is put away before anything else is written: a compaction
 * writes what it holds into a table and begins another.
 */
import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Level } from "level";

/** Bytes wanted besides the table: the new log, the manifest. */
const MARGIN = 64 * 1024;

/** Gives LevelDB's own files room back and ends its log; the types of `level` leave it out because browsers lack it. */
type Compactable = { compactRange(start: string, end: string): Promise<void> };

/**
 * Begins a new log. Nothing is touched before there is room for it: a compaction that fails would end all writing.
 *
 * @throws Error of the system where there is no room yet
 */
export async function renewLog(level: Level, directory: string): Promise<void> {
  const before = await logs(directory);
  await tryRoom(`${directory}.room`, before.bytes + MARGIN);
  await (level as unknown as Compactable).compactRange("\u0000", "\u0000");
  const after = await logs(directory);
  if (after.newest <= before.newest) throw new Error(`the log in ${directory} could not be renewed`);
}

async function tryRoom(path: string, bytes: number): Promise<void> {
  try {
    await writeFile(path, Buffer.alloc(bytes), { mode: 0o600, flush: true });
  } finally {
    await rm(path, { force: true });
  }
}

/** The logs' greatest number, and their size together. */
async function logs(directory: string): Promise<{ newest: number; bytes: number }> {
  let newest = 0;
  let bytes = 0;
  for (const name of await readdir(directory)) {
    const number = Number(/^(\d+)\.log$/.exec(name)?.[1] ?? 0);
    if (number === 0) continue;
    newest = Math.max(newest, number);
    bytes += (await stat(join(directory, name)).catch(() => undefined))?.size ?? 0;
  }
  return { newest, bytes };
}
