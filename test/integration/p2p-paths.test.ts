/** Peers behind real NATs, as far as `npm test` has the time: `npm run accept p2p` tries every pair, at full size. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noNatRig } from "../support/rigs.ts";
import { NAT_PAIRS, natPaths } from "../support/scenarios/p2p-paths.ts";

const skip = noNatRig();

for (const name of ["cone/cone", "udpblock/sym"]) {
  test(`a way between ${name}`, { skip }, async () => {
    const pairs = NAT_PAIRS.filter(({ giver, taker, mode }) => `${giver}/${taker}` === name && mode === undefined);
    assert.equal(pairs.length, 1);
    const { ok, values } = await natPaths({ pairs, bytes: 4 * 1024 * 1024, signalDelayMs: 20 });
    assert.ok(ok, JSON.stringify(values));
  });
}
