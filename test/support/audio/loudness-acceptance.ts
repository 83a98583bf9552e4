/**
 * Normalised loudness looked at from outside: loudgain (libebur128) says how loud a result is and how high its true peak, and
 * it shares nothing with the meter that steered the normalisation.
 */
import { basename, join } from "node:path";
import { normalizeAudio } from "../../../src/daemon/audio/normalize.ts";
import type { NormalizeOptions } from "../../../src/daemon/audio/normalize-types.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { makeMedia } from "../ffmpeg.ts";
import { runProgram } from "../run-program.ts";
import { Findings, type Outcome } from "../scenarios/outcome.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { requireTool } from "../tools.ts";
import {
  amplitude,
  atPeak,
  atRms,
  gain,
  mix,
  music,
  pinkNoise,
  type SampleFormat,
  SENTENCES,
  type Signal,
  sequence,
  silence,
  speech,
  tone,
  wave,
  whiteNoise,
  wideDynamics,
  writeWav,
} from "./signals.ts";

/** LU by which a result may be off, and dB by which its true peak may be above what was asked for. */
const BOUNDS = { loudness: 0.2, peak: 0.1, lossyPeak: 0.3 };

/** What is normalised, and how. */
export interface LoudnessCase {
  /** Written as WAV, then encoded. */
  readonly signal?: () => Signal;
  readonly samples?: SampleFormat;
  /** An audio file in place of a signal. */
  readonly file?: string;
  /** Options of FFmpeg that encode it, and the ending of the name; absent: it stays WAV. */
  readonly encode?: readonly [ending: string, ...options: readonly string[]];
  readonly lossy?: boolean;
  readonly options?: NormalizeOptions;
}

/** Signals quiet and loud, narrow and wide, mono to 5.1, lossless and lossy. @param seconds - length of each, 6 or more */
export function loudnessCases(seconds: number): Readonly<Record<string, LoudnessCase>> {
  const flac = (depth: "s16" | "s32", ...more: string[]): readonly [string, ...string[]] =>
    ["flac", "-c:a", "flac", "-sample_fmt", depth, ...more] as const;
  const talk = (voice: string, rate = 48_000): Signal => speech(SENTENCES.join(" "), voice, rate);
  const song = (): Signal => music(11, seconds);
  const wide = (): Signal => wideDynamics(12, seconds);
  const pink = (): Signal => pinkNoise(13, seconds, -20);
  return {
    "music, FLAC 16 bits 44.1 kHz": { signal: () => music(21, seconds, 44_100), encode: flac("s16") },
    "music, FLAC 24 bits 96 kHz": { signal: () => music(22, seconds, 96_000), encode: flac("s32") },
    "music, ALAC": { signal: song, encode: ["m4a", "-c:a", "alac"] },
    "music far above full scale, 32 bits float": { signal: () => gain(song(), 12), samples: "f32" },
    "music for broadcast (−23 LUFS, −2 dBTP)": { signal: song, options: { targetLufs: -23, truePeak: -2 } },
    "pink noise, very quiet": { signal: () => gain(pink(), -42), encode: flac("s32") },
    "pink noise, mono, 22.05 kHz": { signal: () => pinkNoise(14, seconds, -30, 22_050, 1) },
    "white noise, loud": { signal: () => whiteNoise(15, seconds, -9) },
    "wide dynamics, FLAC": { signal: wide, encode: flac("s32") },
    "wide dynamics, 16 bits": { signal: () => wideDynamics(16, seconds, 44_100), samples: "s16" },
    "tones of EBU Tech 3341, case 3": {
      signal: () =>
        sequence(
          tone({ dbfs: -36, seconds: seconds / 4 }),
          tone({ dbfs: -23, seconds: seconds / 2 }),
          tone({ dbfs: -36, seconds: seconds / 4 }),
        ),
    },
    "tone with its peaks between the samples": {
      signal: () => tone({ frequency: 12_000, dbfs: -20, seconds, phase: Math.PI / 4 }),
      options: { targetLufs: -9, truePeak: -3 },
    },
    "clicks in soft noise": { signal: () => clicks(pink(), seconds), encode: flac("s16") },
    "half of it silence": { signal: () => sequence(silence(seconds / 2), gain(song(), -9)), encode: flac("s16") },
    "speech, mono": { signal: () => talk("en-us"), encode: flac("s16") },
    "speech, podcast, 22.05 kHz": { signal: () => talk("en-gb+f3", 22_050), options: { preset: "podcast" } },
    "speech, 8 kHz": { signal: () => talk("de+f2", 8000), samples: "s16", options: { preset: "podcast" } },
    "speech over music": { signal: () => mix(gain(song(), -12), talk("fr+m3")), encode: flac("s32") },
    "music in 5.1": { signal: () => surround(song()), encode: flac("s16") },
    "speech, MP3 96 kbit/s": {
      signal: () => talk("es+f4", 44_100),
      encode: ["mp3", "-c:a", "libmp3lame", "-b:a", "96k"],
      lossy: true,
      options: { preset: "podcast" },
    },
    "music, MP3 192 kbit/s": { signal: song, encode: ["mp3", "-c:a", "libmp3lame", "-b:a", "192k"], lossy: true },
    "music, AAC 160 kbit/s": { signal: song, encode: ["m4a", "-c:a", "aac", "-b:a", "160k"], lossy: true },
    "wide dynamics, AAC": { signal: wide, encode: ["m4a", "-c:a", "aac", "-b:a", "192k"], lossy: true },
    "music, Opus": { signal: song, encode: ["opus", "-c:a", "libopus", "-b:a", "128k"], lossy: true },
    "wide dynamics, Opus": { signal: wide, encode: ["opus", "-c:a", "libopus", "-b:a", "96k"], lossy: true },
    "music, Vorbis": { signal: song, encode: ["ogg", "-c:a", "libvorbis", "-b:a", "160k"], lossy: true },
  };
}

/** Soft noise with a blow of 20 ms each half second, 20 dB above it. */
function clicks(noise: Signal, seconds: number): Signal {
  const blows = wave(noise.rate, seconds, (time) => {
    const inside = time % 0.5;
    return inside < 0.02 ? Math.sin(2 * Math.PI * 900 * inside) * (1 - inside / 0.02) : 0;
  });
  return atPeak(mix(atRms(noise, -40), gain(blows, -14)), -6);
}

/** Six channels of a stereo piece: left and right in front and, softer, behind; both in the centre; a deep tone. */
function surround({ rate, channels: [left = new Float64Array(), right = left] }: Signal): Signal {
  const both = left.map((sample, at) => (sample + (right[at] ?? 0)) * amplitude(-9));
  const soft = (samples: Float64Array) => samples.map((sample) => sample * amplitude(-6));
  const deep = left.map((_, at) => 0.05 * Math.sin((2 * Math.PI * 50 * at) / rate));
  return { rate, channels: [left, right, both, deep, soft(left), soft(right)] };
}

/** Normalises each, and has loudgain measure what came out. */
export async function loudnessAcceptance(cases: Readonly<Record<string, LoudnessCase>>): Promise<Outcome> {
  const findings = new Findings();
  await using folder = await temporaryFolder();
  await using tool = new FfmpegTool({ path: "", processes: 2, timeoutMs: 600_000 }, { clock: new SystemClock() });
  const worst = { loudness: 0, peak: Number.NEGATIVE_INFINITY, lossyPeak: Number.NEGATIVE_INFINITY };
  for (const [index, [name, given]] of Object.entries(cases).entries()) {
    const input = await inputOf(given, folder.path, index);
    const output = join(folder.path, `${index}.normalized.${basename(input).split(".").at(-1)}`);
    const { target, rounds, limited } = await normalizeAudio(tool, input, { ...given.options, output, toleranceLu: 0 });
    const { lufs, dbtp } = await loudgain(output);
    const [off, above] = [lufs - target.targetLufs, dbtp - target.truePeak];
    const peakBound = given.lossy ? BOUNDS.lossyPeak : BOUNDS.peak;
    findings.note(
      name,
      `${lufs.toFixed(2)} LUFS (${off.toFixed(2)} off), ${dbtp.toFixed(2)} dBTP, ${rounds} rounds${limited ? ", limited" : ""}`,
    );
    findings.expect(Math.abs(off) <= BOUNDS.loudness, `${name}: ${off.toFixed(2)} LU off`);
    findings.expect(above <= peakBound, `${name}: a true peak ${above.toFixed(2)} dB above the target`);
    worst.loudness = Math.max(worst.loudness, Math.abs(off));
    const kind = given.lossy ? "lossyPeak" : "peak";
    worst[kind] = Math.max(worst[kind], above);
  }
  findings.note("files", Object.keys(cases).length);
  findings.note("largest error, LU", worst.loudness.toFixed(2));
  findings.note("highest true peak above its target, dB, lossless", worst.peak.toFixed(2));
  findings.note("highest true peak above its target, dB, lossy", worst.lossyPeak.toFixed(2));
  return findings.outcome();
}

async function inputOf({ signal, samples, file, encode }: LoudnessCase, folder: string, index: number) {
  if (signal === undefined) {
    if (file === undefined) throw new RangeError("a case without sound");
    return file;
  }
  const wav = await writeWav(join(folder, `${index}.wav`), signal(), samples);
  if (encode === undefined) return wav;
  const [ending, ...options] = encode;
  return makeMedia("-i", wav, ...options, join(folder, `${index}.in.${ending}`));
}

/** What loudgain says of a file. @throws Error if it says nothing */
export async function loudgain(path: string): Promise<{ readonly lufs: number; readonly dbtp: number }> {
  const { stdout, stderr } = await runProgram(requireTool("loudgain"), ["-q", "-O", path]);
  const [, loudness, peak] = /\t(-?[\d.]+) LUFS\t[\d.]+ dB\t[\d.]+\t(-?[\d.]+|-inf) dBTP/.exec(stdout) ?? [];
  if (loudness === undefined || peak === undefined)
    throw new Error(`loudgain says nothing of ${path}: ${stdout}${stderr}`);
  return { lufs: Number(loudness), dbtp: peak === "-inf" ? Number.NEGATIVE_INFINITY : Number(peak) };
}
