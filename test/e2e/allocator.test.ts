/** The daemon's allocator is told to be frugal by whoever starts it, and by nobody who starts something else. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { withFrugalAllocator } from "../../src/shared/allocator.ts";
import { Home } from "../support/program.ts";

const linux = { skip: process.platform !== "linux" && "what a process was started with is read from /proc" };

/** The settings of the daemon that `snatchctl daemon start` starts, and of a command that it runs. */
async function settingsOf(env: Readonly<Record<string, string>>): Promise<string[]> {
  await using home = await Home.create({ env });
  const { code, stderr } = await home.ctl(["daemon", "start"]);
  assert.equal(code, 0, stderr);
  const { stdout } = await home.ctl(["daemon", "status", "--json"]);
  const { pid } = JSON.parse(stdout) as { pid: number };
  const environ = (await readFile(`/proc/${pid}/environ`, "utf8")).split("\0");
  await home.ctl(["daemon", "stop"]);
  return environ.filter((text) => text.startsWith("MALLOC_")).sort();
}

test("snatchctl starts a frugal daemon, in the very words of the systemd units", linux, async () => {
  const settings = await settingsOf({});
  assert.equal(settings.length, 3);
  for (const unit of ["snatchd.service", "snatchd-user.service"]) {
    const text = await readFile(new URL(`../../systemd/${unit}`, import.meta.url), "utf8");
    const [, line = ""] = /^Environment=(MALLOC_.*)$/m.exec(text) ?? [];
    assert.deepEqual(line.split(" ").sort(), settings, unit);
  }
});

test("what somebody has set for it stays", linux, async () => {
  assert.deepEqual(await settingsOf({ MALLOC_ARENA_MAX: "3" }), ["MALLOC_ARENA_MAX=3"]);
  assert.deepEqual(withFrugalAllocator({ MALLOC_TRIM_THRESHOLD_: "1" }), { MALLOC_TRIM_THRESHOLD_: "1" });
});
