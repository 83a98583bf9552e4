/**
 * Where a caller may have files written. Over the Unix socket that is wherever the daemon itself may; over TCP only below
 * the allowed folders, and neither `..` nor a symbolic link leads out of them.
 *
 * The answer holds for the time of the question: whoever can change links below an allowed folder has an account on this
 * machine and is not kept out by this.
 */
import { resolve } from "node:path";
import { isInside, realTarget } from "../../shared/real-target.ts";
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

/** Checks the places that options name, and that nobody shares what is not his. */
export async function assertTargets(options: DownloadOptions, reach: Reach): Promise<void> {
  if (options.share) assertLocal(reach, "sharing what is downloaded");
  if (options.directory !== undefined) await reach.assertTarget(options.directory);
  if (options.output !== undefined) await reach.assertTarget(options.output);
}
