/** What every `KeyValue` does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { KeyRange, KeyValue, Write } from "../../src/daemon/core/ports/key-value.ts";

/** An implementation under test, empty, and its end. */
export interface KeyValueFixture extends AsyncDisposable {
  readonly keyValue: KeyValue;
}

const put = (space: string, key: string, value = key): Write => ({ type: "put", space, key, value });
const del = (space: string, key: string): Write => ({ type: "del", space, key });
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

async function keys(keyValue: KeyValue, space: string, range?: KeyRange): Promise<string[]> {
  const found: string[] = [];
  for await (const [key] of keyValue.entries(space, range)) found.push(key);
  return found;
}

/** Declares the tests of one implementation. */
export function keyValueContract(name: string, make: () => Promise<KeyValueFixture>): void {
  test(`${name}: what is not there is undefined`, async () => {
    await using fixture = await make();
    assert.equal(await fixture.keyValue.get("a", "x"), undefined);
    assert.deepEqual(await fixture.keyValue.getMany("a", ["x", "y"]), [undefined, undefined]);
    assert.deepEqual(await fixture.keyValue.getMany("a", []), []);
    assert.deepEqual(await keys(fixture.keyValue, "a"), []);
  });

  test(`${name}: spaces are apart, also where one name begins another`, async () => {
    await using fixture = await make();
    const { keyValue } = fixture;
    await keyValue.write([put("a", "x", "1"), put("ab", "x", "2"), put("a!", "x", "3"), put("b", "x", "4")]);
    await keyValue.write([del("ab", "x"), put("ab", "y", "5")]);
    assert.deepEqual(await keys(keyValue, "a"), ["x"]);
    assert.deepEqual(await keys(keyValue, "ab"), ["y"]);
    assert.equal(await keyValue.get("a!", "x"), "3");
    assert.equal(await keyValue.get("b", "x"), "4");
  });

  test(`${name}: later changes of a batch win over earlier ones`, async () => {
    await using fixture = await make();
    await fixture.keyValue.write([put("a", "x", "1"), del("a", "x"), put("a", "y"), put("a", "x", "2"), del("a", "y")]);
    assert.deepEqual(await fixture.keyValue.getMany("a", ["x", "y"]), ["2", undefined]);
  });

  test(`${name}: calls made at the same time are applied in their order`, async () => {
    await using fixture = await make();
    const { keyValue } = fixture;
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        await keyValue.write([put("a", "x", String(index))], { sync: index % 7 === 0 });
        order.push(index);
      }),
    );
    assert.equal(await keyValue.get("a", "x"), "199");
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
  });

  test(`${name}: an empty write resolves after those before it`, async () => {
    await using fixture = await make();
    const { keyValue } = fixture;
    void keyValue.write([put("a", "x", "1")]);
    await keyValue.write([]);
    assert.equal(await keyValue.get("a", "x"), "1");
  });

  test(`${name}: a scan sees the state of its beginning, and may be left early`, async () => {
    await using fixture = await make();
    const { keyValue } = fixture;
    await keyValue.write(Array.from({ length: 3000 }, (_, index) => put("a", String(index).padStart(5, "0"))));
    let seen = 0;
    for await (const _ of keyValue.entries("a")) if (++seen === 10) break;
    assert.equal(seen, 10);
    assert.equal((await keys(keyValue, "a")).length, 3000);
    assert.deepEqual(await keys(keyValue, "a", { reverse: true, limit: 2 }), ["02999", "02998"]);
  });

  test(`${name}: scans keep to their bounds, in UTF-8 order, whatever the keys`, async () => {
    const key = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 4 }),
      fc.constantFrom("", "a", "ab", "\u{ffff}", "\u{10000}", "~"),
    );
    const bounds = fc.record(
      { gt: key, gte: key, lt: key, lte: key, reverse: fc.boolean(), limit: fc.nat(5) },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(key, { maxLength: 20 }), bounds, async (all, range) => {
        if (range.gt !== undefined) delete range.gte;
        if (range.lt !== undefined) delete range.lte;
        await using fixture = await make();
        await fixture.keyValue.write(all.map((each) => put("a", each)).concat(put("Z", "x"), put("b", "x")));
        const expected = all
          .filter((each) => range.gt === undefined || byBytes(each, range.gt) > 0)
          .filter((each) => range.gte === undefined || byBytes(each, range.gte) >= 0)
          .filter((each) => range.lt === undefined || byBytes(each, range.lt) < 0)
          .filter((each) => range.lte === undefined || byBytes(each, range.lte) <= 0)
          .sort(byBytes);
        if (range.reverse) expected.reverse();
        assert.deepEqual(await keys(fixture.keyValue, "a", range), expected.slice(0, range.limit));
      }),
      { numRuns: 40 },
    );
  });
}
