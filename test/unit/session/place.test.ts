import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MIDDLE, placeBetween, placeOf } from "../../../src/daemon/session/place.ts";

test("numbers in order are places in order", () => {
  const number = fc.maxSafeNat().map((value) => value % (2 * MIDDLE));
  fc.assert(
    fc.property(number, number, (a, b) => {
      assert.equal(placeOf(a) < placeOf(b), a < b);
    }),
  );
});

test("there is always room between two places, short of it only after many steps", () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.array(fc.nat(), { maxLength: 100 }), (start, gaps) => {
      const places = [placeOf(MIDDLE + start), placeOf(MIDDLE + start + 1)];
      for (const gap of gaps) {
        const at = gap % (places.length - 1);
        const [before = "", after = ""] = places.slice(at, at + 2);
        const between = placeBetween(before, after);
        assert.ok(between !== undefined && before < between && between < after, `${before} < ${between} < ${after}`);
        places.splice(at + 1, 0, between);
      }
      // Where entries carry a number behind their place, the order is the same.
      const keys = places.map((place, at) => `${place}!${999 - at}`);
      assert.deepEqual(keys.toSorted(), keys);
    }),
  );
});

test("none between equal places or against the order", () => {
  assert.equal(placeBetween("a", "a"), undefined);
  assert.equal(placeBetween("b", "a"), undefined);
});
