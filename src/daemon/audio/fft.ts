/**
 * The discrete Fourier transform of real signals of one length, a power of two: radix-2, decimation in time, with twiddle
 * factors made once. Small, and quick enough to look at an hour of sound in seconds.
 */

/** Transforms frames of one length. Holds its own work space: one per user, not shared between threads. */
export class RealFft {
  /** Samples of a frame. */
  readonly size: number;
  /** Real parts of the bins 0 … size / 2 after `forward`; before `inverse`, what is turned back. */
  readonly re: Float64Array;
  /** Imaginary parts. */
  readonly im: Float64Array;
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  readonly #reversed: Uint32Array;
  readonly #half: number;
  readonly #a: Float64Array;
  readonly #b: Float64Array;

  /** @param size - a power of two, at least 4 */
  constructor(size: number) {
    this.size = size;
    const half = size / 2;
    this.#half = half;
    this.re = new Float64Array(half + 1);
    this.im = new Float64Array(half + 1);
    this.#a = new Float64Array(half);
    this.#b = new Float64Array(half);
    this.#cos = Float64Array.from({ length: half }, (_, k) => Math.cos((2 * Math.PI * k) / size));
    this.#sin = Float64Array.from({ length: half }, (_, k) => Math.sin((2 * Math.PI * k) / size));
    const bits = Math.log2(half);
    this.#reversed = Uint32Array.from({ length: half }, (_, k) => {
      let reversed = 0;
      for (let bit = 0; bit < bits; bit++) reversed |= ((k >> bit) & 1) << (bits - 1 - bit);
      return reversed;
    });
  }

  /** Spectrum of `size` samples, into `re` and `im`; unscaled. */
  forward(samples: Float32Array | Float64Array): void {
    const [half, a, b] = [this.#half, this.#a, this.#b];
    // Even samples as real parts, odd ones as imaginary parts: one transform of half the length does for both.
    for (let k = 0; k < half; k++) {
      const to = this.#reversed[k] as number;
      a[to] = samples[2 * k] as number;
      b[to] = samples[2 * k + 1] as number;
    }
    this.#butterflies();
    for (let k = 0; k <= half; k++) {
      const p = k === half ? 0 : k;
      const q = k === 0 || k === half ? 0 : half - k;
      const evenRe = ((a[p] as number) + (a[q] as number)) / 2;
      const evenIm = ((b[p] as number) - (b[q] as number)) / 2;
      const oddRe = ((b[p] as number) + (b[q] as number)) / 2;
      const oddIm = ((a[q] as number) - (a[p] as number)) / 2;
      const c = k === half ? -1 : (this.#cos[k] as number);
      const s = k === half ? 0 : (this.#sin[k] as number);
      this.re[k] = evenRe + c * oddRe + s * oddIm;
      this.im[k] = evenIm + c * oddIm - s * oddRe;
    }
  }

  /** Samples of the spectrum in `re` and `im`, scaled back to what `forward` was given. */
  inverse(samples: Float32Array | Float64Array): void {
    const [half, a, b] = [this.#half, this.#a, this.#b];
    for (let k = 0; k < half; k++) {
      const q = half - k;
      const evenRe = ((this.re[k] as number) + (this.re[q] as number)) / 2;
      const evenIm = ((this.im[k] as number) - (this.im[q] as number)) / 2;
      const diffRe = ((this.re[k] as number) - (this.re[q] as number)) / 2;
      const diffIm = ((this.im[k] as number) + (this.im[q] as number)) / 2;
      const c = this.#cos[k] as number;
      const s = this.#sin[k] as number;
      const oddRe = c * diffRe - s * diffIm;
      const oddIm = c * diffIm + s * diffRe;
      const to = this.#reversed[k] as number;
      a[to] = evenRe - oddIm;
      // The conjugate, so that the forward butterflies turn back.
      b[to] = -(evenIm + oddRe);
    }
    this.#butterflies();
    for (let k = 0; k < half; k++) {
      samples[2 * k] = (a[k] as number) / half;
      samples[2 * k + 1] = -(b[k] as number) / half;
    }
  }

  #butterflies(): void {
    const [half, a, b, cos, sin] = [this.#half, this.#a, this.#b, this.#cos, this.#sin];
    for (let span = 1; span < half; span *= 2) {
      const stride = half / span;
      for (let start = 0; start < half; start += 2 * span)
        for (let k = 0; k < span; k++) {
          const c = cos[k * stride] as number;
          const s = sin[k * stride] as number;
          const top = start + k;
          const low = top + span;
          const re = (a[low] as number) * c + (b[low] as number) * s;
          const im = (b[low] as number) * c - (a[low] as number) * s;
          a[low] = (a[top] as number) - re;
          b[low] = (b[top] as number) - im;
          a[top] = (a[top] as number) + re;
          b[top] = (b[top] as number) + im;
        }
    }
  }
}
