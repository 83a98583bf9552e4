/** Lazy changes: seen at once, written with the next change or a little later, and counted rightly whenever the process dies. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyValue, Write } from "../../../src/daemon/core/ports/key-value.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { requestFor, sessionFixture } from "../../support/session-fixture.ts";
import { TestClock } from "../../support/test-clock.ts";
import { verifyIndices } from "../../support/verify-sessions.ts";

/** Counts the records that are written, and refuses writes if it is told to. */
class Counting extends MemoryKeyValue implements KeyValue {
  records = 0;
  refuse = false;

  override async write(writes: readonly Write[]): Promise<void> {
    if (this.refuse) throw new Error("the disk is gone");
    this.records += writes.filter(({ type, space }) => type === "put" && space === "session").length;
    await super.write(writes);
  }
}

async function fixture() {
  const store = new Counting();
  const clock = new TestClock();
  const { sessions, logger } = await sessionFixture({}, store, clock);
  const [a, b] = await sessions.create([requestFor("a"), requestFor("b")]);
  assert.ok(a && b);
  store.records = 0;
  return { store, clock, sessions, logger, a, b };
}

const BEGUN = { status: "active", stage: "resolve" } as const;
const LAZY = { lazy: true };
const none: ReadonlySet<string> = new Set();

test("it is seen at once by get, counts, events, the queue and lists, and written once with the next change", async () => {
  const { store, sessions, a, b } = await fixture();
  const told: string[] = [];
  sessions.subscribe(({ event }) => told.push(`${event.type} ${event.session.status}`));
  await sessions.update(a.id, BEGUN, LAZY);
  await sessions.update(a.id, { stage: "fetch" }, LAZY);
  assert.equal(store.records, 0);
  assert.equal((await sessions.get(a.id))?.stage, "fetch");
  assert.deepEqual([sessions.counts().active, sessions.counts().queued], [1, 1]);
  assert.deepEqual(told, ["updated active", "updated active"]);
  assert.deepEqual(
    (await sessions.nextQueued(5, none)).map(({ id }) => id),
    [b.id],
  );
  await sessions.update(a.id, { stage: "store" }, { sync: true });
  assert.equal(store.records, 1);
  await verifyIndices(store);
  const { sessions: active } = await sessions.list({ status: "active" }, { size: 5 });
  assert.deepEqual(
    active.map(({ id, stage }) => [id, stage]),
    [[a.id, "store"]],
  );
});

test("a list by status finds it, though nothing else has been written", async () => {
  const { store, sessions, a, b } = await fixture();
  await sessions.update(a.id, BEGUN, LAZY);
  assert.equal((await sessions.list({ status: "active" }, { size: 5 })).sessions[0]?.id, a.id);
  assert.equal(store.records, 1);
  await sessions.update(b.id, BEGUN, LAZY);
  assert.equal(await sessions.updateAll({ status: "active" }, { status: "paused" }, () => true), 2);
  await verifyIndices(store);
});

test("it is written after a while, and when the room ends", async () => {
  const { store, clock, sessions, a, b } = await fixture();
  await sessions.update(a.id, BEGUN, LAZY);
  await clock.advance(200);
  assert.equal(store.records, 1);
  await verifyIndices(store);
  await sessions.update(b.id, BEGUN, LAZY);
  await sessions[Symbol.asyncDispose]();
  assert.equal(store.records, 2);
  await verifyIndices(store);
});

test("dead before it is written, the session is as it was, and the counts are right", async () => {
  const { store, sessions, a, b } = await fixture();
  await sessions.update(a.id, { ...BEGUN, attempt: 1 }, LAZY);
  // Written meanwhile, with the counts of all.
  await sessions.update(b.id, { status: "paused" });
  await verifyIndices(store);
  const { sessions: next } = await sessionFixture({}, store);
  assert.deepEqual([next.counts().queued, next.counts().active, next.counts().paused], [1, 0, 1]);
  const [first] = await next.nextQueued(5, none);
  assert.deepEqual([first?.id, first?.attempt, first?.stage], [a.id, 0, undefined]);
});

test("forgotten before it is written, nothing of it is left", async () => {
  const { store, sessions, a } = await fixture();
  await sessions.update(a.id, BEGUN, LAZY);
  await sessions.remove([a.id]);
  assert.deepEqual([sessions.counts().queued, sessions.counts().active], [1, 0]);
  await verifyIndices(store);
});

test("what cannot be written counts no longer", async () => {
  const { store, clock, sessions, logger, a } = await fixture();
  await sessions.update(a.id, BEGUN, LAZY);
  store.refuse = true;
  await assert.rejects(sessions.update(a.id, { stage: "store" }, { sync: true }));
  assert.equal((await sessions.get(a.id))?.status, "queued");
  await sessions.update(a.id, BEGUN, LAZY);
  await clock.advance(200);
  store.refuse = false;
  assert.equal((await sessions.get(a.id))?.status, "queued");
  assert.deepEqual([sessions.counts().queued, sessions.counts().active], [2, 0]);
  assert.ok(logger.lines.some(({ level }) => level === "error"));
  await verifyIndices(store);
});

test("a lazy change on one that then cannot be written goes with it", async () => {
  const { store, sessions, a } = await fixture();
  store.refuse = true;
  const refused = assert.rejects(sessions.update(a.id, { status: "active", stage: "resolve" }, { sync: true }));
  await sessions.update(a.id, { stage: "fetch" }, LAZY);
  await refused;
  store.refuse = false;
  assert.equal((await sessions.get(a.id))?.status, "queued");
  assert.deepEqual([sessions.counts().queued, sessions.counts().active], [2, 0]);
  await sessions.update(a.id, { status: "paused" });
  await verifyIndices(store);
});

test("where what its events lead to has to be written with it, it is written", async () => {
  const { store, sessions, a } = await fixture();
  sessions.alongside(() => [{ type: "put", space: "note", key: "k", value: "v" }]);
  await sessions.update(a.id, BEGUN, LAZY);
  assert.equal(store.records, 1);
  assert.equal(await store.get("note", "k"), "v");
});
