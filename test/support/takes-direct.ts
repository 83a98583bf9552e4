/** Whether the file system for temporary files can be written to past the page cache. */
import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./temporary-folder.ts";

/** Options of a test that needs it. */
export const needsDirect: { readonly skip: string | false } = {
  skip: (await takesDirect()) ? false : "no O_DIRECT where temporary files are",
};

async function takesDirect(): Promise<boolean> {
  if (process.platform !== "linux") return false;
  await using folder = await temporaryFolder();
  try {
    closeSync(openSync(join(folder.path, "probe"), constants.O_WRONLY | constants.O_CREAT | constants.O_DIRECT));
    return true;
  } catch {
    return false;
  }
}
