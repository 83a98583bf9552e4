/** Small statistics of streams: what the features of sound are summed up with. */

/** Mean and deviation of values that are not kept (Welford's method). */
export class Running {
  count = 0;
  #mean = 0;
  #squares = 0;

  add(value: number): void {
    this.count++;
    const difference = value - this.#mean;
    this.#mean += difference / this.count;
    this.#squares += difference * (value - this.#mean);
  }

  /** 0 without values. */
  get mean(): number {
    return this.#mean;
  }

  get deviation(): number {
    return this.count === 0 ? 0 : Math.sqrt(this.#squares / this.count);
  }
}

/** Counts of decibels, from which percentiles can be read. */
export class LevelHistogram {
  /** Steps of half a decibel from -150 to +20. */
  readonly #counts = new Uint32Array(340);
  #total = 0;

  add(level: number): void {
    const step = Math.max(0, Math.min(this.#counts.length - 1, Math.round((level + 150) * 2)));
    this.#counts[step] = (this.#counts[step] as number) + 1;
    this.#total++;
  }

  get count(): number {
    return this.#total;
  }

  /** @param share - 0 to 1. @returns dB; -150 without values */
  percentile(share: number): number {
    let left = share * this.#total;
    for (const [step, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0 && count > 0) return step / 2 - 150;
    }
    return -150;
  }
}

/** Share of a curve's changes (0.5 to 15 a second) that are at 2 to 8 a second. */
export function syllabicShare(values: readonly number[], rate: number): number {
  const { length } = values;
  const mean = values.reduce((sum, value) => sum + value, 0) / length;
  let [syllabic, all] = [0, 0];
  for (let k = 1; k <= length / 2; k++) {
    const hertz = (k * rate) / length;
    if (hertz > 15) break;
    let [re, im] = [0, 0];
    for (let n = 0; n < length; n++) {
      const angle = (2 * Math.PI * k * n) / length;
      const hann = 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / length);
      const value = ((values[n] as number) - mean) * hann;
      re += value * Math.cos(angle);
      im -= value * Math.sin(angle);
    }
    const power = re * re + im * im;
    all += power;
    if (hertz >= 2 && hertz <= 8) syllabic += power;
  }
  return all === 0 ? 0 : syllabic / all;
}

/** The strongest regularity of onsets between 50 and 200 a minute, by autocorrelation: 0 to 1. */
export function beatOf(onsets: readonly number[], rate: number): number {
  const { length } = onsets;
  const mean = onsets.reduce((sum, value) => sum + value, 0) / length;
  const centred = onsets.map((value) => value - mean);
  const correlation = (lag: number): number => {
    let sum = 0;
    for (let n = lag; n < length; n++) sum += (centred[n] as number) * (centred[n - lag] as number);
    return sum / (length - lag);
  };
  const energy = correlation(0);
  if (energy <= 0) return 0;
  let beat = 0;
  for (let lag = Math.ceil((rate * 60) / 200); lag <= Math.min(length / 2, (rate * 60) / 50); lag++)
    // A beat comes back a second time as well.
    beat = Math.max(beat, (correlation(lag) + correlation(Math.min(2 * lag, length - 16))) / (2 * energy));
  return beat;
}
