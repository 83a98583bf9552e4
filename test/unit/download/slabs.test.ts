import assert from "node:assert/strict";
import { test } from "node:test";
import { Slabs } from "../../../src/daemon/download/slabs.ts";

test("a buffer that was given back is lent again, to whoever wants its size", () => {
  const slabs = new Slabs(() => 3000);
  const slab = slabs.take(1000);
  slabs.give(slab);
  assert.notEqual(slabs.take(999), slab);
  assert.equal(slabs.take(1000), slab);
  assert.notEqual(slabs.take(1000), slab);
});

test("no more lies idle than may, and nothing when memory has become short", () => {
  let keep = 2500;
  const slabs = new Slabs(() => keep);
  const lent = [1000, 1000, 1000].map((size) => slabs.take(size));
  for (const slab of lent) slabs.give(slab);
  const again = [1000, 1000, 1000].map((size) => slabs.take(size));
  assert.equal(again.filter((slab) => lent.includes(slab)).length, 2);
  keep = 0;
  for (const slab of again) slabs.give(slab);
  assert.ok(!again.includes(slabs.take(1000)));
  keep = 5000;
  const last = slabs.take(1000);
  slabs.give(last);
  slabs.clear();
  assert.notEqual(slabs.take(1000), last);
});
