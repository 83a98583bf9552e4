/**
 * ReplayGain 2.0 (wiki.hydrogenaud.io, "ReplayGain 2.0 specification"): tags that tell players how much to turn a file up or
 * down, measured by BS.1770 against −18 LUFS. The sound itself is copied packet by packet. Opus has tags of its own, against
 * −23 LUFS and on top of the gain in its header (RFC 7845 §5.2.1).
 */
import { failure } from "../core/errors.ts";
import type { Container } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { assertAllThere, withoutLoudness } from "./completeness.ts";
import { formatLike } from "./format.ts";
import { LoudnessHistogram } from "./loudness-histogram.ts";
import { type Loudness, type MeterReader, meter } from "./measure.ts";
import { beginDraft, planOutput } from "./output.ts";
import { type AudioSource, openSource } from "./source.ts";
import { StageProgress } from "./stage-progress.ts";
import type { AudioControl, AudioResult, OutputOptions } from "./types.ts";
import { lufs, signed } from "./words.ts";

const REFERENCE_LUFS = -18;
const OPUS_REFERENCE_LUFS = -23;
/** Containers in which FFmpeg writes tags of any name. */
const ABLE: ReadonlySet<Container> = new Set<Container>(["flac", "mp3", "ogg", "opus", "mka", "mkv", "webm"]);

/** How files are tagged. */
export interface ReplayGainOptions extends AudioControl, Omit<OutputOptions, "output"> {
  /** Path of the result, of a single file. */
  readonly output?: string;
  /** The files are one album: they get its gain, too. */
  readonly album?: boolean;
  /** Only say what would be written. */
  readonly dryRun?: boolean;
}

/** What came of one file. */
export interface ReplayGainResult extends AudioResult {
  readonly loudness: Loudness;
  /** Tags that are, or would be, in the file, by lower-case name. */
  readonly tags: Readonly<Record<string, string>>;
}

interface Measured {
  readonly source: AudioSource;
  readonly reader: MeterReader;
  readonly loudness: Loudness;
}

/**
 * Writes ReplayGain tags. All files are measured before the first is written.
 *
 * @returns one result a file, in their order
 * @throws ResourceError MEDIA_UNFIT for a container whose tags cannot be written, and as `normalizeAudio`
 */
export async function replayGain(
  tool: MediaTool,
  inputs: readonly string[],
  options: ReplayGainOptions = {},
): Promise<readonly ReplayGainResult[]> {
  const { signal, album = false } = options;
  if (inputs.length > 1 && options.output !== undefined)
    throw failure("INVALID_ARGUMENT", `one output was given for ${inputs.length} files`);
  const sources: AudioSource[] = [];
  for (const input of inputs) {
    const source = await openSource(tool, input, signal);
    assertTaggable(source);
    await planOutput(source, "replaygain", options);
    sources.push(source);
  }
  const stages = new StageProgress(options.onProgress, options.dryRun ? ["measuring"] : ["measuring", "tagging"]);
  const part = (index: number): [number, number] => [index / sources.length, (index + 1) / sources.length];
  const measured: Measured[] = [];
  for (const [index, source] of sources.entries()) {
    const onProgress = stages.report("measuring", part(index));
    const reader = await meter(tool, source, { ...(signal && { signal }), onProgress });
    measured.push({ source, reader, loudness: reader.result() });
  }
  const whole = album ? albumOf(measured) : undefined;
  const results: ReplayGainResult[] = [];
  for (const [index, file] of measured.entries()) {
    results.push(await tagOne(tool, file, whole, options));
    stages.report("tagging", part(index))({ seconds: 0, percent: 100 });
  }
  return results;
}

/** Loudness and highest peak of all files together. */
interface Album {
  readonly integrated: number;
  readonly truePeak: number;
}

function albumOf(files: readonly Measured[]): Album | undefined {
  const all = new LoudnessHistogram();
  for (const { reader } of files) all.merge(reader.momentary);
  const integrated = all.integrated();
  if (integrated === undefined) return undefined;
  return { integrated, truePeak: Math.max(...files.map(({ loudness }) => loudness.truePeak)) };
}

async function tagOne(
  tool: MediaTool,
  { source, loudness }: Measured,
  album: Album | undefined,
  options: ReplayGainOptions,
): Promise<ReplayGainResult> {
  const { signal, dryRun = false } = options;
  const { integrated } = loudness;
  if (integrated === undefined)
    return {
      path: source.path,
      changed: false,
      loudness,
      tags: {},
      notes: ["The sound is silence, or shorter than 400 ms: it has no loudness. It was left as it is."],
    };
  const isOpus = source.stream.codec === "opus";
  const tags = isOpus ? opusTags(integrated, album) : gainTags(integrated, loudness.truePeak, album);
  const reference = isOpus ? OPUS_REFERENCE_LUFS : REFERENCE_LUFS;
  const summary = `${lufs(integrated)}: ${signed(reference - integrated)} dB to the reference of ${lufs(reference)}.`;
  if (dryRun) return { path: source.path, changed: false, loudness, tags, notes: [summary] };
  const plan = await planOutput(source, "replaygain", options);
  if (plan.container !== formatLike(source).container)
    throw failure(
      "INVALID_ARGUMENT",
      `ReplayGain tags are written without encoding: ${plan.target} must end as the input does`,
    );
  await using draft = await beginDraft(source, plan, options.signal);
  const path = draft.file();
  const limited = signal === undefined ? {} : { signal };
  const { notes, info } = await tool.make({
    ...limited,
    tracks: [{ path: source.path }],
    target: path,
    container: plan.container,
    tags: { ...withoutLoudness(source), ...tags },
  });
  const lacking = assertAllThere(source, info, plan.whole);
  const [old, now] = [await packetsOf(tool, source.path, signal), await packetsOf(tool, path, signal)];
  if (old !== now)
    throw failure("INTERNAL", `${source.path}: the copy does not hold the same sound; it was thrown away`);
  signal?.throwIfAborted();
  await draft.keep(path);
  return { path: plan.target, changed: true, loudness, tags, notes: [summary, ...notes, ...lacking] };
}

/** @throws ResourceError MEDIA_UNFIT */
function assertTaggable(source: AudioSource): void {
  const { container, kept } = formatLike(source);
  if (kept && ABLE.has(container)) return;
  throw failure(
    "MEDIA_UNFIT",
    `${source.path}: ReplayGain tags cannot be written into ${source.info.format}; ${[...ABLE].join(", ")} can hold them`,
    { metadata: { path: source.path } },
  );
}

function gainTags(integrated: number, truePeak: number, album: Album | undefined): Record<string, string> {
  const gain = (level: number): string => `${(REFERENCE_LUFS - level).toFixed(2)} dB`;
  const peak = (dbtp: number): string => (10 ** (dbtp / 20)).toFixed(6);
  return {
    replaygain_track_gain: gain(integrated),
    replaygain_track_peak: peak(truePeak),
    ...(album !== undefined && {
      replaygain_album_gain: gain(album.integrated),
      replaygain_album_peak: peak(album.truePeak),
    }),
    replaygain_reference_loudness: `${REFERENCE_LUFS.toFixed(2)} LUFS`,
  };
}

/** Q7.8 fixed point as a decimal number. */
function opusTags(integrated: number, album: Album | undefined): Record<string, string> {
  const gain = (level: number): string =>
    String(Math.max(-32_768, Math.min(32_767, Math.round((OPUS_REFERENCE_LUFS - level) * 256))));
  return {
    r128_track_gain: gain(integrated),
    ...(album !== undefined && { r128_album_gain: gain(album.integrated) }),
  };
}

/** A digest of the packets of all audio tracks. */
async function packetsOf(tool: Pick<MediaTool, "run">, path: string, signal: AbortSignal | undefined): Promise<string> {
  let text = "";
  await tool.run({
    ...(signal !== undefined && { signal }),
    inputs: [{ path }],
    output: {
      sink: (bytes) => {
        text += Buffer.from(bytes).toString("latin1");
      },
      format: "hash",
      options: ["-map", "0:a", "-c", "copy"],
    },
  });
  return text;
}
