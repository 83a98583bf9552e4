import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "../../../src/daemon/core/errors.ts";
import { type Session, sessionError } from "../../../src/daemon/core/session.ts";
import { Parked } from "../../../src/daemon/download/parked.ts";
import { Queue } from "../../../src/daemon/download/queue.ts";
import { MemoryDaemon } from "../../support/memory-daemon.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";
import { waitFor } from "../../support/wait.ts";

const SHARE = "ab".repeat(16);

test("what waits for the peers of a share is known until it goes on, is removed, or is taken", () => {
  const daemon = new MemoryDaemon();
  const parked = new Parked();
  const error = sessionError(failure("PEERS_NOT_FOUND", "nobody"), 0);
  const waiting = (url: string): Session => daemon.add(url, { status: "waiting", error });
  const [one, two, three] = [0, 1, 2].map((file) => waiting(`snatch:share/${SHARE}/${file}`));
  assert.ok(one && two && three);
  for (const session of [one, two, three, waiting("https://example.org/a")]) parked.note(session);
  parked.note({ ...two, status: "queued" });
  parked.note({ ...three, status: "cancelled" });
  assert.deepEqual(parked.take("cd".repeat(16)), []);
  assert.deepEqual(parked.take(SHARE), [one.id]);
  assert.deepEqual(parked.take(SHARE), []);
});

test("who only waits takes nobody's place, and what was waited for wakes him before his time", async () => {
  const sessions = new Map<string, Session>();
  const daemon = new MemoryDaemon();
  const add = (status: Session["status"]) => {
    const session = daemon.add(undefined, { status, nextAttemptAt: 1e15 });
    sessions.set(session.id, session);
    return session.id;
  };
  const seeker = add("queued");
  const run: string[] = [];
  let idle = 0;
  const end = Promise.withResolvers<void>();
  const store = {
    due: () => Promise.resolve([]),
    nextDue: () => Promise.resolve(undefined),
    nextQueued: (_limit: number, except: ReadonlySet<string>) =>
      Promise.resolve([...sessions.values()].filter(({ id, status }) => status === "queued" && !except.has(id))),
    get: (id: string) => Promise.resolve(sessions.get(id)),
  };
  const queue = new Queue({
    store: store as unknown as ConstructorParameters<typeof Queue>[0]["store"],
    clock: new TestClock(),
    logger: new RecordLogger(),
    slots: () => 1,
    idle: () => idle,
    launch: ({ id }) => {
      run.push(id);
      return end.promise;
    },
  });
  queue.start();
  await waitFor("the first runs", () => run.length === 1);
  const [other, parked] = [add("queued"), add("waiting")];
  idle = 1;
  queue.wake();
  await waitFor("another runs beside it", () => run.length === 2);
  idle = 2;
  queue.hurry([parked, "gone"]);
  await waitFor("the one who waited runs", () => run.length === 3);
  assert.deepEqual(run, [seeker, other, parked]);
  sessions.clear();
  end.resolve();
  await queue.stop();
});
