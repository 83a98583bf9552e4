/** Hostile frames in small: by seeds that are kept, and by one of its own each time; `npm run fuzz` has more of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostileFrames } from "../support/scenarios/p2p-frames.ts";

/** Seeds that once found something, and the first one. */
const KEPT = [1];

for (const seed of [...KEPT, Math.floor(Math.random() * 2 ** 31)]) {
  test(`peers that know the code and mean harm: no crash, no growth${KEPT.includes(seed) ? `, seed ${seed}` : ""}`, async (context) => {
    const { ok, values } = await hostileFrames({ iterations: 1000, seed });
    context.diagnostic(JSON.stringify(values));
    assert.ok(ok, JSON.stringify(values, undefined, 2));
  });
}
