/** How files are open in this process, as Linux tells it: proc_pid_fdinfo(5). */
import { constants, readdirSync, readFileSync, readlinkSync } from "node:fs";

/** By way of the page cache, or past it. */
export type Way = "cached" | "direct";

/** The descriptors that lead to a path for which `fits` is true, in the order of their numbers. Linux only. */
export function waysTo(fits: (path: string) => boolean): Way[] {
  return readdirSync("/proc/self/fd").flatMap((descriptor) => {
    try {
      if (!fits(readlinkSync(`/proc/self/fd/${descriptor}`))) return [];
      const flags = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"))?.[1] ?? "0";
      return [Number.parseInt(flags, 8) & constants.O_DIRECT ? "direct" : "cached"];
    } catch {
      // The one that lists the folder, which is closed by now.
      return [];
    }
  });
}
