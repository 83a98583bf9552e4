/**
 * Jobs as they come over the wire or from the command line: each is a call of the processor, and its result in the one shape in
 * which results are told.
 */
import type { AudioJob, AudioJobProgress, AudioOperation, AudioOutcome } from "../core/audio-work.ts";
import type { MediaTool } from "../core/ports/media.ts";
import type { EnhancedAudioProcessor } from "./enhanced.ts";
import type { FlacVerdict } from "./flac.ts";
import { planOutput } from "./output.ts";
import { openSource } from "./source.ts";
import type { AudioResult, OutputOptions } from "./types.ts";

/** How a job is followed and ended. */
export interface JobControl {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: AudioJobProgress) => void;
}

/** The word in the name of a result. */
const WORDS = {
  denoise: "denoised",
  upmix: "7.1",
  chain: "filtered",
  process: "enhanced",
} as const;

/** Does a job. @throws as the method of the processor that it stands for */
export async function runJob(
  processor: EnhancedAudioProcessor,
  tool: Pick<MediaTool, "probe">,
  job: AudioJob,
  control: JobControl,
): Promise<AudioOutcome> {
  const { path, operation } = job;
  const output: OutputOptions = {
    ...(job.output !== undefined && { output: job.output }),
    ...(job.inPlace && { inPlace: true }),
    ...(job.overwrite && { overwrite: true }),
  };
  if (job.dryRun && Object.hasOwn(WORDS, operation.kind)) {
    const source = await openSource(tool, path, control.signal);
    const { target, notes } = await planOutput(source, WORDS[operation.kind as keyof typeof WORDS], output);
    return told({ path, changed: false, notes: [`Would be written to ${target}.`, ...notes] });
  }
  const options = { ...output, ...control, ...(job.dryRun && { dryRun: true }) };
  switch (operation.kind) {
    case "normalize": {
      const { kind, ...wish } = operation;
      return told(await processor.normalizeAudio(path, { ...options, ...wish }));
    }
    case "denoise": {
      const { kind, ...wish } = operation;
      return told(await processor.denoiseAudio(path, { ...options, ...wish }));
    }
    case "upmix": {
      const { output: target, ...rest } = options;
      const content = operation.content === undefined ? {} : { contentType: operation.content };
      return told(await processor.upmixTo71(path, target, { ...rest, ...content }));
    }
    case "detect": {
      const { notes, ...found } = await processor.detectContent(path, control);
      return told({ path, changed: false, notes, ...found });
    }
    case "validate":
      return toldVerdict(path, await processor.validateFlac(path, control));
    case "enhance":
      return told(await processor.enhance(path, options));
    case "chain":
      return told(await processor.applyFilterChain(operation.filters, path, options));
    case "replaygain": {
      const [result] = await processor.replayGain([path], options);
      return told(result ?? { path, changed: false, notes: [] });
    }
    case "analyze":
      return analyze(processor, job, operation, control);
    case "process": {
      const { kind, targetLufs, truePeak, ...wish } = operation;
      const loudness = {
        ...(targetLufs !== undefined && { normalizeTarget: targetLufs }),
        ...(truePeak !== undefined && { truePeak }),
      };
      return told(await processor.processWithEnhancements(path, { ...options, ...wish, ...loudness }));
    }
  }
}

async function analyze(
  processor: EnhancedAudioProcessor,
  { path, overwrite = false }: AudioJob,
  { report, after }: Extract<AudioOperation, { kind: "analyze" }>,
  control: JobControl,
): Promise<AudioOutcome> {
  const { source, loudness, overTime, content } =
    report === undefined
      ? await processor.analyze(path, control)
      : await processor.writeReport(path, report, { ...control, overwrite, ...(after !== undefined && { after }) });
  const { format, durationSeconds } = source.info;
  const { codec, sampleRate, channels, layout, bitsPerSample } = source.stream;
  const { notes, ...found } = content;
  return told({
    path: report ?? path,
    changed: report !== undefined,
    notes,
    format: { container: format, codec, sampleRate, channels, layout, bitsPerSample, durationSeconds },
    loudness,
    ...found,
    overTime,
  });
}

/** A result, with its particulars. */
function told<T extends AudioResult>(result: T): AudioOutcome {
  const { path, changed, notes, ...details } = result;
  return { path, changed, notes, ok: true, details: inSnakeCase(details) as Record<string, unknown> };
}

function toldVerdict(path: string, { status, problems, notes, info, ...rest }: FlacVerdict): AudioOutcome {
  const lines = problems.map(({ kind, message, offset }) => `${kind} at byte ${offset}: ${message}`);
  const shown = lines.length > 20 ? [...lines.slice(0, 20), `… and ${rest.problemCount - 20} more`] : lines;
  return {
    path,
    changed: false,
    ok: status !== "damaged",
    notes: [...shown, ...notes],
    details: inSnakeCase({ status, ...rest, problems: problems.slice(0, 100), info }) as Record<string, unknown>,
  };
}

/** Names as JSON has them; what JSON cannot hold (−∞ for silence) becomes null. */
function inSnakeCase(value: unknown): unknown {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (Array.isArray(value)) return value.map(inSnakeCase);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined && typeof item !== "function");
  return Object.fromEntries(
    entries.map(([key, item]) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), inSnakeCase(item)]),
  );
}
