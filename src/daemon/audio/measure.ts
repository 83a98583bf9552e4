/**
 * How loud sound is, by FFmpeg's meter `ebur128` (ITU-R BS.1770-4, EBU R 128, Tech 3341 and 3342): K-weighted and gated in
 * double precision, true peaks at 192 kHz. The meter's values come frame by frame with the log, with a thousandth of a LU
 * where its summary has a tenth, and the series of them can be had on the way.
 */
import type { MediaProgress } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { LoudnessHistogram } from "./loudness-histogram.ts";
import type { AudioSource } from "./source.ts";

/** The meter as a chain of filters: it lets the sound through, as doubles. */
const METER = "ebur128=peak=true:metadata=1,ametadata=mode=print";

/** The meter as a branch: what passes is as it was. */
export const METER_BESIDE = `asplit[through][beside];[beside]${METER},anullsink;[through]anull`;

/** Seconds from one value of the meter to the next. */
const STEP_SECONDS = 0.1;
/** Steps of the meter's shortest block (400 ms). */
const BLOCK_STEPS = 4;
/** Linear peaks have three decimals in the series; below this one the summary's tenth of a dB is the finer one. */
const COARSE_PEAK = 0.1;

/** Loudness of a piece of sound. */
export interface Loudness {
  /** Integrated, in LUFS; undefined if nothing is above −70 LUFS, or nothing as long as 400 ms. */
  readonly integrated: number | undefined;
  /** Loudness range in LU. */
  readonly range: number;
  /** dBTP; −Infinity for digital silence. */
  readonly truePeak: number;
  /** Loudest 400 ms, in LUFS. */
  readonly momentaryMax: number | undefined;
  /** Loudest 3 s, in LUFS; undefined for what is shorter. */
  readonly shortTermMax: number | undefined;
  /** Length in seconds, to a tenth. */
  readonly seconds: number;
}

/** One value of the series. */
export interface LoudnessPoint {
  /** Seconds from the beginning to the end of the blocks. */
  readonly seconds: number;
  /** Of the last 400 ms, in LUFS; −Infinity where there is nothing. */
  readonly momentary: number;
  /** Of the last 3 s, in LUFS; −Infinity where there is nothing. */
  readonly shortTerm: number;
}

/** Reads the meter out of FFmpeg's log. */
export class MeterReader {
  /** Momentary values, for the loudness of several files together. */
  readonly momentary = new LoudnessHistogram();
  readonly #shortTerm = new LoudnessHistogram();
  readonly #onPoint: ((point: LoudnessPoint) => void) | undefined;
  #steps = 0;
  #last: { momentary?: number; shortTerm?: number } = {};
  #integrated: number | undefined;
  #peak = 0;
  #summary: "before" | "peak" | undefined;
  #summaryPeak: number | undefined;

  constructor(onPoint?: (point: LoudnessPoint) => void) {
    this.#onPoint = onPoint;
  }

  /** Takes a line of the log; those of others are passed over. */
  take(line: string): void {
    // What the file says of itself is logged as well, but indented.
    const [, key, text = ""] = /^\[\w+ @ \w+\] lavfi\.r128\.([\w.]+)=(\S+)$/.exec(line) ?? [];
    if (key !== undefined) this.#value(key, Number(text));
    else if (/^\[\w+ @ \w+\] frame:\d+\s+pts:/.test(line)) this.#endStep();
    else this.#summaryLine(line);
  }

  /** What was measured, when the run has ended. */
  result(): Loudness {
    this.#endStep();
    const linear = 20 * Math.log10(this.#peak);
    const coarse = this.#peak < COARSE_PEAK && this.#summaryPeak !== undefined;
    const loud = this.#steps >= BLOCK_STEPS && this.momentary.loudest() !== undefined;
    return {
      integrated: loud ? this.#integrated : undefined,
      range: this.#shortTerm.range(),
      truePeak: coarse ? (this.#summaryPeak ?? linear) : linear,
      momentaryMax: this.momentary.loudest(),
      shortTermMax: this.#shortTerm.loudest(),
      seconds: this.#steps * STEP_SECONDS,
    };
  }

  #value(key: string, value: number): void {
    if (key === "M") this.#last.momentary = value;
    else if (key === "S") this.#last.shortTerm = value;
    else if (key === "I" && Number.isFinite(value)) this.#integrated = value;
    else if (/^true_peaks?(_ch\d+)?$/.test(key) && Number.isFinite(value)) this.#peak = Math.max(this.#peak, value);
  }

  #endStep(): void {
    const { momentary, shortTerm } = this.#last;
    if (momentary === undefined || shortTerm === undefined) return;
    this.#last = {};
    this.#steps += 1;
    this.momentary.add(momentary);
    this.#shortTerm.add(shortTerm);
    this.#onPoint?.({
      seconds: this.#steps * STEP_SECONDS,
      momentary: orSilence(momentary),
      shortTerm: orSilence(shortTerm),
    });
  }

  #summaryLine(line: string): void {
    if (/^\s+True peak:$/.test(line)) this.#summary = "peak";
    const [, text] = (this.#summary === "peak" && /^\s+Peak:\s+(\S+) dBFS$/.exec(line)) || [];
    if (text === undefined) return;
    this.#summaryPeak = text === "-inf" ? Number.NEGATIVE_INFINITY : Number(text);
    this.#summary = undefined;
  }
}

/** The meter's floor is −120.7: nothing at all. */
function orSilence(lufs: number): number {
  return lufs > -120 ? lufs : Number.NEGATIVE_INFINITY;
}

/** How something is measured. */
export interface MeasureOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: MediaProgress) => void;
  /** Gets the series as it is measured. */
  readonly onPoint?: (point: LoudnessPoint) => void;
  /** A chain in front of the meter; whoever makes it escapes what is in it. */
  readonly filters?: string;
}

/** What is measured: a source, or a file that was made of one. */
export type Measurable = Pick<AudioSource, "path" | "durationSeconds"> & {
  readonly stream: Pick<AudioSource["stream"], "index">;
};

/** Measures the audio of a file. @throws as `MediaTool.run` */
export async function measure(
  tool: Pick<MediaTool, "run">,
  source: Measurable,
  options: MeasureOptions = {},
): Promise<Loudness> {
  return (await meter(tool, source, options)).result();
}

/** As {@link measure}, with all that was counted. */
export async function meter(
  tool: Pick<MediaTool, "run">,
  { path, stream, durationSeconds }: Measurable,
  { signal, onProgress, onPoint, filters }: MeasureOptions = {},
): Promise<MeterReader> {
  const reader = new MeterReader(onPoint);
  const chain = filters === undefined ? METER : `${filters},${METER}`;
  await tool.run({
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && { onProgress }),
    ...(durationSeconds !== undefined && { durationSeconds }),
    inputs: [{ path }],
    // The meter gives doubles: as such they go nowhere without being turned into something else.
    output: { nothing: true, options: ["-map", `0:${stream.index}`, "-filter:a", chain, "-c:a", "pcm_f64le"] },
    logLevel: "info",
    onLog: (line) => reader.take(line),
  });
  return reader;
}
