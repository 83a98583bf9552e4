/**
 * The gentle equaliser's curve. A file is compared with itself: the target is its own spectrum, smoothed over several critical
 * bands, so that its character stays. What stands out and covers its neighbours is lowered, what is covered by others is
 * raised, both by a part of the difference and by 3 dB at most; what is not heard at all stays as it is.
 */
import { BARK_BANDS, type HeardBand } from "./bark.ts";

/** dB that a band is changed by at most. */
const MOST_GAIN = 3;
/** Share of the difference that is made up for. */
const STRENGTH = 0.5;
/** Bark on each side over which the target is fitted. */
const REACH = 5;
/** dB that count as in order. */
const DEAD_ZONE = 1;
/** dB above its masked threshold at which a band is heard freely. */
const CLEAR = 12;

/** What is done to a band. */
export interface CurvePoint {
  /** Hz. */
  readonly frequency: number;
  /** dB, −3 to 3. */
  readonly gain: number;
}

/** The curve for a spectrum as it is heard. */
export function enhancementCurve(bands: readonly HeardBand[]): CurvePoint[] {
  const heard = bands.map(({ level, masked }) => level > masked - CLEAR && level > 0);
  const wanted = bands.map((band, index) => {
    if (heard[index] !== true) return 0;
    const difference = targetAt(bands, heard, index) - band.level;
    const beyond = Math.sign(difference) * Math.max(0, Math.abs(difference) - DEAD_ZONE);
    // A band that is too loud is lowered as it is; one that is too soft is raised the more, the more the others cover it.
    const covered = Math.min(1, Math.max(0, 1 - (band.level - band.masked) / CLEAR));
    return STRENGTH * beyond * (beyond < 0 ? 1 : covered);
  });
  return bands.map(({ centre }, index) => {
    const [before, here, after] = [wanted[index - 1], wanted[index] ?? 0, wanted[index + 1]];
    const smooth = 0.25 * (before ?? here) + 0.5 * here + 0.25 * (after ?? here);
    const gain = heard[index] === true ? Math.max(-MOST_GAIN, Math.min(MOST_GAIN, smooth)) : 0;
    return { frequency: centre, gain: Math.round(gain * 100) / 100 };
  });
}

/** A straight line through the neighbours' levels, the nearer the weightier, without the band itself. */
function targetAt(bands: readonly HeardBand[], heard: readonly boolean[], index: number): number {
  let [weights, meanX, meanY] = [0, 0, 0];
  const neighbours: { readonly x: number; readonly y: number; readonly weight: number }[] = [];
  for (let other = Math.max(0, index - REACH); other <= Math.min(BARK_BANDS - 1, index + REACH); other++) {
    const y = bands[other]?.level;
    if (other === index || heard[other] !== true || y === undefined) continue;
    const x = other - index;
    const weight = (1 - (Math.abs(x) / (REACH + 1)) ** 2) ** 2;
    neighbours.push({ x, y, weight });
    weights += weight;
    meanX += weight * x;
    meanY += weight * y;
  }
  if (weights === 0) return bands[index]?.level ?? 0;
  meanX /= weights;
  meanY /= weights;
  let [xx, xy] = [0, 0];
  for (const { x, y, weight } of neighbours) {
    xx += weight * (x - meanX) ** 2;
    xy += weight * (x - meanX) * (y - meanY);
  }
  return meanY - (xx > 0 ? (xy / xx) * meanX : 0);
}

/** Seconds of the equaliser's impulse response on each side: enough for 100 Hz. */
const EQUALIZER_SECONDS = 0.04;

/** The curve as a chain of filters: as long as its input, and in step with it. @param samples - length of the input */
export function curveChain(curve: readonly CurvePoint[], sampleRate: number, samples: number): string {
  const delay = Math.floor(EQUALIZER_SECONDS * sampleRate);
  const [first, last] = [curve.at(0)?.gain ?? 0, curve.at(-1)?.gain ?? 0];
  const entries = [
    `entry(0,${first})`,
    ...curve.map(({ frequency, gain }) => `entry(${frequency},${gain})`),
    // Above the highest band nothing was measured.
    `entry(16000,${last})`,
    "entry(20000,0)",
  ];
  return [
    `firequalizer=delay=${EQUALIZER_SECONDS}:gain_entry='${entries.join(";")}'`,
    `atrim=start_sample=${delay}:end_sample=${delay + samples}`,
    "asetpts=PTS-STARTPTS",
  ].join(",");
}
