/**
 * Bytes that turned out wrong are put beside the target, under a name that nobody takes for the file: for whoever wants to
 * see what came. Nothing removes them later but a person. Each retry that ends like this has a number of its own.
 */
import { basename, dirname, join } from "node:path";
import { asDownloadError } from "../core/errors.ts";
import type { PlannedFile } from "./planned-file.ts";
import type { Run } from "./run.ts";

/** Bytes of a name. */
const LONGEST_NAME = 255;

/**
 * Moves the part file out of the way: NAME.ID.quarantine, then NAME.ID.2.quarantine … The session has nothing in hand
 * afterwards. Within one run what was put there before is replaced: several places with wrong bytes are one finding.
 *
 * @returns where it is now
 * @throws FileSystemError
 */
export async function quarantine(run: Run, { part, target, resource }: PlannedFile): Promise<string> {
  const { files, store } = run.engine;
  await part.sync();
  await part.close();
  const mtimeMs = Date.parse(resource.lastModified ?? "");
  const options = { ...(!Number.isNaN(mtimeMs) && { mtimeMs }), replace: run.quarantined !== undefined };
  let path = run.quarantined ?? quarantinePath(target, run.session.id, 1);
  for (let number = 2; !(await placed(() => files.place(part.path, path, options))); number++)
    path = quarantinePath(target, run.session.id, number);
  run.quarantined = path;
  run.proved = 0;
  await run.update({ resource: undefined, manifestRoot: undefined, progress: { downloadedBytes: 0 } });
  await store.dropChunks(run.session.id);
  return path;
}

/** Other bytes were right: those that were not are of no use any more. */
export async function release(run: Run): Promise<void> {
  const path = run.quarantined;
  if (path === undefined) return;
  run.quarantined = undefined;
  await run.engine.files.remove(path);
  run.logger.info({ path }, "another source had the right bytes; the wrong ones are removed");
}

/** @returns false if something is there already */
async function placed(place: () => Promise<unknown>): Promise<boolean> {
  try {
    await place();
    return true;
  } catch (error) {
    if (asDownloadError(error).code !== "TARGET_EXISTS") throw error;
    return false;
  }
}

function quarantinePath(target: string, id: string, number: number): string {
  const suffix = `.${id.slice(0, 8)}${number > 1 ? `.${number}` : ""}.quarantine`;
  let name = basename(target);
  while (Buffer.byteLength(name) + suffix.length > LONGEST_NAME) name = [...name].slice(0, -1).join("");
  return join(dirname(target), name + suffix);
}
