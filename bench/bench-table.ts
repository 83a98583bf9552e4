/** Runs the rows of the bench, in each of their places, and keeps all figures in bench/results/. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PLACES, Place } from "./places.ts";
import { headLines, type RowReport, rowLines, tableLines } from "./report.ts";
import { isKept, type Row } from "./row.ts";
import { cacheCompaction } from "./rows/cache-compaction.ts";
import { cacheHits } from "./rows/cache-hits.ts";
import { cpuPerGib } from "./rows/cpu-per-gib.ts";
import { idle } from "./rows/idle.ts";
import { limitedOrigin } from "./rows/limited-origin.ts";
import { manyFiles } from "./rows/many-files.ts";
import { media } from "./rows/media.ts";
import { millionQueued } from "./rows/million-queued.ts";
import { normalize } from "./rows/normalize.ts";
import { oneFile } from "./rows/one-file.ts";
import { peers } from "./rows/peers.ts";
import { smallUrls } from "./rows/small-urls.ts";
import { deviations, settings } from "./settings.ts";
import { stop } from "./stop.ts";

/** The rows, in the order in which they are run. */
export const ROWS: readonly Row[] = [
  oneFile,
  limitedOrigin,
  manyFiles,
  smallUrls,
  millionQueued,
  cpuPerGib,
  idle,
  cacheHits,
  cacheCompaction,
  media,
  normalize,
  peers,
];

/** What came of a run. */
export interface BenchReport {
  /** Everything that is printed. */
  readonly text: string;
  readonly rows: readonly RowReport[];
  /** Every row was run to its end, no program failed, and every figure is there. */
  readonly measured: boolean;
  /** The same, and these were all rows in all of their places, at full size. */
  readonly full: boolean;
  /** Bounds that are kept, and all of them. */
  readonly reached: number;
  readonly bounds: number;
}

/**
 * Runs the bench: an hour or so in full.
 *
 * @param only - ids of rows; default: all
 * @param say - is given what is to be printed, as it comes
 */
export async function benchTable(
  only?: readonly string[],
  say: (text: string) => void = console.log,
): Promise<BenchReport> {
  const said: string[] = [];
  const tell = (lines: readonly string[]): void => {
    said.push(...lines);
    say(lines.join("\n"));
  };
  tell(headLines());
  const rows: RowReport[] = [];
  const wanted = ROWS.filter(({ id }) => only?.includes(id) ?? true);
  for (const name of PLACES.filter((place) => settings.places.includes(place))) {
    await using place = await Place.open(name);
    for (const row of wanted.filter(({ places }) => places.includes(name))) {
      const report = await runRow(row, place);
      stop.signal.throwIfAborted();
      rows.push(report);
      tell(rowLines(report));
    }
  }
  tell(tableLines(rows));
  const bounds = rows.flatMap((row) => row.bounds);
  const complete = ({ problem, contests = [] }: RowReport): boolean =>
    problem === undefined && contests.every((standings) => standings.complete);
  const measured = rows.length > 0 && rows.every(complete) && bounds.every(({ value }) => !Number.isNaN(value));
  const report = {
    text: said.join("\n"),
    rows,
    measured,
    full: measured && only === undefined && deviations.length === 0,
    reached: bounds.filter(isKept).length,
    bounds: bounds.length,
  };
  await keep(report);
  return report;
}

/** A row that cannot be run does not stop the others. */
async function runRow(row: Row, place: Place): Promise<RowReport> {
  const { id, title } = row;
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  try {
    const found = await row.run(place);
    return { id, title, place: place.name, ...found, seconds: seconds() };
  } catch (error) {
    const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { id, title, place: place.name, bounds: [], problem, seconds: seconds() };
  }
}

async function keep(report: BenchReport): Promise<void> {
  const time = new Date().toISOString();
  await mkdir(settings.results, { recursive: true });
  const text = `${JSON.stringify({ time, settings, ...report }, undefined, 2)}\n`;
  await writeFile(join(settings.results, `${time.replaceAll(":", "-")}.json`), text);
}
