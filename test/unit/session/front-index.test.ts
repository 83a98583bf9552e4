import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyValue } from "../../../src/daemon/core/ports/key-value.ts";
import { FrontIndex } from "../../../src/daemon/session/front-index.ts";

/** A space whose scans see what was there when they began, and can be held in between. */
function space(keys: Set<string>) {
  const gate = { hold: Promise.resolve() };
  const store = {
    async *entries(_space: string, { gte = "" }: { gte?: string }) {
      const seen = [...keys].sort().filter((key) => key >= gte);
      await gate.hold;
      for (const key of seen) yield [key, ""] as const;
    },
  } as unknown as KeyValue;
  return { index: new FrontIndex(store, "due"), gate };
}

async function all(index: FrontIndex): Promise<string[]> {
  const found: string[] = [];
  for await (const key of index.keys()) found.push(key);
  return found;
}

test("an entry that is put while a scan is under way is found by the next one", async () => {
  const keys = new Set(["5", "7"]);
  const { index, gate } = space(keys);
  const held = Promise.withResolvers<void>();
  gate.hold = held.promise;
  const scan = all(index);
  const written = index.putting(["3"]);
  keys.add("3");
  written();
  held.resolve();
  assert.deepEqual(await scan, ["5", "7"]);
  assert.deepEqual(await all(index), ["3", "5", "7"]);
});

test("what is eaten is not looked at again", async () => {
  const keys = new Set(["1", "2", "3"]);
  const { index } = space(keys);
  await all(index);
  keys.delete("1");
  await all(index);
  // Without being told of it, the index does not look there.
  keys.add("1");
  assert.deepEqual(await all(index), ["2", "3"]);
});
