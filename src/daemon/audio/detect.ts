/**
 * What a file sounds like: speech, music, or film, which is speech over music, effects or both. The share of speech comes
 * from a voice detector, what lies in the pauses from the features; the limits were set with other recordings than those that
 * the acceptance judges by.
 */
import type { MediaProgress } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { type AudioFeatures, FEATURE_HOP, FEATURE_RATE, FeatureMeter, type Frame } from "./features.ts";
import { Blocks } from "./samples.ts";
import { type AudioSource, openSource } from "./source.ts";
import { LevelHistogram, Running } from "./statistics.ts";
import type { AudioControl } from "./types.ts";
import { type VoiceDetectorOrReason, voiceDetector } from "./vad.ts";

/** What a file may sound like. */
export type AudioContent = "speech" | "music" | "film";

/** What was found. */
export interface DetectedContent {
  readonly content: AudioContent;
  /** Share of what is not silent in which somebody speaks, 0 to 1; absent without the voice detector. */
  readonly speechShare?: number;
  readonly features: AudioFeatures;
  /** What a person ought to know, in whole sentences. */
  readonly notes: readonly string[];
}

/** Frames around speech that are not counted as pauses: the detector hears the end of a word late. */
const MARGIN = 5;

/** Limits of the decision. */
const LIMITS = {
  /** Less speech than this is none. */
  speech: 0.12,
  /** A regular beat of this strength is music's. */
  beat: 0.25,
  /** Energy in held tones that only music has. */
  tones: 0.15,
  /** Of music that is sung: the voice is no louder than the rest (dB), which has a beat. */
  singing: { louder: 4, beat: 0.3, tones: 0.25 },
  /** A pause with something in it is not this much under the speech, dB. */
  background: -35,
  /** Held tones in the pauses that are more than a hum. */
  pauseTones: 0.06,
  /** Noise stays as loud as it is: the spread of its level between the 10th and the 90th percentile, dB. */
  pauseSpread: 9,
  /** Share of what is not silent that has to be pauses to judge by them. */
  pauses: 0.04,
} as const;

/**
 * Listens to a file.
 * @throws as {@link openSource}, and what the tool throws
 */
export async function detectContent(
  tool: Pick<MediaTool, "probe" | "run">,
  input: string,
  control: AudioControl = {},
): Promise<DetectedContent> {
  const source = await openSource(tool, input, control.signal);
  const { signal, onProgress } = control;
  return detectIn(tool, source, {
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && {
      onProgress: ({ percent, etaSeconds }: MediaProgress) =>
        onProgress({
          stage: "listening",
          ...(percent !== undefined && { percent }),
          ...(etaSeconds !== undefined && { etaSeconds }),
        }),
    }),
  });
}

/** The same, of a source that is open. */
export async function detectIn(
  tool: Pick<MediaTool, "run">,
  source: AudioSource,
  control: { readonly signal?: AbortSignal; readonly onProgress?: (progress: MediaProgress) => void },
): Promise<DetectedContent> {
  const judge = new ContentJudge(await voiceDetector());
  const blocks = new Blocks(FEATURE_HOP, (samples) => judge.add(samples));
  await tool.run({
    ...control,
    inputs: [{ path: source.path }],
    output: {
      sink: (bytes) => blocks.add(bytes),
      format: "f32le",
      options: ["-map", `0:${source.stream.index}`, "-ac", "1", "-ar", String(FEATURE_RATE), "-c:a", "pcm_f32le"],
    },
    ...(source.durationSeconds !== undefined && { durationSeconds: source.durationSeconds }),
  });
  blocks.end();
  return judge.result();
}

/** Takes samples of 16 kHz mono, and decides. */
export class ContentJudge {
  readonly #voice: VoiceDetectorOrReason;
  readonly #meter = new FeatureMeter();
  readonly #speechLevels = new LevelHistogram();
  readonly #otherLevels = new LevelHistogram();
  readonly #pauseLevels = new LevelHistogram();
  readonly #pauseTones = new Running();
  /** The last frames, until it is known whether speech follows on them. */
  readonly #waiting: Frame[] = [];
  #sinceSpeech = 0;
  #sounding = 0;
  #spoken = 0;

  constructor(voice: VoiceDetectorOrReason) {
    this.#voice = voice;
  }

  /** @param samples - {@link FEATURE_HOP} of them */
  add(samples: Float32Array): void {
    const frame = this.#meter.add(samples);
    if (!("detector" in this.#voice)) return;
    const speaks = this.#voice.detector.add(samples);
    if (!frame.silent) {
      this.#sounding++;
      if (speaks) this.#spoken++;
      (speaks ? this.#speechLevels : this.#otherLevels).add(frame.level);
    }
    if (speaks) {
      this.#sinceSpeech = 0;
      this.#waiting.length = 0;
      return;
    }
    if (++this.#sinceSpeech <= MARGIN) return;
    this.#waiting.push(frame);
    if (this.#waiting.length <= MARGIN) return;
    const pause = this.#waiting.shift() as Frame;
    if (pause.silent) return;
    this.#pauseLevels.add(pause.level);
    this.#pauseTones.add(pause.steady);
  }

  result(): DetectedContent {
    const features = this.#meter.result();
    const notes = "missing" in this.#voice ? [this.#voice.missing] : [];
    if (features.silence === 1) notes.push("It is silent all through; nothing can be told.");
    if (!("detector" in this.#voice)) return { content: withoutVoice(features), features, notes };
    const speechShare = this.#sounding === 0 ? 0 : this.#spoken / this.#sounding;
    return { content: this.#decide(speechShare, features), speechShare, features, notes };
  }

  #decide(share: number, { beat, steadyTones }: AudioFeatures): AudioContent {
    if (share < LIMITS.speech) return beat > LIMITS.beat || steadyTones > LIMITS.tones ? "music" : "film";
    const louder = this.#speechLevels.percentile(0.5) - this.#otherLevels.percentile(0.5);
    const { singing } = LIMITS;
    if (louder < singing.louder && beat > singing.beat && steadyTones > singing.tones) return "music";
    if (this.#pauseLevels.count < LIMITS.pauses * this.#sounding) return beat > LIMITS.beat ? "film" : "speech";
    const below = this.#pauseLevels.percentile(0.5) - this.#speechLevels.percentile(0.5);
    const spread = this.#pauseLevels.percentile(0.9) - this.#pauseLevels.percentile(0.1);
    const filled = this.#pauseTones.mean > LIMITS.pauseTones || spread > LIMITS.pauseSpread;
    return below > LIMITS.background && filled ? "film" : "speech";
  }
}

/** A guess without a voice detector, that rather takes speech for film than music for speech. */
function withoutVoice({ beat, steadyTones, lowEnergy, modulation }: AudioFeatures): AudioContent {
  if (beat < 0.22 && steadyTones < 0.28 && (lowEnergy > 0.2 || modulation > 0.45)) return "speech";
  return beat > LIMITS.beat || steadyTones > LIMITS.tones ? "music" : "film";
}
