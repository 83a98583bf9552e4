import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { watch } from "../../../src/daemon/rpc/watch.ts";
import type { WatchSessionsResponse } from "../../../src/gen/snatch/v1/session_service.ts";
import { MemoryDaemon } from "../../support/memory-daemon.ts";
import { TestClock } from "../../support/test-clock.ts";

/** A watcher in the hand of a test. `gate`: awaited by every message. */
function start(daemon: MemoryDaemon, after?: number, gate: () => Promise<void> = () => Promise.resolve()) {
  const abort = new AbortController();
  const messages: WatchSessionsResponse[] = [];
  const ports = { downloads: daemon, events: daemon.events, clock: new TestClock() };
  const send = (message: WatchSessionsResponse) => {
    messages.push(message);
    return gate();
  };
  const done = watch(ports, { after, matches: () => true }, send, abort.signal);
  done.catch(() => {});
  const cases = () => messages.map(({ event, sequence }) => `${event?.$case} ${sequence}`);
  return { abort, messages, cases, done };
}

describe("watching", () => {
  test("begins with the newest number, then tells what happens", async () => {
    const daemon = new MemoryDaemon();
    daemon.add();
    const stream = start(daemon);
    const { id } = daemon.add();
    daemon.change(id, { status: "active" });
    await turn();
    assert.deepEqual(stream.cases(), ["start 0", "created 101", "updated 102"]);
    assert.deepEqual(stream.messages[0]?.event, { $case: "start", value: { newestSequence: 100 } });
    daemon.fail(id);
    await turn();
    assert.deepEqual(stream.cases().slice(3), ["updated 103", "error 104"]);
    stream.abort.abort(new Error("left"));
    await assert.rejects(stream.done, /left/);
  });

  test("goes on after a number without missing or repeating one", async () => {
    const daemon = new MemoryDaemon();
    for (let i = 0; i < 5; i++) daemon.add();
    const stream = start(daemon, 102);
    daemon.add();
    await turn();
    daemon.add();
    await turn();
    assert.deepEqual(stream.cases(), ["start 0", "created 103", "created 104", "created 105", "created 106"]);
  });

  test("tells of a gap when events are gone, and sends what is left", async () => {
    const daemon = new MemoryDaemon(4);
    for (let i = 0; i < 10; i++) daemon.add();
    const { oldest, newest } = daemon.events;
    assert.ok(oldest > 101);
    const stream = start(daemon, 100);
    await turn();
    assert.deepEqual(stream.messages[1]?.event, { $case: "gap", value: { oldestSequence: oldest } });
    assert.equal(stream.messages[2]?.sequence, oldest);
    assert.equal(stream.messages.at(-1)?.sequence, newest);
  });

  test("a number from the future is a gap too", async () => {
    const daemon = new MemoryDaemon();
    daemon.add();
    const stream = start(daemon, 5000);
    daemon.add();
    await turn();
    assert.deepEqual(stream.cases(), ["start 0", "gap 0", "created 100", "created 101"]);
  });

  test("a slow watcher gets a gap instead of a memory, and is right afterwards", async () => {
    const daemon = new MemoryDaemon(2000);
    const opened = Promise.withResolvers<void>();
    const stream = start(daemon, undefined, () => opened.promise);
    for (let i = 0; i < 10_000; i++) daemon.add();
    const { oldest, newest } = daemon.events;
    opened.resolve();
    while (stream.messages.at(-1)?.sequence !== newest) await turn();
    const numbers = stream.messages.filter(({ event }) => event?.$case === "created").map(({ sequence }) => sequence);
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
    );
    assert.equal(new Set(numbers).size, numbers.length);
    const gaps = stream.messages.filter(({ event }) => event?.$case === "gap");
    assert.deepEqual(
      gaps.map(({ event }) => event?.value),
      [{ oldestSequence: oldest }],
    );
    assert.ok(numbers.length < 4000, `${numbers.length} of 10,000 events were kept`);
  });

  test("a watcher that was slow for a while misses nothing that the log still has", async () => {
    const daemon = new MemoryDaemon(5000);
    const opened = Promise.withResolvers<void>();
    const stream = start(daemon, undefined, () => opened.promise);
    for (let i = 0; i < 4000; i++) daemon.add();
    opened.resolve();
    while (stream.messages.at(-1)?.sequence !== daemon.events.newest) await turn();
    assert.deepEqual(
      stream.messages.slice(1).map(({ sequence }) => sequence),
      Array.from({ length: 4000 }, (_, index) => 100 + index),
    );
  });
});
