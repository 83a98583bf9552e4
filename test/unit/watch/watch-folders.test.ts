import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { appendFile, mkdir, mkdtemp, open, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { ListJob, ListTaken, ListTaker } from "../../../src/daemon/core/ports/intake.ts";
import type { KeyValue } from "../../../src/daemon/core/ports/key-value.ts";
import { ListIntake } from "../../../src/daemon/intake/list-intake.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { readMetalink } from "../../../src/daemon/resolve/metalink.ts";
import { WatchFolders, type WatchOptions } from "../../../src/daemon/watch/watch-folders.ts";
import { ListSessions } from "../../support/list-sessions.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { waitFor } from "../../support/wait.ts";

/** Long enough for a busy machine to write twice within it. */
const SETTLE_MS = 250;

let home: string;
let folder: string;
let store: KeyValue;
let sessions: ListSessions;
let intake: ListIntake;
let folders: WatchFolders;
let logger: RecordLogger;
/** What is put around the intake; a test may break it. */
let around: (take: (job: ListJob) => Promise<ListTaken>, job: ListJob) => Promise<ListTaken>;

const lists: ListTaker = {
  take: (job) => around((inner) => intake.take(inner), job),
  settle: (key) => intake.settle(key),
  unsettled: () => intake.unsettled(),
  isReporting: (report) => intake.isReporting(report),
};

async function open_(options: Partial<WatchOptions> = {}): Promise<void> {
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
  const all = { folders: [{ path: folder }], directory: () => home, settleMs: SETTLE_MS, rescanMs: 100, ...options };
  folders = new WatchFolders({ lists, store, options: all, clock, logger });
  await intake.start();
  await folders.start();
}

const close = async () => {
  await folders[Symbol.asyncDispose]();
  await intake[Symbol.asyncDispose]();
};

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "snatch-watch-"));
  folder = join(home, "watch");
  store = new MemoryKeyValue();
  around = (take, job) => take(job);
});

afterEach(async () => {
  await close();
  await rm(home, { recursive: true });
});

const inFolder = (...parts: string[]) => join(folder, ...parts);
const done = (name: string) => waitFor(`done/${name}`, () => existsSync(inFolder("done", name)));
const urls = async () => (await sessions.all()).map(({ url }) => url).sort();
/** The first outcome in a report. */
const outcome = async (stem: string): Promise<{ url: string; status: string }> => {
  const path = inFolder("done", `${stem}.report.jsonl`);
  const text = await waitFor(path, () => existsSync(path) && /^.*\n/.exec(readFileSync(path, "utf8"))?.[0]);
  return JSON.parse(text);
};
const logged = (pattern: RegExp) => logger.lines.some(({ message }) => pattern.test(message));

/** As careful programs do: written beside, then renamed in. */
async function drop(name: string, content: string | Uint8Array): Promise<void> {
  await writeFile(join(home, "draft"), content);
  await rename(join(home, "draft"), inFolder(name));
}

describe("a dropped list", () => {
  test("renamed in is taken at once and moved to done/ with its papers", async () => {
    await open_({ settleMs: 60_000 });
    await writeFile(join(home, "draft"), "http://h/1\nnonsense\n  out=x\n");
    const { mtimeMs } = await stat(join(home, "draft"));
    // File systems keep time in ticks: renamed within the tick of its last write, a file looks as if written in place.
    await waitFor("the next tick", () => Date.now() > mtimeMs + 20);
    await rename(join(home, "draft"), inFolder("list.txt"));
    await done("list.txt");
    assert.deepEqual(await urls(), ["http://h/1"]);
    assert.equal((await sessions.all())[0]?.options.directory, home);
    assert.deepEqual(readdirSync(folder).sort(), ["done", "rejected"]);
    assert.match(readFileSync(inFolder("rejected", "list.txt"), "utf8"), /^# line 2: .*\nnonsense\n/);
    await waitFor("the refusal in the report", () => existsSync(inFolder("done", "list.report.jsonl")));
    assert.equal(folders.list()[0]?.listCount, 1);
    assert.ok(folders.list()[0]?.lastListAt);
  });

  for (const [name, content] of [
    ["a.urls", "http://h/1\n"],
    ["A.TXT", "http://h/1\n"],
    ["a.txt.gz", gzipSync("http://h/1\n")],
    ["a b.urls.gz", gzipSync("http://h/1\n")],
    ["a.meta4", '<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file><url>http://h/1</url></file></metalink>'],
    ["a.metalink", "<metalink><files><file><resources><url>http://h/1</url></resources></file></files></metalink>"],
  ] as const) {
    test(`may be called ${name}`, async () => {
      await open_();
      await drop(name, content);
      await done(name);
      assert.deepEqual(await urls(), ["http://h/1"]);
    });
  }

  test("that is written slowly is taken when it is whole, once", async () => {
    await open_({ settleMs: 1000 });
    const file = await open(inFolder("slow.txt"), "w");
    for (let line = 0; line < 5; line++) {
      await file.write(`http://h/${line}\n`);
      await file.datasync();
      assert.ok(!existsSync(inFolder("done")), "taken while it was being written");
      await new SystemClock().sleep(50); // the writer's own pace
    }
    await file.close();
    await done("slow.txt");
    assert.deepEqual(
      await urls(),
      [0, 1, 2, 3, 4].map((n) => `http://h/${n}`),
    );
    assert.deepEqual(sessions.calls, [5]);
  });

  test("without a line feed at its end is taken too, and an empty one waits for its first byte", async () => {
    await open_();
    await writeFile(inFolder("empty.txt"), "");
    await writeFile(inFolder("no-end.txt"), "http://h/1");
    await done("no-end.txt");
    assert.ok(existsSync(inFolder("empty.txt")));
    await appendFile(inFolder("empty.txt"), "http://h/2\n");
    await done("empty.txt");
    assert.deepEqual(await urls(), ["http://h/1", "http://h/2"]);
  });

  test("that was there before the daemon is taken; its old time says that it is whole", async () => {
    await mkdir(folder);
    await writeFile(inFolder("early.txt"), "http://h/1\n");
    await utimes(inFolder("early.txt"), 1e9, 1e9);
    await open_({ settleMs: 3_600_000 });
    await done("early.txt");
  });

  test("goes to the folder's own directory", async () => {
    await open_({ folders: [{ path: folder, directory: join(home, "own") }] });
    await drop("list.txt", "http://h/1\n");
    await done("list.txt");
    assert.equal((await sessions.all())[0]?.options.directory, join(home, "own"));
  });
});

describe("dropped again", () => {
  test("the name with new content: both lists are kept, each with its report", async () => {
    await open_();
    for (const [n, name] of ["list.txt", "list-2.txt", "list-3.txt"].entries()) {
      await drop("list.txt", `http://h/${n}\n`);
      await done(name);
    }
    for (const session of await sessions.all()) await sessions.end(session);
    for (const [n, stem] of ["list", "list-2", "list-3"].entries()) {
      assert.equal((await outcome(stem)).url, `http://h/${n}`);
      assert.equal(readFileSync(inFolder("done", `${stem}.txt`), "utf8"), `http://h/${n}\n`);
    }
  });

  test("the very same file: nothing is doubled, and a report of its own says so", async () => {
    await open_();
    await drop("list.txt", "http://h/1\n");
    await done("list.txt");
    for (const session of await sessions.all()) await sessions.end(session);
    await waitFor("the report", () => existsSync(inFolder("done", "list.report.jsonl")));
    await rename(inFolder("done", "list.txt"), inFolder("list.txt"));
    assert.equal((await outcome("list-2")).status, "already");
    assert.equal((await urls()).length, 1);
  });

  test("cut short before the move: the next start finishes it, in the same papers", async () => {
    await open_();
    around = async (take, job) => {
      await take(job);
      throw new Error("killed");
    };
    await drop("list.txt", "http://h/1\nnonsense\n");
    await waitFor("the first try", () => logged(/could not be taken: killed/));
    assert.match(folders.list()[0]?.problem ?? "", /list\.txt: killed/);
    await close();
    around = (take, job) => take(job);
    await open_();
    await done("list.txt");
    assert.equal((await urls()).length, 1);
    assert.deepEqual(sessions.calls, [], "nothing was accepted a second time");
    assert.deepEqual(readdirSync(inFolder("rejected")), ["list.txt"]);
    await waitFor("the end of the problem", () => folders.list()[0]?.problem === undefined);
  });

  test("lines that are added while a list is being taken are not lost", async () => {
    await open_();
    around = async (take, job) => {
      around = (inner, again) => inner(again);
      const taken = await take(job);
      await appendFile(inFolder("list.txt"), "http://h/2\n");
      return taken;
    };
    await drop("list.txt", "http://h/1\n");
    await waitFor("the second list", async () => (await urls()).length === 2);
    await waitFor("the move", () => !existsSync(inFolder("list.txt")));
    assert.ok(logged(/changed while it was being taken/));
  });

  test("lines that are added after the move are not lost", async () => {
    await open_({ settleMs: 400 });
    await writeFile(join(home, "draft"), "http://h/1\n");
    const file = await open(join(home, "draft"), "a");
    await rename(join(home, "draft"), inFolder("list.txt"));
    await done("list.txt");
    await file.write("http://h/2\n");
    await file.close();
    await waitFor("the line", async () => (await urls()).length === 2);
  });
});

describe("what is no list", () => {
  test("links, FIFOs and folders are named in the log and left alone; other names are ignored", async () => {
    await open_();
    await writeFile(join(home, "secret"), "http://h/secret\n");
    await symlink(join(home, "secret"), inFolder("link.txt"));
    await mkdir(inFolder("folder.txt"));
    execFileSync("sh", ["-c", `mkfifo "$1"`, "sh", inFolder("fifo.txt")]);
    for (const name of [".list.txt.Xy12", ".hidden.txt", "list.part", "list.txt~"])
      await writeFile(inFolder(name), "http://h/x\n");
    const named = () =>
      logger.lines.filter(({ message }) => /not a regular file/.test(message)).map(({ fields }) => fields["name"]);
    await waitFor("the log", () => named().length >= 3);
    await drop("list.txt", "http://h/1\n");
    await done("list.txt");
    assert.deepEqual(named().sort(), ["fifo.txt", "folder.txt", "link.txt"]);
    assert.deepEqual(await urls(), ["http://h/1"]);
    assert.equal(readdirSync(folder).length, 8);
  });
});

describe("the folders", () => {
  const invalid = { code: "WATCH_FOLDER_INVALID" };

  test("are added, kept over a restart, listed and removed", async () => {
    await open_();
    const path = join(home, "made", "deep");
    const added = await folders.add(path, join(home, "files"));
    assert.deepEqual(added, { path, directory: join(home, "files"), configured: false, listCount: 0 });
    await close();
    const parts = { lists, store, clock: new SystemClock(), logger };
    const all = { folders: [{ path: folder }], directory: () => home, settleMs: SETTLE_MS };
    const unstarted = new WatchFolders({ ...parts, options: all });
    const guarded = [folder, path].flatMap((each) => [each, join(each, "done"), join(each, "rejected")]);
    assert.deepEqual(await unstarted.guarded(), guarded, "known before anything is downloaded");
    await open_();
    assert.deepEqual(await folders.guarded(), guarded);
    assert.deepEqual(
      folders.list().map((state) => [state.path, state.configured]),
      [
        [path, false],
        [folder, true],
      ],
    );
    await writeFile(join(path, "list.txt"), "http://h/1\n");
    await waitFor("the list", () => existsSync(join(path, "done", "list.txt")));
    await folders.remove(path);
    assert.equal(folders.list().length, 1);
    await close();
    await open_();
    assert.equal(folders.list().length, 1);
  });

  test("are refused where lists would be taken twice, or downloads for lists", async () => {
    await open_();
    await mkdir(inFolder("sub"));
    await symlink(folder, join(home, "alias"));
    for (const [path, directory] of [
      ["relative"],
      [join(home, "x"), "relative"],
      [inFolder("done")],
      [inFolder("rejected", "deep")],
      [home],
      [join(home, "x"), join(home, "x")],
      [join(home, "x"), folder],
      [join(home, "alias")],
      [folder, join(home, "elsewhere")],
    ] as const)
      await assert.rejects(folders.add(path, directory), invalid, path);
    assert.equal((await folders.add(folder)).configured, true, "adding it again is no error");
    assert.equal((await folders.add(inFolder("sub"))).path, inFolder("sub"));
    await assert.rejects(folders.remove(folder), invalid);
    await assert.rejects(folders.remove(join(home, "x")), invalid);
  });

  test("that cannot be made are an error when added, and a problem when configured", async () => {
    await writeFile(join(home, "file"), "");
    await open_({ folders: [{ path: join(home, "file", "watch") }] });
    assert.match(folders.list()[0]?.problem ?? "", /ENOTDIR/);
    await assert.rejects(folders.add(join(home, "file", "other")), { code: "ENOTDIR" });
  });

  test("that vanish are watched again when they come back", async () => {
    await open_();
    await rename(folder, join(home, "away"));
    await waitFor("the problem", () => folders.list()[0]?.problem !== undefined);
    assert.match(folders.list()[0]?.problem ?? "", /no such file/);
    await mkdir(folder);
    await waitFor("the end of the problem", () => folders.list()[0]?.problem === undefined);
    await drop("list.txt", "http://h/1\n");
    await done("list.txt");
  });
});
