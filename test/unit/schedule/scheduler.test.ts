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
    // node-cron has no clock that could be handed to it: the process's own stands still instead.
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
