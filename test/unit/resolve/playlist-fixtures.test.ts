/** What the packages of the parsers bring for their own tests is read here as well, to the same end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readDashFixtures, readHlsFixtures } from "../../support/playlist-fixtures.ts";

test("all playlists of m3u8-parser", async () => {
  const { files, read, refused, compared, differing } = await readHlsFixtures();
  assert.deepEqual(refused, []);
  assert.ok(files >= 60, `${files} files`);
  assert.deepEqual([read, compared], [files, files]);
  // A part without a beginning, behind one of another resource: where it begins is not known (RFC 8216 §4.3.2.2).
  assert.deepEqual(
    differing.map((each) => each.slice(0, each.indexOf("["))),
    ["byteRange.m3u8", "llhls-byte-range.m3u8"],
  );
});

test("all manifests of mpd-parser", async () => {
  const { files, read, refused, compared, differing } = await readDashFixtures();
  assert.deepEqual(refused, []);
  assert.deepEqual(differing, []);
  assert.ok(files >= 17 && compared >= 27, `${files} files, ${compared} lists`);
  assert.equal(read, files);
});
