/** The daemon begins a second time as the same process, with its allocator told to be frugal. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Home } from "../support/program.ts";

const linux = { skip: process.platform !== "linux" && "execve is used on Linux" };

async function seen(env: Readonly<Record<string, string>>): Promise<{ name: string | undefined; set: boolean }> {
  await using home = await Home.create({ env });
  const { pid } = await home.start();
  const read = async (file: string) => (await readFile(`/proc/${pid}/${file}`, "utf8")).split("\0");
  const [name] = await read("cmdline");
  return { name, set: (await read("environ")).some((text) => text.startsWith("MALLOC_TRIM_THRESHOLD_=")) };
}

test("the allocator is told to be frugal, in the process that was started", linux, async () => {
  assert.deepEqual(await seen({}), { name: "snatchd", set: true });
});

test("what somebody has set for it stays, and it begins once", linux, async () => {
  const found = await seen({ MALLOC_ARENA_MAX: "3" });
  assert.equal(found.set, false);
  assert.notEqual(found.name, "snatchd");
});
