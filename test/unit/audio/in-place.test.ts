/** What takes the input's place, by hand or as a step of a download, has all that was in it; else the input stays. */
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { AudioRoom } from "../../../src/daemon/audio/room.ts";
import { openSource } from "../../../src/daemon/audio/source.ts";
import type { ProcessStep } from "../../../src/daemon/core/ports.ts";
import type { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { audioTool } from "../../support/audio/tool.ts";
import { makeMedia } from "../../support/ffmpeg.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { missing } from "../../support/tools.ts";

const SOUND = ["-f", "lavfi", "-i", "sine=f=500:d=2,volume=0.05"];
const PICTURE = ["-f", "lavfi", "-i", "testsrc=s=64x64:d=2:r=10"];
const SETTINGS = { targetLufs: -14, truePeak: -1, denoiseStrength: "medium", filters: {} } as const;

const roomWith = (tool: FfmpegTool): AudioRoom =>
  new AudioRoom({ tool, settings: () => SETTINGS, logger: new RecordLogger() });

const kinds = async (tool: FfmpegTool, path: string): Promise<string[]> =>
  (await openSource(tool, path)).info.streams.map(({ kind }) => kind).sort();

async function step(tool: FfmpegTool, path: string, name: string, output: string) {
  const [normalize] = roomWith(tool).steps(["normalize"]) as [ProcessStep];
  return normalize.run({ path, name }, output, { signal: new AbortController().signal });
}

describe("moving pictures", { skip: missing("ffmpeg") }, () => {
  test("beside PCM stay where they are, in a container for both", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const film = makeMedia(...PICTURE, ...SOUND, "-c:v", "mjpeg", "-c:a", "pcm_s16le", join(folder.path, "clip.avi"));
    const was = await readFile(film);
    await assert.rejects(roomWith(tool).run({ path: film, inPlace: true, operation: { kind: "normalize" } }, {}), {
      code: "MEDIA_UNFIT",
    });
    const made = await step(tool, film, "clip.avi", join(folder.path, "part.0"));
    assert.equal(made?.ext, "mkv");
    assert.deepEqual(await kinds(tool, made?.path ?? ""), ["audio", "video"]);
    assert.deepEqual(await readFile(film), was);
  });

  test("of Ogg are no reason to keep its sound alone", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const film = makeMedia(
      ...PICTURE,
      ...SOUND,
      "-c:v",
      "libtheora",
      "-c:a",
      "libvorbis",
      join(folder.path, "clip.ogv"),
    );
    const was = await readFile(film);
    await assert.rejects(roomWith(tool).run({ path: film, inPlace: true, operation: { kind: "normalize" } }, {}), {
      code: "MEDIA_UNFIT",
    });
    assert.deepEqual(await readFile(film), was);
    const { path } = await roomWith(tool).run({ path: film, operation: { kind: "normalize" } }, {});
    assert.deepEqual(await kinds(tool, path), ["audio", "video"]);
    const output = join(folder.path, "sound.ogg");
    const { notes } = await roomWith(tool).run({ path: film, output, operation: { kind: "normalize" } }, {});
    assert.match(notes.join(), /Left out, since ogg cannot hold it: video \(theora, stream 0\)/);
  });
});

test("subtitles that would be lost keep a file from being replaced", { skip: missing("ffmpeg") }, async () => {
  await using folder = await temporaryFolder();
  await using tool = audioTool();
  const words = join(folder.path, "words.srt");
  await writeFile(words, "1\n00:00:00,000 --> 00:00:01,000\nHello\n");
  const sung = makeMedia(
    ...[...SOUND, "-i", words, "-map", "0", "-map", "1", "-c:a", "flac", "-c:s", "srt"],
    join(folder.path, "sung.mka"),
  );
  const was = await readFile(sung);
  await assert.rejects(roomWith(tool).run({ path: sung, inPlace: true, operation: { kind: "normalize" } }, {}), {
    code: "MEDIA_UNFIT",
    message: /subtitle \(subrip, stream 1\)/,
  });
  assert.equal(await step(tool, sung, "sung.mka", join(folder.path, "part.0")), undefined);
  assert.deepEqual(await readFile(sung), was);
  assert.deepEqual((await readdir(folder.path)).sort(), ["sung.mka", "words.srt"]);
});

test("a step that was killed can be done again", { skip: missing("ffmpeg") }, async () => {
  await using folder = await temporaryFolder();
  await using tool = audioTool();
  const sound = makeMedia(...SOUND, join(folder.path, "a.flac"));
  const output = join(folder.path, "part.0");
  await writeFile(`${output}.flac`, "left of the run before");
  const made = await step(tool, sound, "a.flac", output);
  assert.equal(made?.path, `${output}.flac`);
  assert.deepEqual(await kinds(tool, `${output}.flac`), ["audio"]);
});
