/**
 * What a waveform and a spectrogram are drawn from, gathered while the sound goes by once: minimum and maximum, and power
 * by frequency, in as many columns as a picture has.
 */
import { Columns } from "./downsample.ts";
import { RealFft } from "./fft.ts";

/** Samples of a column at first, and of a window. */
const WINDOW = 2048;
/** Columns of a picture, at most. */
const MOST_COLUMNS = 1024;
/** Windows that a column is looked at through, at most: more would show the same. */
const WINDOWS_A_COLUMN = 8;
/** Rows of a spectrogram. */
const ROWS = 192;
/** Hz at its bottom. */
const LOWEST = 30;
/** dB of full scale at the dark end; 0 is the bright one. */
const FLOOR_DB = -110;

/** Lowest and highest sample of a column, −1 to 1. */
export interface WaveColumn {
  readonly low: number;
  readonly high: number;
}

interface PowerColumn {
  readonly power: Float64Array;
  windows: number;
}

/** Takes samples, keeps what is drawn. Memory does not grow with the sound. */
export class PictureGatherer {
  readonly #wave = new Columns<WaveColumn>(MOST_COLUMNS, (a, b) => ({
    low: Math.min(a.low, b.low),
    high: Math.max(a.high, b.high),
  }));
  readonly #power = new Columns<PowerColumn>(MOST_COLUMNS, (a, b) => {
    for (const [row, value] of b.power.entries()) a.power[row] = (a.power[row] ?? 0) + value;
    a.windows += b.windows;
    return a;
  });
  readonly #fft = new RealFft(WINDOW);
  readonly #windowed = new Float64Array(WINDOW);
  readonly #hann = Float64Array.from({ length: WINDOW }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / WINDOW));
  readonly #rows: readonly (readonly [from: number, to: number])[];
  #blocks = 0;

  /** @param sampleRate - Hz */
  constructor(sampleRate: number) {
    const top = sampleRate / 2;
    const bin = (row: number) => ((LOWEST * (top / LOWEST) ** (row / ROWS)) / sampleRate) * WINDOW;
    this.#rows = Array.from({ length: ROWS }, (_, row) => {
      const from = Math.min(WINDOW / 2, Math.floor(bin(row)));
      return [from, Math.max(from, Math.min(WINDOW / 2, Math.ceil(bin(row + 1)) - 1))] as const;
    });
  }

  /** @param samples - {@link PictureGatherer.block} of them, −1 to 1 */
  add(samples: Float32Array): void {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const sample of samples) {
      if (sample < low) low = sample;
      if (sample > high) high = sample;
    }
    this.#wave.add({ low, high });
    const every = Math.max(1, this.#power.stride / WINDOWS_A_COLUMN);
    const looked = this.#blocks++ % every === 0;
    this.#power.add(looked ? this.#look(samples) : { power: new Float64Array(ROWS), windows: 0 });
  }

  /** Samples that `add` takes. */
  static readonly block = WINDOW;

  /** The waveform. */
  wave(): readonly WaveColumn[] {
    return this.#wave.result();
  }

  /** The spectrogram, one byte a pixel, the highest frequency in the top row. */
  spectrogram(): { readonly width: number; readonly height: number; readonly pixels: Uint8Array } {
    const columns = this.#power.result();
    const pixels = new Uint8Array(columns.length * ROWS);
    for (const [x, { power, windows }] of columns.entries())
      for (const [row, sum] of power.entries()) {
        const db = 10 * Math.log10(sum / Math.max(1, windows) + 1e-20);
        const level = Math.max(0, Math.min(1, 1 - db / FLOOR_DB));
        pixels[(ROWS - 1 - row) * columns.length + x] = Math.round(255 * level);
      }
    return { width: columns.length, height: ROWS, pixels };
  }

  #look(samples: Float32Array): PowerColumn {
    for (let at = 0; at < WINDOW; at++) this.#windowed[at] = (samples[at] ?? 0) * (this.#hann[at] ?? 0);
    this.#fft.forward(this.#windowed);
    const { re, im } = this.#fft;
    const power = Float64Array.from(this.#rows, ([from, to]) => {
      let most = 0;
      for (let bin = from; bin <= to; bin++) most = Math.max(most, (re[bin] ?? 0) ** 2 + (im[bin] ?? 0) ** 2);
      // A sine of full scale is 0 dB: half of it is in the bin, and half of that passes the window.
      return most / (WINDOW / 4) ** 2;
    });
    return { power, windows: 1 };
  }
}
