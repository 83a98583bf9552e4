/** Can downloads be put where they are to go? */
import { access, constants, stat } from "node:fs/promises";
import { formatBytes } from "../../shared/format.ts";
import { asDownloadError, failure } from "../core/errors.ts";
import type { FileStore } from "../core/ports/files.ts";
import type { Check, CheckOutcome } from "../core/ports/house.ts";
import { naming } from "./file-error.ts";
import { nearest } from "./nearest.ts";

/** What to look at. */
export interface DownloadFolderCheckOptions {
  readonly folder: string;
  /** Bytes below which it warns. */
  readonly minFreeSpace: number;
}

/** The folder exists or can be made, is writable, and has room. Nothing is changed by looking. */
export function downloadFolderCheck(options: DownloadFolderCheckOptions, files: FileStore): Check {
  const { folder, minFreeSpace } = options;
  const fix = "Change its rights, or set download_dir in the configuration to another folder.";
  return {
    id: "download_folder",
    title: "Download folder",
    async run(): Promise<CheckOutcome> {
      try {
        const missing = await lacks(folder);
        const free = await files.freeSpace(folder);
        const details = { folder, free_bytes: String(free) };
        if (free < minFreeSpace) {
          const message = `${folder} has only ${formatBytes(free)} free; ${formatBytes(minFreeSpace)} are to stay free`;
          return { status: "warning", message, fix: "Make room, or set download_dir to a larger disk.", details };
        }
        const state = missing ? "will be made when it is needed" : "is writable";
        return { status: "ok", message: `${folder} ${state}; ${formatBytes(free)} free`, details };
      } catch (error) {
        const { message, code } = asDownloadError(error);
        return { status: "failed", message, fix, details: { folder, code } };
      }
    },
  };
}

/** @returns true if the folder is still to be made, and can be. @throws FileSystemError if it cannot be used */
async function lacks(folder: string): Promise<boolean> {
  const there = await nearest(folder);
  if (!(await naming("looking at", there, stat(there))).isDirectory())
    throw failure("DIRECTORY_MISSING", `${there} is a file, not a folder`, { metadata: { path: there } });
  await naming("writing to the folder", there, access(there, constants.W_OK | constants.X_OK));
  return there !== folder;
}
