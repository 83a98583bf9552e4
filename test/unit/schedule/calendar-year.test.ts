/** The caches' jobs through a year, in a zone whose clocks are set; `npm run accept caches` does it in several. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { calendarYear } from "../../support/scenarios/calendar-year.ts";

test("a year of care for the caches: once a night, never two at once, made up for after sleep", async () => {
  const { ok, values } = await calendarYear({
    year: 2026,
    zones: [{ name: "Europe/Berlin", forward: "2026-03-29", back: "2026-10-25" }],
    cleanup: "30 2 * * *",
    compact: "40 2 * * sun",
    sleeps: [
      [20, 30],
      [100, 80],
    ],
    busyDays: [40],
  });
  assert.ok(ok, JSON.stringify(values, undefined, 2));
  assert.equal(values["Europe/Berlin: clean-up on 2026-03-29, clocks forward"]?.toString().slice(0, 5), "03:30");
  assert.equal(values["Europe/Berlin: made up for after sleep"], 3, "two clean-ups, and the compaction of a Sunday");
});
