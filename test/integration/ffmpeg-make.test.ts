/** Files that FFmpeg makes, read back: merged, encoded anew, with tags, chapters, covers and subtitles. */
import assert from "node:assert/strict";
import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { DownloadError } from "../../src/daemon/core/errors.ts";
import type { AudioCodec, Container, MediaJob } from "../../src/daemon/core/media-tool.ts";
import { FfmpegTool } from "../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { makeMedia } from "../support/ffmpeg.ts";
import { hasProgram } from "../support/has-program.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary-folder.ts";

const code = (wanted: string) => (error: unknown) => error instanceof DownloadError && error.code === wanted;
const VIDEO = ["-f", "lavfi", "-i", "testsrc2=d=2:s=64x64:r=10", "-c:v", "libx264", "-preset", "ultrafast"];
const tone = (seconds = 2, rate = 44_100) => ["-f", "lavfi", "-i", `sine=d=${seconds}:r=${rate}`];
const WORDS = { title: "It's: a \\ [test]; 100 % = #1\nsecond line", artist: "Ärtist", date: "2024" };

describe("files that FFmpeg makes", hasProgram("ffmpeg"), () => {
  let folder: TemporaryFolder;
  let tool: FfmpegTool;
  let count = 0;
  const at = (name: string) => join(folder.path, name);
  const made: Record<string, string> = {};
  const make = (job: Omit<MediaJob, "target">) => tool.make({ ...job, target: at(`made-${count++}.${job.container}`) });

  before(async () => {
    folder = await temporaryFolder();
    tool = new FfmpegTool({ path: "", processes: 0, timeoutMs: 60_000 }, { clock: new SystemClock() });
    made["video"] = makeMedia(...VIDEO, at("video.mp4"));
    made["audio"] = makeMedia(...tone(), "-c:a", "aac", at("audio.m4a"));
    made["opus"] = makeMedia(...tone(2, 48_000), "-c:a", "libopus", "-b:a", "48k", at("audio.opus"));
    made["flac"] = makeMedia(...tone(), "-c:a", "flac", "-sample_fmt", "s32", at("audio.flac"));
    made["both"] = makeMedia(
      ...VIDEO.slice(0, 4),
      ...tone(),
      ...VIDEO.slice(4),
      "-c:a",
      "aac",
      "-shortest",
      at("both.ts"),
    );
    made["jpeg"] = makeMedia(
      "-f",
      "lavfi",
      "-i",
      "color=red:s=32x32",
      "-frames:v",
      "1",
      "-f",
      "mjpeg",
      at("cover.jpg"),
    );
    made["png"] = makeMedia("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", at("cover.png"));
    made["webp"] = makeMedia("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", at("cover.webp"));
    await writeFile(at("words.vtt"), "WEBVTT\n\n00:00.000 --> 00:01.000\nHello <i>there</i>\n");
  });
  after(async () => {
    await tool[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });
  const file = (name: string): string => made[name] ?? assert.fail(name);
  const tracks = (...names: [string, ...string[]]) => names.map((name) => ({ path: file(name) })) as [{ path: string }];

  test("tracks are merged into a container that holds them, mkv where the wanted one does not", async () => {
    const infos = [await tool.probe(file("video")), await tool.probe(file("audio"))];
    assert.equal(tool.containerFor(infos), "mp4");
    assert.equal(tool.containerFor(infos, "webm"), "mkv");
    assert.equal(tool.containerFor([await tool.probe(file("opus"))]), "opus");
    assert.equal(tool.containerFor([await tool.probe(file("opus"))], "mp3"), "mka");
    for (const container of ["mp4", "mkv"] as const) {
      const { info, path } = await make({ tracks: tracks("video", "audio"), container });
      const kinds = info.streams.map(({ kind, codec }) => `${kind} ${codec}`).sort();
      assert.deepEqual(kinds, ["audio aac", "video h264"], container);
      assert.ok(Math.abs((info.durationSeconds ?? 0) - 2) < 0.2, container);
      // Fast start: the index is in front of the bytes.
      if (container === "mp4") {
        const bytes = await readFile(path, "latin1");
        assert.ok(bytes.indexOf("moov") < bytes.indexOf("mdat"));
      }
    }
    await assert.rejects(make({ tracks: tracks("video", "audio"), container: "webm" }), code("MEDIA_UNFIT"));
  });

  test("a transport stream becomes mp4, and only its audio m4a", async () => {
    const video = await make({ tracks: tracks("both"), container: "mp4" });
    assert.deepEqual(
      video.info.streams.map(({ kind }) => kind),
      ["video", "audio"],
    );
    const audio = await make({ tracks: tracks("both"), container: "m4a" });
    assert.deepEqual(
      audio.info.streams.map(({ codec }) => codec),
      ["aac"],
    );
  });

  const codecs: ReadonlyArray<readonly [AudioCodec, Container, string]> = [
    ["mp3", "mp3", "mp3"],
    ["aac", "m4a", "aac"],
    ["opus", "opus", "opus"],
    ["vorbis", "ogg", "vorbis"],
    ["flac", "flac", "flac"],
    ["wav", "wav", "pcm_s24le"],
  ];
  for (const [codec, container, expected] of codecs) {
    test(`audio becomes ${codec} with tags, chapters and cover, and keeps them in another container`, async () => {
      const cover = { bytes: await readFile(file("jpeg")) };
      const chapters = [
        { startSeconds: 0, endSeconds: 1, title: "One; = #" },
        { startSeconds: 1, endSeconds: 2, title: "Two" },
      ];
      const job = { tracks: tracks("flac"), container, audio: { codec }, tags: WORDS, chapters, cover } as const;
      const { info, path, notes } = await make(job);
      const audio = info.streams.filter(({ kind }) => kind === "audio");
      assert.deepEqual(
        audio.map((stream) => stream.codec),
        [expected],
      );
      if (codec === "flac") assert.equal(audio[0]?.bitsPerSample, 24);
      assert.equal(audio[0]?.sampleRate, codec === "opus" ? 48_000 : 44_100);
      assert.equal(info.tags["title"], WORDS.title);
      assert.equal(info.tags["artist"], WORDS.artist);
      assert.equal(info.tags["date"], WORDS.date);
      const holdsCover = codec !== "wav";
      assert.deepEqual(notes, holdsCover ? [] : ["wav holds no cover", "wav holds no chapters"]);
      assert.deepEqual((await tool.cover(path))?.bytes, holdsCover ? cover.bytes : undefined);
      if (codec !== "wav")
        assert.deepEqual(
          info.chapters.map(({ title }) => title),
          ["One; = #", "Two"],
        );
      const again = await make({ tracks: [{ path }], container: "mka" });
      assert.equal(again.info.tags["title"], WORDS.title);
      assert.deepEqual((await tool.cover(again.path))?.bytes, holdsCover ? cover.bytes : undefined);
      const back = await make({ tracks: [{ path: again.path }], container, tags: { artist: "" } });
      assert.equal(back.info.tags["title"], WORDS.title);
      assert.equal(back.info.tags["artist"], undefined);
      assert.deepEqual((await tool.cover(back.path))?.bytes, holdsCover ? cover.bytes : undefined);
      const without = await make({ tracks: [{ path }], container, cover: null });
      assert.equal(await tool.cover(without.path), undefined);
    });
  }

  test("a cover is put into video as well, PNG as it is and WebP as JPEG", async () => {
    for (const container of ["mp4", "mkv"] as const) {
      const png = await readFile(file("png"));
      const { path, info } = await make({ tracks: tracks("video", "audio"), container, cover: { bytes: png } });
      assert.deepEqual((await tool.cover(path))?.bytes, png, container);
      assert.equal(info.streams.filter(({ kind, attachedPicture }) => kind === "video" && !attachedPicture).length, 1);
    }
    const webp = await make({
      tracks: tracks("audio"),
      container: "m4a",
      cover: { bytes: await readFile(file("webp")) },
    });
    assert.equal(webp.info.streams.find(({ attachedPicture }) => attachedPicture)?.codec, "mjpeg");
    const none = await make({ tracks: tracks("audio"), container: "m4a", cover: { bytes: Buffer.from("<html>") } });
    assert.deepEqual(none.notes, ["the cover is neither JPEG, PNG nor WebP and was left out"]);
  });

  test("subtitles are embedded in the container's own kind, with their language", async () => {
    for (const [container, codec] of [
      ["mp4", "mov_text"],
      ["mkv", "webvtt"],
    ] as const) {
      const subtitles = [{ path: at("words.vtt"), format: "webvtt" as const, language: "ger", title: "Deutsch" }];
      const { info } = await make({ tracks: tracks("video", "audio"), container, subtitles });
      const found = info.streams.find(({ kind }) => kind === "subtitle");
      assert.equal(found?.codec, codec);
      assert.equal(found?.language, "ger");
    }
  });

  test("a rate is never above the lossy source's own", async () => {
    const same = await make({ tracks: tracks("opus"), container: "mp3", audio: { codec: "mp3", bitRate: 320_000 } });
    const source = await tool.probe(file("opus"));
    assert.ok((same.audioBitRate ?? 0) <= (source.bitRate ?? 0), `${same.audioBitRate} of ${source.bitRate}`);
    const full = await make({ tracks: tracks("flac"), container: "mp3", audio: { codec: "mp3", bitRate: 200_000 } });
    assert.equal(full.audioBitRate, 192_000);
    assert.equal(full.info.streams[0]?.bitRate, 192_000);
  });

  test("a source that is cut short is an error, and nothing is left of the result", async () => {
    const long = makeMedia(
      ...VIDEO.slice(0, 2),
      "-i",
      "testsrc2=d=20:s=64x64:r=10",
      ...VIDEO.slice(4),
      "-movflags",
      "+faststart",
      at("cut.mp4"),
    );
    await truncate(long, Math.floor((await readFile(long)).length / 2));
    await assert.rejects(make({ tracks: [{ path: long }], container: "mkv" }), (error: DownloadError) => {
      assert.equal(error.code, "FFMPEG_FAILED");
      assert.match(error.message, /in place of 20\.0 s: the source is damaged/);
      return true;
    });
    assert.deepEqual(
      (await readdir(folder.path)).filter((name) => name.endsWith(".making")),
      [],
    );
  });

  test("what is no media says so", async () => {
    for (const [name, content] of [
      ["empty.mp4", ""],
      ["page.mp4", "<html><body>no</body></html>"],
      ["index.m4a", "\0\0\0\x1cftypM4A "],
    ] as const) {
      await writeFile(at(name), content);
      await assert.rejects(tool.probe(at(name)), code("MEDIA_INVALID"), name);
    }
    await assert.rejects(tool.probe(folder.path), code("MEDIA_INVALID"));
  });

  test("files that pretend to be media do not make FFmpeg read others", async () => {
    const lures = {
      "list.mp4": `ffconcat version 1.0\nfile '${file("audio")}'\n`,
      "play.mp4": `#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:${file("audio")}\n#EXT-X-ENDLIST\n`,
      "dash.mp4": `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1"><BaseURL>${file("audio")}</BaseURL></Representation></AdaptationSet></Period></MPD>`,
      "call.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    };
    for (const [name, content] of Object.entries(lures)) {
      await writeFile(at(name), content);
      await assert.rejects(tool.probe(at(name)), code("MEDIA_INVALID"), name);
      const run = tool.run({ inputs: [{ path: at(name) }], output: { nothing: true } });
      await assert.rejects(run, code("FFMPEG_FAILED"), name);
    }
  });
});
