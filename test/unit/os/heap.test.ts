import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { getHeapSpaceStatistics } from "node:v8";
import { heap, loadFrugally } from "../../../src/daemon/os/heap.ts";

const MIB = 1024 * 1024;

/** Work whose objects live long enough to survive a few collections. @returns the most that the heap took, in bytes */
async function churn(objects: number): Promise<number> {
  const ring: object[] = [];
  let most = 0;
  for (let i = 0; i < objects; i++) {
    ring[i % 60_000] = { i, text: `entry ${i}` };
    if (i % 2000 !== 0) continue;
    most = Math.max(most, process.memoryUsage().heapTotal);
    await turn();
  }
  return most;
}

const young = (): number => getHeapSpaceStatistics().find((space) => space.space_name === "new_space")?.space_size ?? 0;

test("the young generation stays as it is while the program loads, and grows to its bound afterwards", async () => {
  const grow = loadFrugally();
  const before = young();
  await churn(500_000);
  assert.ok(young() <= Math.max(before, 4 * MIB), `${young()} bytes while loading`);
  grow();
  await churn(1_000_000);
  const after = young();
  assert.ok(after > before && after <= 40 * MIB, `${after} bytes afterwards`);
});

test("garbage is gone after a collection", () => {
  let garbage: unknown[] | undefined = Array.from({ length: 200_000 }, (_, i) => ({ text: `entry ${i}` }));
  const full = process.memoryUsage().heapUsed;
  assert.equal(garbage.length, 200_000);
  garbage = undefined;
  heap.collect();
  assert.ok(process.memoryUsage().heapUsed < full - 5e6);
});

test("a frugal heap is not larger than another", async () => {
  heap.frugal(true);
  const frugal = await churn(500_000);
  heap.frugal(false);
  heap.collect();
  assert.ok(frugal <= (await churn(500_000)) * 1.2);
});
