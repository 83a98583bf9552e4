import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { checkNode, checkOpenFiles, osChecks } from "../../../src/daemon/os/checks.ts";
import { MemoryProbe } from "../../../src/daemon/os/memory.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "snatch-checks-"));
});
after(() => rm(folder, { recursive: true, force: true }));

/** Runs one of the room's checks. */
function run(id: string, options: { percent?: number; dir?: string } = {}, signal = new AbortController().signal) {
  const checks = osChecks({
    memory: new MemoryProbe(),
    memoryLimitPercent: () => options.percent ?? 100,
    profileDir: () => options.dir ?? folder,
  });
  const check = checks.find((one) => one.id === id);
  assert.ok(check);
  return check.run(signal);
}

describe("checks of the machine", () => {
  for (const [version, status] of [
    ["24.21.0", "ok"],
    ["26.0.0", "ok"],
    ["20.19.5", "failed"],
    ["9.0.0", "failed"],
  ] as const) {
    test(`Node ${version} is ${status}`, () => assert.equal(checkNode(version).status, status));
  }

  for (const [limits, status] of [
    [
      "Limit  Soft Limit  Hard Limit  Units\nMax open files            256                  4096                 files\n",
      "warning",
    ],
    ["Max open files            65536                65536                files\n", "ok"],
    ["Max open files            unlimited            unlimited            files\n", "ok"],
    [undefined, "skipped"],
  ] as const) {
    test(`open files: ${status}`, () => assert.equal(checkOpenFiles(limits).status, status));
  }

  test("memory: within the limit, and above it", async () => {
    assert.equal((await run("memory")).status, "ok");
    const tight = await run("memory", { percent: 0 });
    assert.equal(tight.status, "warning");
    assert.equal(tight.details?.["headroom_bytes"], "0");
  });

  test("the profile measures disk and hash and leaves nothing behind", async () => {
    const { status, details } = await run("profile");
    assert.equal(status, "ok");
    assert.ok(Number(details?.["disk_bytes_per_second"]) > 0);
    assert.ok(Number(details?.["sha256_bytes_per_second"]) > 0);
    assert.deepEqual(await readdir(folder), []);
  });

  test("the profile says why it failed, and stops when it is told", async () => {
    const missing = await run("profile", { dir: join(folder, "absent") });
    assert.equal(missing.status, "failed");
    assert.match(missing.message, /DIRECTORY_MISSING/);
    const stopped = await run("profile", {}, AbortSignal.abort(new Error("too late")));
    assert.match(stopped.message, /too late/);
    assert.deepEqual(await readdir(folder), []);
  });
});
