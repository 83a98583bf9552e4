/**
 * A process that watches HOME/watch with a real database behind it, to be killed at any moment: `node list-taker.ts HOME`.
 * It prints a line before each batch, "moved" when the list is in done/, and "whole" when its report is.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ListIntake } from "../../src/daemon/intake/list-intake.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { readMetalink } from "../../src/daemon/resolve/metalink.ts";
import { Store } from "../../src/daemon/store/store.ts";
import { WatchFolders } from "../../src/daemon/watch/watch-folders.ts";
import { ListSessions } from "./list-sessions.ts";
import { RecordLogger } from "./record-logger.ts";
import { waitFor } from "./wait.ts";

const home = process.argv[2] ?? "";
const logger = new RecordLogger();
await using store = new Store({ directory: join(home, "db"), logger });
await store.start();
const sessions = new ListSessions(store.keyValue);
const clock = new SystemClock();
const parts = { intake: sessions, sessions, store: store.keyValue, directory: () => home, metalink: readMetalink };
await using intake = new ListIntake({ ...parts, clock, logger });
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

const watched = join(home, "watch");
const options = { folders: [{ path: watched }], directory: () => home, settleMs: 50, rescanMs: 100 };
await using folders = new WatchFolders({ lists: intake, store: store.keyValue, options, clock, logger });
await folders.start();
await waitFor("the move of the list", () => !existsSync(join(watched, "list.txt")));
console.log("moved");
await endSome(Number.POSITIVE_INFINITY);
const report = join(watched, "done", "list.report.jsonl");
await waitFor("the end of the report", () => !intake.isReporting(report));
console.log("whole");
