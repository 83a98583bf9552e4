/**
 * The filters of an upmix to 7.1. FFmpeg's `surround` places what the phases and levels of left and right say about where
 * sound comes from; around it: what its window and the LFE's low-pass hold back is given back to the sample.
 */
import type { AudioContent } from "./detect.ts";
import type { UpmixStart } from "./upmix-layout.ts";

/** Samples that `surround` holds back: half of its window of 4,096. */
const WINDOW_DELAY = 2048;
/**
 * The LFE's low-pass, linear in phase: a Blackman window of ±75 ms has a transition of ±20 Hz, so from 115 Hz on nothing is
 * left, and up to 75 Hz everything.
 */
const LFE = { seconds: 0.075, cutoff: 95, channel: 3 } as const;

/**
 * Levels and spreads for `surround` (ffmpeg-filters(1)). Music keeps its stage in front and has the hall around; speech stays
 * in the centre; film has its sides and back as loud as its front. Players raise the LFE by 10 dB (ITU-R BS.775-3 §2), so as
 * an addition it stays below.
 */
const PRESETS: Readonly<Record<AudioContent, Readonly<Record<string, number>>>> = {
  music: { fc_out: 0.8, sl_out: 0.9, sr_out: 0.9, bl_out: 0.8, br_out: 0.8, lfe_out: 0.32 },
  speech: { fc_out: 1.2, fl_out: 0.8, fr_out: 0.8, sl_out: 0.4, sr_out: 0.4, bl_out: 0.3, br_out: 0.3, lfe_out: 0.15 },
  film: { fc_out: 1, sl_out: 1.1, sr_out: 1.1, bl_out: 1, br_out: 1, lfe_out: 0.5 },
};

/**
 * The chain that makes 7.1: as long as its input, and in step with it.
 *
 * @param start - one that has a chain
 * @param samples - length of the input, where it is known
 */
export function upmixChain(
  start: Extract<UpmixStart, { readonly chain: string }>,
  content: AudioContent,
  sampleRate: number,
  samples?: number,
): string {
  const spread = start.kind === "stereo";
  const lfeDelay = Math.floor(LFE.seconds * sampleRate);
  const delay = lfeDelay + (spread ? WINDOW_DELAY : 0);
  const levels = Object.entries(PRESETS[content]).map(([name, value]) => `${name}=${value}`);
  const surround = ["chl_in=stereo", "chl_out=7.1", "lfe_low=60", "lfe_high=110", ...levels].join(":");
  const end = samples === undefined ? "" : `:end_sample=${delay + samples}`;
  return [
    start.chain,
    "aformat=sample_fmts=fltp",
    `apad=pad_len=${delay}`,
    ...(spread ? [`surround=${surround}`] : []),
    `firequalizer=delay=${LFE.seconds}:wfunc=blackman:multi=on:gain='if(eq(ch,${LFE.channel}),if(lt(f,${LFE.cutoff}),0,-200),0)'`,
    `atrim=start_sample=${delay}${end}`,
    "asetpts=PTS-STARTPTS",
  ].join(",");
}

/** How loud the result is made. */
export interface UpmixLevel {
  /** dB, before the limiter. */
  readonly gain: number;
  /** dBFS that no sample exceeds between the samples either; absent: no limiter. */
  readonly ceiling?: number;
}

/** Gain, and one limiter for all channels together, so that nothing moves in the room when it works. */
export function levelChain({ gain, ceiling }: UpmixLevel, sampleRate: number): string {
  const times = oversampling(sampleRate);
  const limiter =
    ceiling === undefined
      ? []
      : [
          ...(times > 1 ? [`aresample=${sampleRate * times}`] : []),
          `alimiter=limit=${10 ** (ceiling / 20)}:attack=5:release=80:level=0:latency=1`,
          ...(times > 1 ? [`aresample=${sampleRate}`] : []),
        ];
  return [`volume=${gain}dB:precision=double`, ...limiter].join(",");
}

/** Times that a signal is oversampled to see its peaks between the samples (ITU-R BS.1770-4, annex 2: to 192 kHz). */
export function oversampling(sampleRate: number): number {
  return sampleRate <= 48_000 ? 4 : sampleRate <= 96_000 ? 2 : 1;
}
