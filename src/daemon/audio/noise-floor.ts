/**
 * How much noise is in a file: what is left in each band when the sound is at its quietest (minimum statistics, R. Martin
 * 2001, over the whole length), and between its tones. The bands are those of FFmpeg's afftdn, which takes the result as a profile.
 */
import type { MediaProgress } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { RealFft } from "./fft.ts";
import { Blocks } from "./samples.ts";
import type { AudioSource } from "./source.ts";
import { LevelHistogram } from "./statistics.ts";

/** Centres of afftdn's bands, Hz: each one and a half times the one before and 5 Hz. */
const CENTRES = [80, 125, 193, 295, 448, 677, 1020, 1540, 2320, 3490, 5250, 7900, 11_850, 17_800, 26_700] as const;
/** Frames that are digital silence say nothing about noise: dBFS. */
const NOTHING_DB = -110;

/** What a quarter of exponentially distributed values are under, by their mean. */
const QUARTER = Math.log(4 / 3);

/** What was measured. Levels are those of white noise that is as strong there, in dBFS over the whole bandwidth. */
export interface NoiseFloor {
  /** For each band of afftdn; those above the file's bandwidth have the mean of the others. */
  readonly bands: readonly number[];
  /** Share of the bandwidth that each band has; 0 above it. */
  readonly widths: readonly number[];
  /** Mean level of all, dBFS. */
  readonly level: number;
  /** False if all of it is silence. */
  readonly sound: boolean;
}

/** Meter for one stream. */
class FloorMeter {
  readonly #fft: RealFft;
  readonly #window: Float64Array;
  readonly #scale: number;
  readonly #edges: readonly number[];
  readonly #histograms = CENTRES.map(() => new LevelHistogram());
  readonly #work: Float64Array;
  readonly #bins: Float64Array;
  readonly #channels: number;
  #energy = 0;
  #frames = 0;

  constructor(rate: number, channels: number) {
    const size = 2 ** Math.round(Math.log2(rate * 0.05));
    this.#channels = channels;
    this.#fft = new RealFft(size);
    this.#work = new Float64Array(size);
    this.#bins = new Float64Array(size / 2 + 1);
    this.#window = Float64Array.from({ length: size }, (_, n) => blackmanHarris(n / size));
    this.#scale = this.#window.reduce((sum, value) => sum + value * value, 0);
    // The highest band has all that is above it.
    const between = CENTRES.map((centre, band) => Math.sqrt(centre * (CENTRES[band + 1] ?? rate ** 2)));
    this.#edges = [1, ...between.map((edge) => Math.min(size / 2, Math.round((edge * size) / rate)))];
  }

  /** Samples of a frame of all channels. */
  get length(): number {
    return this.#fft.size * this.#channels;
  }

  add(interleaved: Float32Array): void {
    const { size } = this.#fft;
    const powers = CENTRES.map(() => 0);
    let energy = 0;
    for (let channel = 0; channel < this.#channels; channel++) {
      for (let n = 0; n < size; n++) {
        const sample = interleaved[n * this.#channels + channel] as number;
        energy += Number.isFinite(sample) ? sample * sample : 0;
        this.#work[n] = Number.isFinite(sample) ? sample * (this.#window[n] as number) : 0;
      }
      this.#fft.forward(this.#work);
      for (const band of CENTRES.keys()) {
        const [from, to] = this.#band(band);
        const bins = this.#bins.subarray(0, to - from);
        for (let k = from; k < to; k++)
          bins[k - from] = (this.#fft.re[k] as number) ** 2 + (this.#fft.im[k] as number) ** 2;
        if (to > from) powers[band] = (powers[band] as number) + valley(bins) / this.#scale / this.#channels;
      }
    }
    const mean = energy / this.length;
    if (10 * Math.log10(mean + 1e-15) < NOTHING_DB) return;
    this.#energy += mean;
    this.#frames++;
    for (const [band, power] of powers.entries()) this.#histograms[band]?.add(10 * Math.log10(power + 1e-15));
  }

  /** @param share - how much of the time counts as quietest, 0 to 1 */
  result(share: number): NoiseFloor {
    const used = CENTRES.map((_, band) => this.#band(band)).map(([from, to]) => to - from);
    const levels = this.#histograms.map((histogram) => histogram.percentile(share));
    const known = levels.filter((_, band) => (used[band] as number) > 0);
    const mean = known.reduce((sum, level) => sum + level, 0) / known.length;
    return {
      bands: levels.map((level, band) => ((used[band] as number) > 0 ? level : mean)),
      widths: used.map((bins) => bins / (this.#fft.size / 2)),
      level: this.#frames === 0 ? Number.NEGATIVE_INFINITY : 10 * Math.log10(this.#energy / this.#frames),
      sound: this.#frames > 0,
    };
  }

  #band(band: number): [from: number, to: number] {
    const from = this.#edges[band] as number;
    const to = this.#edges[band + 1] as number;
    // At low rates the lowest bands may lie inside of one bin.
    return [from, to === from && to < this.#fft.size / 2 ? to + 1 : to];
  }
}

/** A window whose side lobes are 92 dB down: a tone does not look like noise beside it (F. Harris, 1978). */
function blackmanHarris(place: number): number {
  const angle = 2 * Math.PI * place;
  return 0.35875 - 0.48829 * Math.cos(angle) + 0.14128 * Math.cos(2 * angle) - 0.01168 * Math.cos(3 * angle);
}

/**
 * Mean power of the noise in a band, by the quarter of the bins that has the least: between the tones of music there is noise,
 * and the powers of noise are exponentially distributed. Sorts the bins.
 */
function valley(bins: Float64Array): number {
  bins.sort();
  return (bins[Math.floor(bins.length / 4)] as number) / QUARTER;
}

/**
 * Measures the noise of a source.
 * @param share - how much of the time counts as quietest, 0 to 1
 */
export async function measureNoiseFloor(
  tool: Pick<MediaTool, "run">,
  source: AudioSource,
  share: number,
  control: { readonly signal?: AbortSignal; readonly onProgress?: (progress: MediaProgress) => void },
): Promise<NoiseFloor> {
  const { sampleRate, channels, index } = source.stream;
  const meter = new FloorMeter(sampleRate, channels);
  const blocks = new Blocks(meter.length, (samples) => meter.add(samples));
  await tool.run({
    ...control,
    inputs: [{ path: source.path }],
    output: {
      sink: (bytes) => blocks.add(bytes),
      format: "f32le",
      options: ["-map", `0:${index}`, "-ar", String(sampleRate), "-ac", String(channels), "-c:a", "pcm_f32le"],
    },
    ...(source.durationSeconds !== undefined && { durationSeconds: source.durationSeconds }),
  });
  return meter.result(share);
}
