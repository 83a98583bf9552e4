/** Watch folders in a bad world: killed between two steps, full disks, strange names, planted links, lists that change. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { ListTaker } from "../../../src/daemon/core/ports/intake.ts";
import type { KeyValue } from "../../../src/daemon/core/ports/key-value.ts";
import { ListIntake } from "../../../src/daemon/intake/list-intake.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { readMetalink } from "../../../src/daemon/resolve/metalink.ts";
import { WatchFolders } from "../../../src/daemon/watch/watch-folders.ts";
import { ListSessions } from "../../support/list-sessions.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { needsMount, temporaryMount } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";

let home: string;
let folder: string;
let store: KeyValue;
let sessions: ListSessions;
let intake: ListIntake;
let folders: WatchFolders;
let logger: RecordLogger;

async function open(broken: Partial<ListTaker> = {}): Promise<void> {
  logger = new RecordLogger();
  sessions = new ListSessions(store);
  const clock = new SystemClock();
  intake = new ListIntake({
    intake: sessions,
    sessions,
    store,
    directory: () => home,
    metalink: readMetalink,
    clock,
    logger,
  });
  const lists: ListTaker = {
    take: (job) => intake.take(job),
    settle: (key) => intake.settle(key),
    unsettled: () => intake.unsettled(),
    isReporting: (report) => intake.isReporting(report),
    ...broken,
  };
  const options = { folders: [{ path: folder }], directory: () => home, settleMs: 50, rescanMs: 50 };
  folders = new WatchFolders({ lists, store, options, clock, logger });
  await intake.start();
  await folders.start();
}

async function close(): Promise<void> {
  await folders[Symbol.asyncDispose]();
  await intake[Symbol.asyncDispose]();
}

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "snatch-watch-"));
  folder = join(home, "watch");
  store = new MemoryKeyValue();
});

afterEach(async () => {
  await close();
  await rm(home, { recursive: true });
});

const inFolder = (...parts: string[]) => join(folder, ...parts);
const logged = (pattern: RegExp) => logger.lines.some(({ message }) => pattern.test(message));
const urls = async () => (await sessions.all()).map(({ url }) => url).sort();
const numbered = (count: number) => Array.from({ length: count }, (_, n) => `http://h/${n}\n`).join("");
const moved = (name = "list.txt") =>
  waitFor(`done/${name}`, () => existsSync(inFolder("done", name)) && !existsSync(inFolder("list.txt")));

async function drop(content: string | Uint8Array, name: string | Buffer = "list.txt"): Promise<void> {
  await writeFile(join(home, "draft"), content);
  await rename(join(home, "draft"), Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name)]));
}

async function endAll(): Promise<void> {
  for (const session of await sessions.all()) if (session.status === "queued") await sessions.end(session);
}

/** The numbers of the lines in a report, when all lists are done with. */
async function reportedLines(path = inFolder("done", "list.report.jsonl")): Promise<number[]> {
  await waitFor("the end of the report", () => !intake.isReporting(path));
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line) => (JSON.parse(line) as { line: number }).line).sort((a, b) => a - b);
}

async function ledgerKeys(): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of store.entries("ledger")) keys.push(key);
  return keys.filter((key) => !key.startsWith("k!"));
}

describe("a list that an earlier process was at", () => {
  test("and had moved, but not settled: its report ends, and the ledger forgets it", async () => {
    await open({ settle: () => Promise.reject(new Error("killed")) });
    await drop("http://h/1\nnonsense\n");
    await waitFor("the move", () => existsSync(inFolder("done", "list.txt")));
    await waitFor("the death", () => logged(/killed/));
    await close();
    await open();
    await endAll();
    assert.deepEqual(await reportedLines(), [1, 2]);
    await waitFor("an empty ledger", async () => (await ledgerKeys()).length === 0);
  });

  test("and that was taken away meanwhile: what was taken of it is reported to the end", async () => {
    await open();
    sessions.beforeAccept = (call) => {
      if (call > 0) throw new Error("killed");
    };
    await drop(`nonsense\n${numbered(1500)}`);
    await waitFor("the death", () => logged(/killed/));
    await close();
    rmSync(inFolder("list.txt"));
    await open();
    await endAll();
    assert.equal((await reportedLines()).length, 1000);
    assert.match(readFileSync(inFolder("rejected", "list.txt"), "utf8"), /^# line 1: .*\nnonsense\n$/);
    await waitFor("an empty ledger", async () => (await ledgerKeys()).length === 0);
  });

  test("and that was replaced meanwhile: the new one is taken from its beginning", async () => {
    await open();
    sessions.beforeAccept = (call) => {
      if (call > 0) throw new Error("killed");
    };
    await drop(numbered(1500));
    await waitFor("the death", () => logged(/killed/));
    await close();
    rmSync(inFolder("list.txt"));
    writeFileSync(inFolder("list.txt"), numbered(1600).replaceAll("http://h/0\n", "http://h/new\n"));
    await open();
    await waitFor("the move", () => !existsSync(inFolder("list.txt")));
    const found = await urls();
    assert.equal(found.length, 1601);
    assert.ok(found.includes("http://h/new"));
  });
});

describe("names", () => {
  test("of 255 bytes leave room for those of the papers", async () => {
    await open();
    for (const name of [`${"a".repeat(251)}.txt`, `${"ä".repeat(125)}.urls`]) {
      await drop("http://h/1\nnonsense\n", name);
      await waitFor("the move", () => !existsSync(inFolder(name)));
    }
    await endAll();
    await waitFor(
      "both reports",
      () => readdirSync(inFolder("done")).filter((name) => /jsonl$/.test(name)).length === 2,
    );
    assert.equal(readdirSync(inFolder("rejected")).length, 2);
    assert.equal(folders.list()[0]?.problem, undefined);
  });

  test("that are not UTF-8 are named in the log, once", async () => {
    await open();
    await drop("http://h/1\n", Buffer.from([0xe4, 0x2e, 0x74, 0x78, 0x74]));
    await waitFor("the log", () => logged(/not UTF-8/));
    await drop("http://h/2\n");
    await moved();
    assert.equal(logger.lines.filter(({ message }) => /not UTF-8/.test(message)).length, 1);
  });
});

describe("planted beside the lists", () => {
  test("a link or a FIFO in a paper's place is not written through, and nothing is lost", async () => {
    const victim = join(home, "victim");
    writeFileSync(victim, "precious");
    await open();
    await mkdir(inFolder("rejected"));
    await symlink(victim, inFolder("rejected", "list.txt.part"));
    await drop("http://h/1\nnonsense\n");
    await waitFor("the problem", () => folders.list()[0]?.problem?.includes("not a regular file"));
    rmSync(inFolder("rejected", "list.txt.part"));
    // The report's name is spoken for from the beginning on: the link comes later.
    rmSync(inFolder("done", "list.report.jsonl"), { force: true });
    await symlink(victim, inFolder("done", "list.report.jsonl"));
    await endAll();
    await waitFor("the report's problem", () => logged(/report cannot be written: .*not a regular file/));
    await moved();
    await close();
    rmSync(inFolder("done", "list.report.jsonl"));
    execFileSync("sh", ["-c", `mkfifo "$1"`, "sh", inFolder("done", "list.report.jsonl")]);
    await open();
    await waitFor("the FIFO's problem", () => logged(/report cannot be written: .*not a regular file/));
    await close();
    rmSync(inFolder("done", "list.report.jsonl"));
    await open();
    assert.deepEqual(await reportedLines(), [1, 2]);
    assert.equal(readFileSync(victim, "utf8"), "precious");
  });
});

describe("done/", () => {
  test("that is a file stops the list, says so, and loses nothing", async () => {
    await open();
    writeFileSync(inFolder("done"), "in the way");
    await drop("http://h/1\n");
    await waitFor("the problem", () => folders.list()[0]?.problem?.startsWith("list.txt: "));
    assert.deepEqual(await urls(), []);
    rmSync(inFolder("done"));
    await moved();
    assert.deepEqual(await urls(), ["http://h/1"]);
  });

  test(
    "that cannot be written once the list is taken: it is taken once, and moved when it can be",
    needsMount,
    async () => {
      await using disk = await temporaryMount(1024 * 1024);
      folder = disk.path;
      let readOnly = false;
      await open({
        take: async (job) => {
          const taken = await intake.take(job);
          if (!readOnly) disk.remount("ro");
          readOnly = true;
          return taken;
        },
      });
      await writeFile(inFolder("list.txt"), "http://h/1\n");
      await waitFor("the problem", () => /read-only/.test(folders.list()[0]?.problem ?? ""));
      await close();
      await open();
      await waitFor("the problem", () => /read-only/.test(folders.list()[0]?.problem ?? ""));
      assert.equal(folders.list()[0]?.listCount, 0);
      assert.deepEqual(sessions.calls, []);
      disk.remount("rw");
      await moved();
      await endAll();
      assert.deepEqual(await reportedLines(), [1]);
      assert.equal((await urls()).length, 1);
      await close();
    },
  );
});

describe("contents", () => {
  test("a line of 10 MB, NULs and a line without end spoil only themselves", async () => {
    await open();
    const long = Buffer.alloc(10 * 1024 * 1024, "a");
    const nuls = Buffer.from("\0\0http://h/nul\n");
    await drop(Buffer.concat([Buffer.from("http://h/1\n"), long, Buffer.from("\n"), nuls, Buffer.from("http://h/2")]));
    await moved();
    assert.deepEqual(await urls(), ["http://h/1", "http://h/2"]);
    await endAll();
    assert.deepEqual(await reportedLines(), [1, 2, 3, 4]);
  });

  test("a list that is replaced while it is read is taken, and so is the other", async () => {
    await open();
    sessions.beforeAccept = async (call) => {
      if (call === 1) await drop("http://other/1\n");
    };
    await drop(numbered(2500));
    await waitFor("the other list", async () => (await urls()).includes("http://other/1"));
    await waitFor("the move", () => !existsSync(inFolder("list.txt")));
    assert.equal((await urls()).length, 2501);
  });

  test("a list that is cut short while it is read loses no line that stands in it at the end", async () => {
    await open();
    sessions.beforeAccept = (call) => {
      if (call === 1) writeFileSync(inFolder("list.txt"), "http://other/1\n");
    };
    await drop(numbered(20_000));
    await waitFor("the new content", async () => (await urls()).includes("http://other/1"));
    await waitFor("the move", () => !existsSync(inFolder("list.txt")));
  });
});

test("a disk that is full while papers are written: each line comes into them once", needsMount, async () => {
  await using disk = await temporaryMount(2 * 1024 * 1024);
  folder = disk.path;
  await open();
  await mkdir(inFolder("done"));
  const filler = inFolder("filler");
  writeFileSync(inFolder(".list"), `${numbered(300)}nonsense\n`);
  try {
    for (;;) writeFileSync(filler, Buffer.alloc(4096), { flag: "a" });
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
  }
  await rename(inFolder(".list"), inFolder("list.txt"));
  await waitFor("the list's problem", () => /no space/i.test(folders.list()[0]?.problem ?? ""));
  await endAll();
  await waitFor("the report's problem", () => logged(/report cannot be written/));
  rmSync(filler);
  await moved();
  await close();
  await open();
  assert.deepEqual(
    await reportedLines(),
    Array.from({ length: 301 }, (_, n) => n + 1),
  );
  assert.match(readFileSync(inFolder("rejected", "list.txt"), "utf8"), /^# line 301: .*\nnonsense\n$/);
  // The file system goes away before the folders are closed a second time.
  await close();
});
