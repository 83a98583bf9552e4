import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { Clock, Logger } from "../../../src/daemon/core/ports.ts";
import { HookRunner } from "../../../src/daemon/download/hook-runner.ts";

const clock = {
  timer: (ms: number, callback: () => void) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
} as Clock;

function listen() {
  const warnings: string[] = [];
  const quiet = () => undefined;
  const logger: Logger = {
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (_fields, message) => warnings.push(message),
    child: () => logger,
  };
  return { warnings, logger };
}

describe("hooks", () => {
  test("run by priority; the same name replaces the former", async () => {
    const order: string[] = [];
    const runner = new HookRunner(clock, listen().logger);
    const hook = (name: string) => ({ postDownload: () => void order.push(name) });
    runner.register("late", hook("late"), 20);
    runner.register("early", hook("former"), 5);
    runner.register("early", hook("early"), 5);
    const leave = runner.register("gone", hook("gone"), 1);
    leave();
    await runner.postDownload("http://a.test/", "/x");
    assert.deepEqual(order, ["early", "late"]);
  });

  test("preDownload vetoes with its reason", async () => {
    const runner = new HookRunner(clock, listen().logger);
    runner.register("guard", {
      preDownload: (url) => {
        if (url.includes("bad")) throw new Error("not on my watch");
      },
    });
    await runner.preDownload("http://good.test/", { sessionId: "1" });
    await assert.rejects(runner.preDownload("http://bad.test/", { sessionId: "1" }), {
      code: "VETOED",
      message: 'the hook "guard" refused the download: not on my watch',
    });
  });

  test("one that throws or hangs is named, and the others still run", async () => {
    const { warnings, logger } = listen();
    const runner = new HookRunner(clock, logger, 20);
    let reached = false;
    runner.register("thrower", { postDownload: () => Promise.reject(new Error("oh")) }, 1);
    runner.register("sleeper", { postDownload: () => sleep(60_000, undefined, { ref: false }) }, 2);
    runner.register(
      "last",
      {
        postDownload: () => {
          reached = true;
        },
      },
      3,
    );
    await runner.postDownload("http://a.test/", "/x");
    assert.equal(reached, true);
    assert.deepEqual(warnings, [
      'hook "thrower", postDownload: threw: Error: oh',
      'hook "sleeper", postDownload: took too long; going on without it',
    ]);
  });

  test("the first decision about an error counts", async () => {
    const runner = new HookRunner(clock, listen().logger);
    runner.register("a", { onError: () => undefined }, 1);
    runner.register("b", { onError: () => ({ action: "wait", seconds: 3 }) }, 2);
    runner.register("c", { onError: () => ({ action: "fail" }) }, 3);
    assert.deepEqual(await runner.onError("http://a.test/", failure("TIMED_OUT", "slow"), 1), {
      action: "wait",
      seconds: 3,
    });
  });
});
