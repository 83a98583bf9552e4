/** The checks of this room: the folders that the configuration names. */
import { randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Paths } from "../../shared/paths.ts";
import type { Check } from "../core/ports/house.ts";
import { folderState } from "./folders.ts";
import type { Config } from "./schema.ts";

/** All checks of this room, for a configuration. */
export function configChecks(config: Config, paths: Paths): readonly Check[] {
  return [foldersCheck(config, paths)];
}

/** The folders that are written to, but for the download folder, which the disk room examines. */
function foldersCheck(config: Config, paths: Paths): Check {
  return {
    id: "folders",
    title: "Folders can be written",
    async run() {
      const folders: ReadonlyMap<string, string> = new Map([
        ["state folder", paths.stateDir],
        ["cache folder", paths.cacheDir],
        ...config.watch.folders.map(({ path }, index) => [`watch.folders[${index}]`, path] as const),
      ]);
      const obstacles: string[] = [];
      const details: Record<string, string> = {};
      for (const [name, folder] of folders) {
        const obstacle = await writeProbe(folder);
        details[name] = folder;
        if (obstacle !== undefined) obstacles.push(`${name}: ${obstacle}`);
      }
      if (obstacles.length === 0)
        return { status: "ok", message: `${folders.size} folders can be written or made`, details };
      const fix = "Change their rights, or name other folders in the configuration.";
      return { status: "failed", message: obstacles.join("; "), fix, details };
    },
  };
}

/** Writes a small file into a folder and removes it: rights alone do not tell of quotas, full or read-only disks. */
async function writeProbe(folder: string): Promise<string | undefined> {
  const { exists, obstacle } = await folderState(folder);
  if (!exists || obstacle !== undefined) return obstacle;
  const probe = join(folder, `.snatch-check-${randomBytes(6).toString("hex")}`);
  try {
    await writeFile(probe, "snatch\n", { flag: "wx" });
    return undefined;
  } catch (error) {
    return `${folder} cannot be written: ${(error as Error).message}`;
  } finally {
    await rm(probe, { force: true });
  }
}
