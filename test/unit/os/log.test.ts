import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { failure } from "../../../src/daemon/core/errors.ts";
import { Log, type LogOptions, writesTo } from "../../../src/daemon/os/log.ts";
import { LogFile } from "../../../src/daemon/os/log-file.ts";
import { escapeControls, formatRecord } from "../../../src/daemon/os/log-text.ts";

/** A log into memory; its lines. */
function capture(options: Partial<LogOptions>, stream: { isTTY?: boolean; fd?: number } = {}) {
  const lines: string[] = [];
  const log = new Log({ level: "info", env: {}, ...options }, { ...stream, write: (text) => lines.push(text) });
  return { log, lines };
}

function temporary(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "snatch-log-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

describe("the log", () => {
  test("is JSON in a pipe, one object a line", () => {
    const { log, lines } = capture({});
    log.logger.child({ room: "http" }).warn({ host: "example.org", bytes: 12 }, "slow\nhost");
    assert.equal(lines.length, 1);
    const { time, ...rest } = JSON.parse(lines[0] ?? "");
    assert.deepEqual(rest, { level: "warn", room: "http", host: "example.org", bytes: 12, msg: "slow\nhost" });
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
  });

  test("is text on a terminal, with colour unless NO_COLOR is set", () => {
    const coloured = capture({}, { isTTY: true });
    coloured.log.logger.info({}, "hello");
    assert.ok(coloured.lines[0]?.includes("\u001b[32mINFO"));
    const plain = capture({ env: { NO_COLOR: "1" } }, { isTTY: true });
    plain.log.logger.child({ room: "session" }).info({ name: "a b", n: 1 }, "hello");
    assert.match(plain.lines[0] ?? "", /^\d\d:\d\d:\d\d\.\d{3} INFO {2}session: hello name="a b" n=1\n$/);
  });

  test("has priorities in the journal, and only there", () => {
    using folder = temporary();
    const fd = openSync(join(folder.path, "journal"), "a");
    const { dev, ino } = statSync(join(folder.path, "journal"));
    const journal = capture({ env: { JOURNAL_STREAM: `${dev}:${ino}` }, level: "debug" }, { fd });
    journal.log.logger.debug({}, "d");
    journal.log.logger.info({}, "i");
    journal.log.logger.warn({ n: 1 }, "w");
    journal.log.logger.error({}, "e");
    assert.deepEqual(journal.lines, ["<7>d\n", "<6>i\n", "<4>w n=1\n", "<3>e\n"]);
    const json = capture({ env: { JOURNAL_STREAM: `${dev}:${ino}` }, format: "json" }, { fd });
    json.log.logger.error({}, "e");
    assert.match(json.lines[0] ?? "", /^<3>\{"level":"error"/);
    const redirected = capture({ env: { JOURNAL_STREAM: `${dev}:${ino + 1}` } }, { fd });
    redirected.log.logger.error({}, "e");
    assert.match(redirected.lines[0] ?? "", /^\{/);
  });

  test("a change of level holds at once, in children too", () => {
    const { log, lines } = capture({});
    const child = log.logger.child({ room: "x" });
    child.debug({}, "no");
    log.setLevel("debug");
    child.debug({}, "yes");
    log.setLevel("error");
    child.warn({}, "no");
    log.setLevel("silent");
    child.error({}, "no");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).msg),
      ["yes"],
    );
  });

  test("an error shows its class, code, message and cause", () => {
    const { log, lines } = capture({ format: "pretty" });
    const error = failure("CONNECTION_LOST", "the line broke", { cause: new Error("read ECONNRESET") });
    log.logger.error({ err: error }, "attempt failed");
    assert.match(
      lines[0] ?? "",
      /err="NetworkError CONNECTION_LOST: the line broke: read ECONNRESET \(at .*errors\.ts/,
    );
    assert.equal(lines[0]?.split("\n").length, 2);
  });

  test("a record is one line and holds nothing that a terminal obeys, whatever is in it", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" })),
        fc.string({ unit: "binary" }),
        (fields, message) => {
          const { log, lines } = capture({ format: "pretty" });
          log.logger.info(fields, message);
          assert.match(lines[0] ?? "", /^[^\p{Cc}\p{Bidi_Control}\u2028\u2029]*\n$/u);
        },
      ),
    );
    assert.equal(escapeControls("a\n\t\u001b[2J\u009b\u202e"), "a\\n\\t\\u001b[2J\\u009b\\u202e");
    assert.match(formatRecord({ level: "info", msg: "m", time: "rubbish" }, { time: true, colour: false }), /^--:--/);
  });
});

describe("a log file", () => {
  test("rotates at its size and keeps as many as it is told", () => {
    using folder = temporary();
    const path = join(folder.path, "logs/snatchd.log");
    using file = new LogFile({ path, maxSize: 100, keep: 2 });
    for (let line = 0; line < 50; line++) file.write(`${String(line).padStart(39, "0")}\n`);
    assert.deepEqual(readdirSync(join(folder.path, "logs")).sort(), ["snatchd.log", "snatchd.log.1", "snatchd.log.2"]);
    assert.match(readFileSync(path, "utf8"), /^0+48\n0+49\n$/);
    assert.match(readFileSync(`${path}.1`, "utf8"), /^0+46\n0+47\n$/);
    assert.match(readFileSync(`${path}.2`, "utf8"), /^0+44\n0+45\n$/);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  test("keeps none if it is told so", () => {
    using folder = temporary();
    const path = join(folder.path, "snatchd.log");
    using file = new LogFile({ path, maxSize: 20, keep: 0 });
    for (let line = 0; line < 9; line++) file.write(`line ${line}\n`);
    assert.deepEqual(readdirSync(folder.path), ["snatchd.log"]);
    assert.ok(statSync(path).size <= 20);
  });

  test("goes on at the end of what is there, and opens anew when it was moved away", () => {
    using folder = temporary();
    const path = join(folder.path, "snatchd.log");
    using log = new Log({ level: "info", file: { path, maxSize: 10_000, keep: 1 } });
    assert.equal(log.path, path);
    log.logger.info({}, "one");
    renameSync(path, `${path}.moved`);
    log.logger.info({}, "two");
    log.reopen();
    log.logger.info({}, "three");
    assert.deepEqual(messages(`${path}.moved`), ["one", "two"]);
    assert.deepEqual(messages(path), ["three"]);
  });

  test("a full disk costs lines, not the process", { skip: process.platform !== "linux" && "needs /dev/full" }, () => {
    using file = new LogFile({ path: "/dev/full", maxSize: 1000, keep: 0 });
    for (let line = 0; line < 5; line++) file.write("lost\n");
    assert.equal(file.lost, 5);
  });

  test("says how many lines were lost once it can write again", () => {
    using folder = temporary();
    const path = join(folder.path, "snatchd.log");
    mkdirSync(path);
    using file = new LogFile({ path, maxSize: 1000, keep: 1 });
    file.write("lost\n");
    file.write("lost\n");
    rmSync(path, { recursive: true });
    file.write('{"msg":"back"}\n');
    assert.deepEqual(messages(path), ["log lines were lost", "back"]);
    assert.equal(file.lost, 0);
  });

  test("a rotation that fails does not stop the log", () => {
    using folder = temporary();
    const path = join(folder.path, "snatchd.log");
    mkdirSync(`${path}.1`);
    using file = new LogFile({ path, maxSize: 20, keep: 1 });
    for (let line = 0; line < 9; line++) file.write(`line ${line}\n`);
    assert.equal(readFileSync(path, "utf8").split("\n").length, 10);
  });

  test("a descriptor is known to be the log file, or not", () => {
    using folder = temporary();
    const path = join(folder.path, "snatchd.log");
    const fd = openSync(path, "a");
    assert.equal(writesTo(path, fd), true);
    renameSync(path, `${path}.1`);
    assert.equal(writesTo(path, fd), false);
    assert.equal(writesTo(folder.path, fd), false);
  });

  test("a reader that goes away does not end the process", async () => {
    const program = `
      import { Log } from ${JSON.stringify(new URL("../../../src/daemon/os/log.ts", import.meta.url).href)};
      const log = new Log({ level: "info", env: {} });
      process.stdin.once("data", () => {
        log.logger.info({}, "into the void");
        setImmediate(() => log.logger.info({}, "again"));
      });
      process.stdout.write("up");`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["pipe", "pipe", "pipe"] });
    await once(child.stdout, "data");
    child.stderr.destroy();
    child.stdin.end("go");
    const [code, signal] = await once(child, "exit");
    assert.deepEqual([code, signal], [0, null]);
  });
});

function messages(path: string): string[] {
  return readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).msg as string);
}
