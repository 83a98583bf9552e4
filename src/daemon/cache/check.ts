/** Can the caches be used, and is there room for what they may hold? Without them everything works, only slower. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { formatBytes } from "../../shared/format.ts";
import { asDownloadError } from "../core/errors.ts";
import type { CacheStats, Check, CheckOutcome, FileStore } from "../core/ports.ts";

/** What to look at. */
export interface CacheCheckOptions {
  readonly enabled: boolean;
  readonly directory: string;
  /** Bytes that may be kept. */
  readonly maxBytes: number;
}

const FIX = "Change its rights, or set cache.directory in the configuration to another folder.";

/**
 * The folder is there or can be made, can be written, and has room; nobody else uses it.
 *
 * @param stats - of a running daemon; without one only the folder is looked at
 */
export function cacheCheck(
  { enabled, directory, maxBytes }: CacheCheckOptions,
  files: Pick<FileStore, "freeSpace">,
  stats?: () => Promise<CacheStats>,
): Check {
  return {
    id: "cache",
    title: "Caches",
    async run(): Promise<CheckOutcome> {
      if (!enabled) return { status: "skipped", message: "off: cache.enabled is false" };
      const details = { directory };
      const running = await stats?.().catch(() => undefined);
      if (running?.problem !== undefined) return { status: "warning", message: running.problem, fix: FIX, details };
      try {
        const missing = await whyUnusable(directory);
        if (missing !== undefined) return { status: "warning", message: missing, fix: FIX, details };
        const free = await files.freeSpace(directory);
        const growth = Math.max(0, maxBytes - (running?.bytes ?? 0));
        const holds = running ? `holds ${formatBytes(running.bytes)} of ${formatBytes(maxBytes)}` : "can be used";
        const message = `${directory} ${holds}; ${formatBytes(free)} free`;
        if (growth <= free) return { status: "ok", message, details };
        const fix = "Make room, or lower cache.max_size.";
        return { status: "warning", message: `${message}, and it may grow by ${formatBytes(growth)}`, fix, details };
      } catch (error) {
        return { status: "warning", message: asDownloadError(error).message, fix: FIX, details };
      }
    },
  };
}

/** Looks at the nearest folder that is there. @returns undefined if it can be used */
async function whyUnusable(directory: string): Promise<string | undefined> {
  for (let place = directory; ; place = dirname(place)) {
    try {
      if (!(await stat(place)).isDirectory()) return `${place} is a file, not a folder`;
      await access(place, constants.W_OK | constants.X_OK);
      return undefined;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // Below a file there is nothing either: that is found one step further up.
      if ((code !== "ENOENT" && code !== "ENOTDIR") || place === dirname(place))
        return code === "EROFS" ? `${place} is on a read-only file system` : `${place} cannot be written: ${message}`;
    }
  }
}
