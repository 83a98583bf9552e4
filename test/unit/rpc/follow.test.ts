import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type FollowScope, follow } from "../../../src/daemon/rpc/follow.ts";
import type { FollowDownloadsResponse } from "../../../src/gen/snatch/v1/download_service.ts";
import { MemoryDaemon } from "../../support/memory-daemon.ts";
import { TestClock } from "../../support/test-clock.ts";

/** A stream in the hand of a test. */
function start(daemon: MemoryDaemon, scope: FollowScope) {
  const clock = new TestClock();
  const abort = new AbortController();
  const messages: FollowDownloadsResponse[] = [];
  const times: number[] = [];
  let ended = false;
  const ports = { downloads: daemon, sessions: daemon, events: daemon.events, clock };
  const send = (message: FollowDownloadsResponse) => {
    messages.push(message);
    times.push(clock.monotonic());
    return Promise.resolve();
  };
  const done = follow(ports, scope, send, abort.signal).finally(() => {
    ended = true;
  });
  done.catch(() => {});
  return {
    clock,
    abort,
    messages,
    times,
    done,
    ended: () => ended,
    last: () => messages.at(-1)?.summary,
  };
}

const statuses = (message: FollowDownloadsResponse | undefined) => message?.sessions.map(({ status }) => status);

describe("following by id", () => {
  test("the first message comes at once with all that were asked for; the last one with the end", async () => {
    const daemon = new MemoryDaemon();
    const [a, b, other] = [daemon.add(), daemon.add(), daemon.add()];
    const stream = start(daemon, { ids: [a.id, b.id.slice(0, 8), a.id] });
    await stream.clock.advance(0);
    assert.deepEqual(statuses(stream.messages[0]), ["SESSION_STATUS_QUEUED", "SESSION_STATUS_QUEUED"]);
    assert.equal(stream.last()?.totalCount, 2);

    daemon.change(other.id, { status: "active" });
    await stream.clock.advance(2000);
    assert.equal(stream.messages.length, 1, "others do not matter");

    daemon.change(a.id, { status: "active", stage: "fetch" });
    await stream.clock.advance(400);
    assert.equal(stream.messages.length, 2);
    daemon.change(a.id, { status: "completed", stage: undefined, progress: { downloadedBytes: 10, totalBytes: 10 } });
    await stream.clock.advance(400);
    assert.equal(stream.ended(), false, "one is still queued");
    daemon.fail(b.id);
    await stream.done;
    assert.equal(stream.messages.at(-1)?.sessions[0]?.error?.code, "CONNECT_FAILED");
    assert.deepEqual(stream.last(), {
      totalCount: 2,
      completedCount: 1,
      failedCount: 1,
      pausedCount: 0,
      downloadedBytes: 10,
      bytesPerSecond: 0,
    });
  });

  test("the end does not wait for the next tick", async () => {
    const daemon = new MemoryDaemon();
    const { id } = daemon.add();
    const stream = start(daemon, { ids: [id] });
    await stream.clock.advance(1);
    daemon.change(id, { status: "active" });
    daemon.change(id, { status: "completed" });
    await stream.done;
    assert.deepEqual(stream.times, [0, 1]);
  });

  test("progress that no event tells of is seen, at most four messages a second", async () => {
    const daemon = new MemoryDaemon();
    const { id } = daemon.add();
    daemon.change(id, { status: "active", stage: "fetch" });
    const stream = start(daemon, { ids: [id] });
    for (let step = 1; step <= 500; step++) {
      daemon.progress(id, step, 1000);
      daemon.lives.set(id, { bytesPerSecond: 100, connections: 1, pendingBytes: 0 });
      await stream.clock.advance(10);
    }
    daemon.change(id, { status: "completed" });
    await stream.done;
    assert.ok(stream.messages.length > 10, `${stream.messages.length} messages in 5 s`);
    for (const [index, time] of stream.times.entries()) {
      const within = stream.times.slice(index).filter((other) => other < time + 1000).length;
      assert.ok(within <= 4, `${within} messages in the second after ${time} ms`);
    }
    assert.equal(stream.messages.at(-2)?.summary?.bytesPerSecond, 100);
  });

  test("a session that stands still says nothing", async () => {
    const daemon = new MemoryDaemon();
    const { id } = daemon.add();
    daemon.change(id, { status: "active" });
    const stream = start(daemon, { ids: [id] });
    await stream.clock.advance(10_000);
    assert.equal(stream.messages.length, 1);
    stream.abort.abort(new Error("left"));
    await assert.rejects(stream.done, /left/);
    assert.equal(stream.clock.pending, 0, "no timer is left behind");
  });

  test("paused ends it; waiting does not; what is removed no longer counts", async () => {
    const daemon = new MemoryDaemon();
    const [a, b, c] = [daemon.add(), daemon.add(), daemon.add()];
    const stream = start(daemon, { ids: [a.id, b.id, c.id] });
    await stream.clock.advance(0);
    daemon.change(a.id, { status: "active" });
    daemon.change(a.id, { status: "waiting", nextAttemptAt: 1 });
    daemon.change(b.id, { status: "paused" });
    await daemon.remove({ ids: [c.id] });
    await stream.clock.advance(1000);
    assert.equal(stream.ended(), false);
    assert.equal(stream.last()?.totalCount, 2);
    daemon.change(a.id, { status: "paused" });
    await stream.done;
    assert.equal(stream.last()?.pausedCount, 2);
  });

  test("what has ended already is told and ends at once; an unknown id is an error", async () => {
    const daemon = new MemoryDaemon();
    const { id } = daemon.add(undefined, { status: "completed" });
    const stream = start(daemon, { ids: [id] });
    await stream.done;
    assert.equal(stream.messages.length, 1);
    await assert.rejects(start(daemon, { ids: ["ffff0000"] }).done, { code: "SESSION_NOT_FOUND" });
  });
});

describe("what a session has led to", () => {
  /** Says that nothing is left: a caller leaves at that. */
  const saysEnd = ({ summary }: FollowDownloadsResponse): boolean =>
    summary !== undefined && summary.completedCount + summary.failedCount + summary.pausedCount >= summary.totalCount;

  test("no message says that all is done before what it led to is: made before the first message", async () => {
    const daemon = new MemoryDaemon();
    const child = daemon.add(undefined, { batchId: "b1" });
    const parent = daemon.add(undefined, { status: "completed", expansion: { batchId: "b1", count: 1 } });
    const stream = start(daemon, { ids: [parent.id] });
    await stream.clock.advance(2000);
    assert.equal(stream.ended(), false);
    assert.deepEqual(stream.messages.filter(saysEnd), []);
    assert.equal(stream.messages[0]?.summary?.totalCount, 2);
    daemon.change(child.id, { status: "cancelled" });
    await stream.done;
    assert.deepEqual(stream.messages.map(saysEnd), [...stream.messages.slice(1).map(() => false), true]);
    assert.equal(stream.last()?.failedCount, 1);
  });

  test("the same of sessions that were there before, and were taken up by it", async () => {
    const daemon = new MemoryDaemon();
    const [child, parent] = [daemon.add(), daemon.add(undefined, { status: "active" })];
    const stream = start(daemon, { ids: [parent.id] });
    await stream.clock.advance(0);
    daemon.adopt("b1", child.id);
    daemon.change(parent.id, { status: "completed", expansion: { batchId: "b1", count: 1 } });
    await stream.clock.advance(2000);
    assert.equal(stream.ended(), false);
    assert.deepEqual(stream.messages.filter(saysEnd), []);
    daemon.change(child.id, { status: "cancelled" });
    await stream.done;
    assert.equal(stream.last()?.totalCount, 2);
  });
});

describe("following what led to others", () => {
  for (const by of ["id", "batch"] as const)
    test(`by ${by}: the first summary counts what it had led to before, and lists in lists`, async () => {
      const daemon = new MemoryDaemon();
      const list = daemon.add(undefined, {
        status: "completed",
        batchId: "b1",
        expansion: { batchId: "led", count: 2 },
      });
      const inner = daemon.add(undefined, {
        status: "completed",
        batchId: "led",
        expansion: { batchId: "inner", count: 1 },
      });
      const [here, last] = [
        daemon.add(undefined, { status: "completed", batchId: "led" }),
        daemon.add(undefined, { batchId: "inner" }),
      ];
      const stream = start(daemon, by === "id" ? { ids: [list.id] } : { batchId: "b1" });
      await stream.clock.advance(0);
      const first = stream.messages[0]?.summary;
      assert.deepEqual([first?.totalCount, first?.completedCount], [4, 3]);
      const told = stream.messages.flatMap(({ sessions }) => sessions.map(({ sessionId }) => sessionId));
      for (const { id } of [inner, here, last]) assert.ok(told.includes(id));
      await stream.clock.advance(1000);
      assert.equal(stream.ended(), false, "the last one is queued");
      daemon.change(last.id, { status: "cancelled" });
      await stream.done;
      assert.equal(stream.last()?.failedCount, 1);
    });
});

describe("following a batch", () => {
  test("counts by pages, sessions that were adopted too; first sends the active ones only", async () => {
    const daemon = new MemoryDaemon(50);
    const old = Array.from({ length: 1200 }, () =>
      daemon.add(undefined, { status: "completed", progress: { downloadedBytes: 1 } }),
    );
    for (const { id } of old) daemon.adopt("b1", id);
    const fresh = Array.from({ length: 1300 }, () => daemon.add(undefined, { batchId: "b1" }));
    const [first, ...rest] = fresh;
    assert.ok(first);
    daemon.change(first.id, { status: "active" });
    const stream = start(daemon, { batchId: "b1" });
    await stream.clock.advance(0);
    assert.deepEqual(statuses(stream.messages[0]), ["SESSION_STATUS_ACTIVE"]);
    assert.equal(stream.last()?.totalCount, 2500);
    assert.equal(stream.last()?.completedCount, 1200);
    assert.equal(stream.last()?.downloadedBytes, 1200);

    daemon.change(first.id, { status: "failed" });
    for (const { id } of rest) {
      daemon.change(id, { status: "active" });
      daemon.change(id, { status: "completed", progress: { downloadedBytes: 2 } });
    }
    await stream.done;
    assert.deepEqual(stream.last(), {
      totalCount: 2500,
      completedCount: 2499,
      failedCount: 1,
      pausedCount: 0,
      downloadedBytes: 1200 + 1299 * 2,
      bytesPerSecond: 0,
    });
    const told = new Set(
      stream.messages.slice(1).flatMap(({ sessions }) => sessions.map(({ sessionId }) => sessionId)),
    );
    assert.equal(told.size, 1300, "every outcome is told");
  });

  test("adopted sessions that go on are waited for, and those that joined later too", async () => {
    const daemon = new MemoryDaemon();
    const [own, adopted, late] = [daemon.add(undefined, { batchId: "b1" }), daemon.add(), daemon.add()];
    daemon.adopt("b1", adopted.id);
    const stream = start(daemon, { batchId: "b1" });
    await stream.clock.advance(0);
    daemon.change(own.id, { status: "cancelled" });
    daemon.adopt("b1", late.id);
    await stream.clock.advance(1000);
    assert.equal(stream.ended(), false);
    daemon.change(adopted.id, { status: "cancelled" });
    await stream.clock.advance(1000);
    assert.equal(stream.ended(), false, "the late one is queued");
    assert.equal(stream.last()?.totalCount, 3);
    const created = daemon.add(undefined, { batchId: "b1" });
    daemon.change(late.id, { status: "cancelled" });
    daemon.change(created.id, { status: "cancelled" });
    await stream.done;
    assert.equal(stream.last()?.failedCount, 4);
  });

  test("an unknown batch is an error", async () => {
    await assert.rejects(start(new MemoryDaemon(), { batchId: "nope" }).done, { code: "SESSION_NOT_FOUND" });
  });
});
