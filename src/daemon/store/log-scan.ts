/**
 * Looks for damage in LevelDB's write-ahead logs and manifests without opening the database.
 *
 * LevelDB drops a damaged part of its log in silence when it opens, and then deletes the log. Whoever wants to keep a
 * copy has to look first. The format: blocks of 32 KiB, each a row of records of {masked CRC-32C, length, type, payload}
 * (leveldb, doc/log_format.md). A record cut off by the end of the file is no damage: the writer died there.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32c } from "../core/crc32c.ts";
import { compareWithCloseNote } from "./close-note.ts";

const BLOCK = 32_768;
const HEADER = 7;
const MASK_DELTA = 0xa282ead8;
/** FULL, FIRST, MIDDLE, LAST. */
const LAST_TYPE = 4;

/** Files of a database that the scan understands, and all that belong to it. */
const LOG_LIKE = /^(\d+\.log|MANIFEST-\d+)$/;
const OF_DATABASE = /^(\d+\.(log|ldb|sst)|MANIFEST-\d+|CURRENT)$/;

/** What is wrong with a file. */
interface Damage {
  readonly file: string;
  readonly problem: string;
}

/** The first damaged place of a log, as its offset in bytes; undefined if there is none. */
function findDamage(log: Uint8Array): number | undefined {
  const view = new DataView(log.buffer, log.byteOffset, log.byteLength);
  for (let block = 0; block < log.length; block += BLOCK) {
    const end = Math.min(block + BLOCK, log.length);
    const isLast = block + BLOCK > log.length;
    let at = block;
    while (end - at >= HEADER) {
      const length = view.getUint16(at + 4, true);
      const type = log[at + 6] ?? 0;
      if (type === 0 && length === 0) {
        // Zeros up to the end of the file are a tail that was never written.
        if (log.subarray(at).some((byte) => byte !== 0)) return at;
        return undefined;
      }
      const next = at + HEADER + length;
      if (next > end) {
        if (isLast) return undefined;
        return at;
      }
      const masked = (view.getUint32(at, true) - MASK_DELTA) >>> 0;
      const expected = ((masked >>> 17) | (masked << 15)) >>> 0;
      if (type > LAST_TYPE || crc32c(log.subarray(at + 6, next)) !== expected) return at;
      at = next;
    }
  }
  return undefined;
}

/** True if the folder holds files of a database, whole or not. */
export async function hasDatabaseFiles(directory: string): Promise<boolean> {
  return (await names(directory)).some((name) => OF_DATABASE.test(name));
}

/**
 * Everything that is visibly wrong with a database's files. Reads only; may run beside a process that writes.
 *
 * @param directory - the database; it exists
 */
export async function scanDatabase(directory: string): Promise<Damage[]> {
  const present = await names(directory);
  const found: Damage[] = [];
  const current = await readIfThere(join(directory, "CURRENT"));
  const manifest = current?.toString("latin1");
  if (manifest === undefined) found.push({ file: "CURRENT", problem: "is missing" });
  else if (!manifest.endsWith("\n") || !LOG_LIKE.test(manifest.trimEnd()))
    found.push({ file: "CURRENT", problem: "does not name a manifest" });
  else if ((await readIfThere(join(directory, manifest.trimEnd()))) === undefined)
    found.push({ file: "CURRENT", problem: `names ${manifest.trimEnd()}, which is missing` });
  for (const name of present.filter((entry) => LOG_LIKE.test(entry))) {
    const bytes = await readIfThere(join(directory, name));
    const offset = bytes === undefined ? undefined : findDamage(bytes);
    if (offset !== undefined) found.push({ file: name, problem: `fails its checksum at byte ${offset}` });
  }
  found.push(...(await compareWithCloseNote(directory)));
  return found;
}

async function names(directory: string): Promise<string[]> {
  return readdir(directory).catch(nothingIfMissing([]));
}

/** The file's bytes; undefined if it is not there: a running database renames and deletes its files. */
async function readIfThere(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch(nothingIfMissing(undefined));
}

const nothingIfMissing =
  <T>(nothing: T) =>
  (error: NodeJS.ErrnoException): T => {
    if (error.code === "ENOENT") return nothing;
    throw error;
  };
