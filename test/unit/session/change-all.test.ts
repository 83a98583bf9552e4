import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionEvent } from "../../../src/daemon/core/events.ts";
import type { Write } from "../../../src/daemon/core/ports/key-value.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { requestFor, sessionFixture } from "../../support/session-fixture.ts";

const names = (count: number) => Array.from({ length: count }, (_, i) => requestFor(`file-${i}`));
const always = (): boolean => true;

test("all of a status are changed, in few writes, each told of, and the queue is as it was when they come back", async () => {
  let writes = 0;
  class Counted extends MemoryKeyValue {
    override write(changes: readonly Write[]): Promise<void> {
      writes++;
      return super.write(changes);
    }
  }
  const { sessions } = await sessionFixture({}, new Counted());
  const made = await sessions.create(names(2500), { batchId: "b" });
  await sessions.update(made[7]?.id ?? "", { status: "active" });
  const events: SessionEvent[] = [];
  sessions.subscribe(({ event }) => void events.push(event));
  writes = 0;
  assert.equal(await sessions.updateAll({ status: "queued" }, { status: "paused" }, always), 2499);
  assert.ok(writes <= 20, `${writes} writes`);
  assert.equal(events.filter(({ type }) => type === "updated").length, 2499);
  const { paused, queued, active } = sessions.counts();
  assert.deepEqual({ paused, queued, active }, { paused: 2499, queued: 0, active: 1 });
  assert.deepEqual(await sessions.nextQueued(10, new Set()), []);
  assert.equal(await sessions.updateAll({ batchId: "b" }, { status: "queued" }, (s) => s.status === "paused"), 2499);
  const next = await sessions.nextQueued(8, new Set());
  assert.deepEqual(
    next.map(({ url }) => url.slice(-6)),
    ["file-0", "file-1", "file-2", "file-3", "file-4", "file-5", "file-6", "file-8"],
  );
});

test("those to which it does not apply, and those of other batches and statuses, stay as they are", async () => {
  const { sessions, store } = await sessionFixture();
  const [a, b] = await sessions.create(names(2), { batchId: "x" });
  const [c] = await sessions.create([requestFor("other")], { batchId: "y" });
  const applies = (session: { id: string }): boolean => session.id !== a?.id;
  assert.equal(await sessions.updateAll({ status: "queued", batchId: "x" }, { status: "paused" }, applies), 1);
  const again = await sessionFixture({}, store);
  const status = async (id = ""): Promise<string | undefined> => (await again.sessions.get(id))?.status;
  assert.deepEqual([await status(a?.id), await status(b?.id), await status(c?.id)], ["queued", "paused", "queued"]);
});

test("changes that come at the same time are not undone", async () => {
  const { sessions } = await sessionFixture();
  const made = await sessions.create(names(1500));
  const chosen = made.filter((_, at) => at % 3 === 0).map(({ id }) => id);
  const [changed] = await Promise.all([
    sessions.updateAll({ status: "queued" }, { status: "paused" }, always),
    sessions.remove(chosen.slice(0, 200)),
    ...chosen.slice(200).map((id) => sessions.update(id, { metadata: { title: "kept" } })),
  ]);
  assert.ok(changed >= 1000);
  const counts = sessions.counts();
  assert.equal(counts.paused + counts.queued, 1300);
  assert.equal(await sessions.updateAll({ status: "queued" }, { status: "paused" }, always), counts.queued);
  for (const id of chosen.slice(0, 200)) assert.equal(await sessions.get(id), undefined);
  for (const id of chosen.slice(200)) {
    const found = await sessions.get(id);
    assert.deepEqual([found?.metadata.title, found?.status], ["kept", "paused"]);
  }
});
