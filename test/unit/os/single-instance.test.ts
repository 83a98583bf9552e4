import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { SingleInstance } from "../../../src/daemon/os/single-instance.ts";

const MODULE = new URL("../../../src/daemon/os/single-instance.ts", import.meta.url).href;
const HOLDER = `
  import { SingleInstance } from ${JSON.stringify(MODULE)};
  try {
    await new SingleInstance({ stateDir: process.argv[1] }).start();
    process.stdout.write("held\\n");
    setInterval(() => {}, 1000);
  } catch (error) {
    process.stdout.write(error.code + " " + error.metadata.pid + "\\n");
  }`;

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "snatch-single-"));
});
after(() => rm(folder, { recursive: true, force: true }));

/** Another process that tries to take a folder. @returns it, and what it says */
async function other(stateDir: string): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", HOLDER, stateDir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said] = await once(child.stdout.setEncoding("utf8"), "data");
  return { child, said: String(said).trim() };
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

function refusedBy(pid: number | undefined) {
  return (error: unknown) => {
    assert.ok(error instanceof DownloadError);
    assert.equal(error.code, "ALREADY_RUNNING");
    assert.equal(error.metadata["pid"], String(pid));
    assert.ok(error.message.includes(`pid ${pid}`), error.message);
    return true;
  };
}

describe("a state folder", () => {
  test("has one holder; the second is told the first one's pid; kill -9 sets it free", async () => {
    const stateDir = join(folder, "killed");
    const { child, said } = await other(stateDir);
    assert.equal(said, "held");
    assert.equal(readFileSync(join(stateDir, "snatchd.pid"), "utf8"), `${child.pid}\n`);
    const second = new SingleInstance({ stateDir });
    await assert.rejects(second.start(), refusedBy(child.pid));
    await kill(child);
    await second.start();
    assert.equal(readFileSync(join(stateDir, "snatchd.pid"), "utf8"), `${process.pid}\n`);
    await second[Symbol.asyncDispose]();
    assert.equal(existsSync(join(stateDir, "snatchd.pid")), false);
  });

  test("is the same by another path", {
    skip: process.platform !== "linux" && "Linux: named by its inode",
  }, async () => {
    const stateDir = join(folder, "real");
    await using first = new SingleInstance({ stateDir });
    await first.start();
    await symlink(stateDir, join(folder, "link"));
    await assert.rejects(new SingleInstance({ stateDir: join(folder, "link") }).start(), refusedBy(process.pid));
  });

  test("stays taken while its holder is stopped and cannot answer", async () => {
    const stateDir = join(folder, "stopped");
    const { child } = await other(stateDir);
    child.kill("SIGSTOP");
    await assert.rejects(new SingleInstance({ stateDir }).start(), refusedBy(child.pid));
    await kill(child);
  });

  test("of many that start together exactly one gets it", async () => {
    const stateDir = join(folder, "race");
    const all = await Promise.all(Array.from({ length: 6 }, () => other(stateDir)));
    const [winner, ...more] = all.filter(({ said }) => said === "held");
    assert.equal(more.length, 0);
    for (const { child, said } of all)
      if (child !== winner?.child) assert.equal(said, `ALREADY_RUNNING ${winner?.child.pid}`);
    if (winner) await kill(winner.child);
  });

  test("two folders are two", async () => {
    await using first = new SingleInstance({ stateDir: join(folder, "a") });
    await using second = new SingleInstance({ stateDir: join(folder, "b") });
    await first.start();
    await second.start();
  });
});
