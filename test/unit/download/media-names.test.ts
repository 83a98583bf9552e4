/** What tells one track from another in the same place. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Track } from "../../../src/daemon/core/resolved.ts";
import { identityOf } from "../../../src/daemon/download/media/names.ts";

const TRACK: Track = { kind: "video", container: "fmp4", segments: [], headers: [] };

const versions = (strongValidator: string) =>
  new Map([["http://origin.test/a", { finalUrl: "http://origin.test/a", ranges: true, size: 6, strongValidator }]]);

test("another encoding, and another version of its file, are other tracks", () => {
  const all = [
    identityOf(TRACK, "137"),
    identityOf(TRACK, "248"),
    identityOf(TRACK, "137", versions('"1"')),
    identityOf(TRACK, "137", versions('"2"')),
  ];
  assert.equal(new Set(all).size, all.length);
  assert.equal(identityOf({ ...TRACK, segments: [{ url: "http://origin.test/1" }] }, "137"), all[0]);
});
