/** Wire → domain and back, for what is done to audio. Enumerations have no "unspecified" on the inside: it is absent there. */
import type {
  ProcessAudioRequest,
  ProcessAudioResponse,
  AudioContent as WireContent,
  AudioFilter as WireFilter,
  AudioOutcome as WireOutcome,
  DenoiseStrength as WireStrength,
} from "../../gen/snatch/v1/audio_service.ts";
import type {
  AudioContent,
  AudioFilterInfo,
  AudioJob,
  AudioJobProgress,
  AudioOperation,
  AudioOutcome,
  DenoiseStrength,
} from "../core/audio-work.ts";
import { badField, toPath } from "./convert.ts";

/** Limits that no honest caller meets. */
const MOST_FILTERS = 64;
const LONGEST_NAME = 100;
const LOUDNESS = { least: -70, most: 0 };
const PEAK = { least: -30, most: 0 };

type WireOperation = NonNullable<ProcessAudioRequest["operation"]>;
type Wishes<K extends WireOperation["$case"]> = Extract<WireOperation, { $case: K }>["value"];

/** What is asked for. @throws DownloadError INVALID_ARGUMENT */
export function toAudioJob(request: ProcessAudioRequest): AudioJob {
  const { path, output, inPlace, overwrite, dryRun, operation } = request;
  if (operation === undefined) throw badField("operation", "say what to do");
  if (inPlace && output !== "") throw badField("in_place", "does not go together with an output");
  return {
    path: toPath(path, "path"),
    operation: toOperation(operation),
    ...(output !== "" && { output: toPath(output, "output") }),
    ...(inPlace && { inPlace }),
    ...(overwrite && { overwrite }),
    ...(dryRun && { dryRun }),
  };
}

function toOperation(wire: WireOperation): AudioOperation {
  switch (wire.$case) {
    case "normalize":
      return toNormalize(wire.value);
    case "denoise": {
      const { strength, preserveQuality } = wire.value;
      const known = toStrength(strength, "denoise.strength");
      return {
        kind: "denoise",
        ...(known !== undefined && { strength: known }),
        ...(preserveQuality !== undefined && { preserveQuality }),
      };
    }
    case "upmix": {
      const content = toContent(wire.value.content, "upmix.content");
      return { kind: "upmix", ...(content !== undefined && { content }) };
    }
    case "chain":
      return { kind: "chain", filters: toFilters(wire.value.filters) };
    case "analyze": {
      const { report, after } = wire.value;
      return {
        kind: "analyze",
        ...(report !== "" && { report: toPath(report, "analyze.report") }),
        ...(after !== "" && { after: toPath(after, "analyze.after") }),
      };
    }
    case "process":
      return toProcess(wire.value);
    default:
      return { kind: wire.$case };
  }
}

function toNormalize({ targetLufs, truePeak, mode, preset }: Wishes<"normalize">): AudioOperation {
  if (preset !== "" && preset !== "standard" && preset !== "podcast")
    throw badField("normalize.preset", `"${preset.slice(0, LONGEST_NAME)}" is neither standard nor podcast`);
  if (mode !== "NORMALIZE_MODE_UNSPECIFIED" && mode !== "NORMALIZE_MODE_LINEAR" && mode !== "NORMALIZE_MODE_EBU")
    throw badField("normalize.mode", "not a value that this daemon knows");
  return {
    kind: "normalize",
    ...loudness({ targetLufs, truePeak }, "normalize"),
    ...(preset !== "" && { preset }),
    ...(mode !== "NORMALIZE_MODE_UNSPECIFIED" && { mode: mode === "NORMALIZE_MODE_EBU" ? "ebu" : "linear" }),
  };
}

function toProcess({ enhanceSurround, denoiseLevel, normalizeTarget, truePeak }: Wishes<"process">): AudioOperation {
  const level = toStrength(denoiseLevel, "process.denoise_level");
  return {
    kind: "process",
    ...(enhanceSurround && { enhanceSurround }),
    ...(level !== undefined && { denoiseLevel: level }),
    ...loudness({ targetLufs: normalizeTarget, truePeak }, "process"),
  };
}

function loudness(
  { targetLufs, truePeak }: { targetLufs?: number | undefined; truePeak?: number | undefined },
  at: string,
): { readonly targetLufs?: number; readonly truePeak?: number } {
  const inside = (value: number, { least, most }: typeof PEAK, field: string): number => {
    if (value >= least && value <= most) return value;
    throw badField(`${at}.${field}`, `${value} is not from ${least} to ${most}`);
  };
  return {
    ...(targetLufs !== undefined && { targetLufs: inside(targetLufs, LOUDNESS, "target_lufs") }),
    ...(truePeak !== undefined && { truePeak: inside(truePeak, PEAK, "true_peak") }),
  };
}

function toStrength(wire: WireStrength, field: string): DenoiseStrength | undefined {
  if (wire === "DENOISE_STRENGTH_LIGHT") return "light";
  if (wire === "DENOISE_STRENGTH_MEDIUM") return "medium";
  if (wire === "DENOISE_STRENGTH_HEAVY") return "heavy";
  if (wire === "DENOISE_STRENGTH_UNSPECIFIED") return undefined;
  throw badField(field, "not a value that this daemon knows");
}

function toContent(wire: WireContent, field: string): AudioContent | undefined {
  if (wire === "AUDIO_CONTENT_SPEECH") return "speech";
  if (wire === "AUDIO_CONTENT_MUSIC") return "music";
  if (wire === "AUDIO_CONTENT_FILM") return "film";
  if (wire === "AUDIO_CONTENT_UNSPECIFIED") return undefined;
  throw badField(field, "not a value that this daemon knows");
}

function toFilters(names: readonly string[]): readonly string[] {
  if (names.length === 0) throw badField("chain.filters", "name at least one filter");
  if (names.length > MOST_FILTERS) throw badField("chain.filters", `${names.length} filters; at most ${MOST_FILTERS}`);
  for (const [index, name] of names.entries())
    if (name === "" || name.length > LONGEST_NAME) throw badField(`chain.filters[${index}]`, "no name of a filter");
  return names;
}

/** So far. */
export function presentAudioProgress({ stage, percent, etaSeconds }: AudioJobProgress): ProcessAudioResponse {
  return { event: { $case: "progress", value: { stage, percent, etaSeconds } } };
}

/** It is done. */
export function presentAudioOutcome({ path, changed, ok, notes, details }: AudioOutcome): WireOutcome {
  return { path, changed, ok, notes: [...notes], details };
}

/** A filter. */
export function presentAudioFilter({ name, description, builtIn, problem }: AudioFilterInfo): WireFilter {
  return { name, description, builtIn, problem: problem ?? "" };
}
