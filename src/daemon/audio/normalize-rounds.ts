/**
 * The rounds of a normalisation: encode with a gain and, where needed, a limiter; look at what came out; correct both by what
 * is missing. Lossless files are measured while they are encoded, lossy ones are decoded again. The best one is kept.
 */
import { rm } from "node:fs/promises";
import type { MediaTool } from "../core/ports/media.ts";
import { type Loudness, METER_BESIDE, MeterReader, measure } from "./measure.ts";
import { type Draft, type OutputPlan, write } from "./output.ts";
import type { LoudnessTarget } from "./presets.ts";
import { fineResampling } from "./resampler.ts";
import type { AudioSource } from "./source.ts";
import type { StageProgress } from "./stage-progress.ts";

const MOST_ROUNDS = 5;
/** LU by which a result may be off. */
const CLOSE_ENOUGH_LU = 0.1;
/** dB by which its true peak may be above the limit: meters differ by as much. */
const PEAK_GRACE = { lossless: 0.04, lossy: 0.1 };
/** dB that the limiter stays below the limit: what resampling, rounding or a codec puts on top again. */
const HEADROOM = { lossless: 0.1, lossy: 0.6 };
/** dB by which peaks are lowered at most. What would need more cannot be had without being destroyed. */
const DEEPEST = 24;
/** Hz at which limiting is done at most; above, samples are dense enough. */
const LIMITER_RATE = 192_000;

/** What is to be reached, and from where. */
export interface RoundsJob {
  readonly source: AudioSource;
  readonly plan: OutputPlan;
  readonly target: LoudnessTarget;
  readonly before: Loudness;
  /** Of `before`. */
  readonly integrated: number;
}

/** What was reached. */
export interface Approach {
  /** In the draft. */
  readonly path: string;
  readonly after: Loudness;
  readonly gainDb: number;
  readonly limited: boolean;
  /** dB by which the highest peaks were lowered. */
  readonly deepest: number;
  readonly rounds: number;
  /** Loudness and peak are as they should be. */
  readonly reached: boolean;
  readonly mediaNotes: readonly string[];
}

/** What a round is done with. */
interface Setting {
  readonly gainDb: number;
  /** dBTP that the limiter lets through; absent: no limiter. */
  readonly ceiling?: number;
}

/** Runs the rounds. @throws as `MediaTool.make` */
export async function approach(
  tool: Pick<MediaTool, "make" | "run" | "refusesChain">,
  job: RoundsJob,
  draft: Draft,
  { signal, stages }: { readonly signal?: AbortSignal; readonly stages: StageProgress },
): Promise<Approach> {
  const { plan, target, before } = job;
  const resampling = await fineResampling(tool, signal);
  let setting = firstSetting(job);
  let best: Approach | undefined;
  const tried: { readonly gainDb: number; readonly integrated: number }[] = [];
  for (let round = 1; round <= MOST_ROUNDS; round++) {
    const made = await encode(tool, job, setting, draft.file(), {
      ...(signal !== undefined && { signal }),
      resampling,
      stages,
      part: [1 - 0.5 ** (round - 1), 1 - 0.5 ** round],
    });
    const { after } = made;
    const limited = setting.ceiling !== undefined;
    const candidate = {
      ...made,
      gainDb: setting.gainDb,
      limited,
      deepest: limited ? Math.max(0, before.truePeak + setting.gainDb - target.truePeak) : 0,
      rounds: round,
      reached: isReached(after, job),
    };
    const better = best === undefined || badness(candidate.after, job) < badness(best.after, job);
    // Each is as large as the file itself: only one is kept.
    const loser = better ? best : candidate;
    if (better) best = candidate;
    if (loser !== undefined) await rm(loser.path, { force: true });
    best = { ...(best ?? candidate), rounds: round };
    if (candidate.reached) break;
    tried.push({ gainDb: setting.gainDb, integrated: after.integrated ?? job.integrated + setting.gainDb });
    const next = nextSetting(setting, after, tried, job);
    if (next === undefined) break;
    setting = next;
  }
  if (best === undefined) throw new RangeError(`no round was run for ${plan.target}`);
  return best;
}

function firstSetting(job: RoundsJob): Setting {
  const { before, integrated, target, plan } = job;
  const gainDb = Math.min(target.targetLufs - integrated, mostGain(job));
  const peak = before.truePeak + gainDb;
  const headroom = plan.lossy ? HEADROOM.lossy : HEADROOM.lossless;
  // What a codec puts on top is seen in the first round; without one the peak is known.
  return peak > target.truePeak ? { gainDb, ceiling: target.truePeak - headroom } : { gainDb };
}

/** The gain and ceiling that the last results ask for; undefined if nothing more can be done. */
function nextSetting(
  { gainDb, ceiling }: Setting,
  after: Loudness,
  tried: readonly { readonly gainDb: number; readonly integrated: number }[],
  job: RoundsJob,
): Setting | undefined {
  const { target, plan, before } = job;
  const missing = target.targetLufs - (after.integrated ?? target.targetLufs);
  const excess = after.truePeak - target.truePeak;
  const wanted = Math.min(gainDb + missing / slopeOf(tried, job), mostGain(job));
  const grace = plan.lossy ? PEAK_GRACE.lossy : PEAK_GRACE.lossless;
  const nextCeiling =
    excess > grace || (ceiling === undefined && before.truePeak + wanted > target.truePeak)
      ? Math.min((ceiling ?? target.truePeak) - Math.max(excess, 0) - 0.02, target.truePeak)
      : ceiling;
  if (Math.abs(wanted - gainDb) < 0.01 && nextCeiling === ceiling) return undefined;
  return { gainDb: wanted, ...(nextCeiling !== undefined && { ceiling: nextCeiling }) };
}

/**
 * How much louder a dB of gain makes it: a limiter takes a part away. The last two rounds say it; in the first one it is what
 * came of the gain beyond that at which the limiter sets in, and a little less, since it falls with the gain.
 */
function slopeOf(
  tried: readonly { readonly gainDb: number; readonly integrated: number }[],
  { before, integrated, target }: RoundsJob,
): number {
  const free = Math.max(0, target.truePeak - before.truePeak);
  const [earlier, last] = [tried.at(-2) ?? { gainDb: free, integrated: integrated + free }, tried.at(-1)];
  const steps = last === undefined ? 0 : last.gainDb - earlier.gainDb;
  if (last === undefined || Math.abs(steps) < 0.02) return 1;
  const measured = ((last.integrated - earlier.integrated) / steps) * (tried.length < 2 ? 0.9 : 1);
  return Math.min(1, Math.max(0.2, measured));
}

/** dB of gain at which the highest peaks are lowered as far as is done. */
function mostGain({ before, target }: RoundsJob): number {
  return DEEPEST + target.truePeak - before.truePeak;
}

function isReached({ integrated, truePeak }: Loudness, { target, plan }: RoundsJob): boolean {
  const grace = plan.lossy ? PEAK_GRACE.lossy : PEAK_GRACE.lossless;
  return (
    integrated !== undefined &&
    Math.abs(integrated - target.targetLufs) <= CLOSE_ENOUGH_LU &&
    truePeak - target.truePeak <= grace
  );
}

/** How far from right: a peak that is too high is worse than a loudness that is off. */
function badness({ integrated, truePeak }: Loudness, { target, plan }: RoundsJob): number {
  const grace = plan.lossy ? PEAK_GRACE.lossy : PEAK_GRACE.lossless;
  const off = Math.abs((integrated ?? Number.NEGATIVE_INFINITY) - target.targetLufs);
  return off + 10 * Math.max(0, truePeak - target.truePeak - grace);
}

async function encode(
  tool: Pick<MediaTool, "make" | "run">,
  { source, plan }: RoundsJob,
  setting: Setting,
  path: string,
  control: {
    readonly signal?: AbortSignal;
    readonly resampling: string;
    readonly stages: StageProgress;
    readonly part: readonly [number, number];
  },
): Promise<{ readonly path: string; readonly after: Loudness; readonly mediaNotes: readonly string[] }> {
  const { signal, resampling, stages, part } = control;
  const limited = signal === undefined ? {} : { signal };
  const [from, to] = part;
  const encoded: readonly [number, number] = [from, plan.lossy ? from + (to - from) / 2 : to];
  const reader = new MeterReader();
  const { notes, info } = await write(tool, {
    ...limited,
    source,
    plan,
    path,
    filters: gainChain(setting, source.stream.sampleRate, resampling),
    onProgress: stages.report("encoding", encoded),
    ...(!plan.lossy && { meter: METER_BESIDE, onLog: (line: string) => reader.take(line) }),
  });
  if (!plan.lossy) return { path, after: reader.result(), mediaNotes: notes };
  const index = info.streams.find(({ kind }) => kind === "audio")?.index ?? 0;
  const made = { path, stream: { index }, ...(source.durationSeconds && { durationSeconds: source.durationSeconds }) };
  const after = await measure(tool, made, { ...limited, onProgress: stages.report("encoding", [encoded[1], to]) });
  return { path, after, mediaNotes: notes };
}

/**
 * The gain, in double precision, and the limiter with its look-ahead of 5 ms given back. It works on samples dense enough
 * that hardly a peak lies between them (BS.1770-4 annex 2 asks for four times 48 kHz).
 */
function gainChain({ gainDb, ceiling }: Setting, sampleRate: number, resampling: string): string {
  const volume = `volume=${gainDb.toFixed(4)}dB:precision=double`;
  if (ceiling === undefined) return volume;
  const limit = (10 ** (ceiling / 20)).toFixed(6);
  const limiter = `alimiter=limit=${limit}:attack=5:release=80:level=disabled:latency=enabled`;
  const times = Math.floor(LIMITER_RATE / sampleRate);
  if (times < 2) return `${volume},${limiter}`;
  const dense = sampleRate * Math.min(4, times);
  return `${volume},aresample=${dense}:${resampling},${limiter},aresample=${sampleRate}:${resampling}`;
}
