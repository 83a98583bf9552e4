import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Logger } from "../../../src/daemon/core/ports/runtime.ts";
import { SdNotify } from "../../../src/daemon/os/sd-notify.ts";
import { NotifySocket } from "../../support/notify-socket.ts";
import { TestClock } from "../../support/test-clock.ts";
import { missing } from "../../support/tools.ts";

/** A logger that counts. */
function counter() {
  const lines: string[] = [];
  const add = (_fields: object, message: string) => void lines.push(message);
  const logger: Logger = { debug: add, info: add, warn: add, error: add, child: () => logger };
  return { lines, logger };
}

const skip = missing("python3", "systemd-notify");

describe("sd_notify", () => {
  test("what is said arrives at a real socket, in order", { skip }, async () => {
    await using socket = await NotifySocket.create();
    const { logger, lines } = counter();
    const env = { ...process.env, NOTIFY_SOCKET: socket.path };
    const notify = new SdNotify({ clock: new TestClock(), logger, env });
    await Promise.all([
      notify.ready("ready\nREADY=0"),
      notify.status("2 active"),
      notify.status("2 active"),
      notify.reloading(),
      notify.ready("reloaded"),
    ]);
    await notify[Symbol.asyncDispose]();
    await notify.stopping();
    await socket.waitFor("STOPPING=1");
    const [reloading] = socket.messages.filter((message) => message[0] === "RELOADING=1");
    assert.match(reloading?.[1] ?? "", /^MONOTONIC_USEC=\d+$/);
    assert.deepEqual(
      socket.messages.filter((message) => message !== reloading),
      [
        ["READY=1", "STATUS=ready READY=0", `MAINPID=${process.pid}`],
        ["STATUS=2 active"],
        ["READY=1", "STATUS=reloaded", `MAINPID=${process.pid}`],
        ["STOPPING=1"],
      ],
    );
    assert.deepEqual(lines, []);
  });

  test("the watchdog is fed at half of its time while the daemon answers, and only then", { skip }, async () => {
    await using socket = await NotifySocket.create();
    const clock = new TestClock();
    const { logger, lines } = counter();
    const env = { ...process.env, NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: "20000000", WATCHDOG_PID: "77" };
    const notify = new SdNotify({ clock, logger, env, pid: 77 });
    let answer: () => Promise<boolean> = async () => true;
    assert.equal(
      notify.startWatchdog(() => answer()),
      10_000,
    );

    await clock.advance(9999);
    assert.equal(socket.messages.length, 0);
    await clock.advance(1);
    await socket.waitFor("WATCHDOG=1", 1);
    await clock.advance(10_000);
    await socket.waitFor("WATCHDOG=1", 2);

    answer = () => new Promise(() => {});
    await clock.advance(15_000);
    answer = async () => false;
    await clock.advance(10_000);
    answer = () => Promise.reject(new Error("unreachable"));
    await clock.advance(10_000);
    assert.equal(lines.length, 3, "each time it was not fed is logged");

    answer = async () => true;
    await clock.advance(10_000);
    await socket.waitFor("WATCHDOG=1", 3);
    await notify.stopping();
    await clock.advance(60_000);
    await socket.waitFor("STOPPING=1");
    assert.deepEqual(
      socket.messages.map(([first]) => first),
      ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"],
    );
    assert.equal(clock.pending, 0);
  });

  for (const [name, env] of [
    ["there is no service manager", { WATCHDOG_USEC: "1000" }],
    ["there is no watchdog", { NOTIFY_SOCKET: "/nowhere" }],
    ["the watchdog is another process's", { NOTIFY_SOCKET: "/nowhere", WATCHDOG_USEC: "1000", WATCHDOG_PID: "1" }],
    ["its time is rubbish", { NOTIFY_SOCKET: "/nowhere", WATCHDOG_USEC: "soon" }],
  ] as const) {
    test(`no watchdog runs when ${name}`, async () => {
      const clock = new TestClock();
      const notify = new SdNotify({ clock, logger: counter().logger, env, pid: 77 });
      assert.equal(
        notify.startWatchdog(async () => true),
        undefined,
      );
      assert.equal(clock.pending, 0);
    });
  }

  test("outside systemd nothing is spawned, and a tool that is missing is only logged", async () => {
    const { logger, lines } = counter();
    const outside = new SdNotify({ clock: new TestClock(), logger, env: { PATH: "/nowhere" } });
    await outside.ready("x");
    assert.equal(outside.active, false);
    assert.deepEqual(lines, []);
    const without = new SdNotify({ clock: new TestClock(), logger, env: { PATH: "/nowhere", NOTIFY_SOCKET: "/x" } });
    await without.ready("x");
    assert.deepEqual(lines, ["systemd was not notified"]);
  });
});
