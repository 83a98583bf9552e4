/** The records in memory: bounded, counted, and never without those that are active. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { requestFor, sessionFixture } from "../../support/session-fixture.ts";

const names = Array.from({ length: 50 }, (_, at) => `file${at}`);

test("no more than allowed; what is looked up again is a hit, what had to leave a miss", async () => {
  const { sessions } = await sessionFixture({ hotRecords: 10 });
  const made = await sessions.create(names.map((name) => requestFor(name)));
  const before = sessions.hot.stats();
  assert.deepEqual([before.entries, before.maxEntries], [0, 10]);
  for (const { id } of made) assert.equal((await sessions.get(id))?.id, id);
  for (const { id } of made.slice(-10)) assert.equal((await sessions.get(id))?.id, id);
  const { entries, hits, misses, evicted } = sessions.hot.stats();
  assert.deepEqual([entries, hits, misses, evicted], [10, 10, 50, 40]);
});

test("active ones stay, beyond the limit and when all is cleared", async () => {
  const { sessions } = await sessionFixture({ hotRecords: 5 });
  const made = await sessions.create(names.map((name) => requestFor(name)));
  const active = made.slice(0, 20);
  for (const { id } of active) await sessions.update(id, { status: "active" });
  for (const { id } of active) sessions.progress(id, 77, 100);
  for (const { id } of made) await sessions.get(id);
  sessions.hot.clear();
  assert.equal(sessions.hot.stats().entries, 20);
  // Progress is in memory only: one that had left would have none.
  for (const { id } of active) assert.equal((await sessions.get(id))?.progress.downloadedBytes, 77);
  for (const { id } of active) await sessions.update(id, { status: "paused" });
  assert.equal(sessions.hot.clear() > 0, true);
  assert.equal(sessions.hot.stats().entries, 0);
  assert.equal((await sessions.get(made[0]?.id ?? ""))?.status, "paused");
});

test("without room everything works all the same", async () => {
  const { sessions } = await sessionFixture({ hotRecords: 0 });
  const made = await sessions.create(names.map((name) => requestFor(name)));
  await Promise.all(made.map(({ id }) => sessions.update(id, { status: "active" })));
  await Promise.all(made.map(({ id }) => sessions.update(id, { status: "cancelled" })));
  await sessions.create([requestFor("new")], { batchId: "b", adopt: made.map(({ id }) => id) });
  assert.equal((await sessions.list({ batchId: "b" }, { size: 100 })).sessions.length, 51);
  await sessions.remove(made.map(({ id }) => id));
  assert.equal(sessions.counts().cancelled, 0);
  assert.ok(sessions.hot.stats().entries <= 1);
});
