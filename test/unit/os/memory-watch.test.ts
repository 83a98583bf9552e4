import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../../../src/daemon/core/ports/runtime.ts";
import type { MemoryState } from "../../../src/daemon/os/memory.ts";
import { MemoryWatch } from "../../../src/daemon/os/memory-watch.ts";
import { RecordLogger } from "../../support/record-logger.ts";

const GIB = 1024 ** 3;

/** Readings by hand: each `tick` is one second. */
function watched(limit = 80) {
  const timers: (() => void)[] = [];
  const clock: Pick<Clock, "timer"> = {
    timer: (_ms, callback) => {
      timers.push(callback);
      return () => void timers.splice(timers.indexOf(callback), 1);
    },
  };
  const logger = new RecordLogger();
  const done: string[] = [];
  const reading = { percent: 10, rss: 1e8, busy: false, count: 0 };
  const watch = new MemoryWatch({
    probe: {
      read: (): MemoryState => {
        reading.count++;
        const used = (reading.percent / 100) * GIB;
        return { tightest: { name: "/box", limit: GIB, used }, usedPercent: reading.percent, rss: reading.rss };
      },
    },
    heap: { frugal: (on) => void done.push(`frugal ${on}`), collect: () => void done.push("collect") },
    clock: clock as Clock,
    logger,
    limitPercent: () => limit,
    busy: () => reading.busy,
  });
  watch.onRelease(() => void done.push("release"));
  const tick = (percent = reading.percent, times = 1): void => {
    reading.percent = percent;
    for (let i = 0; i < times; i++) timers.shift()?.();
  };
  return { watch, reading, tick, timers, logger, done };
}

test("nothing is read before there is work, and nothing after it", () => {
  const { watch, reading, tick, timers, done } = watched();
  assert.equal(timers.length, 0);
  reading.busy = true;
  watch.wake();
  watch.wake();
  assert.equal(timers.length, 1);
  tick(10, 20);
  assert.equal(reading.count, 20);
  assert.deepEqual(done, []);
  reading.busy = false;
  tick(10, 3);
  assert.deepEqual(done, []);
  tick(10, 1);
  assert.deepEqual(done, ["release", "collect"]);
  assert.equal(timers.length, 0);
  watch.wake();
  assert.equal(timers.length, 1);
});

test("the level rises at once, says so once, and lets go of what lies in reserve", () => {
  const { watch, reading, tick, logger, done } = watched();
  reading.busy = true;
  watch.wake();
  tick(79.9, 3);
  assert.equal(watch.level, 0);
  tick(80, 5);
  assert.equal(watch.level, 1);
  assert.deepEqual(done, ["release", "collect", "frugal true"]);
  assert.equal(logger.lines.length, 1);
  assert.match(
    logger.lines[0]?.message ?? "",
    /memory is short: 80 % of 1\.00 GiB of the control group \/box is in use/,
  );
  tick(95);
  assert.equal(watch.level, 2);
  assert.match(logger.lines[1]?.message ?? "", /very short/);
});

test("the level falls after three better readings, and does not swing at the threshold", () => {
  const { watch, reading, tick, logger, done } = watched();
  reading.busy = true;
  watch.wake();
  tick(85);
  for (let i = 0; i < 20; i++) tick(i % 2 === 0 ? 79 : 81);
  assert.equal(watch.level, 1);
  tick(70, 2);
  tick(78);
  tick(70, 2);
  assert.equal(watch.level, 1);
  tick(70);
  assert.equal(watch.level, 0);
  assert.equal(logger.lines.length, 2);
  assert.match(logger.lines[1]?.message ?? "", /suffices again/);
  assert.equal(done.at(-1), "frugal false");
});

test("pressure that outlasts the work is watched until it is over", () => {
  const { watch, tick, timers } = watched();
  watch.wake();
  tick(99, 30);
  assert.equal(watch.level, 2);
  assert.equal(timers.length, 1);
  tick(20, 10);
  assert.equal(watch.level, 0);
  assert.equal(timers.length, 0);
});

test("what the process itself holds counts, also where its group's account lags behind", () => {
  const { watch, reading, tick } = watched();
  watch.wake();
  reading.rss = 0.9 * GIB;
  tick(10);
  assert.equal(watch.level, 2);
  assert.deepEqual(watch.report(), {
    level: 2,
    processBytes: 0.9 * GIB,
    limitedBy: "/box",
    limitBytes: GIB,
    usedBytes: 0.1 * GIB,
  });
});

test("a process that has grown large collects more often, until its work is done", () => {
  const { watch, reading, tick, done } = watched();
  reading.busy = true;
  reading.rss = 200 * 1024 * 1024;
  watch.wake();
  tick(20, 3);
  assert.deepEqual(done, ["frugal true"]);
  reading.busy = false;
  tick(20, 4);
  assert.deepEqual(done, ["frugal true", "frugal false", "release", "collect"]);
});

test("after its end nothing is armed", async () => {
  const { watch, timers, tick, done } = watched();
  watch.wake();
  tick(90);
  await watch[Symbol.asyncDispose]();
  assert.equal(timers.length, 0);
  assert.equal(done.at(-1), "frugal false");
  watch.wake();
  assert.equal(timers.length, 0);
});
