/** Segments of WebVTT as one file. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { joinWebVtt } from "../../../src/daemon/resolve/webvtt.ts";

const segment = (map: string, ...blocks: readonly string[]): string =>
  [`WEBVTT${map && `\nX-TIMESTAMP-MAP=${map}`}`, ...blocks, ""].join("\n\n");

test("segments have one head, and their cues in order", () => {
  assert.equal(
    joinWebVtt([
      segment("", "1\n00:00:01.000 --> 00:00:02.000 align:start\nOne"),
      segment("", "00:04.500 --> 00:05.000\nTwo\nlines"),
    ]),
    "WEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000 align:start\nOne\n\n00:00:04.500 --> 00:00:05.000\nTwo\nlines\n",
  );
});

test("clocks that count from each segment's beginning are brought together", () => {
  const cue = "00:00:01.000 --> 00:00:02.000\n";
  assert.equal(
    joinWebVtt([
      segment("MPEGTS:900000,LOCAL:00:00:00.000", `${cue}a`),
      segment("LOCAL:00:00:00.000,MPEGTS:1440000", `${cue}b`),
      segment("MPEGTS:1980000,LOCAL:00:00:10.000", "00:00:11.000 --> 00:00:12.000\nc"),
    ]),
    "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\na\n\n00:00:07.000 --> 00:00:08.000\nb\n\n00:00:13.000 --> 00:00:14.000\nc\n",
  );
});

test("one clock for all segments is left as it is", () => {
  const map = "MPEGTS:126000,LOCAL:00:00:00.000";
  assert.match(joinWebVtt([segment(map, "00:01.000 --> 00:02.000\na")]), /\n00:00:01\.000 --> 00:00:02\.000\na\n$/);
});

test("the MPEG clock may begin anew", () => {
  const before = 2 ** 33 - 90_000;
  const joined = joinWebVtt([
    segment(`MPEGTS:${before},LOCAL:00:00:00.000`, "00:00.000 --> 00:01.000\na"),
    segment("MPEGTS:90000,LOCAL:00:00:00.000", "00:00.000 --> 00:01.000\nb"),
  ]);
  assert.match(joined, /\n00:00:02\.000 --> 00:00:03\.000\nb\n$/);
});

test("a cue over a border comes once, whether it is in both segments whole or cut", () => {
  const settings = " line:80%";
  assert.equal(
    joinWebVtt([
      segment("", `7\n00:05.000 --> 00:08.000${settings}\nWhole`, "00:05.000 --> 00:06.000\nCut"),
      segment("", `7\n00:05.000 --> 00:08.000${settings}\nWhole`, "00:06.000 --> 00:08.000\nCut"),
      segment("", "00:09.000 --> 00:10.000\nCut"),
    ]),
    "WEBVTT\n\n00:00:05.000 --> 00:00:08.000\nCut\n\n7\n00:00:05.000 --> 00:00:08.000 line:80%\nWhole\n\n00:00:09.000 --> 00:00:10.000\nCut\n",
  );
});

test("styles, regions and remarks come once, before the cues", () => {
  const style = "STYLE\n::cue { color: red }";
  const region = "REGION\nid:a\nwidth:40%";
  const joined = joinWebVtt([
    segment("", style, region, "NOTE by hand", "00:01.000 --> 00:02.000\na"),
    segment("", style, region, "00:03.000 --> 00:04.000\nb"),
  ]);
  assert.ok(joined.startsWith(`WEBVTT\n\n${style}\n\n${region}\n\nNOTE by hand\n\n00:00:01.000`));
  assert.equal(joined.split("STYLE").length, 2);
});

test("byte order marks, carriage returns and missing empty lines are taken as they come", () => {
  assert.equal(
    joinWebVtt(["\uFEFFWEBVTT - title\r\n\r\n00:01.000 --> 00:02.000\r\na\r\n00:02.000 --> 00:03.000\r\nb\r\n\r\n"]),
    "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\na\n\n00:00:02.000 --> 00:00:03.000\nb\n",
  );
});

test("what is no WebVTT, and cues without times, end or words, are left out", () => {
  const junk = ["a --> b\nx", "00:02.000 --> 00:01.000\nback", "00:01.000 --> 00:02.000\n ", "words"];
  assert.equal(joinWebVtt(["<html>", "", "WEBVTTX\n\n00:01.000 --> 00:02.000\na", segment("", ...junk)]), "WEBVTT\n");
});

test("whatever comes, the result is WebVTT and joins to itself", () => {
  const line = fc.oneof(
    fc.constantFrom(
      "WEBVTT",
      "",
      "STYLE",
      "NOTE x",
      "X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000",
      "\r",
      "\uFEFF",
    ),
    fc.constantFrom("00:01.000 --> 00:02.000", "00:00:01.500 --> 99:59:59.999 align:end", "-->", "1 --> 2"),
    fc.string({ unit: "grapheme", maxLength: 20 }),
  );
  const segments = fc.array(fc.array(line, { maxLength: 12 }).map((lines) => ["WEBVTT", ...lines].join("\n")));
  fc.assert(
    fc.property(segments, (given) => {
      const joined = joinWebVtt(given);
      assert.ok(joined.startsWith("WEBVTT\n"));
      assert.equal(joinWebVtt([joined]), joined);
    }),
  );
});

test("time grows with the length only", () => {
  const hostile = ["-->".repeat(20_000), "\n".repeat(60_000), " \n".repeat(30_000), "00:".repeat(20_000)];
  const began = performance.now();
  joinWebVtt([segment("", ...hostile), segment(`MPEGTS:${"9".repeat(60_000)}`, ...hostile)]);
  assert.ok(performance.now() - began < 2000);
});
