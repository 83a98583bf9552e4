/** What a row of the bench is: work, what came of it, and the bounds that it has to keep. */

import type { Place, PlaceName } from "./places.ts";
import type { Standings } from "./standings.ts";

/** One figure and the most that it may be. */
export interface Bound {
  readonly what: string;
  /** NaN if it could not be measured. */
  readonly value: number;
  readonly most: number;
  /** "×" for ratios. MB are of 10^6 bytes. */
  readonly unit: "×" | "s" | "ms" | "MB" | "%";
}

/** What a row found in one place. */
export interface Found {
  readonly bounds: readonly Bound[];
  readonly contests?: readonly Standings[];
  /** Figures without a bound. */
  readonly notes?: readonly string[];
}

/** One row of the table. */
export interface Row {
  /** As `--only` names it. */
  readonly id: string;
  readonly title: string;
  /** Where it is measured: what does not depend on the disk is measured once. */
  readonly places: readonly PlaceName[];
  run(place: Place): Promise<Found>;
}

/** True if the figure is there and within its bound. */
export const isKept = ({ value, most }: Bound): boolean => value <= most;

/** Bytes as the bounds count them. */
export const megabytes = (bytes: number): number => bytes / 1e6;
