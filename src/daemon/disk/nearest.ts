/** Folders that are still to be made, and where they will be. */
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { fileError, isMissing } from "./file-error.ts";

/** The folder itself, or the nearest one above it that exists. */
export async function nearest(folder: string): Promise<string> {
  for (let path = folder; ; path = dirname(path)) {
    try {
      await stat(path);
      return path;
    } catch (error) {
      if (!isMissing(error) || path === dirname(path)) throw fileError(error, "looking at", path);
    }
  }
}
