/** Normalising: right by a meter that had no part in it, formats and words kept, nothing touched that should not be. */
import assert from "node:assert/strict";
import { appendFile, chmod, link, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { normalizeAudio } from "../../../src/daemon/audio/normalize.ts";
import { openSource } from "../../../src/daemon/audio/source.ts";
import type { AudioProgress } from "../../../src/daemon/audio/types.ts";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { loudnessAcceptance, loudnessCases } from "../../support/audio/loudness-acceptance.ts";
import {
  atPeak,
  lengthOf,
  music,
  pinkNoise,
  readAudio,
  silence,
  tone,
  whiteNoise,
  writeWav,
} from "../../support/audio/signals.ts";
import { audioTool } from "../../support/audio/tool.ts";
import { fakeFfmpeg, makeMedia } from "../../support/ffmpeg.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { missing } from "../../support/tools.ts";

const code = (wanted: string) => (error: unknown) => error instanceof DownloadError && error.code === wanted;

describe("loudness", () => {
  test("is right by loudgain, lossless and lossy", { skip: missing("loudgain", "espeak-ng") }, async () => {
    const all = loudnessCases(6);
    const names = [
      "music, FLAC 16 bits 44.1 kHz",
      "pink noise, very quiet",
      "wide dynamics, FLAC",
      "music in 5.1",
      "music, MP3 192 kbit/s",
      "music, Opus",
    ];
    const chosen = Object.fromEntries(Object.entries(all).filter(([name]) => names.includes(name)));
    assert.equal(Object.keys(chosen).length, names.length);
    const { ok, values } = await loudnessAcceptance(chosen);
    assert.ok(ok, JSON.stringify(values, undefined, 1));
  });

  test("is one gain where the peaks allow it, and the sound is in step", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const signal = pinkNoise(5, 3.01, -40);
    const input = await writeWav(join(folder.path, "a.wav"), signal);
    const { path, limited, gainDb = 0, rounds } = await normalizeAudio(tool, input, { targetLufs: -23 });
    assert.deepEqual([limited, rounds], [false, 1]);
    const [before, after] = [readAudio(input), readAudio(path)];
    assert.equal(lengthOf(after), lengthOf(before));
    const factor = 10 ** (gainDb / 20);
    let off = 0;
    for (const [at, sample] of (before.channels[0] ?? []).entries())
      off = Math.max(off, Math.abs(sample * factor - (after.channels[0]?.[at] ?? 0)));
    assert.ok(off < 2e-7, `off by ${off}`);
  });

  test("stays in step and as long through the limiter, at any rate", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    for (const rate of [8000, 44_100, 96_000]) {
      const input = await writeWav(join(folder.path, `${rate}.wav`), atPeak(music(6, 1.013, rate), -1));
      const { path, limited } = await normalizeAudio(tool, input, {
        targetLufs: -10,
        output: join(folder.path, `${rate}.flac`),
      });
      assert.ok(limited);
      const [before, after] = [readAudio(input), readAudio(path)];
      assert.equal(after.rate, rate);
      assert.equal(lengthOf(after), lengthOf(before), `length at ${rate} Hz`);
      const likeness = (lag: number) => {
        let sum = 0;
        for (let at = 2000; at < lengthOf(before) - 2000; at++)
          sum += (before.channels[0]?.[at] ?? 0) * (after.channels[0]?.[at + lag] ?? 0);
        return sum;
      };
      const lags = Array.from({ length: 41 }, (_, index) => index - 20);
      const best = lags.reduce((found, lag) => (likeness(lag) > likeness(found) ? lag : found));
      assert.equal(best, 0, `lag at ${rate} Hz`);
    }
  });

  test("that cannot be reached is said", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    // One sample a second: whatever is done to the peak, it is no louder.
    const blips = {
      rate: 48_000,
      channels: [Float64Array.from({ length: 144_000 }, (_, at) => (at % 48_000 === 9 ? 0.5 : 0))],
    };
    const input = await writeWav(join(folder.path, "blips.wav"), blips, "f32");
    const { notes, after } = await normalizeAudio(tool, input);
    assert.match(notes.join(), /out of reach/);
    assert.ok((after?.truePeak ?? 0) <= -0.9, `true peak ${after?.truePeak}`);
  });

  test("by loudnorm says when it went dynamic, and keeps the rate", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const input = await writeWav(join(folder.path, "a.wav"), music(7, 4, 44_100), "s16");
    const dynamic = await normalizeAudio(tool, input, { mode: "ebu", overwrite: true });
    assert.ok(dynamic.dynamic);
    assert.match(dynamic.notes.join(), /dynamic/);
    assert.equal(readAudio(dynamic.path).rate, 44_100);
    const linear = await normalizeAudio(tool, input, { mode: "ebu", targetLufs: -24, overwrite: true });
    assert.deepEqual([linear.dynamic, linear.notes], [false, []]);
    const off = (linear.after?.integrated ?? 0) + 24;
    assert.ok(Math.abs(off) < 1, `${off} LU off`);
    const silent = await writeWav(join(folder.path, "silent.wav"), silence(2));
    assert.equal((await normalizeAudio(tool, silent, { mode: "ebu" })).changed, false);
  });
});

describe("what is left as it is", () => {
  test("silence, clips under 400 ms, and what is right already, with a word", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    for (const [signal, word] of [
      [silence(2), /silence/],
      [tone({ dbfs: -20, seconds: 0.3 }), /shorter than 400 ms/],
      [tone({ dbfs: -90, seconds: 2 }), /never louder than −70 LUFS/],
      [tone({ dbfs: -14.05, seconds: 2 }), /right already/],
    ] as const) {
      const input = await writeWav(join(folder.path, "a.wav"), signal);
      const { changed, path, notes } = await normalizeAudio(tool, input);
      assert.deepEqual([changed, path], [false, input]);
      assert.match(notes.join(), word);
      assert.deepEqual(await readdir(folder.path), ["a.wav"]);
    }
  });

  test("everything in a dry run, which says what it would do", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const input = await writeWav(join(folder.path, "a.wav"), whiteNoise(1, 2, -30));
    const { changed, gainDb = 0, limited, notes } = await normalizeAudio(tool, input, { dryRun: true });
    assert.equal(changed, false);
    assert.ok(gainDb > 5 && !limited, `${gainDb} dB`);
    assert.match(notes.join(), /^From −\d+\.\d LUFS to −14\.0 LUFS: \+\d/);
    assert.deepEqual(await readdir(folder.path), ["a.wav"]);
  });

  test("more than the tolerance is asked for", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const input = await writeWav(join(folder.path, "a.wav"), tone({ dbfs: -15, seconds: 2 }));
    assert.equal((await normalizeAudio(tool, input, { toleranceLu: 1.5 })).changed, false);
    assert.equal((await normalizeAudio(tool, input, { toleranceLu: 0.5 })).changed, true);
  });
});

describe("what is kept", () => {
  test("rate, depth, tags, chapters and cover; tags of the old loudness go", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const wav = await writeWav(join(folder.path, "a.wav"), music(9, 1.5, 44_100));
    const cover = makeMedia(
      "-f",
      "lavfi",
      "-i",
      "color=red:s=32x32:d=0.1",
      "-frames:v",
      "1",
      join(folder.path, "c.png"),
    );
    const words = join(folder.path, "words.txt");
    const chapters = ["0\nEND=700\ntitle=One", "700\nEND=1500\ntitle=Two"].map(
      (text) => `[CHAPTER]\nTIMEBASE=1/1000\nSTART=${text}\n`,
    );
    await writeFile(
      words,
      `;FFMETADATA1\ntitle=Song: "a"\nartist=Ä\nREPLAYGAIN_TRACK_GAIN=-3 dB\nR128_TRACK_GAIN=-99\n${chapters.join("")}`,
    );
    for (const [name, format, ...encode] of [
      ["a.flac", "s16", "-c:a", "flac", "-sample_fmt", "s16"],
      ["b.flac", "s32", "-c:a", "flac", "-sample_fmt", "s32"],
      ["c.m4a", "fltp", "-c:a", "aac", "-b:a", "128k"],
      ["d.m4a", "s16p", "-c:a", "alac", "-sample_fmt", "s16p"],
      ["e.mp3", "fltp", "-c:a", "libmp3lame", "-b:a", "160k"],
      ["f.opus", "fltp", "-c:a", "libopus", "-b:a", "96k"],
      ["g.ogg", "fltp", "-c:a", "libvorbis"],
    ] as const) {
      const pictured = !/opus|ogg/.test(name);
      const picture = pictured ? ["-i", cover, "-map", "2:v", "-c:v", "copy", "-disposition:v", "attached_pic"] : [];
      const input = join(folder.path, name);
      makeMedia(
        "-i",
        wav,
        "-i",
        words,
        ...picture.slice(0, 2),
        "-map",
        "0:a",
        ...picture.slice(2),
        "-map_metadata",
        "1",
        ...encode,
        input,
      );
      const { path } = await normalizeAudio(tool, input);
      const [before, after] = [(await openSource(tool, input)).info, (await openSource(tool, path)).info];
      const audio = after.streams.find(({ kind }) => kind === "audio");
      const was = before.streams.find(({ kind }) => kind === "audio");
      assert.deepEqual(
        [audio?.codec, audio?.sampleRate, audio?.sampleFormat, audio?.layout],
        [was?.codec, was?.sampleRate, format, was?.layout],
        name,
      );
      assert.equal(after.tags["title"], 'Song: "a"', name);
      assert.equal(after.tags["artist"], "Ä", name);
      assert.deepEqual(
        Object.keys(after.tags).filter((tag) => /replaygain|r128/.test(tag)),
        [],
        name,
      );
      assert.deepEqual(
        after.chapters.map(({ title }) => title),
        before.chapters.map(({ title }) => title),
        name,
      );
      assert.equal(
        after.streams.some(({ attachedPicture }) => attachedPicture),
        pictured,
        name,
      );
    }
  });

  test("channels at the sides, which Opus has another place for", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const wav = await writeWav(join(folder.path, "a.wav"), pinkNoise(8, 1, -30, 48_000, 6));
    const input = makeMedia("-i", wav, "-af", "channelmap=channel_layout=5.1(side)", join(folder.path, "a.flac"));
    assert.equal((await openSource(tool, input)).stream.layout, "5.1(side)");
    const { path } = await normalizeAudio(tool, input, { output: join(folder.path, "a.opus") });
    assert.equal((await openSource(tool, path)).stream.layout, "5.1");
  });

  test("the place of raw AAC in time, which cannot say what its encoder put in front", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const wav = await writeWav(join(folder.path, "a.wav"), music(2, 2));
    const input = makeMedia("-i", wav, "-c:a", "aac", "-b:a", "160k", join(folder.path, "a.aac"));
    const { path } = await normalizeAudio(tool, input, { targetLufs: -23 });
    const [before = new Float64Array(), after = new Float64Array()] = [input, path].map(
      (file) => readAudio(file).channels[0],
    );
    const likeness = (lag: number) => {
      let sum = 0;
      for (let at = 4096; at < 60_000; at++) sum += (before[at] ?? 0) * (after[at + lag] ?? 0);
      return sum;
    };
    assert.ok(likeness(0) > likeness(1024) && likeness(0) > likeness(-1024) && likeness(0) > likeness(7));
  });

  test("a second track and the picture of a film", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const wav = await writeWav(join(folder.path, "a.wav"), pinkNoise(8, 2, -35));
    const input = makeMedia(
      ...["-f", "lavfi", "-i", "testsrc=s=64x64:d=2", "-i", wav, "-i", wav, "-map", "0", "-map", "1", "-map", "2"],
      ...["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", join(folder.path, "film.mkv")],
    );
    const { path, notes } = await normalizeAudio(tool, input);
    const { info } = await openSource(tool, path);
    assert.deepEqual(
      info.streams.map(({ kind }) => kind),
      ["video", "audio", "audio"],
    );
    assert.match(notes.join(), /first audio track/);
  });

  test("the input, its rights and its other names, when it is replaced", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const input = await writeWav(join(folder.path, "a.wav"), pinkNoise(8, 2, -35));
    await chmod(input, 0o640);
    await link(input, join(folder.path, "other.wav"));
    const alias = join(folder.path, "alias.wav");
    await symlink("a.wav", alias);
    const old = await readFile(input);
    const { path, notes } = await normalizeAudio(tool, alias, { inPlace: true });
    assert.equal(path, input);
    assert.equal((await stat(input)).mode & 0o777, 0o640);
    assert.match(notes.join(), /hard links/);
    assert.ok(old.equals(await readFile(join(folder.path, "other.wav"))));
    assert.ok(!old.equals(await readFile(input)));
    assert.deepEqual((await readdir(folder.path)).sort(), ["a.wav", "alias.wav", "other.wav"]);
  });
});

describe("what is refused", () => {
  test("values that make no sense, outputs that are the input, files that are there", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const input = await writeWav(join(folder.path, "a.wav"), tone({ dbfs: -30, seconds: 1 }));
    const hard = join(folder.path, "hard.wav");
    const soft = join(folder.path, "soft.wav");
    await link(input, hard);
    await symlink(input, soft);
    const before = await readFile(input);
    for (const [options, wanted] of [
      [{ output: input }, "INVALID_ARGUMENT"],
      [{ output: hard, overwrite: true }, "INVALID_ARGUMENT"],
      [{ output: soft, overwrite: true }, "INVALID_ARGUMENT"],
      [{ output: join(folder.path, "b.flac"), inPlace: true }, "INVALID_ARGUMENT"],
      [{ output: join(folder.path, "b.xyz") }, "INVALID_ARGUMENT"],
      [{ output: join(folder.path, "none", "b.flac") }, "DIRECTORY_MISSING"],
      [{ output: `${folder.path}/` }, "INVALID_ARGUMENT"],
      [{ targetLufs: 0 }, "INVALID_ARGUMENT"],
      [{ targetLufs: Number.NaN }, "INVALID_ARGUMENT"],
      [{ truePeak: 3 }, "INVALID_ARGUMENT"],
      [{ toleranceLu: -1 }, "INVALID_ARGUMENT"],
      [{ preset: "loud" as "podcast" }, "INVALID_ARGUMENT"],
    ] as const)
      await assert.rejects(normalizeAudio(tool, input, options), code(wanted), JSON.stringify(options));
    const taken = join(folder.path, "a.normalized.wav");
    await writeFile(taken, "mine");
    await assert.rejects(normalizeAudio(tool, input), code("TARGET_EXISTS"));
    assert.equal(await readFile(taken, "utf8"), "mine");
    assert.equal((await normalizeAudio(tool, input, { overwrite: true })).path, taken);
    assert.ok(before.equals(await readFile(input)));
    assert.deepEqual((await readdir(folder.path)).sort(), ["a.normalized.wav", "a.wav", "hard.wav", "soft.wav"]);
  });

  test("files that nothing can be done with", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const at = (name: string) => join(folder.path, name);
    await writeFile(at("text.flac"), "no sound at all\n".repeat(100));
    await writeFile(at("empty.wav"), "");
    await writeWav(at("whole.wav"), tone({ dbfs: -20, seconds: 1 }));
    await writeFile(
      at("cut.flac"),
      (await readFile(makeMedia("-i", at("whole.wav"), at("whole.flac")))).subarray(0, 30),
    );
    makeMedia("-f", "lavfi", "-i", "testsrc=s=64x64:d=1", "-c:v", "mpeg4", at("mute.mkv"));
    await writeWav(at("slow.wav"), tone({ dbfs: -20, seconds: 3, rate: 1 }));
    await writeWav(at("fast.wav"), tone({ dbfs: -20, seconds: 0.5, rate: 768_000 }));
    await writeWav(at("many.wav"), tone({ dbfs: -20, seconds: 0.5, channels: 64 }));
    for (const [name, wanted] of [
      ["text.flac", "MEDIA_INVALID"],
      ["empty.wav", "MEDIA_INVALID"],
      ["cut.flac", "MEDIA_INVALID"],
      ["mute.mkv", "MEDIA_INVALID"],
      ["slow.wav", "MEDIA_UNFIT"],
      ["fast.wav", "MEDIA_UNFIT"],
      ["many.wav", "MEDIA_UNFIT"],
      ["absent.wav", "DIRECTORY_MISSING"],
    ] as const)
      await assert.rejects(normalizeAudio(tool, at(name)), code(wanted), name);
    assert.deepEqual(
      (await readdir(folder.path)).filter((name) => /normalized|^\./.test(name)),
      [],
    );
  });

  test("no name is too odd, or too long", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    for (const name of ["it's: a, [b];%d\n=x.wav", "-i.wav", `${"ü".repeat(125)}.wav`]) {
      const input = await writeWav(join(folder.path, name), tone({ dbfs: -30, seconds: 1 }));
      const { path, changed } = await normalizeAudio(tool, input);
      assert.ok(changed && path.endsWith(".normalized.wav"));
      assert.ok(lengthOf(readAudio(`file:${path}`)) === 48_000);
    }
  });
});

describe("in mid-run", () => {
  test("it is called off, and nothing is left", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const input = await writeWav(join(folder.path, "a.wav"), music(3, 3));
    for (const stage of ["measuring", "encoding"]) {
      const abort = new AbortController();
      const reason = new Error(`called off while ${stage}`);
      const onProgress = (progress: AudioProgress) => {
        if (progress.stage === stage) abort.abort(reason);
      };
      await assert.rejects(normalizeAudio(tool, input, { signal: abort.signal, onProgress }), reason);
      assert.deepEqual(await readdir(folder.path), ["a.wav"]);
    }
  });

  test("FFmpeg is killed: a clean error, and nothing is left", async () => {
    await using folder = await temporaryFolder();
    await using bin = await temporaryFolder();
    await using tool = audioTool(await fakeFfmpeg(bin.path, "kill -9 $$"));
    await using real = audioTool();
    const input = await writeWav(join(folder.path, "a.wav"), music(3, 1));
    // Looked into by the real one, since the other cannot.
    const mixed = Object.assign(Object.create(tool) as typeof tool, {
      probe: real.probe.bind(real),
      run: tool.run.bind(tool),
    });
    await assert.rejects(normalizeAudio(mixed, input), code("FFMPEG_FAILED"));
    assert.deepEqual(await readdir(folder.path), ["a.wav"]);
  });

  test("it tells how far it is, and only forward", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const input = await writeWav(join(folder.path, "a.wav"), music(3, 3));
    const seen: AudioProgress[] = [];
    await normalizeAudio(tool, input, { onProgress: (progress) => void seen.push(progress) });
    const percents = seen.flatMap(({ percent }) => percent ?? []);
    assert.deepEqual(
      percents,
      percents.toSorted((a, b) => a - b),
    );
    assert.deepEqual(new Set(seen.map(({ stage }) => stage)), new Set(["measuring", "encoding"]));
    assert.ok((percents.at(-1) ?? 0) <= 100);
  });

  test("a file that somebody changes meanwhile is not replaced", async () => {
    await using folder = await temporaryFolder();
    await using tool = audioTool();
    const input = await writeWav(join(folder.path, "a.wav"), pinkNoise(4, 3, -35));
    let touched: Promise<void> | undefined;
    const onProgress = ({ stage }: AudioProgress) => {
      if (stage === "encoding") touched ??= appendFile(input, "other");
    };
    await assert.rejects(normalizeAudio(tool, input, { inPlace: true, onProgress }), code("RESOURCE_CHANGED"));
    await touched;
    assert.ok((await readFile(input, "latin1")).endsWith("other"));
    assert.deepEqual(await readdir(folder.path), ["a.wav"]);
  });
});
