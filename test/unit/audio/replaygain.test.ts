/** ReplayGain tags: right by loudgain, in each container's own words, with the sound copied as it is. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { replayGain } from "../../../src/daemon/audio/replaygain.ts";
import { openSource } from "../../../src/daemon/audio/source.ts";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { loudgain } from "../../support/audio/loudness-acceptance.ts";
import { music, pinkNoise, sequence, silence, writeWav } from "../../support/audio/signals.ts";
import { audioTool } from "../../support/audio/tool.ts";
import { makeMedia } from "../../support/ffmpeg.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { missing } from "../../support/tools.ts";

const code = (wanted: string) => (error: unknown) => error instanceof DownloadError && error.code === wanted;
const soundOf = (path: string) =>
  execFileSync("ffmpeg", ["-v", "error", "-i", path, "-map", "0:a", "-f", "md5", "-"], { encoding: "utf8" });

test("tags are right by loudgain, and the sound is as it was", { skip: missing("loudgain") }, async () => {
  await using folder = await temporaryFolder();
  await using tool = audioTool();
  const wav = await writeWav(join(folder.path, "a.wav"), music(5, 2));
  for (const [name, ...encode] of [
    ["a.flac", "-metadata", "REPLAYGAIN_TRACK_GAIN=+9 dB", "-metadata", "MP3GAIN_MINMAX=1,2"],
    ["b.mp3", "-b:a", "128k"],
    ["c.ogg", "-c:a", "libvorbis"],
    ["d.opus", "-c:a", "libopus"],
    ["e.mka", "-c:a", "aac"],
  ] as const) {
    const input = makeMedia("-i", wav, "-metadata", "title=Song", ...encode, join(folder.path, name));
    const { lufs } = await loudgain(input).catch(async (error: unknown) => {
      // loudgain knows no Matroska.
      if (!name.endsWith("mka")) throw error;
      return loudgain(makeMedia("-i", input, join(folder.path, "decoded.wav")));
    });
    const [result] = await replayGain(tool, [input]);
    assert.ok(result?.changed);
    const { info } = await openSource(tool, result.path);
    const [gain, wanted] = name.endsWith("opus")
      ? [Number(info.tags["r128_track_gain"]) / 256, -23 - lufs]
      : [Number.parseFloat(info.tags["replaygain_track_gain"] ?? ""), -18 - lufs];
    assert.ok(Math.abs(gain - wanted) <= 0.1, `${name}: ${gain} in place of ${wanted}`);
    assert.equal(info.tags["title"], "Song", name);
    assert.equal(info.tags["mp3gain_minmax"], undefined, name);
    assert.equal(soundOf(result.path), soundOf(input), name);
  }
});

test("an album has one gain, by the loudness of all of it", { skip: missing("loudgain") }, async () => {
  await using folder = await temporaryFolder();
  await using tool = audioTool();
  const parts = [music(5, 3), pinkNoise(6, 3, -30)] as const;
  const paths: string[] = [];
  for (const [index, part] of parts.entries())
    paths.push(
      makeMedia("-i", await writeWav(join(folder.path, `${index}.wav`), part), join(folder.path, `${index}.flac`)),
    );
  const { lufs } = await loudgain(await writeWav(join(folder.path, "all.wav"), sequence(...parts)));
  const results = await replayGain(tool, paths, { album: true, inPlace: true });
  assert.deepEqual(
    results.map(({ path }) => path),
    paths,
  );
  const gains = results.map(({ tags }) => tags["replaygain_album_gain"]);
  assert.equal(gains[0], gains[1]);
  assert.ok(Math.abs(Number.parseFloat(gains[0] ?? "") - (-18 - lufs)) <= 0.1, `${gains[0]}, ${lufs}`);
});

test("a dry run and silence change nothing; what cannot hold tags is refused", async () => {
  await using folder = await temporaryFolder();
  await using tool = audioTool();
  const wav = await writeWav(join(folder.path, "a.wav"), music(5, 2));
  const input = makeMedia("-i", wav, join(folder.path, "a.flac"));
  const before = await readFile(input);
  const [dry] = await replayGain(tool, [input], { dryRun: true, inPlace: true });
  assert.match(dry?.tags["replaygain_track_gain"] ?? "", /^-?\d+\.\d\d dB$/);
  const none = makeMedia("-i", await writeWav(join(folder.path, "s.wav"), silence(1)), join(folder.path, "s.flac"));
  const [silent] = await replayGain(tool, [none], { inPlace: true });
  assert.deepEqual([silent?.changed, silent?.tags], [false, {}]);
  await assert.rejects(replayGain(tool, [wav]), code("MEDIA_UNFIT"));
  const other = join(folder.path, "b.mp3");
  await assert.rejects(replayGain(tool, [input], { output: other }), code("INVALID_ARGUMENT"));
  await assert.rejects(replayGain(tool, [input, none], { output: other }), code("INVALID_ARGUMENT"));
  assert.ok(before.equals(await readFile(input)));
  assert.deepEqual((await readdir(folder.path)).sort(), ["a.flac", "a.wav", "s.flac", "s.wav"]);
});
