/** The randomised run in small, by a seed of its own each time; `npm run fuzz` has more of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { randomRun } from "../support/scenarios/random-run.ts";

test("50 random downloads from unreliable origins, the daemon killed meanwhile", async (context) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  context.diagnostic(`seed ${seed}`);
  const { ok, values } = await randomRun({ rounds: 50, seed });
  assert.ok(ok, JSON.stringify(values, undefined, 2));
});
