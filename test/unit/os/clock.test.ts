import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { TestClock } from "../../support/test-clock.ts";

describe("the system's clock", () => {
  const clock = new SystemClock();

  test("a timer longer than Node can count does not fire at once", async () => {
    let fired = false;
    const cancel = clock.timer(2 ** 31 + 10, () => {
      fired = true;
    });
    const endless = clock.timer(Number.MAX_SAFE_INTEGER, () => {
      fired = true;
    });
    await clock.sleep(20);
    cancel();
    endless();
    assert.equal(fired, false);
  });

  test("a long wait is made of parts that add up", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const started = performance.now();
    let now = started;
    t.mock.method(performance, "now", () => now);
    let fired = 0;
    clock.timer(2 ** 31 + 5000, () => fired++);
    const pass = (ms: number) => {
      now += ms;
      t.mock.timers.tick(ms);
    };
    pass(2 ** 31 - 1);
    assert.equal(fired, 0);
    pass(5000);
    assert.equal(fired, 0);
    pass(1);
    assert.equal(fired, 1);
  });

  test("a timer that was called off does not fire", async () => {
    let fired = false;
    clock.timer(5, () => {
      fired = true;
    })();
    await clock.sleep(20);
    assert.equal(fired, false);
  });

  test("sleep ends with the signal's reason", async () => {
    const controller = new AbortController();
    const sleeping = clock.sleep(60_000, controller.signal);
    const reason = new Error("enough");
    controller.abort(reason);
    await assert.rejects(sleeping, reason);
    await assert.rejects(clock.sleep(1, controller.signal), reason);
  });

  test("monotonic never goes back and counts milliseconds", async () => {
    const before = clock.monotonic();
    await clock.sleep(30);
    const passed = clock.monotonic() - before;
    assert.ok(passed >= 29 && passed < 5000, `${passed} ms`);
  });
});

describe("the clock of tests", () => {
  test("calls back in the order of time, each at its own", async () => {
    const clock = new TestClock(1000);
    const seen: string[] = [];
    clock.timer(20, () => seen.push(`b ${clock.now()}`));
    clock.timer(10, () => {
      seen.push(`a ${clock.now()}`);
      clock.timer(5, () => seen.push(`inner ${clock.now()}`));
    });
    clock.timer(31, () => seen.push("late"));
    await clock.advance(30);
    assert.deepEqual(seen, ["a 1010", "inner 1015", "b 1020"]);
    assert.equal(clock.now(), 1030);
    assert.equal(clock.monotonic(), 30);
    assert.equal(clock.pending, 1);
  });

  test("what a sleeper does next can sleep again within the same advance", async () => {
    const clock = new TestClock();
    let rounds = 0;
    const loop = (async () => {
      for (; rounds < 3; rounds++) await clock.sleep(10);
    })();
    await clock.advance(30);
    await loop;
    assert.equal(rounds, 3);
  });
});
