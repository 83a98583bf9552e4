/**
 * Sound that tests are made of. Everything is computed from numbers and a seed, so it is the same on every machine; only
 * speech is spoken by espeak-ng. Samples are kept as doubles, 1.0 is full scale.
 */
import { execFileSync } from "node:child_process";
import { open } from "node:fs/promises";
import { seeded } from "../random.ts";
import { requireTool } from "../tools.ts";

/** Sound in memory. */
export interface Signal {
  /** Hz. */
  readonly rate: number;
  /** One array a channel, all of one length. */
  readonly channels: readonly Float64Array[];
}

/** Length of a signal in samples. */
export const lengthOf = ({ channels }: Signal): number => channels[0]?.length ?? 0;

/** dB as a factor of amplitudes. */
export const amplitude = (db: number): number => 10 ** (db / 20);

/** A signal of one function for all channels, or one each. `sample` is given seconds. */
export function wave(
  rate: number,
  seconds: number,
  sample: (time: number, channel: number) => number,
  channels = 2,
): Signal {
  const count = Math.round(rate * seconds);
  const make = (channel: number) => Float64Array.from({ length: count }, (_, at) => sample(at / rate, channel));
  return { rate, channels: Array.from({ length: channels }, (_, channel) => make(channel)) };
}

/** A sine in phase on all channels. @param dbfs - of its peak: 0 touches full scale @param phase - radians at the beginning */
export function tone(options: {
  readonly frequency?: number;
  readonly dbfs: number;
  readonly seconds: number;
  readonly rate?: number;
  readonly channels?: number;
  readonly phase?: number;
}): Signal {
  const { frequency = 1000, dbfs, seconds, rate = 48_000, channels = 2, phase = 0 } = options;
  const level = amplitude(dbfs);
  return wave(rate, seconds, (time) => level * Math.sin(2 * Math.PI * frequency * time + phase), channels);
}

/** Nothing, for so long. */
export function silence(seconds: number, rate = 48_000, channels = 2): Signal {
  return wave(rate, seconds, () => 0, channels);
}

/** Noise of equal power at all frequencies, other noise in each channel. @param dbfs - RMS */
export function whiteNoise(seed: number, seconds: number, dbfs: number, rate = 48_000, channels = 2): Signal {
  const next = gaussian(seed);
  return wave(rate, seconds, () => next() * amplitude(dbfs), channels);
}

/**
 * Noise that loses 3 dB an octave, other noise in each channel: white noise through the sum of first-order low-passes whose
 * corners are spread evenly over the octaves. @param dbfs - RMS, reached exactly
 */
export function pinkNoise(seed: number, seconds: number, dbfs: number, rate = 48_000, channels = 2): Signal {
  const next = gaussian(seed);
  const corners = Array.from({ length: 10 }, (_, octave) => 20 * 2 ** octave).filter((corner) => corner < rate / 3);
  const one = (): Float64Array => {
    const state = new Float64Array(corners.length);
    const steps = corners.map((corner) => 1 - Math.exp((-2 * Math.PI * corner) / rate));
    return Float64Array.from({ length: Math.round(rate * seconds) }, () => {
      const white = next();
      let sum = 0;
      for (const [index, step] of steps.entries()) {
        const value = (state[index] ?? 0) + step * (white - (state[index] ?? 0));
        state[index] = value;
        // Each low-pass has the amplitude that the slope wants at its corner.
        sum += value / Math.sqrt(corners[index] ?? 1);
      }
      return sum;
    });
  };
  return atRms({ rate, channels: Array.from({ length: channels }, one) }, dbfs);
}

/** Steady hum of blades: pink noise under 1 kHz with harmonics of 97 Hz. @param dbfs - RMS */
export function fanNoise(seed: number, seconds: number, dbfs: number, rate = 48_000, channels = 1): Signal {
  const noise = lowPass(pinkNoise(seed, seconds, -20, rate, channels), 1000);
  const hum = wave(
    rate,
    seconds,
    (time) => {
      let sum = 0;
      for (let order = 1; order <= 6; order++) sum += Math.sin(2 * Math.PI * 97 * order * time + order) / order;
      return sum * 0.03;
    },
    channels,
  );
  return atRms(mix(noise, hum), dbfs);
}

/** Many voices at once. @param dbfs - RMS */
export function babbleNoise(seed: number, seconds: number, dbfs: number, rate = 48_000): Signal {
  const next = seeded(seed);
  const voices = VOICES.flatMap((voice) => [0, 1].map((turn) => speech(SENTENCES[turn] ?? "", voice, rate)));
  const sum = voices.map((voice) => shifted(voice, Math.round(next() * lengthOf(voice)), Math.round(seconds * rate)));
  return atRms(sum.reduce(mix), dbfs);
}

/** Voices of espeak-ng. */
export const VOICES = ["en-us", "en-gb+f3", "en-us+m7", "de+f2", "fr+m3", "es+f4"] as const;

/** Something to say. */
export const SENTENCES = [
  "The quick brown fox jumps over the lazy dog, while seven wizards quietly watch the harbour from their boat.",
  "Every morning she walked to the station, bought a paper, and wondered whether the train would come on time.",
  "Please remember to close the window before you leave; it may rain in the afternoon, and the carpet is new.",
  "A large size in stockings is hard to sell. The juice of lemons makes fine punch. Four hours of steady work faced us.",
] as const;

/** Speech by espeak-ng, one channel, as loud as it comes. @throws Error if espeak-ng is not installed */
export function speech(text: string, voice: string = VOICES[0], rate = 48_000, wordsPerMinute = 165): Signal {
  const wav = execFileSync(requireTool("espeak-ng"), ["-v", voice, "-s", String(wordsPerMinute), "--stdout", text], {
    maxBuffer: 1 << 28,
  });
  const raw = execFileSync(
    "ffmpeg",
    ["-nostdin", "-v", "error", "-f", "wav", "-i", "pipe:0", "-ac", "1", "-ar", String(rate), "-f", "f64le", "pipe:1"],
    { input: wav, maxBuffer: 1 << 28, stdio: ["pipe", "pipe", "ignore"] },
  );
  return { rate, channels: [new Float64Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength))] };
}

/**
 * A piece of music: a bass, chords that are plucked and ring, a melody with vibrato, kick, snare and hi-hat, 112 beats a
 * minute, panned over two channels. Key, chords and melody are drawn from the seed. Peaks at −3 dBFS.
 */
export function music(seed: number, seconds: number, rate = 48_000): Signal {
  const next = seeded(seed);
  const noise = gaussian(seed + 1);
  const count = Math.round(rate * seconds);
  const left = new Float64Array(count);
  const right = new Float64Array(count);
  const add = (start: number, length: number, pan: number, sample: (time: number) => number): void => {
    const first = Math.round(start * rate);
    const end = Math.min(count, first + Math.round(length * rate));
    const [toLeft, toRight] = [Math.cos((pan * Math.PI) / 2), Math.sin((pan * Math.PI) / 2)];
    for (let at = first; at < end; at++) {
      const value = sample((at - first) / rate);
      left[at] = (left[at] ?? 0) + value * toLeft;
      right[at] = (right[at] ?? 0) + value * toRight;
    }
  };
  const beat = 60 / 112;
  const key = 48 + Math.floor(next() * 12);
  const scale = [0, 2, 4, 5, 7, 9, 11, 12];
  const hertz = (note: number): number => 440 * 2 ** ((note - 69) / 12);
  const string = (note: number, decay: number) => (time: number) => {
    let sum = 0;
    for (let order = 1; order <= 8; order++)
      sum += Math.sin(2 * Math.PI * hertz(note) * order * time) * Math.exp(-time * decay * order) * (1 / order);
    return sum * 0.12 * Math.min(1, time * 400);
  };
  let root = 0;
  for (let step = 0; step * beat < seconds; step++) {
    const start = step * beat;
    if (step % 4 === 0) root = [0, 5, 7, 9][Math.floor(next() * 4)] ?? 0;
    add(start, beat, 0.5, string(key - 12 + root, 2.5));
    if (step % 2 === 0)
      for (const [index, third] of [0, 4, 7].entries())
        add(start, 2 * beat, 0.25 + index * 0.25, string(key + root + third, 1.6));
    const note = key + 12 + (scale[Math.floor(next() * scale.length)] ?? 0);
    add(start + (next() < 0.4 ? beat / 2 : 0), beat * 0.9, 0.6, (time) => {
      const phase = 2 * Math.PI * hertz(note) * time + 0.6 * Math.sin(2 * Math.PI * 5.5 * time);
      return 0.1 * Math.sin(phase + 0.8 * Math.sin(2 * phase)) * Math.min(1, time * 30) * Math.exp(-time * 1.2);
    });
    if (step % 2 === 0)
      add(
        start,
        0.25,
        0.5,
        (time) => 0.5 * Math.sin(2 * Math.PI * (45 * time + 4 * (1 - Math.exp(-time * 30)))) * Math.exp(-time * 14),
      );
    else add(start, 0.2, 0.45, (time) => 0.16 * noise() * Math.exp(-time * 24));
    for (const half of [0, 0.5]) add(start + half * beat, 0.06, 0.7, (time) => 0.05 * noise() * Math.exp(-time * 70));
  }
  return atPeak({ rate, channels: [left, right] }, -3);
}

/** From a whisper to hard blows, in parts of a few seconds: some 30 LU of range, with peaks far above the rest. */
export function wideDynamics(seed: number, seconds: number, rate = 48_000): Signal {
  const next = seeded(seed);
  const base = pinkNoise(seed, seconds, -20, rate, 2);
  const part = 3;
  const levels = Array.from({ length: Math.ceil(seconds / part) }, (_, index) =>
    amplitude([-26, -4, -14, 2][index % 4] ?? 0),
  );
  const blows = Array.from({ length: Math.ceil(seconds) }, () => next());
  const shaped = base.channels.map((samples) =>
    samples.map((sample, at) => {
      const time = at / rate;
      const blow = (time % 1) - (blows[Math.floor(time)] ?? 0) * 0.7;
      const hit = blow >= 0 ? Math.exp(-blow * 60) * Math.sin(2 * Math.PI * 180 * blow) * 0.6 : 0;
      return sample * (levels[Math.floor(time / part)] ?? 0) + hit * Math.sqrt(levels[Math.floor(time / part)] ?? 0);
    }),
  );
  return atPeak({ rate, channels: shaped }, -0.5);
}

/** Both at once, as long as the first. Signals of one channel are heard in all. */
export function mix(first: Signal, second: Signal): Signal {
  const channels = first.channels.map((samples, index) => {
    const other = second.channels[index] ?? second.channels[0];
    return samples.map((sample, at) => sample + (other?.[at] ?? 0));
  });
  return { rate: first.rate, channels };
}

/** One behind the other. */
export function sequence(...signals: readonly [Signal, ...Signal[]]): Signal {
  const [first] = signals;
  const channels = first.channels.map((_, index) => {
    const joined = new Float64Array(signals.reduce((sum, signal) => sum + lengthOf(signal), 0));
    let at = 0;
    for (const signal of signals) {
      joined.set(signal.channels[index] ?? signal.channels[0] ?? [], at);
      at += lengthOf(signal);
    }
    return joined;
  });
  return { rate: first.rate, channels };
}

/** Louder or softer. */
export function gain(signal: Signal, db: number): Signal {
  const factor = amplitude(db);
  return { rate: signal.rate, channels: signal.channels.map((samples) => samples.map((sample) => sample * factor)) };
}

/** RMS over all channels, in dBFS. */
export function rmsOf({ channels }: Signal): number {
  let sum = 0;
  for (const samples of channels) for (const sample of samples) sum += sample * sample;
  return 10 * Math.log10(sum / Math.max(1, channels.length * (channels[0]?.length ?? 0)));
}

/** With that RMS over all channels, in dBFS. */
export function atRms(signal: Signal, dbfs: number): Signal {
  return gain(signal, dbfs - rmsOf(signal));
}

/** With that sample peak, in dBFS. */
export function atPeak(signal: Signal, dbfs: number): Signal {
  let peak = 0;
  for (const samples of signal.channels) for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  return gain(signal, dbfs - 20 * Math.log10(peak));
}

/** The beginning left out and begun again from the front where it ends, until it is long enough. */
function shifted({ rate, channels }: Signal, by: number, count: number): Signal {
  return {
    rate,
    channels: channels.map((samples) =>
      Float64Array.from({ length: count }, (_, at) => samples[(at + by) % samples.length] ?? 0),
    ),
  };
}

/** A first-order low-pass. @param corner - Hz */
function lowPass({ rate, channels }: Signal, corner: number): Signal {
  const step = 1 - Math.exp((-2 * Math.PI * corner) / rate);
  const filtered = channels.map((samples) => {
    let state = 0;
    return samples.map((sample) => {
      state += step * (sample - state);
      return state;
    });
  });
  return { rate, channels: filtered };
}

/** Numbers of the normal distribution, by the method of Box and Muller. */
function gaussian(seed: number): () => number {
  const next = seeded(seed);
  return () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}

/** How samples are written. */
export type SampleFormat = "s16" | "s24" | "f32";

const BYTES: Readonly<Record<SampleFormat, number>> = { s16: 2, s24: 3, f32: 4 };

/** Writes a WAV file, rounded without dither, clipped at full scale. @returns the path */
export async function writeWav(path: string, signal: Signal, format: SampleFormat = "s24"): Promise<string> {
  const width = BYTES[format];
  const count = signal.channels.length;
  const frames = lengthOf(signal);
  const file = await open(path, "w");
  try {
    await file.write(wavHeader(signal.rate, count, frames, format));
    const chunk = 65_536;
    for (let first = 0; first < frames; first += chunk) {
      const end = Math.min(frames, first + chunk);
      const bytes = Buffer.alloc((end - first) * count * width);
      let at = 0;
      for (let frame = first; frame < end; frame++)
        for (const samples of signal.channels) at = put(bytes, at, samples[frame] ?? 0, format);
      await file.write(bytes);
    }
  } finally {
    await file.close();
  }
  return path;
}

function put(bytes: Buffer, at: number, sample: number, format: SampleFormat): number {
  if (format === "f32") return bytes.writeFloatLE(sample, at);
  const scale = format === "s16" ? 32_768 : 8_388_608;
  const value = Math.max(-scale, Math.min(scale - 1, Math.round(sample * scale)));
  return bytes.writeIntLE(value, at, BYTES[format]);
}

/** RIFF/WAVE with 16 bytes of format (Microsoft Multiconfiguration, 1991; IEEE float is 3). */
function wavHeader(rate: number, channels: number, frames: number, format: SampleFormat): Buffer {
  const width = BYTES[format];
  const data = frames * channels * width;
  const header = Buffer.alloc(44);
  header.write("RIFF", 0);
  header.writeUInt32LE(36 + data, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(format === "f32" ? 3 : 1, 20);
  header.writeUInt16LE(channels, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate * channels * width, 28);
  header.writeUInt16LE(channels * width, 32);
  header.writeUInt16LE(width * 8, 34);
  header.write("data", 36);
  header.writeUInt32LE(data, 40);
  return header;
}

/** Reads the samples of any audio file, decoded by FFmpeg. @param rate - default: as it is in the file */
export function readAudio(path: string, rate?: number): Signal {
  const probe = execFileSync(
    "ffprobe",
    ["-v", "error", "-select_streams", "a:0", "-show_entries", "stream=sample_rate,channels", "-of", "csv=p=0", path],
    {
      encoding: "utf8",
    },
  );
  const [own = 0, count = 1] = probe.trim().split(",").map(Number);
  const wanted = rate ?? own;
  const raw = execFileSync(
    "ffmpeg",
    ["-nostdin", "-v", "error", "-i", path, "-map", "0:a:0", "-ar", String(wanted), "-f", "f64le", "pipe:1"],
    {
      maxBuffer: 2 ** 31 - 1,
    },
  );
  const all = new Float64Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
  const frames = Math.floor(all.length / count);
  const channels = Array.from({ length: count }, (_, channel) =>
    Float64Array.from({ length: frames }, (_, frame) => all[frame * count + channel] ?? 0),
  );
  return { rate: wanted, channels };
}
