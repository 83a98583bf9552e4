/**
 * The jobs of the caches through a simulated year: the calendar, the care and its port are the real ones, the clock is in
 * the hand of the scenario, and what the care would do takes its time. Clocks are set forward and back on the way, the
 * machine sleeps for days, and downloads keep it busy.
 */
import { scheduleCaches } from "../../../src/daemon/assemble-cache.ts";
import { CacheUpkeep } from "../../../src/daemon/cache/upkeep.ts";
import type { Config } from "../../../src/daemon/config/schema.ts";
import { Scheduler } from "../../../src/daemon/schedule/scheduler.ts";
import { RecordLogger } from "../record-logger.ts";
import { TestClock } from "../test-clock.ts";
import { Findings, type Outcome } from "./outcome.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Care begins at most this late without a reason: half a minute of chance, and the time between two looks. */
const JITTER = 30_000;

/** A zone, and the days of the year on which its clocks are set. */
interface Zone {
  readonly name: string;
  /** As YYYY-MM-DD. */
  readonly forward: string;
  readonly back: string;
}

/** What is simulated. */
export interface CalendarYearOptions {
  readonly year: number;
  readonly zones: readonly Zone[];
  /** Cron expressions of the clean-up and the compaction. */
  readonly cleanup: string;
  readonly compact: string;
  /** Days from the beginning on which the machine falls asleep at noon, and for how many hours. */
  readonly sleeps: ReadonlyArray<readonly [day: number, hours: number]>;
  /** Days on which downloads run from midnight until six in the morning. */
  readonly busyDays: readonly number[];
}

interface Run {
  readonly job: "clean" | "compact";
  readonly at: number;
}

/** Lets the year pass in each zone. */
export async function calendarYear(options: CalendarYearOptions): Promise<Outcome> {
  const findings = new Findings();
  const own = process.env["TZ"];
  try {
    for (const zone of options.zones) {
      process.env["TZ"] = zone.name;
      await inZone(zone, options, findings);
    }
  } finally {
    if (own === undefined) delete process.env["TZ"];
    else process.env["TZ"] = own;
  }
  return findings.outcome();
}

async function inZone(zone: Zone, options: CalendarYearOptions, findings: Findings): Promise<void> {
  const { year, cleanup, compact, sleeps, busyDays } = options;
  const begin = new Date(year, 0, 1).getTime();
  const days = Math.round((new Date(year + 1, 0, 1).getTime() - begin) / DAY);
  const clock = new TestClock(begin);
  const runs: Run[] = [];
  let [running, atOnce, active, duringWork] = [0, 0, 0, 0];
  const work = (job: Run["job"], ms: number) => async (signal?: AbortSignal) => {
    running++;
    atOnce = Math.max(atOnce, running);
    if (active > 0) duringWork++;
    runs.push({ job, at: clock.now() });
    await clock.sleep(ms, signal);
    running--;
    return { entries: 1, bytes: 1 };
  };
  const nothing = async () => ({ entries: 0, bytes: 0 });
  const unasked = () => Promise.reject(new Error("nobody asks for it here"));
  const care = new CacheUpkeep({
    kept: {
      vault: {
        problem: undefined,
        stats: unasked,
        clear: unasked,
        cleanupExpired: work("clean", 20 * MINUTE),
        compactStorage: work("compact", 40 * MINUTE),
      },
      fragments: { stats: unasked, sweep: nothing, forget: nothing },
    },
    sessions: { stats: () => ({ entries: 0, bytes: 0, hits: 0, misses: 0, evicted: 0, damaged: 0 }), clear: () => 0 },
    store: {},
    clock,
    settings: () => ({ directory: "", maxBytes: 0 }),
  });
  const logger = new RecordLogger();
  await using scheduler = new Scheduler({ clock, logger, jitterMs: JITTER });
  const cache = { enabled: true, cleanup, compact } as Config["cache"];
  scheduleCaches(scheduler, { cache } as Config, care, { counts: () => ({ active }) as never });
  await scheduler.start();

  for (let day = 0; day < days; day++) {
    const at = (hour: number): number => new Date(year, 0, 1 + day, hour).getTime() - clock.now();
    if (busyDays.includes(day)) active = 1;
    await clock.advance(at(6));
    active = 0;
    await clock.advance(at(12));
    const hours = sleeps.find(([asleep]) => asleep === day)?.[1] ?? 0;
    clock.jump(hours * HOUR);
    day += Math.floor((12 + hours) / 24);
    await clock.advance(Math.max(0, new Date(year, 0, 2 + day).getTime() - clock.now()));
  }

  const of = (job: Run["job"]) => runs.filter((run) => run.job === job);
  const on = (job: Run["job"], date: string) =>
    of(job)
      .filter(({ at }) => dateOf(at) === date)
      .map(({ at }) => timeOf(at));
  const missed = logger.lines.filter(({ message }) => message.startsWith("a run was missed")).length;
  const note = (name: string, value: string | number) => findings.note(`${zone.name}: ${name}`, value);
  note("clean-ups", of("clean").length);
  note("compactions", of("compact").length);
  note(`clean-up on ${zone.forward}, clocks forward`, on("clean", zone.forward).join(", "));
  note(`clean-up on ${zone.back}, clocks back`, on("clean", zone.back).join(", "));
  note("care at once, at most", atOnce);
  note("made up for after sleep", missed);
  note("begun while downloads ran", duringWork);
  note("latest begin on a busy day", busyDays.map((day) => latest(runs, year, day)).join(", "));

  const asleep = sleeps.reduce((sum, [, hours]) => sum + Math.floor((12 + hours) / 24), 0);
  const madeUp = sleeps.filter(([, hours]) => 12 + hours >= 24).length;
  const expected = days - asleep + madeUp;
  note("clean-ups expected", expected);
  findings.expect(of("clean").length === expected, `${zone.name}: not one clean-up for each day`);
  findings.expect(on("clean", zone.forward).length === 1, `${zone.name}: not once when clocks are set forward`);
  findings.expect(on("clean", zone.back).length === 1, `${zone.name}: not once when clocks are set back`);
  findings.expect(atOnce === 1, `${zone.name}: two at once`);
  findings.expect(missed >= madeUp && missed <= 2 * madeUp, `${zone.name}: missed runs were not made up for once`);
  const failed = logger.lines.filter(({ level }) => level === "error").map(({ message }) => message);
  findings.expect(failed.length === 0, `${zone.name}: ${failed.join("; ")}`);
}

const two = (value: number): string => String(value).padStart(2, "0");
function dateOf(instant: number): string {
  const date = new Date(instant);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
const timeOf = (instant: number): string => new Date(instant).toString().slice(16, 33);

function latest(runs: readonly Run[], year: number, day: number): string {
  const date = dateOf(new Date(year, 0, 1 + day).getTime());
  const times = runs.filter(({ at }) => dateOf(at) === date).map(({ at }) => timeOf(at));
  return times.at(-1) ?? "none";
}
