import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { configChecks } from "../../../src/daemon/config/checks.ts";
import { initializeConfig } from "../../../src/daemon/config/initialize.ts";
import type { Check } from "../../../src/daemon/core/ports/house.ts";
import { sandbox } from "./places.ts";

const check = (id: string, run: Check["run"]): Check => ({ id, title: id, run });
const fine = check("fine", async () => ({ status: "ok", message: "fine" }));

describe("initializeConfig", () => {
  test("gives the configuration and the room's checks", async (context) => {
    const { root, env } = await sandbox(context);
    const report = await initializeConfig({ env, home: root });
    assert.equal(report.config?.max_concurrent_downloads, 3);
    assert.deepEqual(
      report.checks.map(({ id }) => id),
      ["config", "folders"],
    );
    assert.deepEqual(report.checks[0], {
      id: "config",
      title: "Configuration",
      status: "ok",
      message: join(root, "config.toml"),
    });
    assert.deepEqual(await readdir(root), [], "checks leave nothing behind");
  });

  test("checks run side by side; one that hangs or throws fails by its name, the others go on", async (context) => {
    const { env } = await sandbox(context);
    const meeting = Promise.withResolvers<void>();
    const report = await initializeConfig({
      env,
      timeoutMs: 100,
      checks: [
        check("hangs", () => new Promise(() => undefined)),
        check("throws", () => Promise.reject(new Error("no idea"))),
        check("throws_at_once", () => {
          throw new Error("not even a promise");
        }),
        check("waits", async () => {
          await meeting.promise;
          return { status: "ok", message: "met" };
        }),
        check("is_waited_for", async () => {
          meeting.resolve();
          return { status: "warning", message: "met", fix: "nothing" };
        }),
      ],
    });
    assert.deepEqual(
      report.checks.slice(1).map(({ id, status, message }) => [id, status, message]),
      [
        ["hangs", "failed", "gave no answer within 0.1 s"],
        ["throws", "failed", "the check itself failed: no idea"],
        ["throws_at_once", "failed", "the check itself failed: not even a promise"],
        ["waits", "ok", "met"],
        ["is_waited_for", "warning", "met"],
      ],
    );
  });

  test("a hanging check is told to stop, and so are all when the caller gives up", async (context) => {
    const { env } = await sandbox(context);
    const told: string[] = [];
    const hang = check("hangs", (signal) => {
      signal.addEventListener("abort", () => told.push("hangs"));
      return new Promise(() => undefined);
    });
    await initializeConfig({ env, timeoutMs: 20, checks: [hang] });
    assert.deepEqual(told, ["hangs"]);
    const { checks } = await initializeConfig({ env, checks: [hang], signal: AbortSignal.abort() });
    assert.deepEqual([checks[1]?.status, checks[1]?.message], ["failed", "was called off"]);
  });

  test("a broken configuration is part of the report; the checks get what is right of it", async (context) => {
    const { root, env, file } = await sandbox(context);
    await file("config.toml", 'max_retries = "x"\nmax_concurrent_downloads = 7\n[formats.a]\n');
    const seen: number[] = [];
    const report = await initializeConfig({
      env,
      home: root,
      checks: (config) => {
        seen.push(config.max_retries, config.max_concurrent_downloads, Object.keys(config.formats).length);
        return [fine];
      },
    });
    assert.equal(report.config, undefined);
    assert.deepEqual(seen, [5, 7, 0]);
    assert.deepEqual(
      report.problems.map(({ key }) => key),
      ["max_retries", "formats.a.format"],
    );
    assert.deepEqual(
      report.checks.map(({ id, status }) => [id, status]),
      [
        ["config", "failed"],
        ["fine", "ok"],
      ],
    );
  });

  test("a warning keeps the configuration usable", async (context) => {
    const { env } = await sandbox(context);
    const report = await initializeConfig({ env: { ...env, SNATCH_NO: "1" }, checks: [] });
    assert.ok(report.config);
    assert.equal(report.checks[0]?.status, "warning");
  });

  test("only the checks that were asked for", async (context) => {
    const { env } = await sandbox(context);
    const { checks } = await initializeConfig({ env, checks: [fine], ids: ["fine"] });
    assert.deepEqual(checks, [{ id: "fine", title: "fine", status: "ok", message: "fine" }]);
    await assert.rejects(initializeConfig({ env, checks: [fine], ids: ["fien"] }), {
      code: "INVALID_ARGUMENT",
      message: "there is no check fien; did you mean fine?",
    });
  });
});

describe("the room's checks", () => {
  const run = async (id: string, options: Parameters<typeof initializeConfig>[0]) => {
    const { checks } = await initializeConfig({ ...options, checks: configChecks, ids: [id] });
    return checks[0] ?? assert.fail();
  };

  test("folders: something in the way is named", async (context) => {
    const { root, env, file } = await sandbox(context);
    await file("state", "not a folder");
    const outcome = await run("folders", { env, home: root });
    assert.deepEqual([outcome.status, outcome.message], ["failed", `state folder: ${root}/state is not a folder`]);
  });
});
