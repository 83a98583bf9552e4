/**
 * Audio as steps of a download: `--audio normalize,denoise`, `audio.on_download`. What has no audio passes untouched, and so
 * does what a step cannot be done to: a file that came whole is not lost because its format holds no 7.1.
 */
import { extname } from "node:path";
import { DownloadError, failure } from "../core/errors.ts";
import type { MediaTool, ProcessStep } from "../core/ports/media.ts";
import type { Logger } from "../core/ports/runtime.ts";
import type { EnhancedAudioProcessor } from "./enhanced.ts";
import type { AudioResult } from "./types.ts";

/** What a step is run with. */
interface StepCall {
  readonly processor: EnhancedAudioProcessor;
  readonly path: string;
  readonly output: string;
  readonly control: {
    /** The result takes the place of what was fetched. */
    readonly whole: true;
    /** The output lies at a path of the engine's own: what is there is left of a run that was killed. */
    readonly overwrite: true;
    readonly signal: AbortSignal;
    readonly onProgress: (progress: { readonly percent?: number }) => void;
  };
}

type Run = (call: StepCall) => Promise<AudioResult>;

const denoise =
  (strength?: "light" | "medium" | "heavy"): Run =>
  ({ processor, path, output, control }) =>
    processor.denoiseAudio(path, { output, ...control, ...(strength !== undefined && { strength }) });

/** By the names that people write. Other names are those of filters. */
const STEPS: Readonly<Record<string, Run>> = {
  normalize: ({ processor, path, output, control }) => processor.normalizeAudio(path, { output, ...control }),
  normalize_podcast: ({ processor, path, output, control }) =>
    processor.normalizeAudio(path, { output, preset: "podcast", ...control }),
  denoise: denoise(),
  denoise_light: denoise("light"),
  denoise_medium: denoise("medium"),
  denoise_heavy: denoise("heavy"),
  upmix: ({ processor, path, output, control }) => processor.upmixTo71(path, output, control),
  enhance: ({ processor, path, output, control }) => processor.enhance(path, { output, ...control }),
  validate: ({ processor, path, control }) => validate(processor, path, control),
  replaygain: async ({ processor, path, output, control }) => {
    const [result] = await processor.replayGain([path], { output, ...control });
    return result ?? { path, changed: false, notes: [] };
  },
};

/** True for a step that is not a filter. */
export function isStep(name: string): boolean {
  return Object.hasOwn(STEPS, name);
}

/** What steps work with. */
export interface StepDeps {
  readonly tool: Pick<MediaTool, "probe">;
  readonly logger: Logger;
  /** Loads the rest of the room. */
  readonly processor: () => Promise<EnhancedAudioProcessor>;
}

/** Makes a step; a name that is none of the above is taken for a filter's. */
export function audioStep(name: string, { tool, logger, processor }: StepDeps): ProcessStep {
  const run: Run =
    STEPS[name] ??
    ((call) => call.processor.applyFilterChain([name], call.path, { output: call.output, ...call.control }));
  return {
    name: `audio: ${name}`,
    async run(input, output, { signal, onProgress }) {
      const pass = (why: string) => {
        logger.info({ step: name, file: input.name }, `${input.name}: ${name} was not done: ${why}`);
        return undefined;
      };
      try {
        const info = await tool.probe(input.path, { signal });
        if (!info.streams.some(({ kind, attachedPicture }) => kind === "audio" && !attachedPicture))
          return pass("it has no audio");
        const { endingOf } = await import("./step-ending.ts");
        const { ending, kept } = await endingOf(tool, input.path, extname(input.name), signal);
        const target = `${output}.${ending}`;
        const control: StepCall["control"] = {
          whole: true,
          overwrite: true,
          signal,
          onProgress: ({ percent }) => (percent === undefined ? undefined : onProgress?.(percent)),
        };
        const result = await run({ processor: await processor(), path: input.path, output: target, control });
        if (!result.changed) return pass(result.notes.join(" ") || "there was nothing to do");
        return { path: result.path, ...(!kept && { ext: ending }), notes: result.notes };
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof DownloadError)) throw error;
        const { code, message } = error;
        // A FLAC file that was to be validated and is damaged has this code as well, and is meant to fail.
        const damaged = error.metadata["damaged"] !== undefined;
        if ((code === "MEDIA_INVALID" && !damaged) || code === "MEDIA_UNFIT") return pass(message);
        throw error;
      }
    },
  };
}

async function validate(
  processor: EnhancedAudioProcessor,
  path: string,
  control: StepCall["control"],
): Promise<AudioResult> {
  const { status, problems, notes } = await processor.validateFlac(path, control);
  const [problem] = problems;
  if (problem?.kind === "not-flac") return { path, changed: false, notes: ["It is no FLAC file."] };
  if (status === "damaged")
    throw failure("MEDIA_INVALID", `the FLAC file is damaged: ${problem?.message ?? "for an unknown reason"}`, {
      metadata: { damaged: problem?.kind ?? "" },
    });
  return { path, changed: false, notes: [`The FLAC file is ${status}.`, ...notes] };
}
