/**
 * Takes noise out of a recording, by what it is. Speech: RNNoise and a filter made from what it hears, at 48 kHz in a thread of
 * its own, `heavy` with FFmpeg's afftdn and a sampled noise profile before it. Music and film, which RNNoise would take for
 * noise: afftdn with the measured noise floor. What comes out lies exactly where it lay, and is as long.
 */
import { failure } from "../core/errors.ts";
import type { MediaProgress } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { afftdnFilter, delayOf, withoutDelay } from "./afftdn.ts";
import { type AudioContent, detectIn } from "./detect.ts";
import { FloatWav } from "./float-wav.ts";
import { measureNoiseFloor } from "./noise-floor.ts";
import { beginDraft, type Draft, type OutputPlan, planOutput, type WriteJob, write } from "./output.ts";
import { RNNOISE_RATE } from "./rnnoise.ts";
import { type AudioSource, openSource } from "./source.ts";
import type { SpeechFilterOptions } from "./speech-filter.ts";
import { SpeechThread } from "./speech-thread.ts";
import type { AudioControl, AudioResult, OutputOptions } from "./types.ts";

/** How much is done. */
export type DenoiseStrength = "light" | "medium" | "heavy";

/** How a recording is denoised. */
export interface DenoiseOptions extends OutputOptions, AudioControl {
  /** Default: medium. */
  readonly strength?: DenoiseStrength;
  /** Limits how much may be taken away, so that nothing of the recording itself is lost; default: true. */
  readonly preserveQuality?: boolean;
  /** What it is; default: what it sounds like. */
  readonly contentType?: "auto" | AudioContent;
}

/** What came of it. */
export interface DenoiseResult extends AudioResult {
  readonly content: AudioContent;
  /** What was applied, in order: "afftdn", "rnnoise". */
  readonly stages: readonly string[];
}

/** Decibels that noise in speech is lowered by at most; with quality preserved, and without. */
const SPEECH_REDUCTION = {
  light: { careful: 20, free: 40, share: 0.5 },
  medium: { careful: 24, free: 40, share: 1 },
  heavy: { careful: 30, free: 60, share: 1 },
} as const;
/** Decibels that afftdn lowers noise by. */
const MUSIC_REDUCTION = { light: 6, medium: 12, heavy: 20 } as const;
/** The same before RNNoise, where the pauses give the profile. */
const PROFILE_REDUCTION = 6;
/** Share of the time that counts as quietest: in music nothing but its quietest moments, in speech its pauses. */
const QUIETEST = { music: 0.05, speech: 0.15 } as const;
/** With quality preserved, what is taken from music and film is so far under it, dB. */
const KEEP_DB = 20;

/** A share of the whole call, for its progress. */
type Stage = (name: string, from: number, to: number) => Pick<WriteJob, "signal" | "onProgress">;

/**
 * Denoises a file.
 * @throws DownloadError INVALID_ARGUMENT, MEDIA_INVALID, MEDIA_UNFIT, TARGET_EXISTS; what files and the tool throw
 */
export async function denoiseAudio(
  tool: Pick<MediaTool, "probe" | "run" | "make">,
  input: string,
  options: DenoiseOptions = {},
): Promise<DenoiseResult> {
  const { strength = "medium", preserveQuality = true, contentType = "auto" } = options;
  if (!Object.hasOwn(MUSIC_REDUCTION, strength))
    throw failure("INVALID_ARGUMENT", `there is no strength "${strength}": light, medium and heavy are`);
  const stage = stages(options);
  const source = await openSource(tool, input, options.signal);
  const plan = await planOutput(source, "denoised", options);
  const found = contentType === "auto" ? await detectIn(tool, source, stage("listening", 0, 20)) : undefined;
  const content = found?.content ?? (contentType as AudioContent);
  const told = [...(found?.notes ?? []), ...plan.notes];
  await using draft = await beginDraft(source, plan, options.signal);
  const job = { tool, source, plan, draft, stage };
  const made =
    content === "speech"
      ? await denoiseSpeech(job, strength, preserveQuality)
      : await denoiseMusic(job, strength, preserveQuality);
  if (made === undefined) {
    const note = "No noise was found that could be taken away; nothing was written.";
    return { path: source.path, changed: false, content, stages: [], notes: [...told, note] };
  }
  options.signal?.throwIfAborted();
  await draft.keep(made.path);
  return { path: plan.target, changed: true, content, stages: made.stages, notes: [...told, ...made.notes] };
}

interface Job {
  readonly tool: Pick<MediaTool, "run" | "make">;
  readonly source: AudioSource;
  readonly plan: OutputPlan;
  readonly draft: Draft;
  readonly stage: Stage;
}

interface Made {
  readonly path: string;
  readonly stages: readonly string[];
  readonly notes: readonly string[];
}

async function denoiseMusic(
  { tool, source, plan, draft, stage }: Job,
  strength: DenoiseStrength,
  preserve: boolean,
): Promise<Made | undefined> {
  const floor = await measureNoiseFloor(tool, source, QUIETEST.music, stage("measuring", 20, 40));
  const filter = afftdnFilter(floor, { reduction: MUSIC_REDUCTION[strength], ...(preserve && { keep: KEEP_DB }) });
  if (filter === undefined) return undefined;
  const control = stage("denoising", 40, 100);
  const delay = await delayOf(tool, filter, source.stream.sampleRate, control.signal);
  const path = draft.file();
  const { notes } = await write(tool, { ...control, source, plan, path, filters: withoutDelay(filter, delay) });
  return { path, stages: ["afftdn"], notes };
}

async function denoiseSpeech(job: Job, strength: DenoiseStrength, preserve: boolean): Promise<Made> {
  const { tool, source, plan, draft, stage } = job;
  const { careful, free, share } = SPEECH_REDUCTION[strength];
  const { channels, sampleRate, layout } = source.stream;
  const before = strength === "heavy" ? await profileOf(job) : undefined;
  const clean = draft.file("wav");
  const options = { channels, reduction: preserve ? careful : free, share };
  const samples = await filterSpeech(job, options, clean, before);
  const path = draft.file();
  const back = [
    // The samples have no layout; it is put back without mixing anything.
    ...(layout === undefined || !/^[\w.()]+$/.test(layout) ? [] : [`channelmap=channel_layout=${layout}`]),
    `aresample=${sampleRate}`,
    `apad=whole_len=${samples}`,
    `atrim=end_sample=${samples}`,
  ];
  const { notes } = await write(tool, {
    ...stage("encoding", 80, 100),
    source,
    plan,
    path,
    samples: { path: clean, format: "wav" },
    filters: back.join(","),
  });
  const lost = sampleRate > RNNOISE_RATE ? [`Speech is denoised at 48 kHz: what was above 24 kHz is gone.`] : [];
  return { path, stages: [...(before === undefined ? [] : ["afftdn"]), "rnnoise"], notes: [...lost, ...notes] };
}

/** afftdn with the noise of the pauses. */
async function profileOf({ tool, source, stage }: Job): Promise<string | undefined> {
  const control = stage("measuring", 20, 35);
  const floor = await measureNoiseFloor(tool, source, QUIETEST.speech, control);
  const filter = afftdnFilter(floor, { reduction: PROFILE_REDUCTION });
  if (filter === undefined) return undefined;
  return withoutDelay(filter, await delayOf(tool, filter, source.stream.sampleRate, control.signal));
}

/** Decodes, filters in the thread, and writes what comes back into a file. @returns samples of the source, at its own rate */
async function filterSpeech(
  { tool, source, stage }: Job,
  options: SpeechFilterOptions,
  path: string,
  before: string | undefined,
): Promise<number> {
  const { stream, durationSeconds, hasVideo } = source;
  const control = stage("denoising", 35, 80);
  let counted: number | undefined;
  // Beside pictures the sound may begin later than they do.
  const start = hasVideo ? ["aresample=first_pts=0"] : [];
  const meter = "astats=measure_perchannel=none:measure_overall=Number_of_samples";
  const rate = `aresample=${RNNOISE_RATE}`;
  await using file = await FloatWav.create(path, RNNOISE_RATE, options.channels);
  await using thread = new SpeechThread(options, (bytes) => file.add(bytes));
  await tool.run({
    ...control,
    inputs: [{ path: source.path }],
    output: {
      sink: (bytes) => thread.add(bytes),
      format: "f32le",
      options: [
        ...["-map", `0:${stream.index}`, "-ac", String(options.channels), "-c:a", "pcm_f32le"],
        ...["-af", [...start, ...(before === undefined ? [] : [before]), meter, rate].join(",")],
      ],
    },
    logLevel: "info",
    onLog: (line) => {
      const [, count] = /Number of samples: (\d+)/.exec(line) ?? [];
      if (count !== undefined) counted = Number(count);
    },
    ...(durationSeconds !== undefined && { durationSeconds }),
  });
  await thread.end();
  await file.finish();
  if (file.samples === 0 || counted === undefined)
    throw failure("MEDIA_INVALID", `${source.path} has no samples`, { metadata: { path: source.path } });
  return counted;
}

/** Tells the progress of stages as that of the whole. */
function stages({ signal, onProgress }: AudioControl): Stage {
  return (stage, from, to) => ({
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && {
      onProgress: ({ percent, etaSeconds }: MediaProgress) =>
        onProgress({
          stage,
          ...(percent !== undefined && { percent: from + (percent * (to - from)) / 100 }),
          ...(etaSeconds !== undefined && { etaSeconds }),
        }),
    }),
  });
}
