/** What an upmix is judged by: loudness before and as a stereo downmix afterwards, and the true peak of every channel. */
import type { MediaProgress, MediaSource } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { oversampling } from "./upmix-graph.ts";
import { CHANNELS_71, DOWNMIX_71 } from "./upmix-layout.ts";

/** What was measured. */
export interface UpmixMeasure {
  /** Loudness of the input in LUFS (ITU-R BS.1770-4); absent if the input was not measured, −Infinity for silence. */
  readonly input?: number;
  /** Loudness of the ITU downmix in LUFS. */
  readonly downmix: number;
  /** dBTP by channel, in the order of the file. */
  readonly truePeaks: readonly number[];
  /** Length in samples. */
  readonly samples: number;
}

/** How a measurement is made. */
export interface MeasureJob {
  readonly source: MediaSource;
  readonly sampleRate: number;
  /** Makes 7.1 of the input; absent: it is 7.1. */
  readonly chain?: string;
  /** Measured as the input's loudness: the downmix of what `chain` makes instead of the input as it is. */
  readonly byDownmix?: boolean;
  readonly durationSeconds?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: MediaProgress) => void;
}

/** The quietest that BS.1770 measures: below, FFmpeg says −70. */
const GATE = -70;

/** Measures in one run. @throws as `MediaTool.run` */
export async function measureUpmix(tool: Pick<MediaTool, "run">, job: MeasureJob): Promise<UpmixMeasure> {
  const { chain = "anull", sampleRate, byDownmix = false, signal, durationSeconds, onProgress } = job;
  const meter = "ebur128@NAME=framelog=verbose,anullsink";
  const before = job.chain !== undefined && !byDownmix;
  const graph = [
    `[0:a:0]asplit=2[in][up]`,
    `[in]astats@count=measure_perchannel=none:measure_overall=Number_of_samples,${before ? meter.replace("NAME", "input") : "anullsink"}`,
    `[up]${chain},aformat=sample_fmts=fltp:channel_layouts=7.1,asplit=2[mix][all]`,
    `[mix]${DOWNMIX_71},${meter.replace("NAME", "downmix")}`,
    `[all]aresample=${sampleRate * oversampling(sampleRate)},astats@peaks=measure_overall=none:measure_perchannel=Peak_level[out]`,
  ].join(";");
  const log = new MeterLog();
  await tool.run({
    inputs: [job.source],
    graph,
    logLevel: "info",
    onLog: (line) => log.add(line),
    ...(signal !== undefined && { signal }),
    ...(durationSeconds !== undefined && { durationSeconds }),
    ...(onProgress !== undefined && { onProgress }),
    output: { nothing: true, options: ["-map", "[out]", "-c:a", "pcm_f32le"] },
  });
  const downmix = log.loudness("downmix");
  return {
    ...(before && { input: log.loudness("input") }),
    ...(byDownmix && { input: downmix }),
    downmix,
    truePeaks: log.peaks(),
    samples: log.samples(),
  };
}

/** Reads what the filters print when they end; a name in brackets stands before the first line of each. */
class MeterLog {
  #filter = "";
  readonly #values = new Map<string, number>();
  #channel = 0;

  add(line: string): void {
    const [, filter, text = line] = /^\[(\S+) @ \w+\] ?(.*)$/.exec(line) ?? [];
    if (filter !== undefined) this.#filter = filter;
    const [, channel] = /^Channel: (\d+)/.exec(text) ?? [];
    if (channel !== undefined) this.#channel = Number(channel);
    const [, name, value = ""] = /^\s*(I|Peak level dB|Number of samples):\s+(-?[\d.]+|-?inf|nan)/.exec(text) ?? [];
    if (name === undefined) return;
    const place = name === "Peak level dB" ? `${this.#filter} ${this.#channel}` : this.#filter;
    this.#values.set(place, value.endsWith("inf") || value === "nan" ? Number.NEGATIVE_INFINITY : Number(value));
  }

  loudness(name: string): number {
    const value = this.#values.get(`ebur128@${name}`) ?? Number.NEGATIVE_INFINITY;
    return value <= GATE ? Number.NEGATIVE_INFINITY : value;
  }

  peaks(): number[] {
    return CHANNELS_71.map((_, index) => this.#values.get(`astats@peaks ${index + 1}`) ?? Number.NEGATIVE_INFINITY);
  }

  samples(): number {
    return this.#values.get("astats@count") ?? 0;
  }
}
