/** A list of five thousand lines, and a process that is killed again and again while it takes it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Store } from "../../src/daemon/store/store.ts";
import { ListSessions } from "../support/list-sessions.ts";
import { RecordLogger } from "../support/record-logger.ts";

const LINES = 5000;
const TAKER = fileURLToPath(new URL("../support/list-taker.ts", import.meta.url));

/** Runs the process; kills it `after` milliseconds behind the line that it is to say. @returns true if it came to its end */
async function run(home: string, killAt: string | undefined, after: number): Promise<boolean> {
  const child = spawn(process.execPath, [TAKER, home], { stdio: ["ignore", "pipe", "inherit"] });
  const exit = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout })) {
    if (line !== killAt) continue;
    setTimeout(() => child.kill("SIGKILL"), after);
  }
  const [code, signal] = await exit;
  assert.ok(code === 0 || signal === "SIGKILL", `the process ended with ${code} ${signal}`);
  return code === 0;
}

test("a list that is killed at every stage has each line once", { timeout: 120_000 }, async () => {
  const home = await mkdtemp(join(tmpdir(), "snatch-list-kill-"));
  try {
    // Every hundredth line is refused, and one in fifty repeats the line before.
    const lines = Array.from({ length: LINES }, (_, n) =>
      n % 100 === 7 ? `nonsense ${n}` : `http://h/${n % 50 === 3 ? n - 1 : n}`,
    );
    await mkdir(join(home, "watch"));
    await writeFile(join(home, "watch", "list.txt"), lines.join("\n"));
    for (const killAt of ["batch 0", "batch 1", "batch 1", "batch 0", "moved", "moved"])
      await run(home, killAt, Math.random() * 40);
    assert.equal(await run(home, undefined, 0), true, "the last run comes to its end");

    const refused = lines.filter((line) => line.startsWith("nonsense"));
    await using store = new Store({ directory: join(home, "db"), logger: new RecordLogger() });
    await store.start();
    const sessions = await new ListSessions(store.keyValue).all();
    assert.equal(sessions.length, new Set(lines).size - refused.length);
    const report = readFileSync(join(home, "watch", "done", "list.report.jsonl"), "utf8")
      .trimEnd()
      .split("\n");
    const numbers = report.map((line) => (JSON.parse(line) as { line: number }).line).sort((a, b) => a - b);
    assert.deepEqual(
      numbers,
      Array.from(lines.keys(), (n) => n + 1),
    );
    const rejected = readFileSync(join(home, "watch", "rejected", "list.txt"), "utf8");
    assert.deepEqual(readdirSync(join(home, "watch", "done")).sort(), ["list.report.jsonl", "list.txt"]);
    assert.equal(readFileSync(join(home, "watch", "done", "list.txt"), "utf8"), lines.join("\n"));
    assert.deepEqual(
      rejected.split("\n").filter((line) => line.startsWith("nonsense")),
      refused,
    );
  } finally {
    await rm(home, { recursive: true });
  }
});
