/**
 * Denoising, measured against what was there before the noise: the gain in SI-SDR (J. Le Roux et al., "SDR – half-baked or
 * well done?", 2019) of noisy speech, and the SDR of clean music. Speech is spoken by espeak-ng and, where packages can be
 * fetched, by people; every result has to be as long as its input and to lie where it lay.
 */
import { join } from "node:path";
import { type DenoiseStrength, denoiseAudio } from "../../../src/daemon/audio/denoise.ts";
import type { MediaTool } from "../../../src/daemon/core/ports/media.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { Findings, type Outcome } from "../scenarios/outcome.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { filesOf, partOf, unpackPackages } from "./recordings.ts";
import {
  atPeak,
  atRms,
  babbleNoise,
  fanNoise,
  lengthOf,
  mix,
  music,
  pinkNoise,
  readAudio,
  rmsOf,
  SENTENCES,
  type Signal,
  sequence,
  silence,
  speech,
  VOICES,
  whiteNoise,
  writeWav,
} from "./signals.ts";

const SPEECH_PACKAGE = "asterisk-core-sounds-ru-g722";
const SPEECH_FILES = "usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU/{vm,demo,dir,conf}*.g722";
const MUSIC_PACKAGES = {
  "singularity-music": "usr/share/games/singularity/music/*.ogg",
  "extremetuxracer-data": "usr/share/games/etr/music/*.ogg",
} as const;
const RATE = 48_000;
/** dB that speech has to gain on average, and that music has to keep. */
const WANTED = { gain: 4, music: 25 } as const;

/** What lies over the speech. */
type NoiseName = "white" | "pink" | "fan" | "babble";

const NOISES: Readonly<Record<NoiseName, (seed: number, seconds: number) => Signal>> = {
  white: (seed, seconds) => whiteNoise(seed, seconds, -30, RATE, 1),
  pink: (seed, seconds) => pinkNoise(seed + 1, seconds, -30, RATE, 1),
  fan: (seed, seconds) => fanNoise(seed + 2, seconds, -30, RATE, 1),
  babble: (seed, seconds) => babbleNoise(seed + 3, seconds, -30, RATE),
};

/** How much is measured. */
export interface DenoiseAcceptance {
  readonly seed: number;
  /** Seconds of each clip. */
  readonly seconds: number;
  /** Default: medium and heavy. */
  readonly strengths?: readonly DenoiseStrength[];
  /** Default: 5 and 10 dB. */
  readonly ratios?: readonly number[];
  /** Default: all. */
  readonly noises?: readonly NoiseName[];
  /** Voices of espeak-ng; default: three. */
  readonly voices?: number;
  /** Pieces of music. */
  readonly pieces: number;
  /** Recordings out of packages as well; default: true. */
  readonly recordings?: boolean;
}

/** Runs it. */
export async function denoiseAcceptance(options: DenoiseAcceptance): Promise<Outcome> {
  const { seed, seconds, strengths = ["medium", "heavy"], ratios = [5, 10], recordings = true } = options;
  const findings = new Findings();
  await using folder = await temporaryFolder();
  await using tool = new FfmpegTool({ path: "", processes: 2, timeoutMs: 120_000 }, { clock: new SystemClock() });
  const lab = new Lab(tool, folder.path, findings);
  const packages = recordings ? [SPEECH_PACKAGE, ...Object.keys(MUSIC_PACKAGES)] : [];
  if (recordings) findings.note("packages", packages.join(" "));
  const unpacked = recordings ? await unpackPackages(packages, folder.path) : "";

  const clean = VOICES.slice(0, options.voices ?? 3).map((voice) => talk(voice, seconds));
  if (recordings) clean.push(...recordedTalk(filesOf(unpacked, SPEECH_PACKAGE, SPEECH_FILES), seconds));
  const names = options.noises ?? (["white", "pink", "fan", "babble"] as const);
  const noises = names.map((name) => [name, NOISES[name](seed, seconds)] as const);
  for (const strength of strengths) {
    const all: number[] = [];
    for (const [name, noise] of noises)
      for (const ratio of ratios) {
        const gains: number[] = [];
        for (const voice of clean) gains.push(await lab.speechGain(voice, noise, ratio, strength));
        findings.note(`${strength}, ${name} at ${ratio} dB: SI-SDR gain`, `${mean(gains).toFixed(2)} dB`);
        all.push(...gains);
      }
    findings.note(`${strength}: mean SI-SDR gain`, `${mean(all).toFixed(2)} dB over ${all.length} clips`);
    findings.expect(mean(all) >= WANTED.gain, `${strength} gains only ${mean(all).toFixed(2)} dB on average`);
  }
  const pieces: Signal[] = Array.from({ length: options.pieces }, (_, index) => music(seed + index, seconds, RATE));
  if (recordings)
    for (const [name, pattern] of Object.entries(MUSIC_PACKAGES))
      for (const path of filesOf(unpacked, name, pattern).slice(0, options.pieces))
        pieces.push(atPeak(partOf(path, 20, seconds, RATE), -3));
  for (const strength of strengths) {
    const kept: number[] = [];
    for (const piece of pieces) kept.push(await lab.musicSdr(piece, strength));
    const least = Math.min(...kept);
    findings.note(`${strength}: least SDR of music`, `${least.toFixed(1)} dB over ${kept.length} pieces`);
    findings.expect(least >= WANTED.music, `${strength} leaves music only ${least.toFixed(1)} dB`);
  }
  return findings.outcome();
}

/** Denoises signals, and compares. */
class Lab {
  readonly #tool: MediaTool;
  readonly #folder: string;
  readonly #findings: Findings;

  constructor(tool: MediaTool, folder: string, findings: Findings) {
    this.#tool = tool;
    this.#folder = folder;
    this.#findings = findings;
  }

  /** dB of SI-SDR that speech with noise gains. What it is, is not told. */
  async speechGain(voice: Signal, noise: Signal, ratio: number, strength: DenoiseStrength): Promise<number> {
    const noisy = mix(voice, atRms(noise, rmsOf(voice) - ratio));
    const { before, after, content } = await this.#denoise(noisy, strength);
    this.#findings.expect(content === "speech", `speech with noise at ${ratio} dB was taken for ${content}`);
    return siSdr(voice, after) - siSdr(voice, before);
  }

  /** dB by which music is over what denoising changed of it. */
  async musicSdr(piece: Signal, strength: DenoiseStrength): Promise<number> {
    const { before, after, content } = await this.#denoise(piece, strength);
    this.#findings.expect(content !== "speech", "music was taken for speech");
    return sdr(before, after);
  }

  async #denoise(sound: Signal, strength: DenoiseStrength) {
    const input = await writeWav(join(this.#folder, "in.wav"), sound, "s24");
    const output = join(this.#folder, "out.wav");
    const { content, path } = await denoiseAudio(this.#tool, input, { strength, output, overwrite: true });
    const [before, after] = [readAudio(input), readAudio(path)];
    const [was, is] = [lengthOf(before), lengthOf(after)];
    this.#findings.expect(was === is, `${was} samples became ${is}`);
    return { before, after, content };
  }
}

/** Scale-invariant signal-to-distortion ratio of one channel, dB. */
function siSdr(clean: Signal, other: Signal): number {
  const [reference, estimate] = [first(clean), first(other)];
  let [product, energy, distortion] = [0, 0, 0];
  for (const [at, sample] of reference.entries()) {
    product += sample * (estimate[at] ?? 0);
    energy += sample * sample;
  }
  const scale = product / energy;
  for (const [at, sample] of reference.entries()) distortion += ((estimate[at] ?? 0) - scale * sample) ** 2;
  return 10 * Math.log10((scale * scale * energy) / distortion);
}

/** Signal-to-distortion ratio over all channels, dB; 200 if nothing differs. */
function sdr(clean: Signal, other: Signal): number {
  let [energy, distortion] = [0, 0];
  for (const [index, samples] of clean.channels.entries())
    for (const [at, sample] of samples.entries()) {
      energy += sample * sample;
      distortion += (sample - (other.channels[index]?.[at] ?? 0)) ** 2;
    }
  return distortion === 0 ? 200 : 10 * Math.log10(energy / distortion);
}

/** Sentences with pauses between them, as loud as people speak. */
function talk(voice: string, seconds: number): Signal {
  const pause = silence(0.4, RATE, 1);
  const said = SENTENCES.map((sentence) => speech(sentence, voice, RATE));
  const [one = pause, ...others] = said;
  return cut(sequence(one, ...others.flatMap((sentence) => [pause, sentence])), seconds);
}

function recordedTalk(paths: readonly string[], seconds: number): Signal[] {
  const clips: Signal[] = [];
  let clip = silence(0.1, RATE, 1);
  for (const path of paths) {
    clip = sequence(clip, atRms(partOf(path, 0, 10, RATE), -20), silence(0.3, RATE, 1));
    if (lengthOf(clip) < seconds * RATE) continue;
    clips.push(cut(clip, seconds));
    if (clips.length === 2) break;
    clip = silence(0.1, RATE, 1);
  }
  return clips;
}

function cut({ rate, channels }: Signal, seconds: number): Signal {
  return atRms({ rate, channels: channels.map((samples) => samples.slice(0, seconds * rate)) }, -20);
}

function first({ channels }: Signal): Float64Array {
  return channels[0] ?? new Float64Array(0);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
