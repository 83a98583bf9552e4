/** An upmix to 7.1: what comes out, from every layout, and which formats refuse it. The meters are not FFmpeg's. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { upmixTo71 } from "../../../src/daemon/audio/upmix.ts";
import { upmixStart } from "../../../src/daemon/audio/upmix-layout.ts";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { atPeak, lengthOf, pinkNoise, readAudio, type Signal, tone, writeWav } from "../../support/audio/signals.ts";
import { upmixAcceptance, upmixCases } from "../../support/audio/upmix-acceptance.ts";
import { makeMedia } from "../../support/ffmpeg.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const unfit = (text: RegExp) => (error: unknown) =>
  error instanceof DownloadError && error.code === "MEDIA_UNFIT" && text.test(error.message);
const testTool = () => new FfmpegTool({ path: "", processes: 2, timeoutMs: 60_000 }, { clock: new SystemClock() });

describe("an upmix", () => {
  test("has eight channels, in step, as long and as loud, with peaks and LFE in bounds", async () => {
    const { ok, values } = await upmixAcceptance(
      upmixCases(1, ["music, as 16 bits at 44.1 kHz", "pink noise, mono", "all of it left"]),
    );
    assert.ok(ok, JSON.stringify(values, undefined, 1));
  });

  test("of 5.1 keeps its channels, and the downmix that it had", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const noise = atPeak(pinkNoise(3, 2, -20, 48_000, 6), -6);
    const wav = await writeWav(join(folder.path, "six.wav"), noise, "f32");
    for (const layout of ["5.1", "5.1(side)"]) {
      const input = makeMedia(
        "-i",
        wav,
        "-af",
        `channelmap=channel_layout=${layout}`,
        "-c:a",
        "flac",
        join(folder.path, "six.flac"),
      );
      const { path, content } = await upmixTo71(tool, input, { overwrite: true });
      assert.equal(content, "film");
      const [before, after] = [readAudio(input), readAudio(path)];
      assert.equal(lengthOf(after), lengthOf(before));
      const [left, , centre] = before.channels;
      assert.ok(difference(left, after.channels[0]) < 1e-4, `${layout}: left`);
      assert.ok(difference(centre, after.channels[2]) < 1e-4, `${layout}: centre`);
      // Beside and behind have half each of what was at one of the places.
      const surround = before.channels[4];
      for (const channel of [4, 6])
        assert.ok(
          difference(
            surround?.map((x) => x / 2),
            after.channels[channel],
          ) < 1e-4,
          layout,
        );
    }
  });

  test("of what has eight channels does nothing", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const input = makeMedia(
      "-f",
      "lavfi",
      "-i",
      "sine=d=0.5,aformat=channel_layouts=7.1",
      "-c:a",
      "flac",
      join(folder.path, "8.flac"),
    );
    const { changed, path, notes } = await upmixTo71(tool, input);
    assert.deepEqual({ changed, path }, { changed: false, path: input });
    assert.match(notes[0] ?? "", /8 channels already/);
    assert.deepEqual(await readdir(folder.path), ["8.flac"]);
  });

  test("of silence is silence", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const input = await writeWav(
      join(folder.path, "silence.wav"),
      atPeak({ rate: 48_000, channels: [new Float64Array(48_000)] } satisfies Signal, 0),
    );
    const { path, levels } = await upmixTo71(tool, input, { contentType: "music" });
    assert.equal(levels?.input, Number.NEGATIVE_INFINITY);
    assert.ok(readAudio(path).channels.every((samples) => samples.every((sample) => Math.abs(sample) < 1e-4)));
  });

  test("goes into every format that holds it, each channel in its place", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const input = await writeWav(join(folder.path, "tone.wav"), tone({ dbfs: -12, seconds: 1 }));
    for (const ending of ["wav", "m4a", "opus", "ogg", "mka"]) {
      const { path } = await upmixTo71(tool, input, {
        output: join(folder.path, `out.${ending}`),
        contentType: "speech",
      });
      const stream = (await tool.probe(path)).streams.find(({ kind }) => kind === "audio");
      assert.deepEqual([stream?.channels, stream?.layout], [8, "7.1"], ending);
      // A tone in the middle is loudest in the centre: the third channel, and no other.
      const powers = readAudio(path).channels.map((samples) =>
        samples.reduce((sum, sample) => sum + sample * sample, 0),
      );
      assert.equal(powers.indexOf(Math.max(...powers)), 2, ending);
    }
  });

  test("into a format that cannot hold it is refused, with those that can", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const input = makeMedia("-f", "lavfi", "-i", "sine=d=0.5", "-ac", "2", join(folder.path, "song.mp3"));
    await assert.rejects(upmixTo71(tool, input), unfit(/mp3 holds two channels.*\.flac/));
    await assert.rejects(upmixTo71(tool, input, { inPlace: true }), unfit(/mp3/));
    const alac = makeMedia("-f", "lavfi", "-i", "sine=d=0.5", "-c:a", "alac", join(folder.path, "song.m4a"));
    await assert.rejects(upmixTo71(tool, alac, { inPlace: true }), unfit(/alac in m4a/));
    assert.deepEqual((await readdir(folder.path)).sort(), ["song.m4a", "song.mp3"]);
  });

  test("that is called off leaves nothing", async () => {
    await using folder = await temporaryFolder();
    await using tool = testTool();
    const input = await writeWav(join(folder.path, "noise.wav"), pinkNoise(1, 3, -20));
    const call = new AbortController();
    const reason = new Error("enough");
    const onProgress = ({ stage }: { stage: string }): void => {
      if (stage === "encoding") call.abort(reason);
    };
    await assert.rejects(upmixTo71(tool, input, { contentType: "film", signal: call.signal, onProgress }), reason);
    assert.deepEqual(await readdir(folder.path), ["noise.wav"]);
  });
});

test("a chain is known for every layout that has less than eight channels, and runs", async () => {
  await using tool = testTool();
  for (const layout of [
    "mono",
    "stereo",
    "2.1",
    "3.0",
    "3.0(back)",
    "4.0",
    "quad",
    "quad(side)",
    "3.1",
    "5.0",
    "5.0(side)",
  ].concat([..."4.1 5.1 5.1(side) 6.0 hexagonal 6.1 6.1(back) 7.0".split(" ")])) {
    const start = upmixStart(layout, 7);
    assert.ok("chain" in start, layout);
    assert.equal(await tool.refusesChain(start.chain, { kind: "audio", layout }), undefined, layout);
  }
  assert.equal(upmixStart("7.1(wide)", 8).kind, "done");
  assert.equal(upmixStart("7.0(front)", 7).kind, "unknown");
  assert.equal(upmixStart(undefined, 6).kind, "surround");
});

/** Highest difference between two signals. */
function difference(one: Float64Array | undefined, other: Float64Array | undefined): number {
  assert.ok(one !== undefined && other !== undefined);
  return one.reduce((most, sample, at) => Math.max(most, Math.abs(sample - (other[at] ?? 0))), 0);
}
