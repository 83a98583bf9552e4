import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { nextPlain } from "../../../src/daemon/schedule/calendar.ts";
import { validateCron } from "../../../src/daemon/schedule/cron.ts";
import { Scheduler } from "../../../src/daemon/schedule/scheduler.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";

describe("cron expressions", () => {
  for (const expression of ["0 3 * * *", "*/5 * * * *", "30 0 3 * * 1-5", "0 9 1 jan mon"])
    test(`${expression} is one`, () => assert.equal(validateCron(expression), undefined));
  for (const expression of ["", "daily", "61 * * * *", "* * * *", "0 25 * * *", "0 3 * * funday"])
    test(`"${expression}" is none`, () => assert.match(validateCron(expression) ?? "", /is not a cron expression/));
});

describe("the next time", () => {
  const at = (...fields: [number, number, number, number, number]) => new Date(...fields).getTime();
  const cases: readonly [string, number, number | undefined, number, number][] = [
    ["later today", 17, 4, at(2026, 10, 22, 4, 16), at(2026, 10, 22, 4, 17)],
    ["not now but tomorrow", 17, 4, at(2026, 10, 22, 4, 17), at(2026, 10, 23, 4, 17)],
    ["over the end of a year", 0, 0, at(2026, 11, 31, 12, 0), at(2027, 0, 1, 0, 0)],
    ["this hour", 30, undefined, at(2026, 10, 22, 4, 29), at(2026, 10, 22, 4, 30)],
    ["the next hour", 30, undefined, at(2026, 10, 22, 23, 30), at(2026, 10, 23, 0, 30)],
  ];
  for (const [name, minute, hour, after, expected] of cases)
    test(name, () => assert.equal(nextPlain(minute, hour, after), expected));
});

/** Lets what is ready run on. */
const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

// The second is none of those that are reckoned without node-cron.
for (const HOURLY of ["0 * * * *", "0 */1 * * *"])
  describe(`the calendar: ${HOURLY}`, () => {
    const HOUR = 3_600_000;
    let clock: TestClock;
    let logger: RecordLogger;
    let scheduler: Scheduler;

    beforeEach(() => {
      // node-cron has no clock that could be handed to it, and days are the wall clock's: the process's own stands still.
      mock.timers.enable({ apis: ["setTimeout", "Date"], now: new Date(2026, 10, 22, 11, 59, 30) });
      clock = new TestClock();
      logger = new RecordLogger();
      scheduler = new Scheduler({ clock, logger, jitterMs: 1000 });
    });

    afterEach(async () => {
      mock.timers.reset();
      await scheduler[Symbol.asyncDispose]();
    });

    const pass = async (ms: number) => {
      mock.timers.tick(ms);
      await settle();
    };

    test("runs a job at its time, at most the jitter late, again and again", async () => {
      let runs = 0;
      scheduler.calendar("clean-up", HOURLY, async () => void runs++);
      await scheduler.start();
      await pass(29_000);
      assert.equal(clock.pending, 0, "it is not yet time");
      for (const expected of [1, 2, 3]) {
        await pass(1000);
        assert.equal(clock.pending, 1, "it waits out its delay");
        await clock.advance(1000);
        assert.equal(runs, expected);
        await pass(HOUR - 1000);
      }
    });

    test("nothing runs before the start, nor once it is taken out", async () => {
      const job = mock.fn(async () => {});
      const remove = scheduler.calendar("job", HOURLY, job);
      await pass(2 * HOUR);
      await scheduler.start();
      remove();
      await pass(2 * HOUR);
      await clock.advance(1000);
      assert.equal(job.mock.callCount(), 0);
    });

    test("never runs a job twice at once", async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      let runs = 0;
      await scheduler.start();
      scheduler.calendar("slow", HOURLY, () => {
        runs++;
        return promise;
      });
      for (let hour = 0; hour < 3; hour++) {
        await pass(HOUR);
        await clock.advance(1000);
      }
      assert.equal(runs, 1);
      resolve();
      await settle();
      await pass(HOUR);
      await clock.advance(1000);
      assert.equal(runs, 2);
    });

    test("makes up once for all runs that were missed in sleep", async () => {
      let runs = 0;
      scheduler.calendar("nightly", HOURLY, async () => void runs++);
      await scheduler.start();
      // The wall clock goes on while the machine sleeps, timers do not.
      mock.timers.setTime(Date.now() + 5 * HOUR + 600_000);
      await pass(30_000);
      await clock.advance(1000);
      assert.equal(runs, 1);
      assert.ok(logger.lines.some(({ message }) => /missed/.test(message)));
      await pass(HOUR);
      await clock.advance(1000);
      assert.equal(runs, 2, "the calendar goes on");
    });

    test("a job that fails is logged and has its next turn", async () => {
      let runs = 0;
      scheduler.calendar("bad", HOURLY, async () => {
        if (++runs === 1) throw new Error("no luck");
      });
      await scheduler.start();
      for (let hour = 0; hour < 2; hour++) {
        await pass(HOUR);
        await clock.advance(1000);
      }
      assert.equal(runs, 2);
      const failed = logger.lines.filter(({ level }) => level === "error");
      assert.deepEqual(
        failed.map(({ message, fields }) => [message, fields["job"]]),
        [["the job failed: no luck", "bad"]],
      );
    });

    test("its end calls off what waits, and waits for what runs", async () => {
      const order: string[] = [];
      await scheduler.start();
      scheduler.calendar("waiting", HOURLY, async () => void order.push("must not run"));
      await pass(30_000);
      assert.equal(clock.pending, 1);
      await scheduler[Symbol.asyncDispose]();
      assert.equal(order.length, 0);

      scheduler = new Scheduler({ clock, logger, jitterMs: 0 });
      await scheduler.start();
      scheduler.calendar("running", HOURLY, async (signal) => {
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        order.push("run ended");
      });
      await pass(HOUR);
      await clock.advance(0);
      await scheduler[Symbol.asyncDispose]();
      order.push("scheduler ended");
      assert.deepEqual(order, ["run ended", "scheduler ended"]);
    });

    test("an expression that is none is refused", () => {
      assert.throws(() => scheduler.calendar("job", "daily", async () => {}), {
        code: "CONFIG_INVALID",
        message: /^job: "daily"/,
      });
    });
  });
