/** The watch room's own check: can each folder be read, and its lists be moved? */
import { access, constants, stat } from "node:fs/promises";
import { asDownloadError } from "../core/errors.ts";
import type { Check, CheckOutcome } from "../core/ports.ts";

/** Checks watch folders; one that does not exist yet is made when the daemon starts. */
export function watchFoldersCheck(folders: readonly string[]): Check {
  return { id: "watch_folders", title: "Watch folders", run: () => outcome(folders) };
}

async function outcome(folders: readonly string[]): Promise<CheckOutcome> {
  if (folders.length === 0) return { status: "skipped", message: "no folder is watched" };
  const details: Record<string, string> = {};
  for (const folder of folders) details[folder] = await state(folder);
  const bad = folders.filter((folder) => details[folder] !== "ok" && details[folder] !== "not made yet");
  if (bad.length === 0) return { status: "ok", message: folders.join(", "), details };
  return {
    status: "failed",
    message: bad.map((folder) => `${folder}: ${details[folder]}`).join("; "),
    fix: "Let the daemon's user read and write the folder, or change watch_folders.",
    details,
  };
}

async function state(folder: string): Promise<string> {
  try {
    if (!(await stat(folder)).isDirectory()) return "not a folder";
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    return "ok";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "not made yet";
    return asDownloadError(error).message;
  }
}
