/**
 * Loudness values counted by hundredths of a LU: what gated means and percentiles need, in memory that does not grow with
 * the length of the sound, and that can be added up over the files of an album.
 */

/** LUFS. Below is silence to BS.1770 (its absolute gate); nothing is louder than the top. */
const RANGE = { bottom: -70, top: 30 };
/** Bins a LU. */
const GRAIN = 100;

/** Counts values. */
export class LoudnessHistogram {
  readonly #counts = new Float64Array((RANGE.top - RANGE.bottom) * GRAIN + 1);
  #total = 0;

  /** @param lufs - of one block; those at or below the absolute gate do not count */
  add(lufs: number): void {
    if (!(lufs > RANGE.bottom)) return;
    const bin = Math.min(this.#counts.length - 1, Math.round((lufs - RANGE.bottom) * GRAIN));
    this.#counts[bin] = (this.#counts[bin] ?? 0) + 1;
    this.#total += 1;
  }

  /** Takes over what another one counted. */
  merge(other: LoudnessHistogram): void {
    for (const [bin, count] of other.#counts.entries()) this.#counts[bin] = (this.#counts[bin] ?? 0) + count;
    this.#total += other.#total;
  }

  /**
   * Integrated loudness in LUFS, of momentary values: the mean energy of those above a gate 10 LU below the mean energy of
   * all (ITU-R BS.1770-4, annex 1). Undefined if nothing was loud enough to count.
   */
  integrated(): number | undefined {
    const all = this.#meanAbove(RANGE.bottom);
    return all === undefined ? undefined : this.#meanAbove(all - 10);
  }

  /**
   * Loudness range in LU, of short-term values: from the 10th to the 95th percentile of those above a gate 20 LU below
   * their mean energy (EBU Tech 3342, §3).
   */
  range(): number {
    const all = this.#meanAbove(RANGE.bottom);
    if (all === undefined) return 0;
    const gate = all - 20;
    let count = 0;
    for (const [lufs, times] of this.#bins()) if (lufs >= gate) count += times;
    let passed = 0;
    let low: number | undefined;
    for (const [lufs, times] of this.#bins()) {
      if (lufs < gate) continue;
      passed += times;
      if (low === undefined && passed > 0.1 * (count - 1)) low = lufs;
      if (passed > 0.95 * (count - 1)) return lufs - (low ?? lufs);
    }
    return 0;
  }

  /** Loudest value; undefined if there is none. */
  loudest(): number | undefined {
    const bin = this.#counts.findLastIndex((times) => times > 0);
    return bin < 0 ? undefined : lufsOf(bin);
  }

  #meanAbove(gate: number): number | undefined {
    if (this.#total === 0) return undefined;
    let energy = 0;
    let count = 0;
    for (const [lufs, times] of this.#bins()) {
      if (lufs < gate) continue;
      energy += times * 10 ** (lufs / 10);
      count += times;
    }
    return count === 0 ? undefined : 10 * Math.log10(energy / count);
  }

  *#bins(): Generator<readonly [lufs: number, times: number]> {
    for (const [bin, times] of this.#counts.entries()) if (times > 0) yield [lufsOf(bin), times];
  }
}

/** In whole hundredths, without the dust of binary fractions. */
function lufsOf(bin: number): number {
  return (RANGE.bottom * GRAIN + bin) / GRAIN;
}
