/**
 * The daemon's beginning, its end and what may come between: told to end while it starts, told twice, told while it reads
 * its configuration again. In no case does a process stay that neither serves nor leaves.
 *
 * What cannot be had from outside at a given instant is brought into the process by a module loaded before it.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { EXIT } from "../../src/shared/errors.ts";
import { NotifySocket } from "../support/notify-socket.ts";
import { type Daemon, Home } from "../support/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { missing } from "../support/tools.ts";
import { waitFor } from "../support/wait.ts";

/** How a process ended; one that neither serves nor leaves is killed, and so ends in the wrong way. */
async function endOf(daemon: Pick<Daemon, "exited" | "kill">, signal?: NodeJS.Signals) {
  const patience = setTimeout(() => void daemon.kill(), 10_000);
  const end = await (signal === undefined ? daemon.exited : daemon.kill(signal));
  clearTimeout(patience);
  return end;
}

const ended = { code: EXIT.ok, signal: null };

/** The environment that loads this module before the program. */
const preload = (code: string) => ({ NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` });

/** Runs code instead of the first `listen`, which takes the state folder: the start has begun, and is far from its end. */
const atListen = (code: string) =>
  preload(`import { Server } from "node:net";
    const { listen } = Server.prototype;
    Server.prototype.listen = function (...options) {
      Server.prototype.listen = listen;
      ${code}
    };`);

describe("told to end", () => {
  test("while it starts, it ends instead of becoming ready", async () => {
    await using home = await Home.create({
      env: atListen(
        "process.kill(process.pid, 'SIGTERM'); return setTimeout(() => listen.apply(this, options), 50), this;",
      ),
    });
    const daemon = home.launch();
    assert.deepEqual(await endOf(daemon), ended, daemon.log());
    assert.match(daemon.log(), /ending/);
    assert.doesNotMatch(daemon.log(), /ready/);
    assert.ok(!existsSync(join(home.path, "state/snatchd.pid")), "what it had begun is taken back");
  });

  test("while a start hangs, it leaves when its time is up", async () => {
    await using home = await Home.create({
      config: "[daemon]\nshutdown_timeout = 0.3\n",
      env: atListen("process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1e6); return this;"),
    });
    const daemon = home.launch();
    assert.deepEqual(await endOf(daemon), ended, daemon.log());
    assert.match(daemon.log(), /not everything ended in time/);
  });

  test("at any moment of its start, it ends, and the next one starts", async () => {
    await using home = await Home.create();
    for (const after of [150, 250, 350, 450]) {
      const daemon = home.launch();
      await new Promise((resolve) => setTimeout(resolve, after));
      const { code, signal } = await endOf(daemon, "SIGTERM");
      // Before it has read its configuration a signal does what it does to any process.
      assert.ok(code === EXIT.ok || signal === "SIGTERM", `after ${after} ms: ${code} ${signal}\n${daemon.log()}`);
    }
    await home.start();
  });

  test("twice, and to read its configuration meanwhile, it ends once", async () => {
    await using home = await Home.create();
    const daemon = await home.start();
    for (const signal of ["SIGTERM", "SIGHUP", "SIGINT", "SIGTERM"] as const) process.kill(daemon.pid, signal);
    assert.deepEqual(await endOf(daemon), ended, daemon.log());
    await home.start();
  });

  test("while it reads its configuration, it does not wait for that", async () => {
    // The second reading of the file never ends.
    await using home = await Home.create({
      config: "max_concurrent_downloads = 3\n",
      env: preload(`import fs from "node:fs/promises"; import { syncBuiltinESMExports } from "node:module";
        const { readFile } = fs;
        let reads = 0;
        fs.readFile = (path, ...options) => {
          if (!String(path).endsWith("config.toml") || ++reads === 1) return readFile(path, ...options);
          process.kill(process.pid, "SIGTERM");
          return new Promise(() => {});
        };
        syncBuiltinESMExports();`),
    });
    const daemon = await home.start();
    await waitFor("ready", () => daemon.log().includes("ready"));
    process.kill(daemon.pid, "SIGHUP");
    assert.deepEqual(await endOf(daemon), ended, daemon.log());
    assert.doesNotMatch(daemon.log(), /not everything ended in time/);
  });

  test("it leaves although something keeps the process alive", async () => {
    await using home = await Home.create({ env: preload("setInterval(() => {}, 1e6)") });
    const daemon = await home.start();
    assert.deepEqual(await endOf(daemon, "SIGTERM"), ended);
    assert.match(daemon.log(), /still open/);
  });
});

test("a start that fails ends with the code of its reason, whatever keeps the process alive", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const address = taken.address();
  const port = typeof address === "object" ? address?.port : 0;
  await using home = await Home.create({
    config: `[daemon]\nlisten = ["127.0.0.1:${port}"]\n`,
    env: preload("setInterval(() => {}, 1e6)"),
  });
  const daemon = home.launch();
  const { code, signal } = await endOf(daemon);
  taken.close();
  assert.equal(signal, null);
  assert.ok(code !== null && code > 0, `${code}`);
  assert.match(daemon.log(), /snatchd: [A-Z_]+: .*\d/);
});

describe("systemd is told of a reload", { skip: missing("python3", "systemd-notify") }, () => {
  for (const [name, text] of [
    ["that changes something", "max_concurrent_downloads = 7\n"],
    ["that fails", 'max_concurrent_downloads = "many"\n'],
  ] as const) {
    test(`${name}, before and after`, async () => {
      await using socket = await NotifySocket.create();
      await using home = await Home.create({ env: { NOTIFY_SOCKET: socket.path } });
      const daemon = await home.start();
      await socket.waitFor("READY=1");
      const before = process.hrtime.bigint() / 1000n;
      await writeFile(join(home.path, "config.toml"), text);
      process.kill(daemon.pid, "SIGHUP");
      await socket.waitFor("READY=1", 2);
      const said = socket.messages.map(([first]) => first).filter((first) => /^(READY|RELOADING)/.test(first ?? ""));
      assert.deepEqual(said, ["READY=1", "RELOADING=1", "READY=1"]);
      const reloading = socket.messages.find(([first]) => first === "RELOADING=1");
      const time = BigInt(/^MONOTONIC_USEC=(\d+)$/.exec(reloading?.[1] ?? "")?.[1] ?? 0);
      assert.ok(time >= before && time <= process.hrtime.bigint() / 1000n, `${reloading} was sent after ${before}`);
      assert.deepEqual(await endOf(daemon, "SIGTERM"), ended);
    });
  }
});

test("systemd hears that the end has begun, and not only that it is over", {
  skip: missing("python3", "systemd-notify"),
}, async () => {
  await using socket = await NotifySocket.create();
  // The note that the database leaves when it is closed is never written.
  const hang = preload(`import fs from "node:fs/promises"; import { syncBuiltinESMExports } from "node:module";
    const { writeFile } = fs;
    fs.writeFile = (path, ...options) =>
      String(path).endsWith("CLOSED") ? new Promise(() => {}) : writeFile(path, ...options);
    syncBuiltinESMExports();`);
  await using home = await Home.create({
    config: "[daemon]\nshutdown_timeout = 0.5\n",
    env: { NOTIFY_SOCKET: socket.path, ...hang },
  });
  const daemon = await home.start();
  await socket.waitFor("READY=1");
  assert.deepEqual(await endOf(daemon, "SIGTERM"), ended);
  assert.match(daemon.log(), /not everything ended in time/);
  await socket.waitFor("STOPPING=1", 1, 1000);
});

test("the notification tool hangs: the daemon serves, and ends in time", async () => {
  await using tools = await temporaryFolder();
  await writeFile(join(tools.path, "systemd-notify"), "#!/bin/sh\nexec sleep 4\n");
  await chmod(join(tools.path, "systemd-notify"), 0o755);
  await using home = await Home.create({
    config: "[daemon]\nshutdown_timeout = 0.3\n",
    env: { NOTIFY_SOCKET: "/nowhere", PATH: `${tools.path}:${process.env["PATH"]}` },
  });
  const daemon = await home.start();
  await waitFor("ready", () => daemon.log().includes("ready"), 3000);
  const before = performance.now();
  assert.deepEqual(await endOf(daemon, "SIGTERM"), ended);
  assert.ok(performance.now() - before < 3000);
});
