/**
 * A process that takes one list with a real database behind it, to be killed at any moment: `node list-taker.ts HOME`.
 * It prints a line after each batch, and "whole" when every line's outcome is in the report.
 */
import { createReadStream, existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { ListIntake } from "../../src/daemon/intake/list-intake.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { Store } from "../../src/daemon/store/store.ts";
import { eventually } from "./eventually.ts";
import { ListSessions } from "./list-sessions.ts";
import { RecordLogger } from "./record-logger.ts";

const home = process.argv[2] ?? "";
const logger = new RecordLogger();
await using store = new Store({ directory: join(home, "db"), logger });
await store.start();
const sessions = new ListSessions(store.keyValue);
const parts = { intake: sessions, sessions, store: store.keyValue, directory: () => home };
await using intake = new ListIntake({ ...parts, clock: new SystemClock(), logger });
await intake.start();

// Sessions end while the list is still being taken, as they do in the daemon.
const ended = new Set<string>();
const endSome = async (count: number) => {
  for (const session of await sessions.all()) {
    if (ended.has(session.id)) continue;
    ended.add(session.id);
    if (session.status !== "completed") await sessions.end(session);
    if (--count === 0) return;
  }
};
sessions.beforeAccept = async (call) => {
  console.log(`batch ${call}`);
  await endSome(500);
};

const report = join(home, "done", "list.report.jsonl");
const list = join(home, "list.txt");
const done = join(home, "done", "list.txt");
if (existsSync(list)) {
  await intake.take({
    name: "list.txt",
    bytes: createReadStream(list),
    options: { directory: home },
    ledger: { key: "the list", files: { done, report, rejected: join(home, "rejected", "list.txt") } },
  });
  console.log("taken");
  mkdirSync(dirname(done), { recursive: true });
  renameSync(list, done);
}
await intake.settle("the list");
await endSome(Number.POSITIVE_INFINITY);
await eventually("the end of the report", () => !intake.isReporting(report));
console.log("whole");
