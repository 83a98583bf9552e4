import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
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

/** Lets what is ready run on. */
const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

describe("the calendar", () => {
  const HOURLY = "0 * * * *";
  const HOUR = 3_600_000;
  let clock: TestClock;
  let logger: RecordLogger;
  let scheduler: Scheduler;

  beforeEach(() => {
    clock = new TestClock(new Date(2026, 10, 22, 11, 59, 30).getTime());
    logger = new RecordLogger();
    scheduler = new Scheduler({ clock, logger, jitterMs: 1000 });
  });

  afterEach(async () => {
    await scheduler[Symbol.asyncDispose]();
  });

  const pass = (ms: number) => clock.advance(ms);

  test("runs a job at its time, at most the jitter late, again and again", async () => {
    let runs = 0;
    scheduler.calendar("clean-up", HOURLY, async () => void runs++);
    await scheduler.start();
    await pass(29_000);
    assert.equal(clock.pending, 1, "it is not yet time: only the calendar waits");
    for (const expected of [1, 2, 3]) {
      await pass(1000);
      assert.equal(clock.pending, 2, "it waits out its delay");
      await clock.advance(1000);
      assert.equal(runs, expected);
      await pass(HOUR - 2000);
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
    clock.jump(5 * HOUR + 600_000);
    await pass(30_000);
    await clock.advance(1000);
    assert.equal(runs, 1);
    assert.ok(logger.lines.some(({ message }) => /missed/.test(message)));
    await pass(HOUR);
    await clock.advance(1000);
    assert.equal(runs, 2, "the calendar goes on");
  });

  test("a clock that is set back does not repeat a run of the same day, and one that was wrong by more is forgotten", async () => {
    let runs = 0;
    scheduler.calendar("hourly", HOURLY, async () => void runs++);
    await scheduler.start();
    await pass(31_000);
    assert.equal(runs, 1);
    clock.jump(-600_000);
    await pass(HOUR - 60_000);
    assert.equal(runs, 1, "twelve o'clock came again");
    clock.jump(-400 * 24 * HOUR);
    await pass(HOUR + 301_000);
    assert.equal(runs, 2, "it does not wait for four hundred days");
  });

  test("waits until there is no work, but not for ever", async () => {
    let busy = true;
    const runs: number[] = [];
    const remove = scheduler.calendar("idle", "0 0 * * *", async () => void runs.push(clock.monotonic()), {
      idle: () => !busy,
    });
    await scheduler.start();
    await pass(13 * HOUR);
    assert.deepEqual(runs, []);
    busy = false;
    await pass(31_000);
    assert.equal(runs.length, 1, "it begins when the work is done");
    busy = true;
    await pass(26 * HOUR);
    assert.equal(runs.length, 2, "it did not wait until the next day");
    remove();
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
    assert.equal(clock.pending, 2);
    await scheduler[Symbol.asyncDispose]();
    assert.equal(clock.pending, 0, "nothing is left to wait for");
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
