/**
 * What can be measured of sound without understanding it: the usual features of audio classification, over a stream of any
 * length in memory that stays the same. Everything is of 16 kHz mono, so that a telephone and a studio are judged alike.
 *
 * Sources: spectral centroid, roll-off, flatness and flux as in G. Peeters, "A large set of audio features for sound
 * description" (2004); modulation at 4 Hz and low-energy frames as in E. Scheirer and M. Slaney, "Construction and evaluation
 * of a robust multifeature speech/music discriminator" (1997).
 */
import { RealFft } from "./fft.ts";
import { beatOf, Running, syllabicShare } from "./statistics.ts";

/** Hz of the samples. */
export const FEATURE_RATE = 16_000;
/** Samples from one frame to the next: 32 ms, a window of the voice detector. */
export const FEATURE_HOP = 512;
const FRAME = 1024;
const BINS = FRAME / 2;
/** A frame under this is silence: dBFS. */
const SILENCE_DB = -65;
/** Edges of the bands in Hz. */
const BANDS = [0, 125, 250, 500, 1000, 2000, 4000, 8000] as const;
/** Frames that a peak must stay where it is to be a note: 0.2 s, longer than voices hold a harmonic still. */
const STEADY_FRAMES = 6;
/** Frames a second. */
const FRAME_RATE = FEATURE_RATE / FEATURE_HOP;

/** What was measured. Means over frames that are not silent. */
export interface AudioFeatures {
  /** Seconds that were looked at. */
  readonly seconds: number;
  /** Share of frames that are silent, 0 to 1. */
  readonly silence: number;
  /** Centre of gravity of the spectrum, Hz. */
  readonly centroid: number;
  /** Standard deviation of the centroid, Hz. */
  readonly centroidDeviation: number;
  /** Frequency under which 85 % of the energy lies, Hz. */
  readonly rolloff: number;
  /** Geometric by arithmetic mean of the power spectrum: 0 for tones, towards 1 for noise. */
  readonly flatness: number;
  /** Peak by effective value of a frame, dB. */
  readonly crest: number;
  /** Changes of sign a second. */
  readonly zeroCrossings: number;
  /** Shares of the energy: 0–125, 125–250, 250–500, 500–1,000 Hz and so on in octaves to 8 kHz. */
  readonly bands: readonly number[];
  /** Share of the envelope's changes that are at 2 to 8 a second, the pace of syllables. */
  readonly modulation: number;
  /** Share of frames with less than half of the mean amplitude of their second. */
  readonly lowEnergy: number;
  /** Share of the energy that lies in tones held for 0.2 s or longer. */
  readonly steadyTones: number;
  /** How regular the onsets are, 0 to 1. */
  readonly beat: number;
}

/** What one frame is like. */
export interface Frame {
  /** dBFS. */
  readonly level: number;
  readonly silent: boolean;
  /** Share of the frame's energy in tones that have been held. */
  readonly steady: number;
  /** Geometric by arithmetic mean of the power spectrum. */
  readonly flatness: number;
}

/** Takes samples of 16 kHz mono and measures. */
export class FeatureMeter {
  readonly #fft = new RealFft(FRAME);
  readonly #window = Float64Array.from({ length: FRAME }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / FRAME));
  readonly #frame = new Float64Array(FRAME);
  readonly #work = new Float64Array(FRAME);
  readonly #power = new Float64Array(BINS + 1);
  readonly #before = new Float64Array(BINS + 1);
  readonly #age = new Uint8Array(BINS + 1);
  readonly #ageBefore = new Uint8Array(BINS + 1);
  readonly #bands = new Float64Array(BANDS.length - 1);
  readonly #centroid = new Running();
  readonly #rolloff = new Running();
  readonly #flatness = new Running();
  readonly #crest = new Running();
  readonly #crossings = new Running();
  readonly #steady = new Running();
  readonly #levels = new Envelope();
  #frames = 0;
  #silent = 0;

  /** Looks at the next {@link FEATURE_HOP} samples. */
  add(samples: Float32Array): Frame {
    this.#frame.copyWithin(0, FEATURE_HOP);
    this.#frame.set(samples, FRAME - FEATURE_HOP);
    this.#frames++;
    let [energy, peak, crossings] = [0, 0, 0];
    let last = 0;
    for (let n = 0; n < FRAME; n++) {
      const sample = this.#frame[n] as number;
      energy += sample * sample;
      peak = Math.max(peak, Math.abs(sample));
      if (sample !== 0) {
        if (last * sample < 0) crossings++;
        last = sample;
      }
      this.#work[n] = sample * (this.#window[n] as number);
    }
    this.#fft.forward(this.#work);
    const mean = energy / FRAME;
    const level = 10 * Math.log10(mean + 1e-12);
    const { sum, flatness, flux } = this.#spectrum();
    this.#levels.add(Math.sqrt(mean), flux);
    const silent = level < SILENCE_DB;
    const steady = this.#holdTones(sum);
    if (silent) {
      this.#silent++;
      return { level, silent, steady: 0, flatness };
    }
    this.#crest.add(20 * Math.log10(peak / Math.sqrt(mean)));
    this.#crossings.add((crossings * FEATURE_RATE) / FRAME);
    this.#flatness.add(flatness);
    this.#steady.add(steady);
    return { level, silent, steady, flatness };
  }

  /** What was measured until now. */
  result(): AudioFeatures {
    const total = this.#bands.reduce((sum, energy) => sum + energy, 0);
    return {
      seconds: (this.#frames * FEATURE_HOP) / FEATURE_RATE,
      silence: this.#frames === 0 ? 1 : this.#silent / this.#frames,
      centroid: this.#centroid.mean,
      centroidDeviation: this.#centroid.deviation,
      rolloff: this.#rolloff.mean,
      flatness: this.#flatness.mean,
      crest: this.#crest.mean,
      zeroCrossings: this.#crossings.mean,
      bands: [...this.#bands].map((energy) => (total === 0 ? 0 : energy / total)),
      modulation: this.#levels.modulation.mean,
      lowEnergy: this.#levels.lowEnergy.mean,
      steadyTones: this.#steady.mean,
      beat: this.#levels.beat(),
    };
  }

  /** The power spectrum, and what follows from it. */
  #spectrum(): { readonly sum: number; readonly flatness: number; readonly flux: number } {
    const { re, im } = this.#fft;
    let [sum, weighted, logs, flux] = [0, 0, 0, 0];
    for (let k = 1; k <= BINS; k++) {
      const power = (re[k] as number) ** 2 + (im[k] as number) ** 2 + 1e-12;
      // Of amplitudes on a logarithmic scale, so that quiet onsets count as well.
      flux += Math.max(0, Math.log(power + 1e-4) - Math.log((this.#power[k] as number) + 1e-4));
      this.#before[k] = this.#power[k] as number;
      this.#power[k] = power;
      sum += power;
      weighted += power * k;
      logs += Math.log(power);
    }
    const flatness = Math.exp(logs / BINS) / (sum / BINS);
    if (10 * Math.log10(sum / (FRAME * FRAME * 0.19) + 1e-12) >= SILENCE_DB) this.#shape(sum, weighted);
    return { sum, flatness, flux: flux / BINS };
  }

  #shape(sum: number, weighted: number): void {
    this.#centroid.add((weighted / sum) * (FEATURE_RATE / FRAME));
    let [below, k] = [0, 0];
    while (below < 0.85 * sum && k < BINS) below += this.#power[++k] as number;
    this.#rolloff.add(k * (FEATURE_RATE / FRAME));
    let band = 0;
    for (let bin = 1; bin <= BINS; bin++) {
      while (band < BANDS.length - 2 && bin * (FEATURE_RATE / FRAME) >= (BANDS[band + 1] as number)) band++;
      this.#bands[band] = (this.#bands[band] as number) + (this.#power[bin] as number);
    }
  }

  /** Follows peaks that stay in their place. @returns the share of the energy that is in those old enough */
  #holdTones(sum: number): number {
    const [power, age, before] = [this.#power, this.#age, this.#ageBefore];
    before.set(age);
    let held = 0;
    for (let k = 2; k < BINS - 1; k++) {
      const here = power[k] as number;
      const isPeak =
        here > (power[k - 1] as number) &&
        here >= (power[k + 1] as number) &&
        here > 8 * Math.min(power[k - 2] as number, power[k + 2] as number) &&
        here > 1e-5 * sum;
      if (!isPeak) {
        age[k] = 0;
        continue;
      }
      // A tone between two bins may have its peak in either.
      const old = Math.max(before[k] as number, (before[k - 1] as number) >> 0, before[k + 1] as number);
      age[k] = Math.min(255, old + 1);
      if ((age[k] as number) >= STEADY_FRAMES) held += (power[k - 1] as number) + here + (power[k + 1] as number);
    }
    return Math.min(1, held / sum);
  }
}

/** The loudness over time in blocks of two seconds, and the onsets in it. */
class Envelope {
  readonly modulation = new Running();
  readonly lowEnergy = new Running();
  readonly #beats = new Running();
  #amplitudes: number[] = [];
  #onsets: number[] = [];

  add(amplitude: number, onset: number): void {
    this.#amplitudes.push(amplitude);
    this.#onsets.push(onset);
    if (this.#amplitudes.length === 64) {
      const mean = this.#amplitudes.reduce((sum, value) => sum + value, 0) / 64;
      if (mean > 10 ** (SILENCE_DB / 20)) {
        this.lowEnergy.add(this.#amplitudes.filter((value) => value < mean / 2).length / 64);
        this.modulation.add(syllabicShare(this.#amplitudes, FRAME_RATE));
      }
      this.#amplitudes = [];
    }
    if (this.#onsets.length === 256) {
      this.#rhythm();
      this.#onsets = this.#onsets.slice(128);
    }
  }

  beat(): number {
    if (this.#beats.count === 0 && this.#onsets.length >= 128) this.#rhythm();
    return this.#beats.mean;
  }

  #rhythm(): void {
    this.#beats.add(beatOf(this.#onsets, FRAME_RATE));
  }
}
