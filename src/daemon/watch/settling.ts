/**
 * When is a dropped list whole? No file system says so. A list counts as whole when its size and time have not changed
 * for a while; when it was renamed into place, which only finished files are, at once. An empty file is never whole: its
 * writer has just begun.
 */
import type { BigIntStats } from "node:fs";
import { signature } from "./list-file.ts";

/** A list without a final line feed may be half a list: it must stand still for so many times longer. */
const UNFINISHED_FACTOR = 3;

/** When a list was first seen as it is now. */
export interface Sighting {
  readonly signature: string;
  readonly ino: bigint;
  /** Monotonic milliseconds. */
  readonly since: number;
}

/** What is known at a look. */
export interface LookContext {
  /** Monotonic milliseconds. */
  readonly monotonic: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly settleMs: number;
  /** The last byte ends a line. */
  readonly finished: boolean;
}

/** Takes note of a list as it is now. */
export function sight(stats: BigIntStats, before: Sighting | undefined, monotonic: number): Sighting {
  const seen = signature(stats);
  return before?.signature === seen ? before : { signature: seen, ino: stats.ino, since: monotonic };
}

/**
 * How long a list must still stand still, in milliseconds; 0 if it is whole.
 *
 * @param before - the sighting before this one, if the file was known
 * @param stats - of a file that is not empty
 */
export function remaining(
  stats: BigIntStats,
  before: Sighting | undefined,
  sighting: Sighting,
  context: LookContext,
): number {
  // Writing sets both times to the same instant, renaming only the second. A rename within the same tick of the file
  // system's clock is not told apart, and such a list waits like one that was written in place.
  const renamedIn = before?.ino !== stats.ino && stats.ctimeNs > stats.mtimeNs;
  if (renamedIn && context.finished) return 0;
  const need = context.settleMs * (context.finished ? 1 : UNFINISHED_FACTOR);
  // The file's own time counts too, so that what was dropped while nobody watched is taken at once.
  const still = Math.max(context.monotonic - sighting.since, context.now - Number(stats.mtimeMs));
  return Math.max(0, Math.ceil(need - still));
}
