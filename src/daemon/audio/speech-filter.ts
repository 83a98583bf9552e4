/**
 * Speech without its noise. RNNoise hears well what is speech, but with 22 bands it cuts coarsely; so what it took away is
 * only an estimate of the noise, and what it left one of the speech. From both a Wiener filter with 1,025 bins is made, which
 * is applied to the noisy sound itself: it goes between the harmonics, keeps the phase, and is at most so thorough as is asked.
 * Measured on speech with white, pink, fan and babble noise: 5.8 dB more SI-SDR on average, with RNNoise's own output 3.9.
 *
 * Both ears get the same filter, made from both: a voice does not wander. With more than two channels each has its own, for
 * they are not two views of one scene.
 */
import { RealFft } from "./fft.ts";
import { RNNOISE_FRAME, RnnoiseChannel } from "./rnnoise.ts";

/** Samples of a frame at 48 kHz: 43 ms, enough to part the harmonics of a low voice. */
const FRAME = 2048;
const HOP = FRAME / 4;
const BINS = FRAME / 2;
/** How slowly the estimate of the noise follows, and that of the speech. */
const NOISE_MEMORY = 0.92;
const SPEECH_MEMORY = 0.25;
/** The noise is taken for somewhat stronger than it was measured: what RNNoise leaves of it counts as speech. */
const NOISE_WEIGHT = 1.3;

/** How thorough it is. */
export interface SpeechFilterOptions {
  readonly channels: number;
  /** Decibels that noise is lowered by at most. */
  readonly reduction: number;
  /** Share of the filtered sound in the result, 0 to 1; the rest is the noisy one. */
  readonly share: number;
}

/** Filters 48 kHz; what comes out is as long as what went in, and in its place. */
export class SpeechFilter {
  readonly #groups: readonly Group[];
  readonly #options: SpeechFilterOptions;
  /** Samples that went in, and that came out, of one channel. */
  #taken = 0;
  #given = 0;

  static async create(options: SpeechFilterOptions): Promise<SpeechFilter> {
    const voices = await RnnoiseChannel.channels(options.channels);
    const groups =
      options.channels <= 2 ? [new Group(voices, options)] : voices.map((one) => new Group([one], options));
    return new SpeechFilter(options, groups);
  }

  private constructor(options: SpeechFilterOptions, groups: readonly Group[]) {
    this.#options = options;
    this.#groups = groups;
  }

  /**
   * @param interleaved - whole blocks of {@link RNNOISE_FRAME} samples a channel
   * @param real - samples of each channel that are of the sound; what is behind them only fills the block
   * @returns what is ready, interleaved
   */
  add(interleaved: Float32Array, real: number): Float32Array {
    this.#taken += real;
    return this.#advance(interleaved);
  }

  /** @returns the rest */
  end(): Float32Array {
    const blocks = Math.ceil((FRAME + 2 * RNNOISE_FRAME + HOP) / RNNOISE_FRAME);
    return this.#advance(new Float32Array(blocks * RNNOISE_FRAME * this.#options.channels));
  }

  #advance(interleaved: Float32Array): Float32Array {
    const { channels } = this.#options;
    let first = 0;
    const planes: Float32Array[] = [];
    for (const group of this.#groups) {
      planes.push(...group.add(interleaved, first, channels));
      first += group.size;
    }
    const length = Math.min(this.#taken - this.#given, planes[0]?.length ?? 0);
    const out = new Float32Array(length * channels);
    for (const [channel, plane] of planes.entries())
      for (let n = 0; n < length; n++) out[n * channels + channel] = plane[n] as number;
    this.#given += length;
    return out;
  }
}

/** Channels that have one filter. */
class Group {
  readonly size: number;
  readonly #floor: number;
  readonly #share: number;
  readonly #channels: readonly Channel[];
  readonly #window = Float64Array.from({ length: FRAME }, (_, n) =>
    Math.sqrt(0.5 - 0.5 * Math.cos((2 * Math.PI * n) / FRAME)),
  );
  readonly #noise = new Float64Array(BINS + 1);
  readonly #speech = new Float64Array(BINS + 1);
  #frames = 0;

  constructor(voices: readonly RnnoiseChannel[], { reduction, share }: SpeechFilterOptions) {
    this.size = voices.length;
    this.#floor = 10 ** (-reduction / 20);
    this.#share = share;
    this.#channels = voices.map((voice) => new Channel(voice));
  }

  /** @returns a plane a channel, all of one length */
  add(interleaved: Float32Array, first: number, stride: number): Float32Array[] {
    for (const [index, channel] of this.#channels.entries()) channel.take(interleaved, first + index, stride);
    const hops = this.#channels[0]?.hops ?? 0;
    // The first frames lie before the beginning.
    const early = Math.max(0, Math.min(hops, FRAME / HOP - 1 - this.#frames)) * HOP;
    const planes = this.#channels.map(() => new Float32Array(hops * HOP));
    for (let hop = 0; hop < hops; hop++) {
      for (const channel of this.#channels) channel.analyse(this.#window);
      this.#estimate();
      for (const [index, channel] of this.#channels.entries())
        channel.give(this.#window, planes[index] as Float32Array, hop * HOP);
    }
    for (const channel of this.#channels) channel.forget(hops);
    return early === 0 ? planes : planes.map((plane) => plane.subarray(early));
  }

  /** Follows speech and noise, and makes the filter in all channels' spectra. */
  #estimate(): void {
    const [noise, speech] = [this.#noise, this.#speech];
    const memory = this.#frames++ === 0 ? 0 : 1;
    for (let k = 0; k <= BINS; k++) {
      let [noisy, voiced] = [1e-14, 0];
      for (const { sound, voice } of this.#channels) {
        noisy += (sound.re[k] as number) ** 2 + (sound.im[k] as number) ** 2;
        voiced += (voice.re[k] as number) ** 2 + (voice.im[k] as number) ** 2;
      }
      // Where there is speech little is learnt of the noise.
      const slow = NOISE_MEMORY + (1 - NOISE_MEMORY) * Math.min(1, voiced / noisy);
      const kept = memory * slow;
      noise[k] = kept * (noise[k] as number) + (1 - kept) * Math.max(0, noisy - voiced);
      speech[k] = SPEECH_MEMORY * (speech[k] as number) + (1 - SPEECH_MEMORY) * voiced;
      const clear = speech[k] as number;
      const gain = Math.max(this.#floor, clear / (clear + NOISE_WEIGHT * (noise[k] as number) + 1e-14));
      const mixed = this.#share * gain + 1 - this.#share;
      for (const { sound } of this.#channels) {
        sound.re[k] = (sound.re[k] as number) * mixed;
        sound.im[k] = (sound.im[k] as number) * mixed;
      }
    }
  }
}

/** One channel: what is still needed of it, before and after RNNoise, in step. */
class Channel {
  readonly sound = new RealFft(FRAME);
  readonly voice = new RealFft(FRAME);
  readonly #rnnoise: RnnoiseChannel;
  readonly #frame = new Float32Array(RNNOISE_FRAME);
  readonly #work = new Float64Array(FRAME);
  readonly #sum = new Float64Array(FRAME);
  // What lies before the beginning is silence; RNNoise is one frame late, so its side begins without it.
  #noisy: Float32Array = new Float32Array(FRAME - HOP);
  #clean: Float32Array = new Float32Array(FRAME - HOP - RNNOISE_FRAME);
  #at = 0;

  constructor(rnnoise: RnnoiseChannel) {
    this.#rnnoise = rnnoise;
  }

  /** Frames that can be looked at. */
  get hops(): number {
    return Math.max(0, Math.floor((this.#clean.length - FRAME) / HOP) + 1);
  }

  take(interleaved: Float32Array, channel: number, stride: number): void {
    const length = interleaved.length / stride;
    const [noisy, clean] = [longer(this.#noisy, length), longer(this.#clean, length)];
    for (let from = 0; from < length; from += RNNOISE_FRAME) {
      for (let n = 0; n < RNNOISE_FRAME; n++) {
        const sample = interleaved[(from + n) * stride + channel] as number;
        // A file of floating-point samples may hold anything; RNNoise never recovers from it.
        this.#frame[n] = Number.isFinite(sample) ? sample : 0;
      }
      noisy.set(this.#frame, this.#noisy.length + from);
      this.#rnnoise.process(this.#frame);
      clean.set(this.#frame, this.#clean.length + from);
    }
    [this.#noisy, this.#clean] = [noisy, clean];
  }

  analyse(window: Float64Array): void {
    for (const [fft, samples] of [
      [this.sound, this.#noisy],
      [this.voice, this.#clean],
    ] as const) {
      for (let n = 0; n < FRAME; n++) this.#work[n] = (samples[this.#at + n] as number) * (window[n] as number);
      fft.forward(this.#work);
    }
    this.#at += HOP;
  }

  give(window: Float64Array, plane: Float32Array, place: number): void {
    this.sound.inverse(this.#work);
    // Four windows that overlap, squared, add up to two.
    for (let n = 0; n < FRAME; n++)
      this.#sum[n] = (this.#sum[n] as number) + (this.#work[n] as number) * (window[n] as number) * 0.5;
    for (let n = 0; n < HOP; n++) plane[place + n] = this.#sum[n] as number;
    this.#sum.copyWithin(0, HOP);
    this.#sum.fill(0, FRAME - HOP);
  }

  forget(hops: number): void {
    this.#at = 0;
    this.#noisy = this.#noisy.slice(hops * HOP);
    this.#clean = this.#clean.slice(hops * HOP);
  }
}

function longer(samples: Float32Array, by: number): Float32Array {
  const result = new Float32Array(samples.length + by);
  result.set(samples);
  return result;
}
