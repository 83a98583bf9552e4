import assert from "node:assert/strict";
import { test } from "node:test";
import { RealFft } from "../../../src/daemon/audio/fft.ts";
import { seeded } from "../../support/random.ts";

for (const size of [4, 8, 64, 512])
  test(`the transform of ${size} samples is what its definition says, and turns back`, () => {
    const next = seeded(size);
    const samples = Float64Array.from({ length: size }, () => next() - 0.5);
    const fft = new RealFft(size);
    fft.forward(samples);
    for (let k = 0; k <= size / 2; k++) {
      let [re, im] = [0, 0];
      for (const [n, sample] of samples.entries()) {
        re += sample * Math.cos((2 * Math.PI * k * n) / size);
        im -= sample * Math.sin((2 * Math.PI * k * n) / size);
      }
      assert.ok(Math.abs(re - (fft.re[k] ?? Number.NaN)) < 1e-9 && Math.abs(im - (fft.im[k] ?? Number.NaN)) < 1e-9);
    }
    const back = new Float64Array(size);
    fft.inverse(back);
    for (const [n, sample] of samples.entries()) assert.ok(Math.abs(sample - (back[n] ?? Number.NaN)) < 1e-12);
  });
