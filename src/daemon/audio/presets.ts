/** Loudness targets by name, as the spec has them. */

/** Where a normalisation is to end. */
export interface LoudnessTarget {
  /** Integrated loudness in LUFS (ITU-R BS.1770-4, EBU R 128). */
  readonly targetLufs: number;
  /** The most that the true peak may be, in dBTP. */
  readonly truePeak: number;
  /** Loudness range in LU (EBU Tech 3342) that `mode: "ebu"` aims at; the default mode leaves the range as it is. */
  readonly loudnessRange: number;
}

/** A preset's name. */
export type NormalizationPreset = "standard" | "podcast";

export const NORMALIZATION_PRESETS: Readonly<Record<NormalizationPreset, LoudnessTarget>> = {
  standard: { targetLufs: -14, truePeak: -1, loudnessRange: 11 },
  podcast: { targetLufs: -16, truePeak: -1, loudnessRange: 9 },
};
