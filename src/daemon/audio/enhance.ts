/**
 * The psychoacoustic part: how a file is heard in critical bands, and a gentle equaliser after what masks what. Measured, changed
 * by 3 dB at most in any band, and as loud as before, so that what is heard is the difference in colour and not in level.
 */
import type { MediaTool } from "../core/ports/media.ts";
import { measureBands } from "./band-meter.ts";
import { type HeardBand, hear, loudnessInSone } from "./bark.ts";
import { type CurvePoint, curveChain, enhancementCurve } from "./enhance-curve.ts";
import { type Loudness, measure } from "./measure.ts";
import { beginDraft, planOutput, write } from "./output.ts";
import { type AudioSource, openSource } from "./source.ts";
import { StageProgress } from "./stage-progress.ts";
import type { AudioControl, AudioResult, OutputOptions } from "./types.ts";

/** dB; below that nobody hears a difference. */
const INAUDIBLE = 0.25;
/** dBTP that the result keeps to, unless the input was higher itself. */
const TRUE_PEAK = -1;

/** How a file is enhanced. */
export interface EnhanceOptions extends OutputOptions, AudioControl {
  /** Only say what would be done. */
  readonly dryRun?: boolean;
}

/** What came of it. */
export interface EnhanceResult extends AudioResult {
  /** What is done to each critical band; −3 to 3 dB. */
  readonly curve: readonly CurvePoint[];
  /** How the input is heard. */
  readonly bands: readonly HeardBand[];
  /** Loudness of the input's long-term spectrum in sone. */
  readonly sone: number;
  /** dB for all bands, which makes the result as loud as the input; absent if nothing was made. */
  readonly gainDb?: number;
}

/** Enhances a file. @throws what reading, writing and the tool throw. The input is then as it was */
export async function enhanceAudio(
  tool: Pick<MediaTool, "run" | "probe" | "make">,
  input: string,
  options: EnhanceOptions = {},
): Promise<EnhanceResult> {
  const { signal, dryRun = false } = options;
  const limited = signal === undefined ? {} : { signal };
  const source = await openSource(tool, input, signal);
  const plan = await planOutput(source, "enhanced", options);
  const stages = new StageProgress(options.onProgress, dryRun ? ["listening"] : ["listening", "measuring", "encoding"]);
  const { powers, samples } = await measureBands(tool, source, { ...limited, onProgress: stages.report("listening") });
  const bands = hear(powers);
  const curve = enhancementCurve(bands);
  const found = { curve, bands, sone: loudnessInSone(bands) };
  const untouched = { path: source.path, changed: false, ...found };
  if (curve.every(({ gain }) => Math.abs(gain) < INAUDIBLE))
    return { ...untouched, notes: ["No band stands out and none is covered: it was left as it is."] };
  if (dryRun) return { ...untouched, notes: [inWords(curve)] };
  const chain = curveChain(curve, source.stream.sampleRate, samples);
  const { gainDb, notes } = await levelled(tool, source, chain, {
    ...limited,
    report: (part) => stages.report("measuring", part),
  });
  await using draft = await beginDraft(source, plan, options.signal);
  const path = draft.file();
  const made = await write(tool, {
    source,
    plan,
    path,
    filters: `${chain},volume=${gainDb}dB:precision=double`,
    onProgress: stages.report("encoding"),
    ...limited,
  });
  signal?.throwIfAborted();
  await draft.keep(path);
  return {
    path: plan.target,
    changed: true,
    notes: [inWords(curve), ...notes, ...plan.notes, ...made.notes],
    gainDb,
    ...found,
  };
}

/** The gain that makes what the curve leaves as loud as before, as far as peaks allow. */
async function levelled(
  tool: Pick<MediaTool, "run">,
  source: AudioSource,
  chain: string,
  {
    signal,
    report,
  }: {
    readonly signal?: AbortSignal;
    readonly report: (part: readonly [number, number]) => ReturnType<StageProgress["report"]>;
  },
): Promise<{ readonly gainDb: number; readonly notes: readonly string[] }> {
  const limited = signal === undefined ? {} : { signal };
  const before: Loudness = await measure(tool, source, { ...limited, onProgress: report([0, 0.5]) });
  const after = await measure(tool, source, { ...limited, filters: chain, onProgress: report([0.5, 1]) });
  const { integrated: was } = before;
  const { integrated: is } = after;
  const wanted = was === undefined || is === undefined ? 0 : was - is;
  const room = Math.max(before.truePeak, TRUE_PEAK) - after.truePeak;
  const gainDb = Math.min(wanted, room);
  const short = wanted - gainDb;
  if (short < 0.1) return { gainDb, notes: [] };
  return { gainDb, notes: [`Peaks left no room: it is ${short.toFixed(1)} dB softer than it was.`] };
}

/** The bands that are changed most. */
function inWords(curve: readonly CurvePoint[]): string {
  const most = curve
    .filter(({ gain }) => Math.abs(gain) >= INAUDIBLE)
    .toSorted((one, other) => Math.abs(other.gain) - Math.abs(one.gain))
    .slice(0, 4)
    .map(({ frequency, gain }) => `${gain > 0 ? "+" : "−"}${Math.abs(gain).toFixed(1)} dB at ${frequency} Hz`);
  return `The curve, where it does most: ${most.join(", ")}.`;
}
