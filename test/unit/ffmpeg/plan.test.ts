/** What is decided before FFmpeg is run: arguments, containers, encodings, the log's last lines. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AudioEncoding, Container, MediaInfo, MediaStream } from "../../../src/daemon/core/media-tool.ts";
import { argumentsOf } from "../../../src/daemon/ffmpeg/arguments.ts";
import { containerFor } from "../../../src/daemon/ffmpeg/containers.ts";
import { chapterComments, mergedTags, pictureBlock, pictureKind } from "../../../src/daemon/ffmpeg/dress.ts";
import { encodingOf } from "../../../src/daemon/ffmpeg/encoding.ts";
import { LogTail } from "../../../src/daemon/ffmpeg/log-tail.ts";
import { DEMUXERS } from "../../../src/daemon/ffmpeg/whitelist.ts";

function stream(kind: "audio" | "video", codec: string, more: Partial<MediaStream> = {}): MediaStream {
  return { index: 0, kind, codec, attachedPicture: false, encrypted: false, disposition: [], tags: {}, ...more };
}
const file = (...streams: MediaStream[]): MediaInfo => ({ format: "x", streams, tags: {}, chapters: [] });

describe("the arguments", () => {
  test("keep options with spaces whole, and fence every input in", async () => {
    const args = await argumentsOf(
      {
        inputs: [{ path: "/in put.mp4", options: ["-ss", "1 2"] }, { path: "/b", format: "flac" }, { concat: ["/c"] }],
        graph: "[0:a] anull [a]",
        output: { path: "/out", format: "mp4", options: ["-metadata", "title=two words"] },
      },
      "/.out.making",
      ["/list"],
    );
    const from = (name: string, count: number) => args.slice(args.indexOf(name), args.indexOf(name) + count);
    assert.deepEqual(from("-ss", 2), ["-ss", "1 2"]);
    assert.deepEqual(from("-metadata", 2), ["-metadata", "title=two words"]);
    assert.deepEqual(from("-filter_complex", 2), ["-filter_complex", "[0:a] anull [a]"]);
    assert.deepEqual(args.slice(-3), ["-f", "mp4", "file:/.out.making"]);
    const guards = args.flatMap((arg, index) => (arg === "-protocol_whitelist" ? [args[index + 1]] : []));
    assert.deepEqual(guards, ["file,pipe", "file,pipe", "file"]);
    assert.deepEqual(
      args.flatMap((arg, index) => (arg === "-i" ? [args[index + 1]] : [])),
      ["file:/in put.mp4", "file:/b", "file:/list"],
    );
    assert.equal(args[0], "-nostdin");
  });

  test("allow no demuxer that leads elsewhere", () => {
    const allowed = new Set(DEMUXERS.split(","));
    for (const name of [
      "concat",
      "hls",
      "applehttp",
      "dash",
      "imf",
      "image2",
      "sdp",
      "rtsp",
      "lavfi",
      "webm_dash_manifest",
      "avisynth",
      "tty",
    ])
      assert.equal(allowed.has(name), false, name);
  });
});

describe("the container", () => {
  const video = (codec: string) => stream("video", codec);
  const audio = (codec: string) => stream("audio", codec);
  const cases: ReadonlyArray<readonly [MediaInfo[], Container | undefined, Container]> = [
    [[file(video("h264")), file(audio("aac"))], undefined, "mp4"],
    [[file(video("vp9")), file(audio("opus"))], undefined, "webm"],
    [[file(video("vp9")), file(audio("opus"))], "mp4", "mp4"],
    [[file(video("h264")), file(audio("vorbis"))], undefined, "mkv"],
    [[file(video("h264")), file(audio("vorbis"))], "mp4", "mkv"],
    [[file(video("vp8")), file(audio("aac"))], "webm", "mkv"],
    [[file(audio("aac"))], undefined, "m4a"],
    [[file(audio("mp3"))], undefined, "mp3"],
    [[file(audio("opus"))], undefined, "opus"],
    [[file(audio("pcm_s24le"))], undefined, "wav"],
    [[file(audio("truehd"))], undefined, "mka"],
    [[file(audio("mp3"), audio("mp3"))], undefined, "mka"],
    [[file(audio("opus"))], "m4a", "mka"],
    [[file(audio("mp3"), stream("video", "mjpeg", { attachedPicture: true }))], undefined, "mp3"],
  ];
  for (const [tracks, wanted, expected] of cases) {
    const codecs = tracks.map(({ streams }) => streams.map(({ codec }) => codec).join(",")).join(" + ");
    test(`${codecs}, wanted ${wanted ?? "any"}: ${expected}`, () =>
      assert.equal(containerFor(tracks, wanted), expected));
  }
});

describe("the encoding", () => {
  const plan = (encoding: AudioEncoding, source: MediaStream, bitRate?: number) =>
    encodingOf(encoding, source, { ...file(source), ...(bitRate && { bitRate }) }, "a:0");
  const flac = stream("audio", "flac", { sampleRate: 96_000, channels: 2, bitsPerSample: 24, bitRate: 2_000_000 });

  test("is never above a lossy source's rate, by the stream or by the file", () => {
    const lossy = stream("audio", "aac", { bitRate: 128_000 });
    assert.equal(plan({ codec: "opus", bitRate: 320_000 }, lossy).bitRate, 128_000);
    assert.equal(plan({ codec: "mp3", bitRate: 320_000 }, stream("audio", "opus"), 70_000).bitRate, 64_000);
    assert.equal(plan({ codec: "mp3", bitRate: 320_000 }, flac).bitRate, 320_000);
    assert.equal(plan({ codec: "mp3", bitRate: 1000 }, flac).bitRate, 32_000);
    assert.equal(plan({ codec: "flac", bitRate: 320_000 }, flac).bitRate, undefined);
  });

  test("keeps rate and depth as far as the codec can, and says what it cannot", () => {
    assert.deepEqual(plan({ codec: "flac" }, flac).options, []);
    assert.equal(plan({ codec: "wav" }, flac).encoder, "pcm_s24le");
    assert.deepEqual(plan({ codec: "mp3" }, flac).options.slice(-2), ["-ar:a:0", "48000"]);
    const cd = { ...flac, sampleRate: 88_200 };
    assert.deepEqual(plan({ codec: "mp3" }, cd).options.slice(-2), ["-ar:a:0", "44100"]);
    const surround = plan({ codec: "mp3" }, { ...flac, channels: 8, sampleRate: 48_000 });
    assert.deepEqual(surround.options.slice(-2), ["-ac:a:0", "2"]);
    assert.deepEqual(surround.notes, ["mp3 holds 2 channels at most: 8 were mixed down"]);
  });
});

describe("tags and pictures", () => {
  test("those given win, an empty one takes away, technical ones are not carried on", () => {
    const source = { title: "old", artist: "A", encoder: "Lavf", major_brand: "isom", _statistics_tags: "x" };
    const merged = mergedTags(source, { TITLE: "new", artist: "", "a\nb": "no" });
    assert.deepEqual([...merged], [["title", "new"]]);
  });

  test("chapters as comments", () => {
    const comments = chapterComments([{ startSeconds: 3_725.5, endSeconds: 4000, title: "T" }]);
    assert.deepEqual(
      [...comments],
      [
        ["CHAPTER000", "01:02:05.500"],
        ["CHAPTER000NAME", "T"],
      ],
    );
  });

  test("a picture is known by its first bytes, and its block says so", () => {
    const jpeg = Buffer.from("ffd8ffe000104a464946", "hex");
    const kind = pictureKind(jpeg) ?? assert.fail();
    assert.equal(pictureKind(Buffer.from("<html>")), undefined);
    const block = Buffer.from(pictureBlock(jpeg, kind), "base64");
    assert.equal(block.readUInt32BE(0), 3);
    assert.equal(block.toString("latin1", 8, 18), "image/jpeg");
    assert.ok(block.subarray(-jpeg.length).equals(jpeg));
    assert.equal(block.length, 4 + 4 + 10 + 4 + 16 + 4 + jpeg.length);
  });
});

test("the log's last lines: bounded, whole characters, no control characters, no secrets", () => {
  const heard: string[] = [];
  const log = new LogTail((line) => heard.push(line));
  const bytes = Buffer.from("ä\u001b[31m\rhttps://h/?token=x1y2\nrest");
  log.add(bytes.subarray(0, 1));
  log.add(bytes.subarray(1));
  assert.deepEqual(log.lines(), ["ä�[31m", "https://h/?token=***", "rest"]);
  assert.equal(heard.length, 2);
  for (let index = 0; index < 100; index++) log.add(Buffer.from(`${"x".repeat(10_000)}\n`));
  assert.equal(log.lines().length, 30);
  assert.ok(log.lines().every((line) => line.length <= 500));
});
