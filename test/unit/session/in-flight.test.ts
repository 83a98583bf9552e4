/** What is true while writes are on their way to a slow disk. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Write } from "../../../src/daemon/core/ports/key-value.ts";
import type { Session } from "../../../src/daemon/core/session.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { requestFor, sessionFixture } from "../../support/session-fixture.ts";
import { verifyIndices } from "../../support/verify-sessions.ts";

/** Writes wait, in order, while it is held. */
class HeldKeyValue extends MemoryKeyValue {
  #gate = Promise.resolve();
  #last = Promise.resolve();

  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    return resolve;
  }

  override write(writes: readonly Write[]): Promise<void> {
    const gate = this.#gate;
    const written = this.#last.then(() => gate).then(() => super.write(writes));
    this.#last = written;
    return written;
  }
}

const none: ReadonlySet<string> = new Set();

async function three(): Promise<
  { store: HeldKeyValue; a: Session } & Pick<Awaited<ReturnType<typeof sessionFixture>>, "sessions">
> {
  const store = new HeldKeyValue();
  const { sessions } = await sessionFixture({}, store);
  const [a] = await sessions.create(["a", "b", "c"].map((name) => requestFor(name)));
  assert.ok(a);
  return { store, sessions, a };
}

test("a change that is not written yet is seen by get, lists and the queue", async () => {
  const { store, sessions, a } = await three();
  await sessions.get(a.id);
  const release = store.hold();
  const paused = sessions.update(a.id, { status: "paused" });
  assert.equal((await sessions.get(a.id))?.status, "paused");
  assert.deepEqual(
    (await sessions.nextQueued(5, none)).map(({ seq }) => seq),
    [2, 3],
  );
  assert.deepEqual(
    (await sessions.list({ status: "queued" }, { size: 5 })).sessions.map(({ seq }) => seq),
    [2, 3],
  );
  assert.deepEqual(
    (await sessions.list({}, { size: 5 })).sessions.map(({ status }) => status),
    ["paused", "queued", "queued"],
  );
  assert.equal(sessions.counts().paused, 1);
  release();
  await paused;
  await verifyIndices(store);
});

test("an event is told when its change is written, not before", async () => {
  const { store, sessions, a } = await three();
  let told = 0;
  sessions.subscribe(() => told++);
  const release = store.hold();
  const changes = [sessions.update(a.id, { status: "active" }), sessions.create([requestFor("d")])];
  await new Promise((resolve) => void setImmediate(resolve));
  assert.equal(told, 0);
  release();
  await Promise.all(changes);
  assert.equal(told, 2);
});

test("one that comes back to the front is found, though it was not written when the front was looked at", async () => {
  const { store, sessions, a } = await three();
  await sessions.update(a.id, { status: "paused" });
  assert.deepEqual(
    (await sessions.nextQueued(1, none)).map(({ seq }) => seq),
    [2],
  );
  const release = store.hold();
  const queued = sessions.update(a.id, { status: "queued" });
  await sessions.nextQueued(1, none);
  release();
  await queued;
  assert.deepEqual(
    (await sessions.nextQueued(1, none)).map(({ seq }) => seq),
    [1],
  );
});

test("chunks that are being recorded while their session is forgotten go with it", async () => {
  const { store, sessions, a } = await three();
  await sessions.update(a.id, { status: "active" });
  const release = store.hold();
  const recorded = sessions.recordChunks(a.id, 1, [[0, "x"]]);
  await new Promise((resolve) => void setImmediate(resolve));
  const removed = sessions.remove([a.id]);
  await new Promise((resolve) => void setImmediate(resolve));
  const late = sessions.recordChunks(a.id, 1, [[1, "y"]]);
  await assert.rejects(late, { code: "SESSION_NOT_FOUND" });
  assert.equal(await sessions.get(a.id), undefined);
  release();
  await Promise.all([recorded, removed]);
  assert.equal(await verifyIndices(store), 2);
});
