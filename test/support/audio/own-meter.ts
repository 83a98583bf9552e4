/**
 * Meters that share nothing with FFmpeg, so that a result is not judged by what made it: integrated loudness by ITU-R
 * BS.1770-4 (K-weighting and gates, at 48 kHz) and the true peak by interpolation with a windowed sinc.
 */
import type { Signal } from "./signals.ts";

/** Coefficients b0 b1 b2 a1 a2 of BS.1770-4, tables 1 and 2: the head's shelf and the high-pass, for 48 kHz. */
const SHELF = [1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585] as const;
const HIGH_PASS = [1, -2, 1, -1.99004745483398, 0.99007225036621] as const;
/** Samples of a block of 400 ms, and from one to the next. */
const BLOCK = { length: 19_200, step: 4800 };

/** Integrated loudness in LUFS; −Infinity if nothing passes the absolute gate. Channels count as front ones. */
export function loudnessOf({ rate, channels }: Signal): number {
  if (rate !== 48_000) throw new RangeError(`this meter knows 48 kHz only, not ${rate} Hz`);
  const weighted = channels.map((samples) => filtered(filtered(samples, SHELF), HIGH_PASS));
  const powers: number[] = [];
  for (let start = 0; start + BLOCK.length <= (weighted[0]?.length ?? 0); start += BLOCK.step) {
    let sum = 0;
    for (const samples of weighted)
      for (let at = start; at < start + BLOCK.length; at++) sum += (samples[at] ?? 0) ** 2;
    powers.push(sum / BLOCK.length);
  }
  const level = (power: number): number => -0.691 + 10 * Math.log10(power);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const loud = powers.filter((power) => level(power) > -70);
  if (loud.length === 0) return Number.NEGATIVE_INFINITY;
  const gate = level(mean(loud)) - 10;
  return level(mean(loud.filter((power) => level(power) > gate)));
}

function filtered(samples: Float64Array, [b0, b1, b2, a1, a2]: typeof SHELF | typeof HIGH_PASS): Float64Array {
  let [x1, x2, y1, y2] = [0, 0, 0, 0];
  return samples.map((x) => {
    const y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2;
    [x2, x1, y2, y1] = [x1, x, y1, y];
    return y;
  });
}

/** Points between two samples, and samples on each side that they are made of. */
const BETWEEN = 8;
const REACH = 24;

/** True peak in dBTP. */
export function truePeakOf(samples: Float64Array): number {
  let peak = 0;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  // Between two samples a signal rises by a few dB at most: only there is it looked at closely.
  const worth = peak * 0.6;
  for (let phase = 1; phase < BETWEEN; phase++) {
    const taps = Float64Array.from({ length: 2 * REACH }, (_, tap) => {
      const x = tap - REACH + 1 - phase / BETWEEN;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / (REACH + 1));
      return (Math.sin(Math.PI * x) / (Math.PI * x)) * window;
    });
    for (let at = 0; at < samples.length; at++) {
      if (Math.max(Math.abs(samples[at] ?? 0), Math.abs(samples[at + 1] ?? 0)) < worth) continue;
      let sum = 0;
      for (let tap = 0; tap < taps.length; tap++) sum += (taps[tap] ?? 0) * (samples[at + tap - REACH + 1] ?? 0);
      peak = Math.max(peak, Math.abs(sum));
    }
  }
  return 20 * Math.log10(peak);
}
