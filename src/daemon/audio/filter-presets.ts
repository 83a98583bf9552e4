/**
 * The filters that are there from the start, by the names of the spec. Where FFmpeg holds sound back (the non-local-means
 * denoiser by its window, an equaliser by half of its impulse response), as much is added at the end and taken away at the
 * beginning: what comes out is as long as what went in, and in step with it. Two of the spec's strings run in no FFmpeg;
 * docs/decisions/0031-filters.md says what stands in their place.
 */
import type { NormalizationPreset } from "./presets.ts";

/** A filter that is there from the start. */
export interface BuiltInFilter {
  readonly description: string;
  /** The chain, for sound of a sample rate in Hz; absent for normalisations, which are no chain but a procedure. */
  readonly chain?: (sampleRate: number) => string;
  /** The normalisation that is meant. */
  readonly normalization?: NormalizationPreset;
}

/** Seconds that `anlmdn` searches for similar patches: its default. */
const RESEARCH_SECONDS = 0.006;

/** The denoiser with the spec's parameters. @param patch - seconds */
function nonLocalMeans(strength: number, patch: number, smooth: number): (sampleRate: number) => string {
  return (sampleRate) => {
    const delay = Math.round(patch * sampleRate) + Math.round(RESEARCH_SECONDS * sampleRate);
    const filter = `anlmdn=s=${strength}:p=${patch}:r=${RESEARCH_SECONDS}:m=${smooth}`;
    return `apad=pad_len=${delay},${filter},atrim=start_sample=${delay},asetpts=PTS-STARTPTS`;
  };
}

/** Seconds of `firequalizer`'s impulse response on each side. */
const EQUALIZER_SECONDS = 0.02;
/** Delays in ms and levels of the first reflections in a room of some 4 × 5 m, other ones for left and right. */
const REFLECTIONS = {
  left: { delays: [7, 13, 19, 29, 41, 59, 83], levels: [0.42, 0.34, 0.27, 0.2, 0.14, 0.09, 0.05] },
  right: { delays: [8, 11, 23, 31, 43, 61, 89], levels: [0.4, 0.36, 0.25, 0.19, 0.13, 0.08, 0.05] },
} as const;

/**
 * Reflections of a small room between 20 Hz and 1 kHz, within 100 ms, then the spec's dip of 6 dB at 250 Hz. They differ
 * between left and right, so mono becomes wider too. A copy of the input is the clock: the result ends with it.
 */
function spatial(sampleRate: number): string {
  const reflections = (side: (typeof REFLECTIONS)["left" | "right"]): string =>
    `aecho=in_gain=0:out_gain=1:delays=${side.delays.join("|")}:decays=${side.levels.join("|")}`;
  const delay = Math.floor(EQUALIZER_SECONDS * sampleRate);
  return [
    "aformat=channel_layouts=stereo,asplit=3[clock][dry][room]",
    "[room]channelsplit=channel_layout=stereo[left][right]",
    `[left]${reflections(REFLECTIONS.left)}[leftwet]`,
    `[right]${reflections(REFLECTIONS.right)}[rightwet]`,
    "[leftwet][rightwet]join=inputs=2:channel_layout=stereo,highpass=f=20,lowpass=f=1000[wet]",
    "[dry][wet]amix=inputs=2:duration=longest:normalize=0," +
      `firequalizer=delay=${EQUALIZER_SECONDS}:gain_entry='entry(0,0);entry(250,-6);entry(1000,0)',` +
      `atrim=start_sample=${delay},asetpts=PTS-STARTPTS[whole]`,
    // Joined, both end with the shorter one.
    "[clock]aformat=channel_layouts=stereo[beat]",
    "[beat][whole]join=inputs=2:channel_layout=quad:map=0.0-FL|0.1-FR|1.0-BL|1.1-BR,pan=stereo|c0=c2|c1=c3",
  ].join(";");
}

/** By name; there is no way to replace them. */
export const BUILT_IN: ReadonlyMap<string, BuiltInFilter> = new Map<string, BuiltInFilter>([
  ["spatial_default", { description: "Reflections of a small room, for a wider picture", chain: spatial }],
  ["denoise_light", { description: "Takes a little noise away (non-local means)", chain: nonLocalMeans(3, 0.001, 15) }],
  ["denoise_medium", { description: "Takes noise away (non-local means)", chain: nonLocalMeans(5, 0.002, 20) }],
  ["denoise_heavy", { description: "Takes much noise away (non-local means)", chain: nonLocalMeans(7, 0.003, 25) }],
  ["normalize_standard", { description: "Loudness to −14 LUFS, true peak to −1 dB", normalization: "standard" }],
  ["normalize_podcast", { description: "Loudness to −16 LUFS, true peak to −1 dB", normalization: "podcast" }],
]);
