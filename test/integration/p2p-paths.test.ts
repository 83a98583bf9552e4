/** Peers behind real NATs, as far as `npm test` has the time: `npm run accept p2p` tries every pair, at full size. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noNatRig } from "../support/rigs.ts";
import {
  MODE_PAIRS,
  NAT_PAIRS,
  type NatPair,
  nameOf,
  natPaths,
  severalTakers,
} from "../support/scenarios/p2p-paths.ts";

const skip = noNatRig();

/** Those that take a race that is lost take half a minute and more. */
const MODES: readonly NatPair[] = MODE_PAIRS.filter(({ giver, paths }) => giver === "none" || paths.length > 0);

for (const name of [
  ...["cone/cone", "udpblock/sym", "sym/none", "sym/sym IPv6 open"],
  ...["sym/sym IPv6 firewalls", "sym/sym IPv6 firewalls STUN by UDP alone"],
  ...MODES.map(nameOf),
]) {
  test(`a way between ${name}, or none`, { skip }, async () => {
    const pairs = [...NAT_PAIRS, ...MODE_PAIRS].filter((pair) => nameOf(pair) === name);
    assert.equal(pairs.length, 1);
    const { ok, values } = await natPaths({ pairs, bytes: 4 * 1024 * 1024, signalDelayMs: 20 });
    assert.ok(ok, JSON.stringify(values));
  });
}

test("five takers of one giver at once", { skip }, async () => {
  const { ok, values } = await severalTakers({ bytes: 4 * 1024 * 1024 });
  assert.ok(ok, JSON.stringify(values));
});
