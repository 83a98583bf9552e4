/** Who does not know the code learns nothing: see the scenarios, which acceptance runs as well. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { between, foreignClient, suites, wrongCode } from "../support/scenarios/p2p-strangers.ts";

for (const suite of ["modern", "classic"] as const) {
  for (const scenario of [wrongCode, between, foreignClient]) {
    test(`${suite}: ${scenario.name}`, async (context) => {
      const { ok, values } = await scenario(suite);
      context.diagnostic(JSON.stringify(values));
      assert.ok(ok, JSON.stringify(values, undefined, 2));
    });
  }
}

test("each suite is exactly what it says", async (context) => {
  const { ok, values } = await suites();
  context.diagnostic(JSON.stringify(values));
  assert.ok(ok, JSON.stringify(values, undefined, 2));
});
