/**
 * Where a caller may have files written. Over the Unix socket that is wherever the daemon itself may; over TCP only below
 * the allowed folders, and neither `..` nor a symbolic link leads out of them.
 *
 * The answer holds for the time of the question: whoever can change links below an allowed folder has an account on this
 * machine and is not kept out by this.
 */
import { lstat, realpath } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { failure } from "../core/errors.ts";
import type { DownloadOptions } from "../core/session.ts";

/** What a caller may reach, by the way it came. */
export interface Reach {
  /** Over the Unix socket: the file's rights say that it is the owner. */
  readonly local: boolean;
  /** Folders that it may have files written to; undefined: any. */
  allowedDirs(): readonly string[] | undefined;
  /** @throws DownloadError TARGET_NOT_ALLOWED for an absolute path that the caller may not have written */
  assertTarget(path: string): Promise<void>;
}

/** Of callers over the Unix socket. */
export const LOCAL: Reach = { local: true, allowedDirs: () => undefined, assertTarget: () => Promise.resolve() };

/** Of callers over TCP. `allowedDirs` is asked each time: the configuration may change. */
export function remote(allowedDirs: () => readonly string[]): Reach {
  return {
    local: false,
    allowedDirs,
    async assertTarget(path) {
      const real = await realTarget(path);
      for (const directory of allowedDirs())
        if (real !== undefined && isInside((await realTarget(directory)) ?? resolve(directory), real)) return;
      throw failure("TARGET_NOT_ALLOWED", `${path} lies outside the folders that callers over TCP may write to`, {
        metadata: { path },
      });
    },
  };
}

/** Keeps what could undo the limits, or shows secrets, on this machine. @throws DownloadError PERMISSION_DENIED */
export function assertLocal(reach: Reach, what: string): void {
  if (!reach.local) throw failure("PERMISSION_DENIED", `${what} is only possible over the Unix socket`);
}

/** Checks the places that options name. */
export async function assertTargets(options: DownloadOptions, reach: Reach): Promise<void> {
  if (options.directory !== undefined) await reach.assertTarget(options.directory);
  if (options.output !== undefined) await reach.assertTarget(options.output);
}

function isInside(directory: string, path: string): boolean {
  const way = relative(directory, path);
  return way === "" || (way !== ".." && !way.startsWith("../") && !isAbsolute(way));
}

/** The path with every link of its existing part followed; undefined if one of them leads nowhere. */
async function realTarget(path: string): Promise<string | undefined> {
  try {
    let existing = resolve(path);
    let rest = "";
    while (!(await exists(existing)) && existing !== dirname(existing)) {
      rest = join(basename(existing), rest);
      existing = dirname(existing);
    }
    return join(await realpath(existing), rest);
  } catch (error) {
    if (["ENOENT", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** Links count as themselves. */
async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}
