/** How the bench is printed: each row with its figures and bounds, and one table at the end. */
import { availableParallelism, cpus } from "node:os";
import { formatDuration } from "../src/shared/format.ts";
import type { PlaceName } from "./places.ts";
import { type Bound, type Found, isKept } from "./row.ts";
import { deviations, settings } from "./settings.ts";

/** One row in one place. */
export interface RowReport extends Found {
  readonly id: string;
  readonly title: string;
  readonly place: PlaceName;
  readonly seconds: number;
  /** Why it has not been run to its end. */
  readonly problem?: string;
}

/** What stands above everything. */
export function headLines(): string[] {
  return [
    `${cpus()[0]?.model}, ${availableParallelism()} cores; Node ${process.versions.node}; ` +
      `${settings.rounds} rounds in turns, medians`,
    ...(deviations.length > 0 ? [`NOT THE FULL BENCH: ${deviations.join(" ")}`] : []),
  ];
}

/** One row. */
export function rowLines({
  id,
  title,
  place,
  contests = [],
  notes = [],
  bounds,
  problem,
  seconds,
}: RowReport): string[] {
  return [
    "",
    `${id}. ${title}, on ${place} (${formatDuration(seconds * 1000)})`,
    ...contests.flatMap((standings) => [`  ${standings.title}`, ...standings.lines()]),
    ...notes.map((note) => `  ${note}`),
    ...bounds.map((bound) => `  ${boundText(bound)}`),
    ...(problem === undefined ? [] : [`  COULD NOT BE RUN: ${problem}`]),
  ];
}

/** All bounds, one a line. */
export function tableLines(reports: readonly RowReport[]): string[] {
  const lines = reports.flatMap(({ id, place, title, bounds, problem }) => [
    ...bounds.map((bound) => `${id.padStart(3)}  ${place.padEnd(5)}  ${boundText(bound)}`),
    ...(problem === undefined ? [] : [`${id.padStart(3)}  ${place.padEnd(5)}  COULD NOT BE RUN: ${title}`]),
  ]);
  const all = reports.flatMap(({ bounds }) => bounds);
  return ["", "summary", ...lines, `${all.filter(isKept).length} of ${all.length} bounds reached`];
}

function boundText(bound: Bound): string {
  const { what, value, most, unit } = bound;
  const digits = unit === "×" || unit === "s" ? 2 : unit === "%" ? 3 : 0;
  const number = (count: number): string => `${count.toFixed(digits)} ${unit}`;
  const missed = Number.isNaN(value) ? "NOT MEASURED" : `NOT REACHED, by ${((value / most - 1) * 100).toFixed(0)} %`;
  return `${what.padEnd(42)} ${number(value).padStart(9)}  ≤ ${number(most).padStart(8)}  ${isKept(bound) ? "reached" : missed}`;
}
