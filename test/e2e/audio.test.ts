/** Audio through the real daemon and the real command line, as built. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { abortAcceptance } from "../support/audio/abort-acceptance.ts";
import { missing } from "../support/tools.ts";

test("called off, and FFmpeg killed with -9, in mid-run: nothing is left", {
  skip: missing("ffmpeg", "ps"),
}, async () => {
  const { ok, values } = await abortAcceptance({ seconds: 60, times: 1, seed: 1, only: ["normalize", "chain"] });
  assert.ok(ok, JSON.stringify(values, undefined, 2));
});
