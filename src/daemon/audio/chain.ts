/** Runs filters by name over a file (the spec's `apply_filter_chain`): tried first, and if it normalises, normalised at the end. */
import type { MediaTool } from "../core/ports/media.ts";
import { BUILT_IN } from "./filter-presets.ts";
import { type FilterRegistry, tryChain } from "./filters.ts";
import { finish, unpack } from "./finish.ts";
import type { Loudness } from "./measure.ts";
import { beginDraft, planOutput, write } from "./output.ts";
import { NORMALIZATION_PRESETS } from "./presets.ts";
import { type AudioSource, openSource } from "./source.ts";
import { StageProgress } from "./stage-progress.ts";
import type { AudioControl, AudioResult, OutputOptions } from "./types.ts";

/** How a chain is run. */
export interface ChainOptions extends OutputOptions, AudioControl {}

/** What came of a chain. */
export interface ChainResult extends AudioResult {
  /** The names in the order in which they were run. */
  readonly order: readonly string[];
  /** dBFS of the highest sample behind the filters; above 0 it was cut off unless a normalisation followed. */
  readonly peak?: number;
  /** Of the result, if the chain normalises. */
  readonly after?: Loudness;
}

/**
 * Runs a chain over a file.
 *
 * @throws DownloadError INVALID_ARGUMENT if a name is unknown or FFmpeg does not run the chain on this file; what reading,
 *   writing and the tool throw. The input is then as it was, and nothing is left over
 */
export async function applyFilterChain(
  tool: MediaTool,
  registry: FilterRegistry,
  input: string,
  names: readonly string[],
  options: ChainOptions = {},
): Promise<ChainResult> {
  const { signal } = options;
  const source = await openSource(tool, input, signal);
  const { sampleRate, layout } = source.stream;
  const resolved = registry.resolve(names, sampleRate);
  const { chain, normalization, order } = resolved;
  const limited = signal === undefined ? {} : { signal };
  const known = layout === undefined || layout === "unknown" ? {} : { layout };
  await tryChain(tool, resolved, { sampleRate, ...known, ...limited });
  const plan = await planOutput(source, "filtered", options);
  const peak = new PeakReader();
  const metered = chain === "" ? "" : `${chain},${PEAK}`;
  const onLog = (line: string): void => peak.take(line);
  // What others have registered may be meant to change the length.
  const anyLength = !names.every((name) => BUILT_IN.has(name));
  await using draft = await beginDraft(source, plan, options.signal);
  if (normalization === undefined) {
    const stages = new StageProgress(options.onProgress, ["encoding"]);
    const path = draft.file();
    const job = {
      source,
      plan,
      path,
      filters: metered,
      anyLength,
      onLog,
      onProgress: stages.report("encoding"),
      ...limited,
    };
    const made = await write(tool, job);
    const others = await channelNotes(tool, source, path, signal);
    await draft.keep(path);
    const notes = [...resolved.notes, ...plan.notes, ...made.notes, ...others, ...peak.notes()];
    return { path: plan.target, changed: true, notes, order, ...peak.value() };
  }
  const stages = new StageProgress(options.onProgress, ["filtering", "normalizing", "encoding"]);
  const samples = await unpack(tool, {
    source,
    draft,
    chain: metered,
    onLog,
    onProgress: stages.report("filtering"),
    ...limited,
  });
  const done = await finish(tool, {
    source,
    plan,
    draft,
    samples,
    anyLength,
    loudness: NORMALIZATION_PRESETS[normalization],
    onNormalizing: stages.report("normalizing"),
    onEncoding: stages.report("encoding"),
    ...limited,
  });
  const others = await channelNotes(tool, source, done.path, signal);
  await draft.keep(done.path);
  return {
    path: plan.target,
    changed: true,
    notes: [...resolved.notes, ...plan.notes, ...done.notes, ...others],
    order,
    ...peak.value(),
    after: done.after,
  };
}

/** Filters may mix channels down; that is said. */
async function channelNotes(
  tool: Pick<MediaTool, "probe">,
  source: AudioSource,
  path: string,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const { channels } = (await openSource(tool, path, signal)).stream;
  return channels === source.stream.channels
    ? []
    : [`The filters made ${channels} channels of ${source.stream.channels}.`];
}

const PEAK =
  "aformat=sample_fmts=dbl|dblp|flt|fltp,astats@chainpeak=measure_perchannel=none:measure_overall=Peak_level";

/** Reads the highest sample out of FFmpeg's log. */
class PeakReader {
  #peak: number | undefined;

  take(line: string): void {
    const [, value] = /^\[astats@chainpeak @ \w+\] Peak level dB: (-?[\d.]+)$/.exec(line) ?? [];
    if (value !== undefined) this.#peak = Number(value);
  }

  value(): { readonly peak?: number } {
    return this.#peak === undefined ? {} : { peak: this.#peak };
  }

  notes(): string[] {
    if (this.#peak === undefined || this.#peak <= 0) return [];
    return [
      `The filters made the sound too loud by ${this.#peak.toFixed(1)} dB: what was above full scale is cut off. ` +
        "normalize_standard in the chain avoids that.",
    ];
  }
}
