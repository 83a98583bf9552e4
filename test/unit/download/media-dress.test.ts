/** The tags of a file: what is passed on with it, and what is not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Media } from "../../../src/daemon/core/resolved.ts";
import { dressOf } from "../../../src/daemon/download/media/dress.ts";
import type { Run } from "../../../src/daemon/download/run.ts";
import { TEMPLATE_DETAILS } from "../../support/template-cases.ts";

/** All that is asked of a run where there is no cover. */
const RUN = { session: { options: {} }, engine: {} } as unknown as Run;

async function tagsOf(details: Partial<Media["details"]>) {
  const { thumbnail: _none, ...rest } = TEMPLATE_DETAILS;
  const media: Media = { kind: "media", details: { ...rest, ...details }, formats: [], subtitles: [], live: false };
  return (await dressOf(RUN, media)).tags ?? {};
}

test("the comment is the page, without what opens it", async () => {
  const comment = (await tagsOf({ webpageUrl: "https://me:hunter2@site.test/watch?v=1&token=abcdef" }))["comment"];
  assert.equal(comment, "https://me:***@site.test/watch?v=1&token=***");
});

for (const [publishedAt, date] of [
  [Date.UTC(2025, 1, 3), "2025-02-03"],
  [8.64e15 + 1, undefined],
  [Number.NaN, undefined],
] as const)
  test(`published at ${publishedAt}: ${date}`, async () => {
    assert.equal((await tagsOf({ publishedAt }))["date"], date);
  });
