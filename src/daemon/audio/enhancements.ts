/**
 * The whole chain in one go (the spec's `process_with_enhancements`): noise, spectrum, surround, loudness. In between, the sound
 * stays in floating point, so that nothing is lost or cut off from step to step; it is encoded once, at the end.
 */
import { rm } from "node:fs/promises";
import { failure } from "../core/errors.ts";
import type { MediaProgress } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { type DenoiseResult, type DenoiseStrength, denoiseAudio } from "./denoise.ts";
import { type DetectedContent, detectContent } from "./detect.ts";
import { type EnhanceResult, enhanceAudio } from "./enhance.ts";
import { finish, unpack } from "./finish.ts";
import { type Loudness, measure } from "./measure.ts";
import { beginDraft, type Draft, planOutput } from "./output.ts";
import { NORMALIZATION_PRESETS } from "./presets.ts";
import { openSource } from "./source.ts";
import { StageProgress } from "./stage-progress.ts";
import type { AudioControl, AudioProgress, AudioResult, OutputOptions } from "./types.ts";
import { type UpmixResult, upmixTo71 } from "./upmix.ts";
import { upmixStart } from "./upmix-layout.ts";
import { planFor71 } from "./upmix-output.ts";

/** What is to be done. */
export interface EnhancementOptions extends OutputOptions, AudioControl {
  /** Make 7.1 of it; default: the channels stay as they are. */
  readonly enhanceSurround?: boolean;
  /** Default: noise is left alone. */
  readonly denoiseLevel?: DenoiseStrength;
  /** LUFS; default −14. */
  readonly normalizeTarget?: number;
  /** dBTP; default −1. */
  readonly truePeak?: number;
}

/** What came of it, step by step. */
export interface EnhancementResult extends AudioResult {
  /** What was done, in order: "denoise", "enhance", "upmix", "normalize". */
  readonly steps: readonly string[];
  readonly content: DetectedContent["content"];
  readonly denoise?: Pick<DenoiseResult, "stages">;
  readonly enhance: Pick<EnhanceResult, "curve" | "sone">;
  readonly upmix?: Pick<UpmixResult, "content" | "levels">;
  /** Of the input. */
  readonly before: Loudness;
  /** Of the result. */
  readonly after: Loudness;
}

/**
 * Runs the whole chain.
 *
 * @throws DownloadError INVALID_ARGUMENT for a target that cannot be reached; ResourceError MEDIA_UNFIT if the output cannot hold
 *   7.1; what the steps throw. The input is then as it was, and nothing is left over
 */
export async function processWithEnhancements(
  tool: MediaTool,
  input: string,
  options: EnhancementOptions = {},
): Promise<EnhancementResult> {
  const { enhanceSurround = false, denoiseLevel, signal } = options;
  const { targetLufs, truePeak } = NORMALIZATION_PRESETS.standard;
  const loudness = { targetLufs: options.normalizeTarget ?? targetLufs, truePeak: options.truePeak ?? truePeak };
  inRange("normalizeTarget", loudness.targetLufs, -70, -5);
  inRange("truePeak", loudness.truePeak, -9, 0);
  const limited = signal === undefined ? {} : { signal };
  const source = await openSource(tool, input, signal);
  const surround = enhanceSurround && upmixStart(source.stream.layout, source.stream.channels).kind !== "done";
  const planned = await planOutput(source, "enhanced", options);
  const plan = surround ? planFor71(planned) : planned;
  const stages = new StageProgress(options.onProgress, [
    ...["measuring", "detecting", "unpacking"],
    ...(denoiseLevel === undefined ? [] : ["denoising"]),
    "enhancing",
    ...(surround ? ["upmixing"] : []),
    ...["normalizing", "encoding"],
  ]);
  const control = (stage: string) => ({ ...limited, onProgress: asStage(stages.report(stage)) });
  const before = await measure(tool, source, { ...limited, onProgress: stages.report("measuring") });
  const { content, notes: found } = await detectContent(tool, source.path, control("detecting"));
  const notes = [...plan.notes, ...found];
  const steps: string[] = [];
  await using draft = await beginDraft(source, plan, options.signal);
  let sound = await unpack(tool, { source, draft, ...limited, onProgress: stages.report("unpacking") });
  const take = async <T extends AudioResult>(step: string, result: T): Promise<T> => {
    notes.push(...result.notes);
    if (result.changed) steps.push(step);
    sound = await replaced(sound, result.path);
    return result;
  };
  const wav = (draft: Draft) => ({ output: draft.file("wav") });
  const denoised =
    denoiseLevel === undefined
      ? undefined
      : await take(
          "denoise",
          await denoiseAudio(tool, sound, {
            ...control("denoising"),
            ...wav(draft),
            strength: denoiseLevel,
            contentType: content,
          }),
        );
  const { curve, sone } = await take(
    "enhance",
    await enhanceAudio(tool, sound, { ...control("enhancing"), ...wav(draft) }),
  );
  const upmixed = surround
    ? await take("upmix", await upmixTo71(tool, sound, { ...control("upmixing"), ...wav(draft), contentType: content }))
    : undefined;
  const done = await finish(tool, {
    source,
    plan,
    draft,
    samples: sound,
    loudness,
    ...limited,
    onNormalizing: stages.report("normalizing"),
    onEncoding: stages.report("encoding"),
  });
  signal?.throwIfAborted();
  await draft.keep(done.path);
  return {
    path: plan.target,
    changed: true,
    notes: [...notes, ...done.notes],
    steps: [...steps, ...(done.normalized ? ["normalize"] : [])],
    content,
    ...(denoised && { denoise: { stages: denoised.stages } }),
    enhance: { curve, sone },
    ...(upmixed && {
      upmix: {
        ...(upmixed.content && { content: upmixed.content }),
        ...(upmixed.levels && { levels: upmixed.levels }),
      },
    }),
    before,
    after: done.after,
  };
}

/** Steps report in parts of their own; here each is one stage. */
function asStage(report: (progress: MediaProgress) => void): (progress: AudioProgress) => void {
  return ({ percent, etaSeconds }) =>
    report({
      seconds: 0,
      ...(percent !== undefined && { percent }),
      ...(etaSeconds !== undefined && { etaSeconds }),
    });
}

/** What is not needed any more goes at once: eight channels of an hour are gigabytes. */
async function replaced(old: string, made: string): Promise<string> {
  if (made !== old) await rm(old, { force: true });
  return made;
}

/** Before anything is made. @throws DownloadError INVALID_ARGUMENT */
function inRange(name: string, value: number, least: number, most: number): void {
  if (!(value >= least && value <= most))
    throw failure("INVALID_ARGUMENT", `${name} is ${value}; it can be ${least} to ${most}`);
}
