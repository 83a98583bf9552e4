/** Codecs, containers and locks, as manifests and first bytes tell them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { splitCodecs } from "../../../src/daemon/resolve/codecs.ts";
import { containerByBytes, containerByName } from "../../../src/daemon/resolve/containers.ts";
import { lockName } from "../../../src/daemon/resolve/locked.ts";
import { mediaTitle } from "../../../src/daemon/resolve/media-title.ts";
import { readSidx } from "../../../src/daemon/resolve/sidx.ts";

describe("codecs", () => {
  for (const [text, expected] of [
    ["avc1.64001f,mp4a.40.2", { vcodec: "avc1.64001f", acodec: "mp4a.40.2" }],
    [" mp4a.40.5 , HVC1.2.4.L123.B0", { vcodec: "hvc1.2.4.L123.B0", acodec: "mp4a.40.5" }],
    ["avc1.4d401e", { vcodec: "avc1.4d401e", acodec: "none" }],
    ["ec-3", { vcodec: "none", acodec: "ec-3" }],
    ["ac-4.02.01.00,dvh1.05.06", { vcodec: "dvh1.05.06", acodec: "ac-4.02.01.00", dynamicRange: "DV" }],
    [
      "av01.0.12M.10.0.110.09.16.09.0",
      { vcodec: "av01.0.12M.10.0.110.09.16.09.0", acodec: "none", dynamicRange: "HDR10" },
    ],
    [
      "vp09.02.10.10.01.09.18.09.01,opus",
      { vcodec: "vp09.02.10.10.01.09.18.09.01", acodec: "opus", dynamicRange: "HLG" },
    ],
    ["vp9", { vcodec: "vp9", acodec: "none" }],
    ["stpp.ttml.im1t", { vcodec: "none", acodec: "none", scodec: "stpp.ttml.im1t" }],
    ["wvtt", { vcodec: "none", acodec: "none", scodec: "wvtt" }],
    ["avc1.1,avc1.2,mp4a.40.2,ec-3", { vcodec: "avc1.1", acodec: "mp4a.40.2" }],
    ["xyzz", {}],
    ["", {}],
    [undefined, {}],
  ] as const)
    test(String(text), () => assert.deepEqual(splitCodecs(text), expected));
});

describe("containers", () => {
  for (const [url, expected] of [
    ["https://h/a.ts?x.mp4", "ts"],
    ["https://h/a.M4S", "fmp4"],
    ["https://h/a.cmfv", "fmp4"],
    ["https://h/a.aac", "aac"],
    ["https://h/a.ec3", "ac3"],
    ["https://h/a.webvtt", "webvtt"],
    ["https://h/a.jpg", undefined],
    ["https://h/ts", undefined],
  ] as const)
    test(`by name: ${url}`, () => assert.equal(containerByName(url), expected));

  const id3 = (body: Buffer) =>
    Buffer.concat([Buffer.from("494433040000000000 05".replace(" ", ""), "hex"), Buffer.alloc(5), body]);
  const ts = Buffer.alloc(400);
  ts[0] = ts[188] = ts[376] = 0x47;
  for (const [what, bytes, expected] of [
    ["MPEG-TS", ts, "ts"],
    ["something that begins like MPEG-TS", Buffer.from(`G${"x".repeat(400)}`), "other"],
    ["a fragment", Buffer.from("\0\0\0\x18styp"), "fmp4"],
    ["WebM", Buffer.from("1a45dfa3a3", "hex"), "webm"],
    ["WebVTT", Buffer.from("\uFEFFWEBVTT\n"), "webvtt"],
    ["ADTS behind its time stamp", id3(Buffer.from("fff15080", "hex")), "aac"],
    ["MP3", Buffer.from("fffb9064", "hex"), "mp3"],
    ["AC-3", Buffer.from("0b770000", "hex"), "ac3"],
    ["nothing", Buffer.alloc(0), "other"],
    ["zeros", Buffer.alloc(500), "other"],
  ] as const)
    test(`by bytes: ${what}`, () => assert.equal(containerByBytes(bytes), expected));

  test("whatever comes, it is some container, and no index leads anywhere", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.equal(typeof containerByBytes(Buffer.from(bytes)), "string");
        const box = Buffer.concat([
          Buffer.from([0, 0, (bytes.length + 8) >> 8, (bytes.length + 8) & 255]),
          Buffer.from("sidx"),
          bytes,
        ]);
        let before = box.length;
        for (const { start, end } of readSidx(box, 0) ?? []) {
          assert.ok(start >= before && end > start && Number.isSafeInteger(end));
          before = end;
        }
      }),
    );
  });
});

test("an index of version 1, behind another box", () => {
  const box = Buffer.alloc(52);
  box.writeUInt32BE(52, 0);
  box.write("sidx", 4, "latin1");
  box[8] = 1;
  box.writeUInt32BE(90_000, 16);
  box.writeBigUInt64BE(1000n, 28);
  box.writeUInt16BE(1, 38);
  box.writeUInt32BE(500, 40);
  box.writeUInt32BE(180_000, 44);
  const styp = Buffer.from("\0\0\0\x08styp", "latin1");
  assert.deepEqual(readSidx(Buffer.concat([styp, box]), 100), [{ start: 1160, end: 1660, durationSeconds: 2 }]);
});

test("locks have names", () => {
  assert.equal(lockName("urn:uuid:EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED"), "Widevine");
  assert.equal(lockName("com.apple.streamingkeydelivery"), "FairPlay");
  assert.equal(lockName("org.example"), "org.example");
});

describe("titles", () => {
  for (const [url, id, title] of [
    ["https://h/films/Big%20Film/master.m3u8", "master", "Big Film"],
    ["https://h/films/hls/index.m3u8", "index", "films"],
    ["https://h/My%20Film.mpd?x", "My Film", "My Film"],
    ["https://h/index.m3u8", "index", "index"],
    ["https://h/%E0%A4%A.m3u8", "%E0%A4%A", "%E0%A4%A"],
    ["https://h/", "media", "media"],
  ] as const)
    test(url, () => assert.deepEqual(mediaTitle(url), { id, title }));
});
