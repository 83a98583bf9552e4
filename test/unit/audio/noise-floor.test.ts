import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { FloatWav } from "../../../src/daemon/audio/float-wav.ts";
import { measureNoiseFloor } from "../../../src/daemon/audio/noise-floor.ts";
import { openSource } from "../../../src/daemon/audio/source.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { mix, readAudio, type Signal, wave, whiteNoise, writeWav } from "../../support/audio/signals.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const testTool = () => new FfmpegTool({ path: "", processes: 1, timeoutMs: 60_000 }, { clock: new SystemClock() });

async function floorOf(sound: Signal) {
  await using folder = await temporaryFolder();
  await using tool = testTool();
  const source = await openSource(tool, await writeWav(join(folder.path, "in.wav"), sound, "s24"));
  return await measureNoiseFloor(tool, source, 0.5, {});
}

for (const rate of [16_000, 44_100, 96_000])
  test(`white noise at ${rate} Hz is found in every band, also under louder tones`, async () => {
    const noise = whiteNoise(3, 4, -50, rate, 1);
    const tones = wave(
      rate,
      4,
      (time) => 0.1 * Math.sin(2 * Math.PI * 1000 * time) + 0.1 * Math.sin(2 * Math.PI * 3000 * time),
      1,
    );
    for (const sound of [noise, mix(noise, tones)]) {
      const { bands, widths, sound: sounds } = await floorOf(sound);
      assert.ok(sounds);
      // The lowest bands are a bin or two wide.
      for (const [band, level] of bands.entries())
        if (band >= 5) assert.ok(Math.abs(level + 50) < 3, `band ${band}: ${level} dBFS`);
      const width = widths.reduce((sum, share) => sum + share, 0);
      assert.ok(width > 0.9 && width < 1.1, String(width));
    }
  });

test("a file of floating-point samples is read as it was written", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "samples.wav");
  const samples = Float32Array.from({ length: 600 }, (_, at) => Math.sin(at) * 1.5);
  {
    await using file = await FloatWav.create(path, 48_000, 3);
    await file.add(new Uint8Array(samples.buffer, 0, 1000));
    await file.add(new Uint8Array(samples.buffer, 1000));
    await file.finish();
    assert.equal(file.samples, 200);
  }
  const { rate, channels } = readAudio(path);
  assert.equal(rate, 48_000);
  assert.deepEqual(channels.length, 3);
  for (const [channel, plane] of channels.entries())
    for (const [at, sample] of plane.entries()) assert.equal(sample, samples[at * 3 + channel]);
  await assert.rejects(FloatWav.create(path, 48_000, 1), { code: "TARGET_EXISTS" });
});
