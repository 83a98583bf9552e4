/**
 * RNNoise (J.-M. Valin, "A hybrid DSP/deep learning approach to real-time full-band speech enhancement", 2018), as WebAssembly
 * with its model inside. It takes 48 kHz mono in frames of 480 samples and answers one frame late.
 */
import load, { type RnnoiseModule } from "@echogarden/rnnoise-wasm";

/** Hz that it works at. */
export const RNNOISE_RATE = 48_000;
/** Samples of a frame, and of its delay. */
export const RNNOISE_FRAME = 480;
/** It thinks in samples of 16 bits. */
const SCALE = 32_768;

/** Takes the noise out of one channel. */
export class RnnoiseChannel {
  readonly #wasm: RnnoiseModule;
  readonly #state: number;
  readonly #address: number;

  /** Makes as many as there are channels, in one memory. */
  static async channels(count: number): Promise<RnnoiseChannel[]> {
    const wasm = await load();
    return Array.from({ length: count }, () => new RnnoiseChannel(wasm));
  }

  private constructor(wasm: RnnoiseModule) {
    this.#wasm = wasm;
    this.#state = wasm._rnnoise_create(0);
    this.#address = wasm._malloc(RNNOISE_FRAME * Float32Array.BYTES_PER_ELEMENT);
  }

  /** @param frame - {@link RNNOISE_FRAME} samples; becomes the frame before it, without its noise */
  process(frame: Float32Array): void {
    const first = this.#address / Float32Array.BYTES_PER_ELEMENT;
    const before = this.#wasm.HEAPF32;
    for (let n = 0; n < RNNOISE_FRAME; n++) before[first + n] = (frame[n] as number) * SCALE;
    this.#wasm._rnnoise_process_frame(this.#state, this.#address, this.#address);
    // The memory may have grown, and be another array.
    const after = this.#wasm.HEAPF32;
    for (let n = 0; n < RNNOISE_FRAME; n++) frame[n] = (after[first + n] as number) / SCALE;
  }
}
