/** What a normalisation is asked for, and what it answers: shared by its modes. */
import { failure } from "../core/errors.ts";
import type { Loudness } from "./measure.ts";
import type { OutputPlan } from "./output.ts";
import { type LoudnessTarget, NORMALIZATION_PRESETS, type NormalizationPreset } from "./presets.ts";
import type { AudioSource } from "./source.ts";
import type { AudioControl, AudioResult, OutputOptions } from "./types.ts";

/** LU by which the loudness may be off for a file to be left as it is. */
export const TOLERANCE_LU = 0.1;
/** Ranges of what can be asked for, as in FFmpeg's loudnorm. */
const BOUNDS = {
  targetLufs: { least: -70, most: -5, unit: "LUFS" },
  truePeak: { least: -9, most: 0, unit: "dBTP" },
  loudnessRange: { least: 1, most: 20, unit: "LU" },
  toleranceLu: { least: 0, most: 20, unit: "LU" },
} as const;

/** How loudness is normalised. What is not given is the preset's. */
export interface NormalizeOptions extends AudioControl, OutputOptions, Partial<LoudnessTarget> {
  /** Default: "standard". */
  readonly preset?: NormalizationPreset;
  /** "linear" (default) reaches the target; "ebu" is FFmpeg's loudnorm in two passes. */
  readonly mode?: "linear" | "ebu";
  /** A file that is off by no more, and whose peaks are low enough, is left as it is; default 0.1 LU. */
  readonly toleranceLu?: number;
  /** Only say what would be done. */
  readonly dryRun?: boolean;
}

/** What came of a normalisation. */
export interface NormalizeResult extends AudioResult {
  readonly target: LoudnessTarget;
  readonly before: Loudness;
  /** Of the file that was made, decoded again where its codec loses something; absent if none was made. */
  readonly after?: Loudness;
  /** dB: what the sound was, or would be, amplified by; absent where nothing is to be done, and in dynamic mode. */
  readonly gainDb?: number;
  /** Peaks were, or would be, limited. */
  readonly limited: boolean;
  /** loudnorm changed the gain over time. */
  readonly dynamic: boolean;
  /** How often the sound was encoded. */
  readonly rounds: number;
}

/** The target that the options mean. @throws DownloadError INVALID_ARGUMENT for what cannot be asked for */
export function targetOf(options: NormalizeOptions): LoudnessTarget {
  const name = options.preset ?? "standard";
  if (!Object.hasOwn(NORMALIZATION_PRESETS, name))
    throw failure(
      "INVALID_ARGUMENT",
      `there is no preset ${JSON.stringify(name)}; there are ${Object.keys(NORMALIZATION_PRESETS).join(", ")}`,
    );
  const preset = NORMALIZATION_PRESETS[name];
  const target = {
    targetLufs: options.targetLufs ?? preset.targetLufs,
    truePeak: options.truePeak ?? preset.truePeak,
    loudnessRange: options.loudnessRange ?? preset.loudnessRange,
  };
  const given = { ...target, toleranceLu: options.toleranceLu ?? TOLERANCE_LU };
  for (const [key, { least, most, unit }] of Object.entries(BOUNDS)) {
    const value = given[key as keyof typeof BOUNDS];
    if (!(value >= least && value <= most))
      throw failure("INVALID_ARGUMENT", `${key} is ${value}; it can be ${least} to ${most} ${unit}`);
  }
  return target;
}

/** What both modes are given. */
export interface NormalizeJob {
  readonly source: AudioSource;
  readonly plan: OutputPlan;
  readonly target: LoudnessTarget;
}
