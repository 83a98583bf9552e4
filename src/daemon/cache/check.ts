/** What doctor says of the cache's folder. It changes nothing in it, so that it may run beside a daemon. */
import { constants } from "node:fs";
import { access, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { formatBytes } from "../../shared/format.ts";
import type { Check, CheckOutcome } from "../core/ports/house.ts";
import { FOLDER } from "./cache-vault.ts";
import { cacheFileError, isMissing } from "./file-error.ts";
import { isOwned } from "./owner.ts";

/** What to look at. */
export interface CacheCheckOptions {
  readonly enabled: boolean;
  /** As in the configuration; absolute. */
  readonly directory: string;
  /** Bytes that may be kept. */
  readonly maxBytes: number;
}

/** The caches of a running daemon, as far as the check asks them. */
interface RunningCaches {
  stats(): Promise<{ readonly bytes: number; readonly problem?: string }>;
}

/**
 * The check of a cache folder: it can be used, nobody else uses it, and the disk has room for what may be kept.
 *
 * @param running - the caches of a running daemon; without them the folder alone is looked at
 */
export function cacheCheck({ enabled, directory, maxBytes }: CacheCheckOptions, running?: RunningCaches): Check {
  const folder = join(directory, FOLDER);
  return {
    id: "cache",
    title: "Cache",
    run: async () => {
      if (!enabled) return { status: "skipped", message: "off: cache.enabled is false" };
      try {
        const stats = await running?.stats();
        if (stats?.problem !== undefined) return warning(`nothing is cached: ${stats.problem}`, folder);
        const place = await nearest(folder);
        await access(place, constants.R_OK | constants.W_OK | constants.X_OK);
        const { bavail, bsize } = await statfs(place);
        const free = bavail * bsize;
        const details = { directory: folder, free_bytes: String(free) };
        const owned = stats === undefined && place === folder && (await isOwned(folder));
        const holds = stats === undefined ? "" : `holds ${formatBytes(stats.bytes)} of ${formatBytes(maxBytes)}, `;
        const message = `${folder}, ${holds}${formatBytes(free)} free${owned ? "; a daemon uses it" : ""}`;
        const growth = maxBytes - (stats?.bytes ?? (owned ? maxBytes : 0));
        if (growth <= free) return { status: "ok", message, details };
        const fix = "Make room, or lower cache.max_size: a full disk holds downloads up.";
        return { status: "warning", message: `${message}; it may grow by ${formatBytes(growth)}`, fix, details };
      } catch (error) {
        return warning(cacheFileError(error, "to use", folder).message, folder);
      }
    },
  };
}

function warning(message: string, directory: string): CheckOutcome {
  const fix =
    "Everything works, but is fetched anew. Give each daemon a writable folder of its own in cache.directory.";
  return { status: "warning", message, fix, details: { directory } };
}

/** The folder, or the nearest above it that is there: it is made at the first start. */
async function nearest(folder: string): Promise<string> {
  try {
    await access(folder);
    return folder;
  } catch (error) {
    if (!isMissing(error) || dirname(folder) === folder) throw error;
    return nearest(dirname(folder));
  }
}
