/**
 * Upmix to 7.1 (the spec's `upmix_to_7_1`). Measured, made, and measured again from the file itself: eight channels in step
 * with the input and as long as it, a stereo downmix by ITU-R BS.775 that is as loud as the input was, and no true peak above
 * −1 dB in any channel. Where peaks leave no room a limiter for all channels together takes them down, and what is missing in
 * loudness is made up for, in a few rounds.
 */
import { rm } from "node:fs/promises";
import { failure } from "../core/errors.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { type AudioContent, detectContent } from "./detect.ts";
import { beginDraft, planOutput, write } from "./output.ts";
import { type AudioSource, openSource } from "./source.ts";
import { StageProgress } from "./stage-progress.ts";
import type { AudioControl, AudioResult, OutputOptions } from "./types.ts";
import { levelChain, type UpmixLevel, upmixChain } from "./upmix-graph.ts";
import { CHANNELS_71, type UpmixStart, upmixStart } from "./upmix-layout.ts";
import { measureUpmix, type UpmixMeasure } from "./upmix-meter.ts";
import { planFor71 } from "./upmix-output.ts";

/** dBTP that no channel exceeds. */
const TRUE_PEAK = -1;
/** LU by which the downmix may differ without another round. */
const TOLERANCE = 0.3;
const MAX_ROUNDS = 5;
/** dB by which a limited signal is driven harder at most to be as loud as the input: beyond that it would be flattened. */
const MAX_PUSH = 4;
/** dBFS: the lowest that FFmpeg's limiter knows is −24. */
const LOWEST_CEILING = -23;
/** dB between the limiter's ceiling and the true peak that is wanted: what comes back from 192 kHz rises by so much. */
const MARGIN = { lossless: 0.15, lossy: 0.5 } as const;

/** How an upmix is made. */
export interface UpmixOptions extends OutputOptions, AudioControl {
  /** Default "auto": as the content is found to be. */
  readonly contentType?: "auto" | AudioContent;
}

/** What came of an upmix. */
export interface UpmixResult extends AudioResult {
  /** What it was made for; absent if nothing was made. */
  readonly content?: AudioContent;
  /** Particulars, read from the file that was made. */
  readonly levels?: {
    /** LUFS; −Infinity for silence. */
    readonly input: number;
    /** LUFS of the ITU downmix. */
    readonly downmix: number;
    /** dBTP by channel. */
    readonly truePeaks: Readonly<Record<(typeof CHANNELS_71)[number], number>>;
    /** dB by which what `surround` made was raised or lowered. */
    readonly gain: number;
    readonly limited: boolean;
  };
}

/**
 * Upmixes a file to 7.1; one that has eight channels is left alone.
 *
 * @throws ResourceError MEDIA_UNFIT if the output's format cannot hold 7.1 or the layout is unknown; and what reading,
 *   writing and the tool throw
 */
export async function upmixTo71(tool: UpmixTool, input: string, options: UpmixOptions = {}): Promise<UpmixResult> {
  const { signal } = options;
  const source = await openSource(tool, input, signal);
  const { layout, channels, sampleRate } = source.stream;
  const start = upmixStart(layout, channels);
  if (start.kind === "done")
    return { path: source.path, changed: false, notes: [`It has ${channels} channels already (${layout ?? "7.1"}).`] };
  if (start.kind === "unknown")
    throw failure(
      "MEDIA_UNFIT",
      `${source.path} has ${channels} channels in the layout ${JSON.stringify(layout)}: what is to be heard where is not known; mix it to stereo or 5.1 first`,
    );
  const plan = planFor71(await planOutput(source, "7.1", options));
  const stages = new StageProgress(options.onProgress, ["detecting", "measuring", "encoding", "proving"]);
  const limited = signal === undefined ? {} : { signal };
  const { content, notes } = await contentOf(tool, source, start, options, stages);
  const before = await measureUpmix(tool, {
    source: { path: source.path },
    sampleRate,
    chain: upmixChain(start, content, sampleRate),
    byDownmix: start.kind === "surround",
    ...(source.durationSeconds !== undefined && { durationSeconds: source.durationSeconds }),
    ...limited,
    onProgress: stages.report("measuring"),
  });
  const chain = upmixChain(start, content, sampleRate, before.samples);
  const target = before.input ?? Number.NEGATIVE_INFINITY;
  const ceiling = TRUE_PEAK - (plan.lossy ? MARGIN.lossy : MARGIN.lossless);
  let level = firstLevel(before, target, ceiling);
  const firstGain = level.gain;
  await using draft = await beginDraft(source, plan, options.signal);
  for (let round = 1; ; round++) {
    const path = draft.file();
    const made = await write(tool, {
      source,
      plan,
      path,
      channels: CHANNELS_71.length,
      filters: `${chain},${levelChain(level, sampleRate)}`,
      ...limited,
      onProgress: stages.report("encoding", partOf(round)),
    });
    const after = await measureUpmix(tool, {
      source: { path },
      sampleRate: made.info.streams.find(({ kind }) => kind === "audio")?.sampleRate ?? sampleRate,
      ...(source.durationSeconds !== undefined && { durationSeconds: source.durationSeconds }),
      ...limited,
      onProgress: stages.report("proving", partOf(round)),
    });
    const next =
      round < MAX_ROUNDS ? correction(level, after, { target, ceiling, pushed: level.gain - firstGain }) : undefined;
    if (next !== undefined) {
      level = next;
      // As large as eight channels of the file are: the next one takes its place.
      await rm(path, { force: true });
      continue;
    }
    const peak = Math.max(...after.truePeaks);
    if (peak > TRUE_PEAK)
      throw failure("INTERNAL", `the true peak came out at ${peak.toFixed(2)} dB after ${round} rounds`);
    await draft.keep(path);
    return {
      path: plan.target,
      changed: true,
      notes: [...plan.notes, ...notes, ...made.notes, ...notesOf(after, target)],
      content,
      levels: {
        input: target,
        downmix: after.downmix,
        truePeaks: byChannel(after.truePeaks),
        gain: level.gain,
        limited: level.ceiling !== undefined,
      },
    };
  }
}

/** What the rounds are after. */
interface Aim {
  /** LUFS. */
  readonly target: number;
  /** dBFS of a limiter that is new. */
  readonly ceiling: number;
  /** dB by which the signal is driven harder by now. */
  readonly pushed: number;
}

/** The media tool, as far as an upmix needs it. */
type UpmixTool = Pick<MediaTool, "run" | "probe" | "make">;

/** Detection is for the placing of sound that is stereo; the rest has its places. */
async function contentOf(
  tool: UpmixTool,
  { path }: AudioSource,
  { kind }: UpmixStart,
  { contentType = "auto", signal }: UpmixOptions,
  stages: StageProgress,
): Promise<{ readonly content: AudioContent; readonly notes: readonly string[] }> {
  if (contentType !== "auto") return { content: contentType, notes: [] };
  if (kind !== "stereo") return { content: "film", notes: [] };
  const report = stages.report("detecting");
  return detectContent(tool, path, {
    ...(signal !== undefined && { signal }),
    onProgress: ({ percent }) => report({ seconds: 0, ...(percent !== undefined && { percent }) }),
  });
}

/** The first round is half of the way, the second one half of the rest. */
function partOf(round: number): readonly [from: number, to: number] {
  return [1 - 0.5 ** (round - 1), 1 - 0.5 ** round];
}

/** As loud as the input, with a limiter if that leaves a peak too high. */
function firstLevel(before: UpmixMeasure, target: number, ceiling: number): UpmixLevel {
  const gain = Number.isFinite(target) && Number.isFinite(before.downmix) ? target - before.downmix : 0;
  const over = Math.max(...before.truePeaks) + gain > ceiling;
  return { gain, ...(over && { ceiling }) };
}

/** What to do in the next round; undefined if this one was right, or nothing would be gained. */
function correction(level: UpmixLevel, after: UpmixMeasure, { target, ceiling, pushed }: Aim): UpmixLevel | undefined {
  const over = Math.max(...after.truePeaks) - TRUE_PEAK;
  const lacking = Number.isFinite(target) && Number.isFinite(after.downmix) ? target - after.downmix : 0;
  const push = Math.max(0, Math.min(lacking, MAX_PUSH - pushed));
  if (over <= 0 && !(push > TOLERANCE)) return undefined;
  const gain = level.gain + push;
  if (level.ceiling === undefined) return over + push > 0 ? { gain, ceiling } : { gain };
  const lower = over > 0 ? over + 0.05 : 0;
  return { gain, ceiling: Math.max(level.ceiling - lower, LOWEST_CEILING) };
}

function notesOf({ downmix }: UpmixMeasure, target: number): string[] {
  const off = downmix - target;
  if (!(Math.abs(off) > 1)) return [];
  return [`Peaks left no room: as a stereo downmix it is ${Math.abs(off).toFixed(1)} LU quieter than the input.`];
}

function byChannel(peaks: readonly number[]): Readonly<Record<(typeof CHANNELS_71)[number], number>> {
  const entries = CHANNELS_71.map((channel, index) => [channel, peaks[index] ?? Number.NEGATIVE_INFINITY] as const);
  return Object.fromEntries(entries) as Record<(typeof CHANNELS_71)[number], number>;
}
