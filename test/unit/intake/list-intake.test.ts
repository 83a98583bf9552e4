import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { appendFile, mkdir, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { ListFiles, ListJob } from "../../../src/daemon/core/ports/intake.ts";
import type { KeyValue } from "../../../src/daemon/core/ports/key-value.ts";
import { ListIntake } from "../../../src/daemon/intake/list-intake.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { readMetalink } from "../../../src/daemon/resolve/metalink.ts";
import { encodeShareCode } from "../../../src/shared/share-code.ts";
import { ListSessions } from "../../support/list-sessions.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { waitFor } from "../../support/wait.ts";

let folder: string;
let store: KeyValue;
let sessions: ListSessions;
let intake: ListIntake;
let files: ListFiles;

const open = () => {
  sessions = new ListSessions(store);
  const parts = {
    intake: sessions,
    sessions,
    store,
    directory: () => "/dl",
    metalink: readMetalink,
    clock: new SystemClock(),
  };
  intake = new ListIntake({ ...parts, logger: new RecordLogger() });
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "snatch-intake-"));
  files = papers("list");
  store = new MemoryKeyValue();
  open();
  await intake.start();
});

afterEach(async () => {
  await intake[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const papers = (stem: string): ListFiles => ({
  done: join(folder, "done", `${stem}.txt`),
  report: join(folder, "done", `${stem}.report.jsonl`),
  rejected: join(folder, "rejected", `${stem}.txt`),
});

async function* bytesOf(text: string | Uint8Array, size = 64 * 1024) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const job = (text: string | Uint8Array, more: Partial<ListJob> = {}): ListJob => ({
  name: "list.txt",
  bytes: bytesOf(text),
  options: { directory: folder },
  ledger: { key: "key", files },
  ...more,
});

/** As a dead process leaves it: nothing is flushed, a new one opens the store. */
const restart = async () => {
  open();
  await intake.start();
};

/** The whole lines of a report. */
const report = (path = files.report): { line: number; status: string; [field: string]: unknown }[] =>
  existsSync(path)
    ? readFileSync(path, "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line))
    : [];

const reported = (count: number, path = files.report) =>
  waitFor(`${count} lines in the report`, () => report(path).length >= count && report(path));

const numbered = (count: number) => Array.from({ length: count }, (_, n) => `http://h/${n}\n`).join("");

async function ledgerKeys(): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of store.entries("ledger")) keys.push(key);
  return keys;
}

describe("taking a list", () => {
  test("in batches of a thousand, in order, with the list's options under those of the line", async () => {
    const text = `${numbered(2500)}http://h/own\n  dir=own\n  header=A: line\n`;
    const options = { directory: folder, limit: 5, headers: [["a", "list"] as const, ["B", "list"] as const] };
    const taken = await intake.take(job(gzipSync(text), { options }));
    assert.deepEqual([taken.accepted, taken.refused, sessions.calls], [2501, 0, [1000, 1000, 501]]);
    const own = (await sessions.all()).find(({ url }) => url.endsWith("own"));
    assert.deepEqual(own?.options, {
      directory: join(folder, "own"),
      limit: 5,
      headers: [
        ["B", "list"],
        ["A", "line"],
      ],
    });
    assert.equal(own?.batchId, taken.batchId);
  });

  test("of a refused code nothing is kept, neither in the ledger nor in the file of refused lines", async () => {
    const code = encodeShareCode(Buffer.alloc(15, 0xa7));
    const slip = code.replace(/.$/, (last) => (last === "7" ? "8" : "7"));
    const written: string[] = [];
    const write = store.write.bind(store);
    store.write = (writes, options) => {
      written.push(JSON.stringify(writes));
      return write(writes, options);
    };
    const lines = [
      code,
      `  ${code.toLowerCase()}`,
      `snatch:${code}`,
      `snatch:${code} for Ann`,
      slip,
      `snatch:${slip}`,
      slip.replaceAll("-", ""),
      slip.slice(0, -1),
      `${slip}2`,
      slip.replaceAll("-", " "),
      `http://h/a\t${slip}`,
      `see ${slip}`,
      `${code}\u0007`,
    ];
    const { refused, refusedLines } = await intake.take(job(`${lines.join("\n")}\n`));
    assert.equal(refused, lines.length);
    const kept = [...written, readFileSync(files.rejected, "utf8"), JSON.stringify(refusedLines)].join("\n");
    const bare = kept.replace(/[-\s]/g, "").toUpperCase();
    for (const part of code.split("-").slice(0, 4)) assert.ok(!bare.includes(part), `${part} is kept`);
    assert.match(kept, /snatch:\*\*\*/);
  });

  test("refused lines stop nothing, come back with their reasons, and are a list once corrected", async () => {
    const text = "http://h/1\nftp://h/2\n  out=two\nnonsense\n\0\0\nhttp://h/3\n  x=1\n";
    const { accepted, refused, refusedLines } = await intake.take(job(text));
    assert.deepEqual([accepted, refused], [1, 4]);
    assert.deepEqual(
      refusedLines.map(({ lineNumber, code }) => [lineNumber, code]),
      [
        [2, "UNSUPPORTED_SCHEME"],
        [4, "INVALID_URL"],
        [5, "LIST_NOT_TEXT"],
        [6, "LIST_LINE_INVALID"],
      ],
    );
    const rejected = readFileSync(files.rejected, "utf8");
    assert.match(rejected, /^# line 2: UNSUPPORTED_SCHEME: .*\nftp:\/\/h\/2\n {2}out=two\n# line 4: INVALID_URL/);
    const corrected = rejected
      .replace("\nftp:", "\nhttp:")
      .replace("\nnonsense", "\nhttp://h/4")
      .replace("\n  x=1", "\n  out=3");
    const second = await intake.take(job(corrected, { ledger: { key: "2", files: papers("second") } }));
    assert.deepEqual([second.accepted, second.refused], [3, 0]);
    const lines = await reported(4);
    assert.deepEqual(lines.map(({ line, status }) => `${line} ${status}`).sort(), [
      "2 refused",
      "4 refused",
      "5 refused",
      "6 refused",
    ]);
  });

  test("what is no text at all is refused as a whole", async () => {
    const taken = await intake.take(job(Buffer.from("\ufeffhttp://h/1\n", "utf16le")));
    assert.deepEqual([taken.accepted, taken.refused], [0, 1]);
    assert.match(readFileSync(files.rejected, "utf8"), /^# line 1: LIST_NOT_TEXT: .*UTF-16LE.*\n$/);
  });

  test("gzip that breaks off: what came before is taken", async () => {
    const text = Array.from({ length: 5000 }, () => `http://h/${Math.random()}\n`).join("");
    const packed = gzipSync(text);
    const { accepted, refused } = await intake.take(job(packed.subarray(0, packed.length / 2)));
    assert.ok(accepted > 1000 && accepted < 5000 && refused === 2, `${accepted} ${refused}`);
  });

  test("without a ledger nothing is written down besides the sessions", async () => {
    const { ledger: _, ...rest } = job("http://h/1\nnonsense\n  out=x\n");
    const taken = await intake.take({ ...rest, options: {}, allowedDirectories: ["/dl"] });
    assert.deepEqual([taken.accepted, taken.refused, taken.files], [1, 1, undefined]);
    assert.equal((await sessions.all())[0]?.options.directory, "/dl");
    assert.deepEqual(await ledgerKeys(), []);
  });

  test("no symbolic link leads out of the folders that a list may write to", async () => {
    const allowed = join(folder, "allowed");
    await mkdir(join(allowed, "inside"), { recursive: true });
    await symlink(folder, join(allowed, "way-out"));
    await symlink(join(folder, "nowhere"), join(allowed, "dangling"));
    const entry = (option: string) => `http://h/${encodeURIComponent(option)}\n  ${option}\n`;
    const bad = ["dir=way-out", "dir=way-out/new", "out=way-out/x", "out=dangling"];
    const good = ["dir=inside", "out=inside/new/x", "out=x"];
    const { ledger: _, ...rest } = job([...bad, ...good].map(entry).join(""), { options: { directory: allowed } });
    const taken = await intake.take({ ...rest, allowedDirectories: [allowed] });
    assert.deepEqual(
      taken.refusedLines.map(({ lineNumber, code }) => [lineNumber, code]),
      [1, 3, 5, 7].map((line) => [line, "TARGET_NOT_ALLOWED"]),
    );
    assert.equal(taken.accepted, good.length);
    assert.equal((await intake.take({ ...rest, bytes: bytesOf(bad.map(entry).join("")) })).accepted, bad.length);
  });

  test("what is handed back shows no secret", async () => {
    const long = "x".repeat(990);
    const text =
      "http://u:geheim@h/1\thttp://h/2?token=geheim\n  header=Authorization: Bearer geheim\n  user-agent=geheim\n" +
      "  referer=http://u:geheim@h/\n  out=/x\n" +
      "http://h/1\n  header: Cookie: geheim\nhttp://h/1\n  header Cookie: geheim=1\nhttp://h/1\n  header=geheim\n" +
      `http://h/${long}?token=geheim&x=1\n  out=/x\nhttp://u:${"geheim".repeat(200)}@h/\n  out=/x\n`;
    const unreadable = Buffer.from(`ftp://u:${"geheim".repeat(100)}@h/\x01\n`);
    const { refusedLines } = await intake.take(job(Buffer.concat([Buffer.from(text), unreadable])));
    assert.equal(refusedLines.length, 7);
    assert.doesNotMatch(JSON.stringify(refusedLines), /gehe/);
    assert.equal(
      refusedLines[0]?.line,
      "http://u:***@h/1\thttp://h/2?token=***\n  header=Authorization: ***\n  user-agent=***\n" +
        "  referer=http://u:***@h/\n  out=/x",
    );
  });

  test("what is handed back shows no code", async () => {
    const codes = await intake.take(
      job(
        "snatch:7HKZM-4TQ2W-9XNPA-BCDEF-GH123\n  out=/x\n7hkzm 4tq2w 9xnpa bcdef gh123\nhttp://h/\tsnatch:7HKZM\n  out=/x\n",
      ),
    );
    assert.equal(codes.refusedLines.length, 3);
    assert.doesNotMatch(codes.refusedLines.map(({ line }) => line).join(), /7hkzm|bcdef/i);
  });

  test("an abort stops between two batches", async () => {
    const stop = new AbortController();
    sessions.beforeAccept = () => stop.abort(failure("SHUTTING_DOWN", "the test ends"));
    await assert.rejects(intake.take(job(numbered(3000), { signal: stop.signal })), { code: "SHUTTING_DOWN" });
    assert.deepEqual(sessions.calls, [1000]);
  });
});

describe("taking a list again", () => {
  test("a list that was cut short goes on where it stopped", async () => {
    const text = `${numbered(1500)}nonsense\n${numbered(3000).slice(numbered(1500).length)}`;
    sessions.beforeAccept = (call) => {
      if (call === 2) throw failure("SHUTTING_DOWN", "killed");
    };
    await assert.rejects(intake.take(job(gzipSync(text))), { code: "SHUTTING_DOWN" });
    const before = await sessions.all();
    await restart();
    const other = { key: "key", files: papers("other") };
    const taken = await intake.take(job(gzipSync(text), { ledger: other }));
    assert.deepEqual([taken.accepted, taken.refused, taken.files], [3000, 1, files]);
    assert.deepEqual(sessions.calls, [1000, 1], "only the rest was accepted");
    assert.equal(before[0]?.batchId, taken.batchId);
    assert.equal((await sessions.all()).length, 3000);
    const third = await intake.take(job(gzipSync(text)));
    assert.deepEqual([third.accepted, third.batchId, sessions.calls.length], [3000, taken.batchId, 2]);
  });

  test("the same content after it was settled: no new sessions, a full report of its own", async () => {
    await intake.take(job(numbered(20)));
    for (const session of await sessions.all()) await sessions.end(session);
    await intake.settle("key");
    await reported(20);
    const again = papers("again");
    const taken = await intake.take(job(numbered(20), { ledger: { key: "key", files: again } }));
    assert.deepEqual([taken.accepted, taken.files], [20, again]);
    assert.equal((await sessions.all()).length, 20);
    const lines = await reported(20, again.report);
    assert.ok(lines.every(({ status }) => status === "already"));
  });

  test("a report that is spoken for is known until it is whole", async () => {
    await intake.take(job(numbered(1)));
    await intake.settle("key");
    assert.equal(intake.isReporting(files.report), true);
    await assert.rejects(intake.take(job(numbered(2), { ledger: { key: "new", files } })), {
      code: "INVALID_ARGUMENT",
    });
    for (const session of await sessions.all()) await sessions.end(session);
    await waitFor("the end of the report", () => !intake.isReporting(files.report));
    assert.deepEqual(await ledgerKeys(), [], "nothing stays in the ledger");
  });
});

describe("the report", () => {
  const end = async (match: (url: string) => boolean) => {
    for (const session of await sessions.all()) if (match(session.url)) await sessions.end(session);
  };

  test("says what became of each line, without secrets", async () => {
    await intake.take(
      job("http://u:pw@h/ok?token=s3cret\nhttp://h/bad\nhttp://h/gone\nhttp://u:pw@h x\nhttp://h/bad\n"),
    );
    const [ok, bad, gone] = (await sessions.all()).sort((a, b) => (a.url < b.url ? 1 : -1)).map((s) => s);
    assert.ok(ok && bad && gone);
    const by = (part: string) => [ok, bad, gone].find(({ url }) => url.includes(part)) ?? ok;
    await sessions.end(by("ok"));
    await sessions.end(by("bad"), { code: "HTTP_NOT_FOUND", message: "404" });
    await sessions.remove(by("gone"));
    const lines = (await reported(5)).sort((a, b) => a.line - b.line);
    assert.deepEqual(lines, [
      {
        line: 1,
        url: "http://u:***@h/ok?token=***",
        session_id: by("ok").id,
        status: "completed",
        path: `${folder}/ok`,
        bytes: 7,
      },
      {
        line: 2,
        url: "http://h/bad",
        session_id: by("bad").id,
        status: "failed",
        error: { code: "HTTP_NOT_FOUND", message: "404" },
      },
      {
        line: 3,
        url: "http://h/gone",
        session_id: by("gone").id,
        status: "cancelled",
        error: { code: "CANCELLED", message: "the session was removed" },
      },
      { line: 4, url: lines[3]?.["url"], status: "refused", error: lines[3]?.["error"] },
      { ...lines[1], line: 5 },
    ]);
    assert.ok(!readFileSync(files.report, "utf8").includes("s3cret"));
  });

  test("goes on after a restart, with what ended meanwhile, and cuts off what was not recorded", async () => {
    await intake.take(job(numbered(30)));
    await end((url) => url.endsWith("1"));
    await reported(3);
    await waitFor(
      "the ledger's record",
      async () =>
        (await store.get("ledger", "p!x")) === undefined &&
        (await ledgerKeys()).filter((key) => key.startsWith("s!")).length === 27,
    );
    const { size } = await stat(files.report);
    await intake[Symbol.asyncDispose]();
    await appendFile(files.report, '{"line":5,"status":"compl'); // an append that the end of the process cut short
    await end((url) => url.endsWith("2"));
    await sessions.remove((await sessions.all()).find(({ url }) => url.endsWith("/13")) as never);
    await restart();
    await reported(7);
    await end((url) => !url.endsWith("1") && !url.endsWith("2"));
    const lines = await reported(30);
    assert.deepEqual(
      lines.map(({ line }) => line).sort((a, b) => a - b),
      Array.from({ length: 30 }, (_, n) => n + 1),
    );
    assert.equal(lines.find(({ line }) => line === 14)?.status, "cancelled");
    assert.ok((await stat(files.report)).size > size);
  });

  test("waits until it can be written", async () => {
    await writeFile(join(folder, "done"), "in the way");
    await intake.take(job(numbered(3)));
    await end(() => true);
    await intake[Symbol.asyncDispose]();
    assert.equal((await ledgerKeys()).filter((key) => key.startsWith("s!")).length, 3, "nothing is given up");
    await rm(join(folder, "done"));
    await restart();
    assert.equal((await reported(3)).length, 3);
  });

  test("a file of refused lines that somebody has corrected already is left", async () => {
    await mkdir(join(folder, "rejected"));
    await writeFile(files.rejected, "http://h/corrected\n");
    await intake.take(job("nonsense\n"));
    assert.equal(readFileSync(files.rejected, "utf8"), "http://h/corrected\n");
    assert.ok(!existsSync(`${files.rejected}.part`));
  });
});

describe("a Metalink", () => {
  const SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
  const text = `<?xml version="1.0"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <file name="../up/a.iso"><size>5</size><hash type="sha-256">${SHA256}</hash>
    <url priority="2">http://two.example/a</url><url priority="1">http://one.example/a</url></file>
  <file name="none"><url>ftp://f.example/none</url></file>
  <file name="${"n".repeat(300)}"><url>http://one.example/n</url></file>
  <file name="b.iso"><url>http://one.example/b</url></file>
</metalink>`;

  for (const [what, name, bytes] of [
    ["by its name", "x.meta4", text],
    ["by how it begins", "stdin", text],
    ["packed", "x.metalink.gz", gzipSync(text)],
  ] as const)
    test(`${what}: each file is an entry, its place the line`, async () => {
      const taken = await intake.take(job(bytes, { name }));
      assert.deepEqual([taken.accepted, taken.refused], [2, 2]);
      const [first, second] = (await sessions.all()).toSorted((a, b) => (a.url < b.url ? -1 : 1));
      assert.deepEqual([first?.url, ...(first?.mirrors ?? [])], ["http://one.example/a", "http://two.example/a"]);
      assert.deepEqual(first?.options, {
        output: join(folder, "up/a.iso"),
        checksum: { algorithm: "sha-256", value: SHA256 },
        size: 5,
      });
      assert.deepEqual(second?.options, { output: join(folder, "b.iso") });
      assert.deepEqual(
        taken.refusedLines.map(({ lineNumber, code }) => `${lineNumber} ${code}`),
        ["2 METALINK_INVALID", "3 NAME_INVALID"],
      );
      const rejected = readFileSync(files.rejected, "utf8");
      assert.match(rejected, /^http:\/\/one\.example\/n\n {2}out=n{300}$/m);
    });

  test("one that cannot be read is one refused line", async () => {
    const taken = await intake.take(job(`<!DOCTYPE a [<!ENTITY b "b">]>${text}`, { name: "x.meta4" }));
    assert.deepEqual([taken.accepted, taken.refused], [0, 1]);
    assert.equal(taken.refusedLines[0]?.code, "METALINK_INVALID");
    const broken = await intake.take(
      job(Buffer.from([0x3c, 0xff, 0xfe]), { name: "y.meta4", ledger: { key: "2", files: papers("y") } }),
    );
    assert.equal(broken.refusedLines[0]?.code, "LIST_NOT_TEXT");
  });

  test("cut short between two batches, it is gone on with where it was", async () => {
    const many = Array.from(
      { length: 2500 },
      (_, index) => `<file name="f${index}"><url>http://h.example/${index}</url></file>`,
    );
    const whole = `<metalink xmlns="urn:ietf:params:xml:ns:metalink">${many.join("\n")}</metalink>`;
    sessions.beforeAccept = (call) => {
      if (call === 2) throw failure("SHUTTING_DOWN", "the daemon ends");
    };
    await assert.rejects(intake.take(job(whole, { name: "x.meta4" })), { code: "SHUTTING_DOWN" });
    sessions.beforeAccept = () => {};
    const taken = await intake.take(job(whole, { name: "x.meta4" }));
    assert.equal(taken.accepted, 2500);
    const all = await sessions.all();
    assert.equal(new Set(all.map(({ url }) => url)).size, 2500);
    assert.deepEqual(sessions.calls, [1000, 1000, 500]);
  });
});
