/** What the configuration takes for a schedule, the scheduler takes too, and nothing else: the rooms ask on their own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { schedule } from "../../../src/daemon/config/kinds.ts";
import { validateCron } from "../../../src/daemon/schedule/cron.ts";

for (const text of [
  "17 4 * * *",
  "*/5 * * * *",
  "30 0 4 * * *",
  "0 4 1-7 jan mon",
  "0 4 L * *",
  "@daily",
  "60 4 * * *",
  "17 4 * *",
  "17 4 32 * *",
  "soon",
  " ",
  "* * * * * * *",
  "*/0 * * * *",
])
  test(JSON.stringify(text), () => {
    assert.equal(schedule.safeParse(text).success, validateCron(text) === undefined);
  });
