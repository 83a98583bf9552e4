/**
 * What can be said and drawn of the audio of a file: its loudness as a whole and over time, what it sounds like, its waveform
 * and its spectrogram. The sound goes by in a stream: an hour needs no more memory than a minute.
 */
import type { MediaTool } from "../core/ports/media.ts";
import { type DetectedContent, detectIn } from "./detect.ts";
import { Columns } from "./downsample.ts";
import { type Loudness, type LoudnessPoint, measure } from "./measure.ts";
import { PictureGatherer, type WaveColumn } from "./pictures.ts";
import { Blocks } from "./samples.ts";
import { type AudioSource, openSource } from "./source.ts";
import { StageProgress } from "./stage-progress.ts";
import type { AudioControl } from "./types.ts";

/** Points of a series, at most. */
const MOST_POINTS = 1024;
/** Hz that pictures are drawn at, at most: nobody hears more than half of it. */
const PICTURE_RATE = 48_000;

/** What was found out about a file. */
export interface AudioAnalysis {
  readonly source: AudioSource;
  readonly loudness: Loudness;
  /** In even steps of time. */
  readonly overTime: readonly LoudnessPoint[];
  readonly content: DetectedContent;
}

/** The same with what is drawn. */
export interface DrawnAnalysis extends AudioAnalysis {
  readonly pictures: {
    readonly sampleRate: number;
    readonly wave: readonly WaveColumn[];
    readonly spectrogram: ReturnType<PictureGatherer["spectrogram"]>;
  };
}

/** Measures a file. @throws as `openSource`, and what the tool throws */
export async function analyzeAudio(tool: MediaTool, input: string, control: AudioControl = {}): Promise<AudioAnalysis> {
  const source = await openSource(tool, input, control.signal);
  return analyzeIn(tool, source, control, new StageProgress(control.onProgress, ["measuring", "listening"]));
}

/** The same, with pictures. */
export async function drawAudio(tool: MediaTool, input: string, control: AudioControl = {}): Promise<DrawnAnalysis> {
  const source = await openSource(tool, input, control.signal);
  const stages = new StageProgress(control.onProgress, ["measuring", "listening", "drawing"]);
  const analysis = await analyzeIn(tool, source, control, stages);
  const sampleRate = Math.min(PICTURE_RATE, source.stream.sampleRate);
  const gatherer = new PictureGatherer(sampleRate);
  const blocks = new Blocks(PictureGatherer.block, (samples) => gatherer.add(samples));
  await tool.run({
    ...(control.signal && { signal: control.signal }),
    onProgress: stages.report("drawing"),
    ...(source.durationSeconds !== undefined && { durationSeconds: source.durationSeconds }),
    inputs: [{ path: source.path }],
    output: {
      sink: (bytes) => blocks.add(bytes),
      format: "f32le",
      options: ["-map", `0:${source.stream.index}`, "-ac", "1", "-ar", String(sampleRate), "-c:a", "pcm_f32le"],
    },
  });
  blocks.end();
  return {
    ...analysis,
    pictures: { sampleRate, wave: gatherer.wave(), spectrogram: gatherer.spectrogram() },
  };
}

async function analyzeIn(
  tool: MediaTool,
  source: AudioSource,
  { signal }: AudioControl,
  stages: StageProgress,
): Promise<AudioAnalysis> {
  // What is loud for a moment should still be seen in an hour.
  const points = new Columns<LoudnessPoint>(MOST_POINTS, (a, b) => ({
    seconds: b.seconds,
    momentary: Math.max(a.momentary, b.momentary),
    shortTerm: Math.max(a.shortTerm, b.shortTerm),
  }));
  const own = signal ? { signal } : {};
  const onPoint = (point: LoudnessPoint): void => points.add(point);
  const loudness = await measure(tool, source, { ...own, onProgress: stages.report("measuring"), onPoint });
  const content = await detectIn(tool, source, { ...own, onProgress: stages.report("listening") });
  return { source, loudness, overTime: points.result(), content };
}
