/** Writes a report: under its name only when it is whole, and never over a file that was not meant. */
import { randomBytes } from "node:crypto";
import { link, open, rename, rm, stat } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import { asDownloadError, failure } from "../core/errors.ts";
import { identityOf } from "./source.ts";

/**
 * Looks whether a report may be written, before anything is measured.
 *
 * @param inputs - files that it must not take the place of
 * @returns the absolute path
 * @throws DownloadError INVALID_ARGUMENT if it is an input or its name does not end as a page's does; FileSystemError TARGET_EXISTS
 */
export async function planReport(path: string, inputs: readonly string[], overwrite: boolean): Promise<string> {
  const target = resolve(path);
  if (!/^\.html?$/i.test(extname(target)))
    throw failure(
      "INVALID_ARGUMENT",
      `the report ${target} is a page in HTML: give it a name that ends in .html or .htm`,
    );
  const there = await stat(target).catch(() => undefined);
  if (there === undefined) return target;
  for (const input of inputs) {
    const { dev, ino } = await identityOf(input);
    if (there.dev === dev && there.ino === ino)
      throw failure("INVALID_ARGUMENT", `the report ${target} would take the place of the audio itself`);
  }
  if (!there.isFile()) throw failure("INVALID_ARGUMENT", `the report ${target} is not a file`);
  if (!overwrite) throw taken(target);
  return target;
}

/** Writes it. @throws what files throw; nothing is left then */
export async function writeReport(target: string, html: string, overwrite: boolean): Promise<void> {
  const draft = join(dirname(target), `.snatch-report-${randomBytes(6).toString("hex")}.html`);
  try {
    await using file = await open(draft, "wx", 0o666);
    await file.writeFile(html);
    await file.sync();
    if (overwrite) await rename(draft, target);
    else await link(draft, target).catch((error: NodeJS.ErrnoException) => otherwise(error, draft, target));
  } catch (error) {
    throw asDownloadError(error);
  } finally {
    await rm(draft, { force: true });
  }
}

/** Some file systems have no links: what is there was looked for before. */
async function otherwise(error: NodeJS.ErrnoException, draft: string, target: string): Promise<void> {
  if (error.code === "EEXIST") throw taken(target);
  if ((await stat(target).catch(() => undefined)) !== undefined) throw taken(target);
  await rename(draft, target);
}

function taken(target: string) {
  return failure("TARGET_EXISTS", `${target} is there already; it was not replaced`, { metadata: { path: target } });
}
