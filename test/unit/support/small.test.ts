import assert from "node:assert/strict";
import { test } from "node:test";
import { median } from "../../support/median.ts";
import { seeded } from "../../support/random.ts";
import { newcomerBlock } from "../../support/readme.ts";

test("the median of odd, even and no numbers", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([1, 2, 3, 10]), 2.5);
  assert.throws(() => median([]), RangeError);
});

test("the same seed gives the same chance, spread over the whole range", () => {
  const [a, b] = [seeded(7), seeded(7)];
  const numbers = Array.from({ length: 1000 }, () => a());
  assert.deepEqual(
    numbers.slice(0, 5),
    Array.from({ length: 5 }, () => b()),
  );
  assert.notEqual(seeded(8)(), numbers[0]);
  assert.ok(Math.min(...numbers) >= 0 && Math.min(...numbers) < 0.05);
  assert.ok(Math.max(...numbers) < 1 && Math.max(...numbers) > 0.95);
});

test("the block that a newcomer copies", () => {
  const readme = "# X\n\n<!-- newcomer:run -->\n```sh\none\ntwo\n```\n\n<!-- newcomer:test -->\n```sh\nthree\n```\n";
  assert.equal(newcomerBlock(readme, "run"), "one\ntwo\n");
  assert.equal(newcomerBlock(readme, "test"), "three\n");
  assert.throws(() => newcomerBlock(readme, "other"), /no block/);
});
