/**
 * The file of refused lines: each under a comment that says why, so that the corrected file is a list again. It appears
 * whole or not at all, and never in the place of another file.
 */
import { constants } from "node:fs";
import { lstat, mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { RefusedRow } from "./ledger.ts";
import { openPaper } from "./open-paper.ts";

/** Characters written at once. */
const BLOCK = 256 * 1024;

/**
 * Writes the file. Doing it again with the same rows changes nothing; a file that somebody has changed since is left.
 *
 * @throws what the file system throws
 */
export async function writeRefusedFile(path: string, rows: AsyncIterable<RefusedRow>): Promise<void> {
  const part = `${path}.part`;
  await mkdir(dirname(path), { recursive: true });
  const file = await openPaper(part, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC);
  try {
    let block = "";
    for await (const row of rows) {
      block += refusedText(row);
      if (block.length < BLOCK) continue;
      await file.writeFile(block);
      block = "";
    }
    await file.writeFile(block);
    await file.datasync();
  } finally {
    await file.close();
  }
  // The name was free when the list began; what is there now was put there by an earlier run, perhaps corrected since.
  if (await exists(path)) return await rm(part, { force: true });
  await rename(part, path);
}

/** The lines of one refused entry. */
function refusedText(row: Pick<RefusedRow, "lineNumber" | "code" | "message" | "text">): string {
  const message = row.message.replace(/\s+/g, " ");
  return `# line ${row.lineNumber}: ${row.code}: ${message}\n${row.text === "" ? "" : `${row.text}\n`}`;
}

async function exists(path: string): Promise<boolean> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return found !== undefined;
}
