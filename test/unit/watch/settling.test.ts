import assert from "node:assert/strict";
import type { BigIntStats } from "node:fs";
import { test } from "node:test";
import { remaining, type Sighting, sight } from "../../../src/daemon/watch/settling.ts";

const NOW = 1_000_000;

/** A file last written `age` ms ago; its inode changed `later` ms after that. */
const file = (age: number, later = 0, size = 5n) =>
  ({
    dev: 1n,
    ino: 2n,
    size,
    mtimeMs: BigInt(NOW - age),
    mtimeNs: BigInt(NOW - age) * 1_000_000n,
    ctimeNs: BigInt(NOW - age + later) * 1_000_000n,
  }) as BigIntStats;

const known = (stats: BigIntStats, since: number): Sighting => ({ ...sight(stats, undefined, since) });

for (const [name, stats, before, finished, expected] of [
  ["just written, seen first", file(0), undefined, true, 1000],
  ["written a while ago, seen first", file(400), undefined, true, 600],
  ["written long ago, seen first", file(5000), undefined, true, 0],
  ["renamed in", file(1, 5), undefined, true, 0],
  ["renamed in, but it looks unfinished", file(1, 5), undefined, false, 2999],
  ["changed in place since it was seen", file(0, 5, 6n), known(file(0), 400), true, 1000],
  ["seen before, unchanged", file(0), known(file(0), 300), true, 800],
  ["a time in the future does not hold it up", file(-9_000_000), known(file(-9_000_000), -500), true, 0],
] as const) {
  test(`${name}: ${expected} ms`, () => {
    const monotonic = 500;
    const sighting = sight(stats, before, monotonic);
    const context = { monotonic, now: NOW, settleMs: 1000, finished };
    assert.equal(remaining(stats, before, sighting, context), expected);
  });
}
