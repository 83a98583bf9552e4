import assert from "node:assert/strict";
import { test } from "node:test";
import { type AudioFeatures, FEATURE_HOP, FEATURE_RATE, FeatureMeter } from "../../../src/daemon/audio/features.ts";
import { music, type Signal, silence, tone, wave, whiteNoise } from "../../support/audio/signals.ts";

function featuresOf({ channels }: Signal): AudioFeatures {
  const meter = new FeatureMeter();
  const samples = Float32Array.from(channels[0] ?? []);
  for (let at = 0; at + FEATURE_HOP <= samples.length; at += FEATURE_HOP)
    meter.add(samples.subarray(at, at + FEATURE_HOP));
  return meter.result();
}

const near = (value: number, wanted: number, by: number): void =>
  assert.ok(Math.abs(value - wanted) <= by, `${value} is not ${wanted} ± ${by}`);

test("a tone: all in one place, held, two changes of sign a period", () => {
  const found = featuresOf(tone({ frequency: 1500, dbfs: -10, seconds: 4, rate: FEATURE_RATE, channels: 1 }));
  near(found.centroid, 1500, 20);
  near(found.rolloff, 1500, 40);
  near(found.zeroCrossings, 3000, 40);
  near(found.crest, 3.01, 0.3);
  assert.ok(found.flatness < 0.01);
  assert.ok(found.steadyTones > 0.9);
  assert.ok((found.bands[4] ?? 0) > 0.99);
  assert.equal(found.silence, 0);
});

test("white noise: everywhere the same, nothing held", () => {
  const found = featuresOf(whiteNoise(1, 4, -20, FEATURE_RATE, 1));
  near(found.centroid, 4000, 150);
  near(found.rolloff, 6800, 200);
  // Of exponentially distributed powers: e to the minus Euler's constant.
  near(found.flatness, 0.561, 0.03);
  assert.ok(found.steadyTones < 0.02);
  near(found.bands[6] ?? 0, 0.5, 0.03);
});

test("noise that swells four times a second has syllables; steady noise has fewer", () => {
  const noise = whiteNoise(2, 8, -20, FEATURE_RATE, 1).channels[0] ?? new Float64Array();
  const swelling = wave(
    FEATURE_RATE,
    8,
    (time) => (noise[Math.round(time * FEATURE_RATE)] ?? 0) * (0.5 + 0.5 * Math.sin(8 * Math.PI * time)),
    1,
  );
  const [swells, steady] = [featuresOf(swelling), featuresOf({ rate: FEATURE_RATE, channels: [noise] })];
  assert.ok(swells.modulation > 0.85, String(swells.modulation));
  assert.ok(steady.modulation < 0.7, String(steady.modulation));
  assert.ok(swells.lowEnergy > steady.lowEnergy + 0.2);
});

test("music has a beat, noise has none", () => {
  const [piece, noise] = [featuresOf(music(5, 20, FEATURE_RATE)), featuresOf(whiteNoise(3, 20, -20, FEATURE_RATE, 1))];
  assert.ok(piece.beat > 0.3, String(piece.beat));
  assert.ok(noise.beat < 0.2, String(noise.beat));
});

test("silence is silent", () => {
  const found = featuresOf(silence(2, FEATURE_RATE, 1));
  assert.equal(found.silence, 1);
  assert.deepEqual(found.bands, [0, 0, 0, 0, 0, 0, 0]);
  for (const value of [found.centroid, found.flatness, found.beat, found.modulation]) assert.equal(value, 0);
});
