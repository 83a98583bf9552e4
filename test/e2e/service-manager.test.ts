/** The daemon as a service manager sees it: notifications on a real socket, signals, exit codes, a socket handed over. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { EXIT } from "../../src/shared/errors.ts";
import { NotifySocket } from "../support/notify-socket.ts";
import { Home, PROGRAMS } from "../support/program.ts";
import { missing } from "../support/tools.ts";

const skip = missing("python3", "systemd-notify");

describe("under a service manager", () => {
  test("READY, STATUS, WATCHDOG and STOPPING arrive, and SIGTERM ends it well", { skip }, async () => {
    await using socket = await NotifySocket.create();
    await using home = await Home.create({ env: { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: "400000" } });
    const daemon = await home.start();
    await socket.waitFor("READY=1");
    await socket.waitFor("WATCHDOG=1", 2);
    const ready = socket.messages.find((message) => message.includes("READY=1"));
    assert.ok(ready?.includes(`MAINPID=${daemon.pid}`), `${ready}`);
    assert.ok(
      ready?.some((assignment) => assignment.startsWith("STATUS=")),
      `${ready}`,
    );
    assert.deepEqual(await daemon.kill("SIGTERM"), { code: EXIT.ok, signal: null });
    assert.equal(socket.messages.at(-1)?.[0], "STOPPING=1");
  });

  test("another process's watchdog is not fed", { skip }, async () => {
    await using socket = await NotifySocket.create();
    const env = { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: "100000", WATCHDOG_PID: "1" };
    await using home = await Home.create({ env });
    const daemon = await home.start();
    await socket.waitFor("READY=1");
    await daemon.kill("SIGTERM");
    assert.ok(!socket.messages.some(([first]) => first === "WATCHDOG=1"));
  });

  test("SIGHUP reads the configuration again and says what changed", async () => {
    await using home = await Home.create({ config: "max_concurrent_downloads = 3\n" });
    const daemon = await home.start();
    await writeFile(join(home.path, "config.toml"), "max_concurrent_downloads = 7\n");
    process.kill(daemon.pid, "SIGHUP");
    while (!daemon.log().includes("max_concurrent_downloads: 3 → 7"))
      await new Promise((next) => void setTimeout(next, 10));
    const shown = await home.ctl(["config", "get", "max_concurrent_downloads"]);
    assert.equal(shown.stdout.trim(), "7");
  });

  test("a second daemon for the same folder names the first and ends with its own code", async () => {
    await using home = await Home.create();
    const first = await home.start();
    const second = home.launch();
    assert.deepEqual(await second.exited, { code: EXIT.alreadyRunning, signal: null });
    assert.ok(second.log().includes("ALREADY_RUNNING"), second.log());
    assert.ok(second.log().includes(`pid ${first.pid}`), second.log());
    assert.equal((await home.ctl(["daemon", "status"])).code, 0);
  });

  test("a socket that systemd listens on is taken over", { skip: missing("systemd-socket-activate") }, async () => {
    await using home = await Home.create();
    const variables = ["PATH", "HOME", "SNATCH_HOME"].map((name) => `--setenv=${name}=${home.env[name] ?? ""}`);
    const activator = spawn(
      "systemd-socket-activate",
      [`--listen=${home.socket}`, ...variables, process.execPath, PROGRAMS.snatchd],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    try {
      await once(activator.stderr, "data");
      const status = await home.ctl(["daemon", "status", "--json"]);
      assert.equal(status.code, 0, status.stderr);
      // systemd-socket-activate becomes the daemon by exec.
      assert.equal(status.json()[0]?.["pid"], activator.pid);
      activator.kill("SIGTERM");
      assert.deepEqual(await once(activator, "exit"), [0, null]);
      await access(home.socket);
    } finally {
      activator.kill("SIGKILL");
    }
  });
});
