/** The long-term spectrum of a file in critical bands, measured from a stream of samples: an hour needs no more memory than a second. */
import type { MediaProgress } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { BARK_BANDS, BARK_LIMITS } from "./bark.ts";
import { RealFft } from "./fft.ts";
import { Blocks } from "./samples.ts";
import type { AudioSource } from "./source.ts";

/** Hz at which is measured: every band is below half of it. */
const RATE = 48_000;
/** Samples of a frame: 85 ms, bins of 12 Hz. */
const FRAME = 4096;
const COUNT = "astats@count=measure_perchannel=none:measure_overall=Number_of_samples";
/** Mean square of a frame that counts as silence: −60 dBFS. */
const SILENCE = 1e-6;

/** What was measured. */
export interface BandMeasure {
  /** Mean power of each critical band over all that is not silent; a sine at full scale is 1. */
  readonly powers: readonly number[];
  /** Length of the file at its own rate. */
  readonly samples: number;
}

/** Measures a file. @throws as `MediaTool.run` */
export async function measureBands(
  tool: Pick<MediaTool, "run">,
  source: AudioSource,
  control: { readonly signal?: AbortSignal; readonly onProgress?: (progress: MediaProgress) => void },
): Promise<BandMeasure> {
  const meter = new BandMeter();
  const blocks = new Blocks(2 * FRAME, (samples) => meter.add(samples));
  let samples = 0;
  await tool.run({
    ...control,
    logLevel: "info",
    onLog(line) {
      const [, count] = /^\[astats@count @ \w+\] Number of samples: (\d+)$/.exec(line) ?? [];
      if (count !== undefined) samples = Number(count);
    },
    inputs: [{ path: source.path }],
    ...(source.durationSeconds !== undefined && { durationSeconds: source.durationSeconds }),
    output: {
      sink: (bytes) => blocks.add(bytes),
      format: "f32le",
      options: [
        ...["-map", `0:${source.stream.index}`, "-c:a", "pcm_f32le"],
        // Counted at the file's own rate, before it is turned into that of the measurement.
        ...["-filter:a", `${COUNT},aresample=${RATE},aformat=channel_layouts=stereo`],
      ],
    },
  });
  blocks.end();
  return { powers: meter.powers(), samples };
}

class BandMeter {
  readonly #fft = new RealFft(FRAME);
  readonly #window = Float64Array.from({ length: FRAME }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / FRAME));
  readonly #frame = new Float64Array(FRAME);
  readonly #sums = new Float64Array(BARK_BANDS);
  readonly #bandOf = Int32Array.from({ length: FRAME / 2 + 1 }, (_, bin) => bandOf((bin * RATE) / FRAME));
  #frames = 0;

  /** @param samples - a frame of two channels, interleaved */
  add(samples: Float32Array): void {
    let energy = 0;
    for (const sample of samples) energy += sample * sample;
    if (energy / samples.length < SILENCE) return;
    this.#frames += 1;
    for (const channel of [0, 1]) {
      for (let at = 0; at < FRAME; at++) this.#frame[at] = (samples[2 * at + channel] ?? 0) * (this.#window[at] ?? 0);
      this.#fft.forward(this.#frame);
      for (let bin = 1; bin <= FRAME / 2; bin++) {
        const band = this.#bandOf[bin] ?? -1;
        if (band >= 0)
          this.#sums[band] = (this.#sums[band] ?? 0) + (this.#fft.re[bin] ?? 0) ** 2 + (this.#fft.im[bin] ?? 0) ** 2;
      }
    }
  }

  powers(): number[] {
    // A sine at full scale puts N² · 3/32 of energy into its bins under a Hann window; two channels are averaged.
    const scale = Math.max(1, this.#frames) * 2 * FRAME * FRAME * (3 / 32);
    return Array.from(this.#sums, (sum) => sum / scale);
  }
}

/** −1 above the highest. */
function bandOf(hertz: number): number {
  const band = BARK_LIMITS.findLastIndex((limit) => limit <= hertz);
  return band < BARK_BANDS ? band : -1;
}
