/**
 * Whether what is under way with one peer is to be asked of another instead. Moving a request costs what is on the way, and
 * the next one is no sure thing: the other has to be quicker by far.
 */
import type { PeerLink, Wait } from "./peer-link.ts";

/** How much quicker another has to be, and by how many milliseconds besides. */
const TIMES = 10;
const AT_LEAST_MS = 1000;

/** Milliseconds from which on one is tried out of whom nothing is known. */
const TRY_MS = 10_000;

/** Whether a peer would have what is waited for much sooner than whoever was asked for it. */
export function isQuicker({ meter, load }: PeerLink, { left, rate }: Wait): boolean {
  const here = (left / rate) * 1000;
  const other = meter.rate;
  if (other === undefined) return load === 0 && here >= TRY_MS;
  const there = (left / (other / (load + 1))) * 1000;
  return here > TIMES * there + AT_LEAST_MS;
}
