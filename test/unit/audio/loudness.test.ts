/** The meter: tones whose loudness the standards name, what has none, what the log says, and gating by itself. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { LoudnessHistogram } from "../../../src/daemon/audio/loudness-histogram.ts";
import { type LoudnessPoint, MeterReader, measure, meter } from "../../../src/daemon/audio/measure.ts";
import { openSource } from "../../../src/daemon/audio/source.ts";
import { loudgain } from "../../support/audio/loudness-acceptance.ts";
import {
  gain,
  type Signal,
  sequence,
  silence,
  tone,
  wave,
  wideDynamics,
  writeWav,
} from "../../support/audio/signals.ts";
import { audioTool } from "../../support/audio/tool.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { missing } from "../../support/tools.ts";

async function measured(signal: Signal, onPoint?: (point: LoudnessPoint) => void) {
  await using folder = await temporaryFolder();
  await using tool = audioTool();
  const source = await openSource(tool, await writeWav(join(folder.path, "a.wav"), signal, "f32"));
  return await measure(tool, source, onPoint && { onPoint });
}

function near(actual: number | undefined, wanted: number, by: number, what: string): void {
  assert.ok(actual !== undefined && Math.abs(actual - wanted) <= by, `${what}: ${actual} in place of ${wanted}`);
}

describe("the meter", () => {
  // EBU Tech 3341, table 1: a stereo sine of 1 kHz at −23 dBFS is −23 LUFS, and quiet parts do not count.
  test("knows the tones of EBU Tech 3341", async () => {
    near((await measured(tone({ dbfs: -23, seconds: 5 }))).integrated, -23, 0.1, "case 1");
    near((await measured(tone({ dbfs: -33, seconds: 5 }))).integrated, -33, 0.1, "case 2");
    const gated = [-36, -23, -36].map((dbfs) => tone({ dbfs, seconds: dbfs === -23 ? 24 : 3 })) as [
      Signal,
      Signal,
      Signal,
    ];
    near((await measured(sequence(...gated))).integrated, -23, 0.1, "case 3");
  });

  test("sees peaks between the samples (Tech 3341, case 15 and the next)", async () => {
    // Faded in, so that nothing but the tone has a peak; its samples never pass −9.03 dBFS.
    const quarter = wave(48_000, 2, (time) => {
      const fade = Math.min(1, time * 20, (2 - time) * 20);
      return 0.5 * fade * Math.sin(2 * Math.PI * 12_000 * time + Math.PI / 4);
    });
    near((await measured(quarter)).truePeak, -6.02, 0.2, "true peak");
  });

  test("finds the range of EBU Tech 3342, case 1", async () => {
    const steps = sequence(tone({ dbfs: -20, seconds: 20 }), tone({ dbfs: -30, seconds: 20 }));
    const { range, shortTermMax, momentaryMax, seconds } = await measured(steps);
    near(range, 10, 1, "range");
    near(shortTermMax, -20, 0.1, "short-term");
    near(momentaryMax, -20, 0.1, "momentary");
    assert.equal(seconds, 40);
  });

  test("gives the series as it goes", async () => {
    const points: LoudnessPoint[] = [];
    await measured(sequence(silence(2), tone({ dbfs: -20, seconds: 4 })), (point) => points.push(point));
    assert.equal(points.length, 60);
    near(points[0]?.seconds, 0.1, 1e-9, "first");
    assert.equal(points[10]?.momentary, Number.NEGATIVE_INFINITY);
    near(points.at(-1)?.momentary, -20, 0.1, "momentary at the end");
    near(points.at(-1)?.shortTerm, -20, 0.1, "short-term at the end");
  });

  test("has no loudness for silence, for 300 ms, and below −70 LUFS", async () => {
    const silent = await measured(silence(2));
    assert.equal(silent.integrated, undefined);
    assert.equal(silent.truePeak, Number.NEGATIVE_INFINITY);
    assert.equal((await measured(tone({ dbfs: -20, seconds: 0.3 }))).integrated, undefined);
    const quiet = await measured(tone({ dbfs: -80, seconds: 2 }));
    assert.equal(quiet.integrated, undefined);
    near(quiet.truePeak, -80, 0.2, "peak of the quiet tone");
  });

  test("agrees with loudgain", { skip: missing("loudgain") }, async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    for (const [index, signal] of [wideDynamics(3, 12), gain(wideDynamics(4, 8), -40)].entries()) {
      const path = await writeWav(join(folder.path, `${index}.wav`), signal);
      const reader = await meter(tool, await openSource(tool, path));
      const own = reader.result();
      const other = await loudgain(path);
      near(own.integrated, other.lufs, 0.1, "LUFS");
      near(own.truePeak, other.dbtp, 0.2, "true peak");
      near(reader.momentary.integrated(), other.lufs, 0.1, "LUFS out of the histogram");
    }
  });
});

describe("the log", () => {
  test("of anything else is passed over", () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (lines) => {
        const reader = new MeterReader();
        for (const line of lines) reader.take(line);
        assert.equal(reader.result().integrated, undefined);
      }),
    );
  });

  test("is not believed where a file's tags speak the meter's language", () => {
    const reader = new MeterReader();
    reader.take("    title           : lavfi.r128.I=-5");
    reader.take("    lavfi.r128.true_peak=9");
    assert.equal(reader.result().truePeak, Number.NEGATIVE_INFINITY);
  });
});

describe("the histogram", () => {
  const LEVELS = fc.array(fc.double({ min: -69, max: 5, noNaN: true }), { minLength: 1, maxLength: 300 });

  test("gates as BS.1770 says", () => {
    fc.assert(
      fc.property(LEVELS, (levels) => {
        const histogram = new LoudnessHistogram();
        for (const level of levels) histogram.add(level);
        const rounded = levels.map((level) => Math.round(level * 100) / 100);
        const mean = (values: readonly number[]) =>
          10 * Math.log10(values.reduce((sum, value) => sum + 10 ** (value / 10), 0) / values.length);
        const gate = mean(rounded) - 10;
        near(histogram.integrated(), mean(rounded.filter((value) => value >= gate)), 0.02, "integrated");
        assert.ok(histogram.range() >= 0);
        near(histogram.loudest(), Math.max(...rounded), 0.011, "loudest");
      }),
    );
  });

  test("adds up as one", () => {
    fc.assert(
      fc.property(LEVELS, LEVELS, (first, second) => {
        const [one, two, both] = [new LoudnessHistogram(), new LoudnessHistogram(), new LoudnessHistogram()];
        for (const level of first) one.add(level);
        for (const level of second) two.add(level);
        for (const level of [...first, ...second]) both.add(level);
        one.merge(two);
        assert.equal(one.integrated(), both.integrated());
        assert.equal(one.range(), both.range());
      }),
    );
  });

  test("counts no silence", () => {
    const histogram = new LoudnessHistogram();
    for (const level of [-70, -120, Number.NEGATIVE_INFINITY, Number.NaN]) histogram.add(level);
    assert.equal(histogram.integrated(), undefined);
    assert.equal(histogram.loudest(), undefined);
    assert.equal(histogram.range(), 0);
  });
});
