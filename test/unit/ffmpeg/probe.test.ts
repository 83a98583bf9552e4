/** What ffprobe says, and what it could be made to say. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { mediaInfo } from "../../../src/daemon/ffmpeg/probe.ts";

const answer = (streams: unknown, format: unknown = { format_name: "mp3" }, chapters: unknown = []): string =>
  JSON.stringify({ streams, format, chapters });

describe("ffprobe's answer", () => {
  test("is read with its numbers as numbers", () => {
    const info = mediaInfo(
      answer(
        [
          {
            index: 1,
            codec_type: "video",
            codec_name: "h264",
            codec_tag_string: "encv",
            width: 1920,
            height: 1080,
            avg_frame_rate: "30000/1001",
            bit_rate: "N/A",
            tags: { language: "und", DURATION: "00:01:02.500000000" },
            disposition: { default: 1, attached_pic: 0 },
          },
        ],
        { format_name: "matroska,webm", duration: "62.5", bit_rate: "1000", tags: { TITLE: "x" } },
        [
          { start_time: "0.000", end_time: "5.5", tags: { title: "One" } },
          { start_time: "9", end_time: "1" },
        ],
      ),
    );
    assert.deepEqual(info, {
      format: "matroska,webm",
      durationSeconds: 62.5,
      bitRate: 1000,
      streams: [
        {
          index: 1,
          kind: "video",
          codec: "h264",
          durationSeconds: 62.5,
          width: 1920,
          height: 1080,
          fps: 30000 / 1001,
          attachedPicture: false,
          encrypted: true,
          disposition: ["default"],
          tags: { language: "und", duration: "00:01:02.500000000" },
        },
      ],
      tags: { title: "x" },
      chapters: [{ startSeconds: 0, endSeconds: 5.5, title: "One" }],
    });
  });

  test("that is none, or names nothing, is not believed", () => {
    for (const json of [
      "",
      "{}",
      "null",
      "[]",
      "{",
      answer([]),
      answer({}),
      answer([{ codec_type: "audio", index: -1 }]),
    ])
      assert.equal(mediaInfo(json), undefined, json);
  });

  test("has only what fits, whatever it says", () => {
    const keys = [
      "index",
      "codec_type",
      "codec_name",
      "sample_rate",
      "channels",
      "avg_frame_rate",
      "tags",
      "disposition",
    ];
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom("audio", 0, "N/A", "1/0", "1e999", "-1", { __proto__: "x" }),
    );
    const stream = fc.dictionary(fc.constantFrom(...keys), value);
    fc.assert(
      fc.property(fc.array(stream), fc.jsonValue(), (streams, chapters) => {
        const info = mediaInfo(answer([...streams, { index: 0, codec_type: "audio" }], { format_name: "x" }, chapters));
        for (const { index, sampleRate = 1, channels = 1, fps = 1, tags } of info?.streams ?? assert.fail()) {
          assert.ok(Number.isInteger(index) && index >= 0);
          for (const number of [sampleRate, channels, fps]) assert.ok(Number.isFinite(number) && number > 0);
          for (const tag of Object.values(tags)) assert.equal(typeof tag, "string");
        }
      }),
    );
  });
});
