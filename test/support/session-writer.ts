/**
 * Started by the kill test: makes and changes sessions for ever and prints a line for each change that was acknowledged.
 * Argument: the folder of the database.
 */
import { writeSync } from "node:fs";
import type { Session, SessionStatus } from "../../src/daemon/core/session.ts";
import { SessionManager } from "../../src/daemon/session/session-manager.ts";
import { Store } from "../../src/daemon/store/store.ts";
import { RecordLogger } from "./record-logger.ts";
import { requestFor } from "./session-fixture.ts";
import { TestClock } from "./test-clock.ts";

const logger = new RecordLogger();
const store = new Store({ directory: process.argv[2] ?? "", logger });
await store.start();
const sessions = new SessionManager({
  store: store.keyValue,
  clock: new TestClock(Date.now()),
  logger,
  options: { keepDays: 1, keepCount: 1_000_000, milestones: [50, 100], eventsKept: 100 },
});
await sessions.start();
const say = (...words: readonly (string | number)[]): void => void writeSync(1, `${words.join(" ")}\n`);
for (const { message } of logger.lines.filter(({ level }) => level !== "info")) say("log", message);
sessions.subscribe(({ sequence }) => say("event", sequence));

/** Brings one session to an end, or leaves it on the way. */
async function work({ id }: Session): Promise<void> {
  const change = async (status: SessionStatus, sync: boolean) => {
    const { attempt, updatedAt } = await sessions.update(id, { status, attempt: ++counter }, { sync });
    say("updated", id, status, attempt, updatedAt);
  };
  await change("active", false);
  await sessions.recordChunks(id, 1, [[0, `${counter}`]]);
  say("chunk", id);
  if (counter % 3 > 0) await change(counter % 3 === 1 ? "completed" : "paused", counter % 2 === 0);
  if (counter % 7 === 0) {
    say("removing", id);
    await sessions.remove([id]);
    say("removed", id);
  }
}

let counter = 0;
const lanes = Array.from({ length: 4 }, async () => {
  for (;;) {
    const made = await sessions.create(
      Array.from({ length: 5 }, () => requestFor(`${counter++}`)),
      {
        batchId: "b",
        with: (created) => created.map(({ id }) => ({ type: "put", space: "ledger", key: id, value: "" })),
      },
    );
    for (const { id } of made) say("created", id);
    await Promise.all(made.slice(0, 4).map(work));
  }
});
await Promise.all(lanes);
