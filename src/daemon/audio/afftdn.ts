/**
 * FFmpeg's afftdn with a measured noise profile. Its levels were calibrated with white noise: `nf` is the noise's effective
 * value in dBFS, the bands of a custom profile are relative to their mean. It answers late without saying so; the delay is
 * measured, not believed, and given back.
 */
import { failure } from "../core/errors.ts";
import type { MediaTool } from "../core/ports/media.ts";
import type { NoiseFloor } from "./noise-floor.ts";

/** What `nf` takes, dBFS. */
const LIMITS = { least: -80, most: -20 } as const;
/** What a band may differ from the mean by, dB. */
const MOST_DIFFERENCE = 24;
/** Noise goes over its mean; up to here it is still taken for noise, dB. */
const HEADROOM = 0;

/** How it is used. */
export interface AfftdnSettings {
  /** Decibels that noise is lowered by. */
  readonly reduction: number;
  /** What is taken away is at least so far under the sound, dB; absent: no limit. */
  readonly keep?: number;
}

/**
 * The filter for a noise floor.
 * @returns undefined if there is no noise that it could take away
 */
export function afftdnFilter(floor: NoiseFloor, { reduction, keep }: AfftdnSettings): string | undefined {
  if (!floor.sound) return undefined;
  const lowered = keep === undefined ? 0 : Math.max(0, takenAway(floor) - (floor.level - keep));
  const mean = floor.bands.reduce((sum, level) => sum + level, 0) / floor.bands.length;
  if (mean - lowered < LIMITS.least) return undefined;
  const level = Math.min(LIMITS.most, mean - lowered);
  const profile = floor.bands.map((band) => Math.round(clamp(band - mean, MOST_DIFFERENCE)));
  return `afftdn=nr=${reduction}:nf=${level.toFixed(1)}:nt=custom:bn=${profile.join("|")}`;
}

/** Level of all that may be taken for noise at most, dBFS. */
function takenAway({ bands, widths }: NoiseFloor): number {
  const energy = bands.reduce((sum, level, band) => sum + 10 ** ((level + HEADROOM) / 10) * (widths[band] ?? 0), 0);
  return 10 * Math.log10(energy + 1e-15);
}

/**
 * A chain that begins where its input begins and is as long.
 * @param delay - samples that `filter` is late by
 */
export function withoutDelay(filter: string, delay: number): string {
  if (delay === 0) return filter;
  return `apad=pad_len=${delay},${filter},atrim=start_sample=${delay},asetpts=PTS-${delay}/SR/TB`;
}

/** Samples that a filter is late by at a rate: where it puts a click. */
export async function delayOf(
  tool: Pick<MediaTool, "run">,
  filter: string,
  rate: number,
  signal?: AbortSignal,
): Promise<number> {
  const at = Math.round(rate / 4);
  const pieces: Uint8Array[] = [];
  await tool.run({
    ...(signal !== undefined && { signal }),
    inputs: [{ generate: `aevalsrc=exprs=0.5*eq(n\\,${at}):s=${rate}:d=0.6:c=mono` }],
    output: {
      sink: (bytes) => void pieces.push(bytes),
      format: "f32le",
      options: ["-af", filter, "-c:a", "pcm_f32le"],
    },
  });
  const bytes = Buffer.concat(pieces);
  let [best, where] = [0, -1];
  for (let n = 0; n < bytes.length / 4; n++) {
    const value = Math.abs(bytes.readFloatLE(4 * n));
    if (value > best) [best, where] = [value, n];
  }
  if (where < at) throw failure("FFMPEG_FAILED", `the delay of FFmpeg's ${filter.split("=", 1)[0]} cannot be measured`);
  return where - at;
}

function clamp(value: number, most: number): number {
  return Math.max(-most, Math.min(most, value));
}
