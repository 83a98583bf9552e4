/** What takes the input's place, by hand or as a step of a download, has all that was in it; else the input stays. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describe, test } from "node:test";
import { makeDraftFolder } from "../../../src/daemon/audio/draft-folder.ts";
import { normalizeAudio } from "../../../src/daemon/audio/normalize.ts";
import { AudioRoom } from "../../../src/daemon/audio/room.ts";
import { openSource } from "../../../src/daemon/audio/source.ts";
import type { AudioOperation } from "../../../src/daemon/core/audio-work.ts";
import type { MediaJob } from "../../../src/daemon/core/media-tool.ts";
import type { ProcessStep } from "../../../src/daemon/core/ports/media.ts";
import type { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { atPeak, music, writeWav } from "../../support/audio/signals.ts";
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

describe("damage", { skip: missing("ffmpeg") }, () => {
  test("in a FLAC file is not made permanent, whatever is done to it", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const sound = makeMedia(...SOUND, join(folder.path, "a.flac"));
    const bytes = await readFile(sound);
    const at = Math.floor(bytes.length * 0.7);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 4, at);
    await writeFile(sound, bytes);
    const operations: readonly AudioOperation[] = [
      { kind: "normalize" },
      { kind: "normalize", mode: "ebu" },
      { kind: "denoise", strength: "heavy" },
      { kind: "chain", filters: ["denoise_light"] },
      { kind: "process" },
      { kind: "replaygain" },
    ];
    for (const operation of operations)
      await assert.rejects(
        roomWith(tool).run({ path: sound, inPlace: true, operation }, {}),
        { code: "MEDIA_INVALID", message: /damaged/ },
        operation.kind,
      );
    assert.equal(await step(tool, sound, "a.flac", join(folder.path, "part.0")), undefined);
    assert.deepEqual(await readFile(sound), bytes);
    assert.deepEqual(await readdir(folder.path), ["a.flac"]);
  });

  test("by which an MP3 is cut off keeps it from being replaced, and is told of a copy", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const sound = makeMedia(
      ...["-f", "lavfi", "-i", "sine=f=500:d=8,volume=0.05", "-c:a", "libmp3lame", "-b:a", "128k"],
      join(folder.path, "a.mp3"),
    );
    const whole = await readFile(sound);
    const cut = whole.subarray(0, whole.length / 2);
    await writeFile(sound, cut);
    await assert.rejects(roomWith(tool).run({ path: sound, inPlace: true, operation: { kind: "normalize" } }, {}), {
      code: "MEDIA_INVALID",
      message: /cannot be decoded; it was not replaced/,
    });
    assert.deepEqual(await readFile(sound), cut);
    const { notes } = await roomWith(tool).run({ path: sound, operation: { kind: "normalize" } }, {});
    assert.match(notes.join(), /cut off or damaged/);
  });
});

test("pictures are never lost in place, and lost tags are named", { skip: missing("ffmpeg") }, async () => {
  await using folder = await temporaryFolder();
  await using tool = audioTool();
  const cover = (color: string) =>
    makeMedia("-f", "lavfi", "-i", `color=${color}:s=32x32:d=0.1`, "-frames:v", "1", join(folder.path, `${color}.png`));
  const sound = makeMedia(
    ...[...SOUND, "-i", cover("red"), "-i", cover("blue"), "-map", "0", "-map", "1", "-map", "2", "-c:v", "copy"],
    ...["-disposition:v", "attached_pic", "-metadata", "title=Song", "-metadata", "mood=calm"],
    join(folder.path, "a.flac"),
  );
  const was = await readFile(sound);
  await assert.rejects(roomWith(tool).run({ path: sound, inPlace: true, operation: { kind: "normalize" } }, {}), {
    code: "MEDIA_UNFIT",
    message: /lacks a picture/,
  });
  assert.deepEqual(await readFile(sound), was);
  const output = join(folder.path, "b.m4a");
  const { notes } = await roomWith(tool).run({ path: sound, output, operation: { kind: "normalize" } }, {});
  assert.match(notes.join(), /The result lacks a picture and the tag "mood" of the source/);
});

test("what a killed process left is cleared away, and what grows is not", { skip: missing("ffmpeg") }, async () => {
  await using folder = await temporaryFolder();
  const script = `const { makeDraftFolder } = await import(process.argv[1]); console.log(await makeDraftFolder(process.argv[2])); setInterval(() => {}, 1e6);`;
  const module = new URL("../../../src/daemon/audio/draft-folder.ts", import.meta.url).href;
  const other = spawn(process.execPath, ["--input-type=module", "-e", script, module, folder.path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  using _ended = { [Symbol.dispose]: () => void other.kill("SIGKILL") };
  const [line] = (await once(other.stdout, "data")) as [Buffer];
  const theirs = line.toString().trim();
  await writeFile(join(theirs, "1.flac"), "half of it");
  const old = join(folder.path, ".snatch-audio-AbCdEf");
  const young = join(folder.path, ".snatch-audio-gHiJkL");
  for (const path of [old, young]) await mkdir(path);
  await utimes(old, 0, 0);
  const mine = await makeDraftFolder(folder.path);
  assert.deepEqual((await readdir(folder.path)).sort(), [young, theirs, mine].map((path) => basename(path)).sort());
  other.kill("SIGKILL");
  await once(other, "close");
  const next = await makeDraftFolder(folder.path);
  assert.deepEqual((await readdir(folder.path)).sort(), [young, mine, next].map((path) => basename(path)).sort());
});

test("of the rounds of a normalisation only the best one is kept", { skip: missing("ffmpeg") }, async () => {
  await using folder = await temporaryFolder();
  await using tool = audioTool();
  const sound = await writeWav(join(folder.path, "a.wav"), atPeak(music(6, 3), -1));
  const held: number[] = [];
  const counting = Object.assign(Object.create(tool) as typeof tool, {
    probe: tool.probe.bind(tool),
    run: tool.run.bind(tool),
    refusesChain: tool.refusesChain.bind(tool),
    make: async (job: MediaJob) => {
      held.push((await readdir(dirname(job.target))).length);
      return tool.make(job);
    },
  });
  const { rounds } = await normalizeAudio(counting, sound, { targetLufs: -8, output: join(folder.path, "a.mp3") });
  assert.ok(rounds > 2, `${rounds} rounds`);
  assert.deepEqual(held, [0, ...Array.from({ length: rounds - 1 }, () => 1)]);
});
