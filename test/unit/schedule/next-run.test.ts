import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { nextRunOf } from "../../../src/daemon/schedule/next-run.ts";

const own = process.env["TZ"];

/** The first runs of an expression after a moment, in a zone, as local times with their offsets. */
function runs(zone: string, expression: string, after: string, count: number): string[] {
  process.env["TZ"] = zone;
  const next = nextRunOf(expression);
  const found: string[] = [];
  for (let at = next(Date.parse(after)); at !== undefined && found.length < count; at = next(at))
    found.push(new Date(at).toString().slice(4, 33).replace(":00 GMT", " "));
  return found;
}

describe("when a cron expression is due next", () => {
  afterEach(() => {
    if (own === undefined) delete process.env["TZ"];
    else process.env["TZ"] = own;
  });

  const CASES: ReadonlyArray<readonly [title: string, ...Parameters<typeof runs>, expected: readonly string[]]> = [
    [
      "every day, in the zone of the machine",
      "Asia/Tokyo",
      "17 4 * * *",
      "2026-01-31T00:00:00Z",
      2,
      ["Feb 01 2026 04:17 +0900", "Feb 02 2026 04:17 +0900"],
    ],
    ["with seconds", "UTC", "30 0 3 * * 1-5", "2026-11-20T03:00:30Z", 1, ["Nov 23 2026 03:00:30 GMT+0000"]],
    [
      "a day of the month and a weekday, both",
      "UTC",
      "0 0 13 * fri",
      "2026-01-01T00:00:00Z",
      2,
      ["Feb 13 2026 00:00 +0000", "Mar 13 2026 00:00 +0000"],
    ],
    [
      "the last day of the month",
      "UTC",
      "0 12 L * *",
      "2028-02-01T00:00:00Z",
      2,
      ["Feb 29 2028 12:00 +0000", "Mar 31 2028 12:00 +0000"],
    ],
    ["leap day", "Europe/Berlin", "0 0 29 2 *", "2097-01-01T00:00:00Z", 1, ["Feb 29 2104 00:00 +0100"]],
    ["not within nine years", "UTC", "0 0 29 2 1", "2029-01-01T00:00:00Z", 1, []],

    [
      "Berlin, spring: 02:30 does not come, and is made up for",
      "Europe/Berlin",
      "30 2 * * *",
      "2026-03-28T00:00:00Z",
      3,
      ["Mar 28 2026 02:30 +0100", "Mar 29 2026 03:30 +0200", "Mar 30 2026 02:30 +0200"],
    ],
    [
      "Berlin, spring: 03:30 is as ever",
      "Europe/Berlin",
      "30 3 * * *",
      "2026-03-28T00:00:00Z",
      3,
      ["Mar 28 2026 03:30 +0100", "Mar 29 2026 03:30 +0200", "Mar 30 2026 03:30 +0200"],
    ],
    [
      "Berlin, spring: what falls on the same moment is one run",
      "Europe/Berlin",
      "30 2,3 * * *",
      "2026-03-29T00:00:00Z",
      2,
      ["Mar 29 2026 03:30 +0200", "Mar 30 2026 02:30 +0200"],
    ],
    [
      "Berlin, spring: a weekday",
      "Europe/Berlin",
      "30 2 * * sun",
      "2026-03-23T00:00:00Z",
      2,
      ["Mar 29 2026 03:30 +0200", "Apr 05 2026 02:30 +0200"],
    ],
    [
      "Berlin, autumn: 02:30 comes twice, and counts once",
      "Europe/Berlin",
      "30 2 * * *",
      "2026-10-24T00:00:00Z",
      3,
      ["Oct 24 2026 02:30 +0200", "Oct 25 2026 02:30 +0200", "Oct 26 2026 02:30 +0100"],
    ],
    [
      "Berlin, autumn: 03:30 is as ever",
      "Europe/Berlin",
      "30 3 * * *",
      "2026-10-24T00:00:00Z",
      3,
      ["Oct 24 2026 03:30 +0200", "Oct 25 2026 03:30 +0100", "Oct 26 2026 03:30 +0100"],
    ],
    [
      "Berlin, autumn: every hour means every hour",
      "Europe/Berlin",
      "0 * * * *",
      "2026-10-24T23:30:00Z",
      4,
      ["Oct 25 2026 02:00 +0200", "Oct 25 2026 02:00 +0100", "Oct 25 2026 03:00 +0100", "Oct 25 2026 04:00 +0100"],
    ],
    [
      "Berlin, spring: every hour misses none",
      "Europe/Berlin",
      "0 * * * *",
      "2026-03-28T23:30:00Z",
      3,
      ["Mar 29 2026 01:00 +0100", "Mar 29 2026 03:00 +0200", "Mar 29 2026 04:00 +0200"],
    ],
    [
      "New York, spring",
      "America/New_York",
      "30 2 * * *",
      "2026-03-07T12:00:00Z",
      2,
      ["Mar 08 2026 03:30 -0400", "Mar 09 2026 02:30 -0400"],
    ],
    [
      "New York, autumn",
      "America/New_York",
      "30 1 * * *",
      "2026-10-31T12:00:00Z",
      2,
      ["Nov 01 2026 01:30 -0400", "Nov 02 2026 01:30 -0500"],
    ],
    [
      "Lord Howe sets its clocks by half an hour, in spring",
      "Australia/Lord_Howe",
      "15 2 * * *",
      "2026-10-03T00:00:00Z",
      2,
      ["Oct 04 2026 02:45 +1100", "Oct 05 2026 02:15 +1100"],
    ],
    [
      "Lord Howe, in autumn",
      "Australia/Lord_Howe",
      "45 1 * * *",
      "2026-04-04T00:00:00Z",
      2,
      ["Apr 05 2026 01:45 +1100", "Apr 06 2026 01:45 +1030"],
    ],
    [
      "Beirut has no midnight in spring",
      "Asia/Beirut",
      "30 0 * * *",
      "2026-03-28T12:00:00Z",
      2,
      ["Mar 29 2026 01:30 +0300", "Mar 30 2026 00:30 +0300"],
    ],
  ];
  for (const [title, zone, expression, after, count, expected] of CASES)
    test(title, () => assert.deepEqual(runs(zone, expression, after, count), expected));

  test("what is no expression is refused", () => assert.throws(() => nextRunOf("daily")));
});
