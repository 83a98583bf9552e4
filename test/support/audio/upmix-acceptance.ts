/**
 * An upmix to 7.1 looked at from outside: eight channels, as long as the input and in step with it, no true peak above −1 dB, a
 * downmix as loud as the input, and an LFE that holds nothing above 120 Hz. Judged by meters that share nothing with FFmpeg.
 */
import { join } from "node:path";
import type { AudioContent } from "../../../src/daemon/audio/detect.ts";
import { RealFft } from "../../../src/daemon/audio/fft.ts";
import { upmixTo71 } from "../../../src/daemon/audio/upmix.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { Findings, type Outcome } from "../scenarios/outcome.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { loudnessOf, truePeakOf } from "./own-meter.ts";
import { atPeak, lengthOf, mix, music, pinkNoise, readAudio, type Signal, wideDynamics, writeWav } from "./signals.ts";

/** What is upmixed, and how. */
export interface UpmixCase {
  readonly signal: Signal;
  readonly content: AudioContent;
  /** Ending of the output's name; default "flac". */
  readonly ending?: string;
}

/**
 * Signals with a centre, with none, mono, quiet, and as loud as they get.
 * @param seconds - length of each
 * @param only - names of those that are wanted; default: all
 */
export function upmixCases(seconds: number, only?: readonly string[]): Readonly<Record<string, UpmixCase>> {
  const noise = pinkNoise(1, seconds, -20);
  const centre = pinkNoise(2, seconds, -20, 48_000, 1);
  const crushed = atPeak(mix(noise, mix(pinkNoise(3, seconds, -20), centre)), 9);
  const cases: Readonly<Record<string, UpmixCase>> = {
    "music, synthetic": { signal: music(7, seconds), content: "music" },
    "music, as 16 bits at 44.1 kHz": { signal: music(8, seconds, 44_100), content: "music" },
    "pink noise, wide": { signal: noise, content: "film" },
    "pink noise with a centre": { signal: mix(noise, centre), content: "speech" },
    "pink noise, mono": { signal: centre, content: "music" },
    "wide dynamics": { signal: wideDynamics(4, Math.max(seconds, 6)), content: "film" },
    // What does not fit into 24 bits is cut off when the file is written.
    "cut off at full scale": { signal: crushed, content: "music" },
    "all of it left": {
      signal: leftOnly(atPeak(mix(music(9, seconds), pinkNoise(6, seconds, -30)), 0)),
      content: "music",
    },
    "wide dynamics, in Opus": { signal: wideDynamics(5, Math.max(seconds, 6)), content: "film", ending: "opus" },
  };
  return Object.fromEntries(Object.entries(cases).filter(([name]) => only?.includes(name) ?? true));
}

/** Silence in the other channel. */
function leftOnly({ rate, channels }: Signal): Signal {
  const [left = new Float64Array()] = channels;
  return { rate, channels: [left, new Float64Array(left.length)] };
}

/** Runs the cases. */
export async function upmixAcceptance(cases: Readonly<Record<string, UpmixCase>>): Promise<Outcome> {
  const findings = new Findings();
  await using folder = await temporaryFolder();
  await using tool = new FfmpegTool({ path: "", processes: 2, timeoutMs: 300_000 }, { clock: new SystemClock() });
  for (const [name, { signal, content, ending = "flac" }] of Object.entries(cases)) {
    const input = await writeWav(join(folder.path, `${content}.wav`), signal);
    const output = join(folder.path, `upmixed.${ending}`);
    const made = await upmixTo71(tool, input, { output, overwrite: true, contentType: content });
    findings.expect(made.changed, `${name}: nothing was made`);
    const stream = (await tool.probe(output)).streams.find(({ kind }) => kind === "audio");
    const layout = `${stream?.channels} channels, ${stream?.layout}`;
    findings.expect(layout === "8 channels, 7.1", `${name}: the layout is ${layout}`);
    judge(name, readAudio(input), readAudio(output), ending === "flac", findings);
    judgeLevels(name, readAudio(input, 48_000), readAudio(output, 48_000), findings);
  }
  return findings.outcome();
}

/** Length, and time. */
function judge(name: string, before: Signal, after: Signal, lossless: boolean, findings: Findings): void {
  const sameRate = before.rate === after.rate;
  if (sameRate) {
    findings.note(`${name}: length`, `${lengthOf(after)} of ${lengthOf(before)}`);
    findings.expect(lengthOf(after) === lengthOf(before), `${name}: as long as ${lengthOf(after)} samples`);
  }
  const [left, right = left] = before.channels;
  const [fl, fr, fc, lfe, bl, br, sl, sr] = after.channels;
  const lags: Record<string, number> = {};
  const mono = sum(left, right);
  for (const [channel, samples, reference] of [
    ["downmix", sum(...downmix(after)), mono],
    ["FL", fl, left],
    ["FR", fr, right],
    ["FC", fc, mono],
    // A codec that loses something codes the lowest tones without minding their phase.
    ["LFE", lossless ? lfe : undefined, mono],
    ["BL", bl, left],
    ["BR", br, right],
    ["SL", sl, left],
    ["SR", sr, right],
  ] as const)
    if (samples !== undefined && reference !== undefined && power(samples) > 1e-9)
      lags[channel] = lag(reference, samples);
  // A period of the LFE has 400 samples and more: where a limiter works, the highest point of so flat a top moves by one.
  const off = Object.entries(lags).filter(([channel, value]) => Math.abs(value) > (channel === "LFE" ? 1 : 0));
  findings.note(`${name}: channels in step`, `${Object.keys(lags).length - off.length} of ${Object.keys(lags).length}`);
  findings.expect(off.length === 0, `${name}: out of step by samples: ${JSON.stringify(Object.fromEntries(off))}`);
}

/** Peaks, loudness, and what is in the LFE. */
function judgeLevels(name: string, before: Signal, after: Signal, findings: Findings): void {
  const peak = Math.max(...after.channels.map(truePeakOf));
  findings.note(`${name}: highest true peak, dBTP`, peak.toFixed(2));
  findings.expect(peak <= -1, `${name}: a true peak of ${peak.toFixed(3)} dB`);
  const loudness = [loudnessOf(before), loudnessOf({ rate: after.rate, channels: downmix(after) })] as const;
  findings.note(`${name}: LUFS, and of the downmix`, loudness.map((value) => value.toFixed(2)).join(", "));
  findings.expect(Math.abs(loudness[1] - loudness[0]) <= 1, `${name}: ${loudness[0]} LUFS became ${loudness[1]}`);
  const [left, right = left] = before.channels;
  const lfe = after.channels[3];
  if (left === undefined || right === undefined || lfe === undefined) throw new RangeError(`${name}: no channels`);
  const attenuation = passed(sum(left, right), lfe, before.rate);
  findings.note(`${name}: LFE above 120 Hz, dB`, attenuation.toFixed(1));
  findings.expect(attenuation <= -30, `${name}: the LFE is only ${attenuation} dB down above 120 Hz`);
}

/** dB by which an LFE holds less above 120 Hz than below 75 Hz, of what was there before. */
function passed(before: Float64Array, lfe: Float64Array, rate: number): number {
  const [was, is] = [bands(before, rate), bands(lfe, rate)];
  return 10 * Math.log10(is.high / was.high / (is.low / was.low));
}

/** Power below 75 Hz and above 120 Hz: Blackman windows so long that their skirts are 6 Hz wide. */
function bands(samples: Float64Array, rate: number): { readonly low: number; readonly high: number } {
  const fft = new RealFft(32_768);
  const window = Float64Array.from(
    { length: fft.size },
    (_, at) => 0.42 - 0.5 * Math.cos((2 * Math.PI * at) / fft.size) + 0.08 * Math.cos((4 * Math.PI * at) / fft.size),
  );
  let [low, high] = [0, 0];
  for (let start = 0; start + fft.size <= samples.length; start += fft.size / 2) {
    fft.forward(window.map((factor, at) => factor * (samples[start + at] ?? 0)));
    for (let bin = 1; bin <= fft.size / 2; bin++) {
      const hertz = (bin * rate) / fft.size;
      const energy = (fft.re[bin] ?? 0) ** 2 + (fft.im[bin] ?? 0) ** 2;
      if (hertz >= 20 && hertz <= 75) low += energy;
      else if (hertz > 120 + 6) high += energy;
    }
  }
  return { low, high };
}

/** ITU-R BS.775-3, annex 4, of FFmpeg's order of 7.1. */
function downmix({ channels }: Signal): [Float64Array, Float64Array] {
  const [fl, fr, fc, , bl, br, sl, sr] = channels;
  const half = Math.SQRT1_2;
  const side = (front?: Float64Array, back?: Float64Array, beside?: Float64Array): Float64Array =>
    Float64Array.from(
      front ?? [],
      (sample, at) => sample + half * ((fc?.[at] ?? 0) + (back?.[at] ?? 0) + (beside?.[at] ?? 0)),
    );
  return [side(fl, bl, sl), side(fr, br, sr)];
}

/** Samples by which `samples` comes later than `reference`: where their cross-correlation is highest. */
function lag(reference: Float64Array, samples: Float64Array): number {
  const size = 2 ** Math.ceil(Math.log2(2 * Math.max(reference.length, samples.length)));
  const [a, b] = [new RealFft(size), new RealFft(size)];
  const padded = (values: Float64Array): Float64Array => {
    const all = new Float64Array(size);
    all.set(values);
    return all;
  };
  a.forward(padded(reference));
  b.forward(padded(samples));
  for (let bin = 0; bin <= size / 2; bin++) {
    const [re, im] = [a.re[bin] ?? 0, a.im[bin] ?? 0];
    const [otherRe, otherIm] = [b.re[bin] ?? 0, b.im[bin] ?? 0];
    a.re[bin] = otherRe * re + otherIm * im;
    a.im[bin] = otherIm * re - otherRe * im;
  }
  const correlation = new Float64Array(size);
  a.inverse(correlation);
  let best = 0;
  for (let at = 1; at < size; at++) if ((correlation[at] ?? 0) > (correlation[best] ?? 0)) best = at;
  return best > size / 2 ? best - size : best;
}

function sum(first?: Float64Array, second: Float64Array | undefined = first): Float64Array {
  return Float64Array.from(first ?? [], (sample, at) => sample + (second?.[at] ?? 0));
}

function power(samples: Float64Array): number {
  return samples.reduce((total, sample) => total + sample * sample, 0) / samples.length;
}
