import assert from "node:assert/strict";
import { test } from "node:test";
import { randomCacheRun } from "../../support/random-cache-run.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("2,000 random operations, bodies spoilt by hand, the process killed meanwhile", async (context) => {
  await using folder = await temporaryFolder();
  const seed = Math.floor(Math.random() * 2 ** 31);
  const outcome = await randomCacheRun({ operations: 2000, seed, folder: folder.path, killEvery: 400 });
  context.diagnostic(`seed ${seed}: ${JSON.stringify(outcome)}`);
  assert.ok(outcome.ok, JSON.stringify({ seed, ...outcome }));
  assert.ok(outcome.kills > 0 && outcome.hits > 100 && outcome.stores > 100, JSON.stringify(outcome));
});
