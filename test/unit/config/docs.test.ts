import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { parse } from "smol-toml";
import { FIELDS } from "../../../src/daemon/config/fields.ts";
import { loadConfig } from "../../../src/daemon/config/load.ts";
import { editDistance, nearest } from "../../../src/daemon/config/nearest.ts";
import { sandbox } from "./places.ts";

test("docs/CONFIGURATION.md and docs/ERRORS.md are what their sources say", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["scripts/docs.ts", "--check"], { encoding: "utf8" });
  assert.equal(status, 0, `run node scripts/docs.ts: ${stdout}${stderr}`);
});

test("the example in docs/CONFIGURATION.md loads", async (context) => {
  const example = /```toml\n(.*?)```/s.exec(readFileSync("docs/CONFIGURATION.md", "utf8"))?.[1] ?? "";
  assert.ok(Object.keys(parse(example)).length > 3);
  const { env, file } = await sandbox(context);
  assert.equal((await loadConfig(await file("config.toml", example), { env })).limit, 20 * 1024 * 1024);
});

test("every key says what it means, under names of its own", () => {
  for (const field of FIELDS) {
    assert.match(field.description, /^[A-Z`].*\.$/, field.key);
    if (field.kind === "number")
      assert.notEqual(field.unit, field.key === "plugins.NAME.priority" ? "x" : "", field.key);
    assert.match(field.key, /^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*|\.NAME)*$/);
  }
  for (const names of [FIELDS.map((field) => field.environment), FIELDS.map((field) => field.flag)])
    assert.equal(new Set(names).size, FIELDS.length);
  const level = FIELDS.find((field) => field.key === "log.level");
  assert.deepEqual([level?.environment, level?.flag], ["SNATCH_LOG__LEVEL", "--log.level"]);
  const most = FIELDS.find((field) => field.key === "max_concurrent_downloads");
  assert.deepEqual([most?.environment, most?.flag], ["SNATCH_MAX_CONCURRENT_DOWNLOADS", "--max-concurrent-downloads"]);
});

describe("the nearest name", () => {
  for (const [from, to, distance] of [
    ["", "", 0],
    ["abc", "", 3],
    ["kitten", "sitting", 3],
    ["retires", "retries", 1],
    ["level", "levels", 1],
  ] as const)
    test(`${from} to ${to}`, () => {
      assert.equal(editDistance(from, to), distance);
      assert.equal(editDistance(to, from), distance);
    });

  test("is near, or there is none", () => {
    const names = ["max_retries", "retry_delay", "log.level", "log.keep", "events.keep"];
    assert.equal(nearest("maxRetires", names), "max_retries");
    assert.equal(nearest("logs.level", names), "log.level");
    assert.equal(nearest("events.kep", names), "events.keep");
    assert.equal(nearest("colour", names), undefined);
  });
});
