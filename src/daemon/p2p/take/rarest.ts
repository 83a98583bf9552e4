/**
 * Rarest first: of what is missing, the chunks that the fewest peers have, so that none of them is lost with a peer that goes,
 * and so that those who fetch at the same time soon have what the others lack. Among equally rare ones chance decides, so
 * that not all of them fetch the same.
 */
import { randomInt } from "node:crypto";
import type { ByteRange } from "../../core/ports/sources.ts";

/** Chunks that are looked at in one call. */
const LONGEST_LOOK = 8192;

/** Bytes that are chosen at once, if a chunk is not larger. */
const MOST_CHOSEN = 16 * 1024 * 1024;

/** Whoever may have chunks. */
export interface Holder {
  /** It has all of them. */
  readonly complete: boolean;
  has(file: number, chunk: number): boolean;
}

/**
 * Which bytes to ask for next.
 *
 * @param gaps - what is missing, in bytes of the file
 * @returns a part of one of the gaps; undefined if it does not matter, since all peers have everything, or nobody has any of it
 */
export function rarest(
  gaps: readonly ByteRange[],
  file: number,
  chunkSize: number,
  holders: readonly Holder[],
): ByteRange | undefined {
  const partial = holders.filter(({ complete }) => !complete);
  if (partial.length === 0 || gaps.length === 0) return undefined;
  const all = holders.length - partial.length;
  const countOf = (chunk: number): number =>
    partial.reduce((sum, holder) => sum + (holder.has(file, chunk) ? 1 : 0), all);
  const found = { count: Number.POSITIVE_INFINITY, alike: 0, chunk: -1, gap: gaps[0] as ByteRange };
  let looked = 0;
  const first = randomInt(gaps.length);
  for (let turn = 0; turn < gaps.length && looked < LONGEST_LOOK; turn++) {
    const gap = gaps[(first + turn) % gaps.length] as ByteRange;
    const from = Math.floor(gap.start / chunkSize);
    const length = Math.ceil(gap.end / chunkSize) - from;
    // Of a long one another part each time.
    const offset = length > LONGEST_LOOK ? randomInt(length) : 0;
    for (let step = 0; step < length && looked < LONGEST_LOOK; step++) {
      const chunk = from + ((offset + step) % length);
      looked++;
      const count = countOf(chunk);
      if (count === 0 || count > found.count) continue;
      // Each of those alike has the same chance.
      found.alike = count < found.count ? 1 : found.alike + 1;
      if (count === found.count && randomInt(found.alike) > 0) continue;
      Object.assign(found, { count, chunk, gap });
    }
  }
  if (found.chunk < 0) return undefined;
  const { chunk, gap, count } = found;
  const most = Math.max(1, Math.floor(MOST_CHOSEN / chunkSize));
  let last = chunk + 1;
  while (last - chunk < most && last * chunkSize < gap.end && countOf(last) === count) last++;
  return { start: Math.max(gap.start, chunk * chunkSize), end: Math.min(gap.end, last * chunkSize) };
}
