/**
 * The end of work in several steps. What the steps hand on are temporary WAV files in floating point, in which nothing is lost or
 * cut off; only here the sound is encoded, once, with all that the source has beside its sound. A codec that loses something
 * may lift peaks and lose loudness: both are looked at, and where they are off the sound is normalised and encoded anew.
 */
import { rm } from "node:fs/promises";
import type { MediaProgress } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { type Loudness, measure } from "./measure.ts";
import { normalizeAudio } from "./normalize.ts";
import { type Draft, type OutputPlan, write } from "./output.ts";
import { type AudioSource, openSource } from "./source.ts";

/** dB by which the true peak of a lossy file may exceed what was asked for. */
const PEAK_GRACE = 0.1;
/** LU by which its loudness may be off. */
const LOUDNESS_GRACE = 0.1;
const MOST_ROUNDS = 4;

/** Loudness that the result is to have. */
interface FinalLoudness {
  /** LUFS. */
  readonly targetLufs: number;
  /** dBTP. */
  readonly truePeak: number;
}

/** What is to be encoded. */
export interface FinishJob {
  /** The sound may be of another length than the source's. */
  readonly anyLength?: boolean;
  readonly source: AudioSource;
  readonly plan: OutputPlan;
  readonly draft: Draft;
  /** The sound: a file of the draft. */
  readonly samples: string;
  readonly loudness: FinalLoudness;
  readonly signal?: AbortSignal;
  readonly onNormalizing?: (progress: MediaProgress) => void;
  readonly onEncoding?: (progress: MediaProgress) => void;
}

/** What came of it. */
export interface Finished {
  /** In the draft. */
  readonly path: string;
  readonly notes: readonly string[];
  /** Of the finished file. */
  readonly after: Loudness;
  /** Its loudness was changed. */
  readonly normalized: boolean;
}

/** Writes the sound of a source as floating point, so that nothing is lost on the way. @returns a file of the draft */
export async function unpack(
  tool: Pick<MediaTool, "run">,
  { source, draft, chain, signal, onProgress, onLog }: UnpackJob,
): Promise<string> {
  const path = draft.file("wav");
  await tool.run({
    inputs: [{ path: source.path }],
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && { onProgress }),
    ...(onLog !== undefined && { onLog, logLevel: "info" as const }),
    ...(source.durationSeconds !== undefined && { durationSeconds: source.durationSeconds }),
    output: {
      path,
      format: "wav",
      options: [
        ...["-map", `0:${source.stream.index}`, "-map_metadata", "-1", "-c:a", "pcm_f32le", "-rf64", "auto"],
        ...(chain === undefined || chain === "" ? [] : ["-filter:a", chain]),
      ],
    },
  });
  return path;
}

/** What is to be written in floating point. */
export interface UnpackJob {
  readonly source: AudioSource;
  readonly draft: Draft;
  /** Filters on the way. */
  readonly chain?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: MediaProgress) => void;
  readonly onLog?: (line: string) => void;
}

/** Normalises the sound and encodes it. @throws as `normalizeAudio` and `write` */
export async function finish(tool: MediaTool, job: FinishJob): Promise<Finished> {
  const { source, plan, draft, samples, loudness, signal, onEncoding, onNormalizing } = job;
  const limited = signal === undefined ? {} : { signal };
  const channels = (await openSource(tool, samples, signal)).stream.channels;
  // What the sound is normalised to, so that it is as it should be when a codec is through with it.
  let aim = loudness;
  for (let round = 1; ; round++) {
    const { path: sound, ...normalized } = await normalizeAudio(tool, samples, {
      ...limited,
      ...aim,
      output: draft.file("wav"),
      onProgress: ({ percent }) => onNormalizing?.({ seconds: 0, ...(percent !== undefined && { percent }) }),
    });
    const path = draft.file();
    const made = await write(tool, {
      ...limited,
      source,
      plan,
      path,
      samples: { path: sound, format: "wav" },
      channels,
      ...(job.anyLength && { anyLength: true }),
      ...(onEncoding !== undefined && { onProgress: onEncoding }),
    });
    if (normalized.changed) await rm(sound, { force: true });
    const after = await measure(tool, await openSource(tool, path, signal), limited);
    const next = plan.lossy && round < MOST_ROUNDS ? corrected(aim, loudness, after) : undefined;
    if (next === undefined)
      return { path, notes: [...normalized.notes, ...made.notes], after, normalized: normalized.changed };
    await rm(path, { force: true });
    aim = next;
  }
}

/** Another aim, by what is missing; undefined if nothing is, or nothing more can be done. */
function corrected(aim: FinalLoudness, wanted: FinalLoudness, after: Loudness): FinalLoudness | undefined {
  if (after.integrated === undefined) return undefined;
  const missing = wanted.targetLufs - after.integrated;
  const excess = after.truePeak - wanted.truePeak;
  if (Math.abs(missing) <= LOUDNESS_GRACE && excess <= PEAK_GRACE) return undefined;
  return {
    targetLufs: Math.max(-70, Math.min(-5, aim.targetLufs + missing)),
    truePeak: excess > PEAK_GRACE ? Math.max(-9, aim.truePeak - excess) : aim.truePeak,
  };
}
