/**
 * FFmpeg's `loudnorm` in two passes, as its manual has it: measure, then one gain (`linear=true`). Where the peaks or the
 * range do not allow one gain it changes the gain over time without a word; here it is said. It works at 192 kHz then, and
 * the sample rate is given back.
 */
import { failure } from "../core/errors.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { type Loudness, METER_BESIDE, MeterReader, measure } from "./measure.ts";
import type { NormalizeJob, NormalizeOptions, NormalizeResult } from "./normalize-types.ts";
import { beginDraft, write } from "./output.ts";
import { StageProgress } from "./stage-progress.ts";
import { dbtp, lufs } from "./words.ts";

/** What loudnorm prints: everything as text. */
type Report = Readonly<Record<string, string>>;

/** As `normalizeAudio` does it in the mode "ebu". */
export async function normalizeEbu(
  tool: MediaTool,
  { source, plan, target }: NormalizeJob,
  options: NormalizeOptions,
): Promise<NormalizeResult> {
  const { signal } = options;
  const limited = signal === undefined ? {} : { signal };
  const stages = new StageProgress(options.onProgress, ["measuring", "encoding"]);
  const goal = `loudnorm=I=${target.targetLufs}:TP=${target.truePeak}:LRA=${target.loudnessRange}:print_format=json`;
  const first = new ReportReader();
  await tool.run({
    ...limited,
    ...(source.durationSeconds !== undefined && { durationSeconds: source.durationSeconds }),
    inputs: [{ path: source.path }],
    output: { nothing: true, options: ["-map", `0:${source.stream.index}`, "-filter:a", goal] },
    onProgress: stages.report("measuring"),
    logLevel: "info",
    onLog: (line) => first.take(line),
  });
  const found = first.report();
  const before = loudnessIn(found, source.durationSeconds ?? 0);
  const common = { target, before, rounds: 0, limited: false, dynamic: false };
  if (before.integrated === undefined)
    return {
      ...common,
      path: source.path,
      changed: false,
      notes: ["The sound is silence, or too short to be measured. It was left as it is."],
    };
  const measured =
    `measured_I=${found["input_i"]}:measured_TP=${found["input_tp"]}:measured_LRA=${found["input_lra"]}:` +
    `measured_thresh=${found["input_thresh"]}:offset=${found["target_offset"]}:linear=true`;
  await using draft = await beginDraft(source, plan, options.signal);
  const path = draft.file();
  const second = new ReportReader();
  const meter = new MeterReader();
  const { notes, info } = await write(tool, {
    ...limited,
    source,
    plan,
    path,
    filters: `${goal}:${measured},aresample=${source.stream.sampleRate}`,
    ...(!plan.lossy && { meter: METER_BESIDE }),
    onProgress: stages.report("encoding", [0, plan.lossy ? 0.7 : 1]),
    onLog(line) {
      second.take(line);
      meter.take(line);
    },
  });
  const index = info.streams.find(({ kind }) => kind === "audio")?.index ?? 0;
  const made = { path, stream: { index }, ...(source.durationSeconds && { durationSeconds: source.durationSeconds }) };
  const after = plan.lossy
    ? await measure(tool, made, { ...limited, onProgress: stages.report("encoding", [0.7, 1]) })
    : meter.result();
  const dynamic = second.report()["normalization_type"] !== "linear";
  signal?.throwIfAborted();
  await draft.keep(path);
  const reached = `${lufs(after.integrated ?? Number.NEGATIVE_INFINITY)}, true peak ${dbtp(after.truePeak)}`;
  const warning =
    `loudnorm went dynamic: one gain would have broken the peak or the range that was asked for, so it changed the gain over time. ` +
    `It came to ${reached}; the mode "linear" keeps the dynamics and reaches the target.`;
  return {
    ...common,
    path: plan.target,
    changed: true,
    after,
    ...(!dynamic && { gainDb: target.targetLufs - before.integrated }),
    dynamic,
    rounds: 1,
    notes: [...plan.notes, ...notes, ...(dynamic ? [warning] : [])],
  };
}

/** Gathers what loudnorm prints at its end: one flat JSON object over several lines. */
class ReportReader {
  #lines: string[] | undefined;
  #text = "";

  take(line: string): void {
    if (/^\[Parsed_loudnorm_\d+ @ \w+\]/.test(line)) this.#lines = [];
    if (this.#lines === undefined) return;
    if (/^[{}\s"]/.test(line)) this.#lines.push(line);
    if (line.startsWith("}")) {
      this.#text = this.#lines.join("\n");
      this.#lines = undefined;
    }
  }

  /** @throws DownloadError FFMPEG_FAILED if it said nothing, or something else */
  report(): Report {
    try {
      const entries = Object.entries(JSON.parse(this.#text) as object);
      return Object.fromEntries(entries.map(([key, value]) => [key, String(value)]));
    } catch (cause) {
      throw failure("FFMPEG_FAILED", "FFmpeg's loudnorm did not say what it measured", { cause });
    }
  }
}

/** What loudnorm measured. Its true peak is the highest sample at 192 kHz. */
function loudnessIn(report: Report, seconds: number): Loudness {
  const number = (key: string): number => (report[key] === "-inf" ? Number.NEGATIVE_INFINITY : Number(report[key]));
  const integrated = number("input_i");
  return {
    integrated: integrated > -70 ? integrated : undefined,
    range: number("input_lra"),
    truePeak: number("input_tp"),
    momentaryMax: undefined,
    shortTermMax: undefined,
    seconds,
  };
}
