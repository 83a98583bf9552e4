import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { type DenoiseOptions, denoiseAudio } from "../../../src/daemon/audio/denoise.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { denoiseAcceptance } from "../../support/audio/denoise-acceptance.ts";
import {
  atRms,
  lengthOf,
  mix,
  music,
  pinkNoise,
  readAudio,
  rmsOf,
  SENTENCES,
  type Signal,
  sequence,
  silence,
  speech,
  tone,
  VOICES,
  wave,
  whiteNoise,
  writeWav,
} from "../../support/audio/signals.ts";
import { hasProgram } from "../../support/has-program.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const needsEspeak = hasProgram("espeak-ng");

/** One process at a time: nothing may wait for a second one. */
const testTool = () => new FfmpegTool({ path: "", processes: 1, timeoutMs: 60_000 }, { clock: new SystemClock() });

async function denoised(sound: Signal, options: DenoiseOptions) {
  await using folder = await temporaryFolder();
  await using tool = testTool();
  const input = await writeWav(join(folder.path, "in.wav"), sound, "f32");
  const result = await denoiseAudio(tool, input, options);
  assert.deepEqual((await readdir(folder.path)).sort(), result.changed ? ["in.denoised.wav", "in.wav"] : ["in.wav"]);
  return { ...result, before: readAudio(input), after: readAudio(result.path) };
}

/** RMS of a part of the first channel, dBFS. */
function levelOf({ rate, channels }: Signal, from: number, to: number): number {
  return rmsOf({ rate, channels: [(channels[0] ?? new Float64Array()).slice(from * rate, to * rate)] });
}

/** Samples by which the second is late, by their correlation. */
function lagOf(first: Signal, second: Signal, most: number): number {
  const [a = new Float64Array(), b = new Float64Array()] = [first.channels[0], second.channels[0]];
  let [best, lag] = [Number.NEGATIVE_INFINITY, 0];
  for (let shift = -most; shift <= most; shift++) {
    let sum = 0;
    // A second of it tells.
    for (let at = most; at < Math.min(a.length - most, most + 50_000); at++) sum += (a[at] ?? 0) * (b[at + shift] ?? 0);
    if (sum > best) [best, lag] = [sum, shift];
  }
  return lag;
}

test("speech gains, music stays: the acceptance, small", needsEspeak, async () => {
  const { ok, values } = await denoiseAcceptance({
    seed: 5,
    seconds: 4,
    ratios: [5],
    noises: ["white", "fan"],
    voices: 1,
    pieces: 1,
    recordings: false,
  });
  assert.ok(ok, JSON.stringify(values, undefined, 2));
});

test("what was not said is in its place: rate, depth, layout, length, tags", needsEspeak, async () => {
  await using folder = await temporaryFolder();
  await using tool = testTool();
  const voice = speech(SENTENCES[0], VOICES[0], 44_100);
  const left = mix(voice, whiteNoise(1, 10, rmsOf(voice) - 10, 44_100, 1));
  const both: Signal = {
    rate: 44_100,
    channels: [
      left.channels[0] ?? new Float64Array(),
      (left.channels[0] ?? new Float64Array()).map((sample) => sample / 2),
    ],
  };
  const wav = await writeWav(join(folder.path, "source.wav"), both, "s24");
  const input = join(folder.path, "talk, [a] 'b':1.flac");
  execFileSync("ffmpeg", ["-v", "error", "-i", wav, "-metadata", "title=A talk", "-sample_fmt", "s32", input]);
  const bytes = await readFile(input);
  for (const strength of ["light", "heavy"] as const) {
    const stages = new Set<string>();
    const percents: number[] = [];
    const result = await denoiseAudio(tool, input, {
      strength,
      contentType: "speech",
      overwrite: true,
      onProgress: ({ stage, percent }) => {
        stages.add(stage);
        if (percent !== undefined) percents.push(percent);
      },
    });
    assert.deepEqual(result.stages, strength === "heavy" ? ["afftdn", "rnnoise"] : ["rnnoise"]);
    const { format, streams } = await tool.probe(result.path);
    const [stream] = streams;
    assert.equal(format, "flac");
    assert.equal(stream?.sampleRate, 44_100);
    assert.equal(stream?.bitsPerSample, 24);
    assert.equal(stream?.layout, "stereo");
    const info = await tool.probe(result.path);
    assert.equal(info.tags["title"], "A talk");
    const after = readAudio(result.path);
    assert.equal(lengthOf(after), lengthOf(both));
    assert.equal(lagOf(voice, after, 40), 0);
    // A voice that is to the left stays there.
    const difference = rmsOf({
      rate: 1,
      channels: [
        (after.channels[0] ?? new Float64Array()).map((sample, at) => sample / 2 - (after.channels[1]?.[at] ?? 0)),
      ],
    });
    // afftdn looks at each channel by itself.
    assert.ok(difference < rmsOf(after) - (strength === "heavy" ? 25 : 50), `${difference} dB of ${rmsOf(after)}`);
    assert.ok(stages.has("denoising") && stages.has("encoding"));
    assert.ok(
      percents.every((percent, at) => percent >= (percents[at - 1] ?? 0) - 1e-9 && percent <= 100),
      String(percents),
    );
  }
  assert.deepEqual(await readFile(input), bytes);
  assert.deepEqual((await readdir(folder.path)).length, 3);
});

test("music keeps its place, and its hiss goes where it pauses", async () => {
  const piece = music(4, 5, 44_100);
  const hiss = whiteNoise(7, 9, -62, 44_100, 2);
  const noisy = mix(sequence(piece, silence(3, 44_100, 2)), hiss);
  const { stages, before, after, content } = await denoised(noisy, { strength: "heavy", contentType: "music" });
  assert.equal(content, "music");
  assert.deepEqual(stages, ["afftdn"]);
  assert.equal(lengthOf(after), lengthOf(before));
  assert.equal(lagOf(before, after, 1500), 0);
  const [was, is] = [levelOf(before, 6, 7.5), levelOf(after, 6, 7.5)];
  assert.ok(is < was - 12, `hiss of ${was} dBFS became ${is}`);
});

test("music that never pauses is not taken for noise", async () => {
  const chord = wave(
    48_000,
    4,
    (time) => [220, 277, 330, 440].reduce((sum, hertz) => sum + 0.1 * Math.sin(2 * Math.PI * hertz * time), 0),
    2,
  );
  const { changed, before, after } = await denoised(chord, {
    strength: "heavy",
    preserveQuality: false,
    contentType: "music",
  });
  const lost = {
    rate: 1,
    channels: before.channels.map((samples, index) =>
      samples.map((sample, at) => sample - (after.channels[index]?.[at] ?? 0)),
    ),
  };
  assert.ok(!changed || rmsOf(lost) < rmsOf(before) - 40);
});

test("six channels keep their order and their layout", async () => {
  const channels = [0, 1, 2, 3, 4, 5].map(
    (index) =>
      tone({ frequency: 200 + 100 * index, dbfs: -20 - index, seconds: 1, channels: 1 }).channels[0] ??
      new Float64Array(),
  );
  await using folder = await temporaryFolder();
  await using tool = testTool();
  const wav = await writeWav(join(folder.path, "six.wav"), { rate: 48_000, channels }, "s24");
  const input = join(folder.path, "six.flac");
  execFileSync("ffmpeg", ["-v", "error", "-channel_layout", "5.1(side)", "-i", wav, "-sample_fmt", "s32", input]);
  const wanted = (await tool.probe(input)).streams[0]?.layout;
  const { path } = await denoiseAudio(tool, input, { strength: "light", contentType: "speech" });
  assert.equal((await tool.probe(path)).streams[0]?.layout, wanted);
  const after = readAudio(path);
  assert.equal(after.channels.length, 6);
  const before = readAudio(input);
  for (const index of channels.keys()) {
    const other = (signal: Signal): Signal => ({
      rate: 48_000,
      channels: [signal.channels[index] ?? new Float64Array()],
    });
    assert.equal(lagOf(other(before), other(after), 10), 0);
    // Light leaves at least half of anything.
    assert.ok(rmsOf(other(after)) > rmsOf(other(before)) - 6.5);
  }
});

test("clips that are too short for a frame, silence, and samples that are no numbers", async () => {
  for (const seconds of [0.003, 0.1]) {
    const { before, after } = await denoised(pinkNoise(1, seconds, -20, 48_000, 1), { contentType: "speech" });
    assert.equal(lengthOf(after), lengthOf(before));
  }
  const { changed, notes } = await denoised(silence(1, 48_000, 2), { contentType: "music" });
  assert.equal(changed, false);
  assert.match(notes.join(" "), /No noise/);
  const broken = pinkNoise(1, 1, -20, 48_000, 1);
  broken.channels[0]?.fill(Number.NaN, 1000, 1100).fill(Number.POSITIVE_INFINITY, 2000, 2010);
  const { after } = await denoised(broken, { contentType: "speech" });
  assert.ok(after.channels[0]?.every(Number.isFinite));
  assert.ok(levelOf(after, 0.5, 0.9) > -90);
});

test("called off in the middle: its reason, and nothing is left", async () => {
  await using folder = await temporaryFolder();
  await using tool = testTool();
  const input = await writeWav(join(folder.path, "in.wav"), atRms(pinkNoise(1, 10, -20, 48_000, 1), -20), "s16");
  for (const contentType of ["speech", "music"] as const) {
    const abort = new AbortController();
    const reason = new Error("enough");
    const options = { contentType, strength: "heavy", signal: abort.signal } as const;
    const onProgress = ({ stage }: { readonly stage: string }): void => {
      if (stage === "denoising") abort.abort(reason);
    };
    await assert.rejects(denoiseAudio(tool, input, { ...options, onProgress }), reason);
    assert.deepEqual(await readdir(folder.path), ["in.wav"]);
  }
});

test("a strength that does not exist is refused before anything is done", async () => {
  await using tool = testTool();
  const strength = "extreme" as "heavy";
  await assert.rejects(denoiseAudio(tool, "/nowhere.wav", { strength }), { code: "INVALID_ARGUMENT" });
});
