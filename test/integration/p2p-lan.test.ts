/** Two machines on one network: how fast, and that nothing leaves it where that is asked for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noNatRig } from "../support/rigs.ts";
import { lanFetch, nothingLeaves } from "../support/scenarios/p2p-lan.ts";

const skip = noNatRig();

test("a file is fetched by multicast DNS alone, soon after its code is known", { skip }, async () => {
  // `npm run accept p2p` holds it to a second; here other tests run beside it.
  const { ok, values } = await lanFetch({ bytes: 16 * 1024, runs: 3, boundMs: 5000 });
  assert.ok(ok, JSON.stringify(values));
});

test("lan-only sends nothing beyond the local network, whatever is configured", { skip }, async () => {
  const { ok, values } = await nothingLeaves({ bytes: 16 * 1024 });
  assert.ok(ok, JSON.stringify(values));
});
