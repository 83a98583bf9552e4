/**
 * The bench: Snatch against curl, aria2c and wget2 in one run, from servers on loopback, on a disk and in memory.
 * `npm run bench` runs all rows, `npm run bench -- --only 1,3` some. Sizes for a quick look: settings.ts.
 *
 * Exits 0 if everything could be measured; whether bounds are kept is for the table to say.
 */
import { parseArgs } from "node:util";
import { benchTable, ROWS } from "./bench-table.ts";
import { stop } from "./stop.ts";

const { values } = parseArgs({ options: { only: { type: "string" } } });
const only = values.only?.split(",");
const unknown = only?.filter((id) => !ROWS.some((row) => row.id === id)) ?? [];
if (unknown.length > 0) {
  console.error(`there is no row ${unknown.join(", ")}: ${ROWS.map(({ id, title }) => `${id} ${title}`).join("; ")}`);
  process.exit(2);
}
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => stop.abort(new Error(`${signal}: stopped, and everything put away`)));
try {
  const { measured } = await benchTable(only);
  process.exitCode = measured ? 0 : 1;
} catch (error) {
  if (!stop.signal.aborted) throw error;
  console.error(stop.signal.reason instanceof Error ? stop.signal.reason.message : stop.signal.reason);
  process.exitCode = 1;
}
