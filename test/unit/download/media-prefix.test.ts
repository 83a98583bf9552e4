/** How much of a track is gone on with, whose segments are ranges of files. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Segment } from "../../../src/daemon/core/resolved.ts";
import { ofOneVersion } from "../../../src/daemon/download/media/prefix.ts";

/** A letter for each: of the file whose range it is; "-" is a file of its own. */
const listed = (letters: string): Segment[] =>
  [...letters].map((letter, at) => ({
    url: `http://origin.test/${letter === "-" ? at : letter}`,
    ...(letter !== "-" && { range: { start: at, end: at + 1 } }),
  }));

for (const [letters, here, kept] of [
  ["------", 4, 4],
  ["aaaaaa", 4, 0],
  ["aaaaaa", 6, 6],
  ["aaabbb", 3, 3],
  ["aaabbb", 4, 3],
  ["-aabbc", 5, 5],
  ["-ababc", 3, 1],
  ["-abcba", 4, 1],
  ["--abcb", 5, 3],
] as const)
  test(`${here} of ${letters}: ${kept} count`, () => {
    assert.equal(ofOneVersion({ segments: listed(letters) }, here), kept);
  });

test("a known version stays", () => {
  const segments = listed("aaabbb");
  const version = { finalUrl: "http://origin.test/a", ranges: true, size: 6, strongValidator: '"1"' };
  assert.equal(ofOneVersion({ segments }, 2, new Map([["http://origin.test/a", version]])), 2);
});
