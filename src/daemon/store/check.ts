/** What doctor says of the database. It looks at the files only, so that it may run beside a daemon. */
import { formatBytes } from "../../shared/format.ts";
import type { Check } from "../core/ports/house.ts";
import { hasDatabaseFiles, scanDatabase } from "./log-scan.ts";
import { directorySize } from "./store.ts";

/** The check of the database in this folder. */
export function storeCheck(directory: string): Check {
  return {
    id: "store",
    title: "Database",
    run: async () => {
      try {
        if (!(await hasDatabaseFiles(directory)))
          return { status: "ok", message: `none yet; it is made in ${directory} at the first start` };
        const damage = await scanDatabase(directory);
        const size = await directorySize(directory);
        const details = { directory, size_bytes: String(size) };
        const [first] = damage;
        if (first === undefined) return { status: "ok", message: `${directory}, ${formatBytes(size)}`, details };
        return {
          status: "failed",
          message: `${directory}: ${damage.map(({ file, problem }) => `${file} ${problem}`).join("; ")}`,
          fix: "Start the daemon: it keeps a copy and repairs what can be repaired.",
          details,
        };
      } catch (error) {
        return {
          status: "failed",
          message: `${directory} cannot be read: ${(error as Error).message}`,
          fix: "Check the folder's rights.",
        };
      }
    },
  };
}
