/** Psychoacoustics: the scale and its formulas against published values, the curve's bounds, and what it does to a file. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { measureBands } from "../../../src/daemon/audio/band-meter.ts";
import {
  BARK_BANDS,
  BARK_LIMITS,
  barkCentre,
  barkOf,
  hear,
  loudnessInSone,
  spreading,
  thresholdInQuiet,
} from "../../../src/daemon/audio/bark.ts";
import { enhanceAudio } from "../../../src/daemon/audio/enhance.ts";
import { enhancementCurve } from "../../../src/daemon/audio/enhance-curve.ts";
import { processWithEnhancements } from "../../../src/daemon/audio/enhancements.ts";
import { openSource } from "../../../src/daemon/audio/source.ts";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { loudnessOf, truePeakOf } from "../../support/audio/own-meter.ts";
import {
  gain,
  lengthOf,
  mix,
  music,
  pinkNoise,
  readAudio,
  rmsOf,
  tone,
  writeWav,
} from "../../support/audio/signals.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const testTool = () => new FfmpegTool({ path: "", processes: 2, timeoutMs: 60_000 }, { clock: new SystemClock() });
/** Powers of bands that lie on a straight line of 2 dB a Bark, with changes in dB. */
const sloped = (changes: Readonly<Record<number, number>>) =>
  Array.from({ length: BARK_BANDS }, (_, band) => 10 ** ((-30 - 2 * band + (changes[band] ?? 0)) / 10));

describe("the ear", () => {
  test("has Zwicker's bands where Traunmüller's scale puts them", () => {
    for (const [index, limit] of BARK_LIMITS.entries())
      if (index > 0) assert.ok(Math.abs(barkOf(limit) - index) < 0.3, `${limit} Hz is ${barkOf(limit)} Bark`);
  });

  test("masks upwards further than downwards, and hears best between 3 and 4 kHz", () => {
    assert.ok(Math.abs(spreading(0)) < 0.1);
    assert.ok(spreading(3) > spreading(-3));
    // The slopes of Schroeder et al.: about 25 dB a Bark downwards, 10 dB upwards.
    assert.ok(Math.abs(spreading(-5) - spreading(-4) - -25) < 1 || Math.abs(spreading(-4) - spreading(-5) - 25) < 1);
    assert.ok(Math.abs(spreading(4) - spreading(5) - 10) < 1);
    const quietest = [100, 500, 1000, 3300, 8000, 15_000].sort((a, b) => thresholdInQuiet(a) - thresholdInQuiet(b));
    assert.equal(quietest[0], 3300);
    assert.ok(Math.abs(thresholdInQuiet(1000) - 3.4) < 0.2);
  });

  test("hears twice as loud what is 10 dB louder, roughly", () => {
    const at = (db: number) => {
      const powers = new Array<number>(BARK_BANDS).fill(0);
      powers[8] = 10 ** ((db - 96) / 10);
      return loudnessInSone(hear(powers));
    };
    for (const level of [40, 50, 60, 70]) {
      const ratio = at(level + 10) / at(level);
      assert.ok(ratio > 1.6 && ratio < 2.3, `${level} dB: ${ratio}`);
    }
    assert.equal(at(-200), 0);
  });
});

describe("the curve", () => {
  test("lowers what stands out, raises what is covered, and leaves a smooth spectrum alone", () => {
    assert.ok(enhancementCurve(hear(sloped({}))).every(({ gain: db }) => Math.abs(db) < 0.25));
    const loud = enhancementCurve(hear(sloped({ 10: 12 })));
    assert.ok((loud[10]?.gain ?? 0) < -1.5, JSON.stringify(loud));
    const covered = enhancementCurve(hear(sloped({ 12: -14 })));
    assert.ok((covered[12]?.gain ?? 0) > 0.5, JSON.stringify(covered));
  });

  test("is within 3 dB whatever is heard, and leaves alone what is not", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -160, max: 0, noNaN: true }), { minLength: BARK_BANDS, maxLength: BARK_BANDS }),
        (levels) => {
          const bands = hear(levels.map((level) => 10 ** (level / 10)));
          for (const [index, { gain: db, frequency }] of enhancementCurve(bands).entries()) {
            assert.ok(Math.abs(db) <= 3);
            assert.equal(frequency, barkCentre(index));
            if ((bands[index]?.level ?? 0) < 0) assert.equal(db, 0);
          }
        },
      ),
    );
    assert.ok(enhancementCurve(hear(new Array<number>(BARK_BANDS).fill(0))).every(({ gain: db }) => db === 0));
  });
});

describe("a file", () => {
  test("is measured in bands: a sine at full scale is 1, at any rate", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    for (const rate of [44_100, 48_000]) {
      const sine = tone({ frequency: 1000, dbfs: -6, seconds: 1, rate });
      const source = await openSource(tool, await writeWav(join(folder.path, "tone.wav"), sine));
      const { powers, samples } = await measureBands(tool, source, {});
      assert.equal(samples, rate);
      assert.ok(Math.abs(10 * Math.log10(powers[8] ?? 0) + 6) < 0.3, `${rate}: ${powers[8]}`);
      assert.ok(powers.every((power, band) => Math.abs(band - 8) < 2 || power < 2e-4));
    }
  });

  test("with a resonance loses some of it, and is as loud and as long as before", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const signal = mix(gain(pinkNoise(1, 3, -26), 0), gain(tone({ frequency: 1170, dbfs: -22, seconds: 3 }), 0));
    const input = await writeWav(join(folder.path, "resonance.wav"), signal);
    const said = await enhanceAudio(tool, input, { dryRun: true });
    assert.equal(said.changed, false);
    assert.deepEqual(await readdir(folder.path), ["resonance.wav"]);
    const { path, curve, gainDb } = await enhanceAudio(tool, input);
    assert.deepEqual(curve, said.curve);
    const band = curve.reduce((lowest, point) => (point.gain < lowest.gain ? point : lowest));
    assert.equal(band.frequency, barkCentre(9));
    assert.ok(band.gain < -1 && band.gain >= -3 && gainDb !== undefined, JSON.stringify(band));
    const [before, after] = [readAudio(input), readAudio(path)];
    assert.equal(lengthOf(after), lengthOf(before));
    assert.ok(Math.abs(loudnessOf(after) - loudnessOf(before)) < 0.2);
    // Nothing is shifted in time: what the curve does is small beside the sound itself.
    assert.ok(
      rmsOf(mix(after, gain({ ...before, channels: before.channels.map((s) => s.map((x) => -x)) }, 0))) <
        rmsOf(before) - 6,
    );
  });

  test("of silence is left as it is", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const silent = { rate: 48_000, channels: [new Float64Array(24_000), new Float64Array(24_000)] };
    const { changed } = await enhanceAudio(tool, await writeWav(join(folder.path, "silence.wav"), silent));
    assert.equal(changed, false);
    assert.deepEqual(await readdir(folder.path), ["silence.wav"]);
  });
});

describe("the whole chain", () => {
  test("makes one file of all steps, at the target, and reports them", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const input = await writeWav(join(folder.path, "song.wav"), mix(music(5, 2), pinkNoise(2, 2, -55)));
    const percents: number[] = [];
    const result = await processWithEnhancements(tool, input, {
      enhanceSurround: true,
      denoiseLevel: "light",
      normalizeTarget: -16,
      onProgress: ({ percent }) => percent !== undefined && percents.push(percent),
    });
    assert.ok(
      ["denoise", "upmix", "normalize"].every((step) => result.steps.includes(step)),
      result.steps.join(),
    );
    assert.ok(Math.abs((result.after.integrated ?? 0) + 16) <= 0.2, JSON.stringify(result.after));
    const after = readAudio(result.path);
    assert.equal(after.channels.length, 8);
    assert.equal(lengthOf(after), lengthOf(readAudio(input)));
    assert.ok(Math.max(...after.channels.map(truePeakOf)) <= -0.9);
    assert.deepEqual(
      [...percents].sort((a, b) => a - b),
      percents,
    );
    assert.deepEqual((await readdir(folder.path)).sort(), ["song.enhanced.wav", "song.wav"]);
  });

  test("that is called off in any stage, or cannot be, leaves nothing", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const input = await writeWav(join(folder.path, "song.wav"), pinkNoise(3, 1, -25));
    for (const at of ["unpacking", "normalizing"]) {
      const call = new AbortController();
      const reason = new Error(at);
      const onProgress = ({ stage }: { stage: string }): void => {
        if (stage === at) call.abort(reason);
      };
      await assert.rejects(processWithEnhancements(tool, input, { signal: call.signal, onProgress }), reason);
    }
    const invalid = (error: unknown) => error instanceof DownloadError && error.code === "INVALID_ARGUMENT";
    await assert.rejects(processWithEnhancements(tool, input, { normalizeTarget: 3 }), invalid);
    assert.deepEqual(await readdir(folder.path), ["song.wav"]);
  });
});
