/** What events lead to is written with the change that they tell of, or not at all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionEvent } from "../../../src/daemon/core/events.ts";
import type { KeyValue, Write } from "../../../src/daemon/core/ports/key-value.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { requestFor, sessionFixture } from "../../support/session-fixture.ts";

/** Keeps the batches that are written, and refuses them if it is told to. */
class Watched extends MemoryKeyValue implements KeyValue {
  readonly batches: (readonly Write[])[] = [];
  refuse = false;

  override async write(writes: readonly Write[]): Promise<void> {
    if (this.refuse) throw new Error("the disk is gone");
    this.batches.push(writes);
    await super.write(writes);
  }
}

const note = (events: readonly SessionEvent[]): Write[] =>
  events.flatMap((event) =>
    event.type === "updated" && event.session.status === "paused"
      ? [{ type: "put" as const, space: "note", key: event.session.id, value: event.session.status }]
      : [],
  );

test("in the same batch as the change", async () => {
  const store = new Watched();
  const { sessions } = await sessionFixture({}, store);
  const end = sessions.alongside(note);
  const [session, other] = await sessions.create([requestFor("a"), requestFor("b")]);
  await sessions.update(session?.id ?? "", { status: "paused" });
  const batch = store.batches.find((writes) => writes.some(({ space }) => space === "note"));
  assert.ok(batch?.some(({ space }) => space === "session"));
  end();
  await sessions.update(other?.id ?? "", { status: "paused" });
  assert.equal(await store.get("note", other?.id ?? ""), undefined);
});

test("not without it", async () => {
  const store = new Watched();
  const { sessions } = await sessionFixture({}, store);
  sessions.alongside(note);
  const [session] = await sessions.create([requestFor("a")]);
  store.refuse = true;
  await assert.rejects(sessions.update(session?.id ?? "", { status: "paused" }));
  store.refuse = false;
  assert.equal(await store.get("note", session?.id ?? ""), undefined);
});

test("one that throws is logged, and the change is written all the same", async () => {
  const { sessions, logger } = await sessionFixture();
  sessions.alongside(() => {
    throw new Error("oh");
  });
  const [session] = await sessions.create([requestFor("a")]);
  assert.equal((await sessions.get(session?.id ?? ""))?.status, "queued");
  assert.ok(logger.lines.some(({ level }) => level === "error"));
});
