/** Samples as FFmpeg hands them over: bytes in any portions become blocks of floating-point numbers of one size. */

/** Bytes of a sample (f32le). */
const SAMPLE_BYTES = 4;

/** Cuts a stream of samples (f32le) into blocks of one length. */
export class Blocks {
  readonly #block: Float32Array;
  readonly #bytes: Uint8Array;
  readonly #take: (block: Float32Array, real: number) => void;
  #filled = 0;

  /** @param length - samples of a block. @param take - is given each, and how many samples are real; valid during the call */
  constructor(length: number, take: (block: Float32Array, real: number) => void) {
    this.#block = new Float32Array(length);
    this.#bytes = new Uint8Array(this.#block.buffer);
    this.#take = take;
  }

  add(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const part = bytes.subarray(from, from + this.#bytes.length - this.#filled);
      this.#bytes.set(part, this.#filled);
      this.#filled += part.length;
      from += part.length;
      if (this.#filled < this.#bytes.length) break;
      this.#take(this.#block, this.#block.length);
      this.#filled = 0;
    }
  }

  /** Fills the last block up with silence and hands it over, if something is in it. */
  end(): void {
    const real = Math.floor(this.#filled / SAMPLE_BYTES);
    this.#filled = 0;
    if (real === 0) return;
    this.#bytes.fill(0, real * SAMPLE_BYTES);
    this.#take(this.#block, real);
  }
}
