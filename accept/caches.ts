/** What the caches have to show: the "Done when" of their issue, line by line, at full size. ACCEPT_SEED sets the chance. */
import { cases } from "../test/support/http-caching-cases.ts";
import { randomCacheRun } from "../test/support/random-cache-run.ts";
import { calendarYear } from "../test/support/scenarios/calendar-year.ts";
import { Findings, inTurn, type Outcome } from "../test/support/scenarios/outcome.ts";
import { secondUrl } from "../test/support/scenarios/second-url.ts";
import { temporaryFolder } from "../test/support/temporary-folder.ts";
import { benchRuns, testsPass } from "./commands.ts";
import type { Criterion } from "./criterion.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const seed = Number(process.env["ACCEPT_SEED"] ?? 20261122);

/** Zones that set their clocks in different weeks, in both halves of the world, by an hour and by half of one. */
const zones = [
  { name: "Europe/Berlin", forward: "2026-03-29", back: "2026-10-25" },
  { name: "America/New_York", forward: "2026-03-08", back: "2026-11-01" },
  { name: "Australia/Lord_Howe", forward: "2026-10-04", back: "2026-04-05" },
] as const;

const year = {
  year: 2026,
  zones,
  // Days of the year on which the machine sleeps from noon, and for how many hours.
  sleeps: [
    [20, 30],
    [100, 80],
    [200, 5],
    [330, 200],
  ],
  busyDays: [40, 150, 220],
} as const;

export const criteria: readonly Criterion[] = [
  {
    id: "1",
    title: "100,000 random operations, bytes flipped and files deleted on the disk, the process killed with -9",
    run: () => randomised(100_000),
  },
  { id: "2", title: "The HTTP caching rules, case by case, with their RFC sections", run: cachingRules },
  {
    id: "3",
    title: "The same file asked for under a second URL with a known digest makes no request",
    run: () =>
      inTurn({
        daemon: () => secondUrl({ sizes: [1, 5000, 8 * MIB, 8 * MIB + 1, 50 * MIB, 300 * KIB] }),
        tests: () => testsPass("integration/fragments"),
      }),
  },
  {
    id: "4",
    title: "The scheduled jobs by an injected clock over a simulated year, daylight saving too",
    run: () =>
      inTurn({
        "at 02:30": () => calendarYear({ ...year, cleanup: "30 2 * * *", compact: "40 2 * * sun" }),
        "at 03:30": () => calendarYear({ ...year, cleanup: "30 3 * * *", compact: "30 3 * * sun" }),
        "at 01:45": () => calendarYear({ ...year, cleanup: "45 1 * * *", compact: "45 1 1 * *" }),
        calendar: () => testsPass("unit/schedule"),
      }),
  },
  { id: "5", title: "The spec's example of the cache", run: () => testsPass("test/spec/") },
  {
    id: "6",
    title: "The bench rows of the cache against plain cacache and lru-cache",
    run: () => benchRuns("8,9"),
  },
];

async function randomised(operations: number): Promise<Outcome> {
  await using folder = await temporaryFolder();
  const { ok, problems, ...figures } = await randomCacheRun({ operations, seed, folder: folder.path });
  return { ok, values: { seed, ...figures, ...(problems.length > 0 && { PROBLEM: problems.join("; ") }) } };
}

async function cachingRules(): Promise<Outcome> {
  const findings = new Findings();
  const sections = new Set<string>();
  let passed = 0;
  for (const { name, check } of cases) {
    sections.add(/^\S*§\S*|^RFC \d+ §\S+/.exec(name)?.[0] ?? name);
    try {
      check();
      passed++;
    } catch (error) {
      findings.expect(false, `${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  findings.note("cases", cases.length);
  findings.note("as the RFC says", passed);
  findings.note("sections", [...sections].sort().join(", "));
  findings.expect(cases.length >= 60, "fewer than 60 cases");
  return findings.outcome();
}
