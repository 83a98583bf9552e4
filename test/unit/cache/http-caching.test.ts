/** The rules of HTTP caching: the table, and what holds for every field that an origin could send. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseCacheControl } from "../../../src/daemon/cache/cache-control.ts";
import { freshnessLifetime, freshUntil, reuse } from "../../../src/daemon/cache/http-caching.ts";
import { cases } from "../../support/http-caching-cases.ts";

describe("the table", () => {
  assert.ok(cases.length >= 60);
  assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length, "each name once");
  for (const { name, check } of cases) test(name, check);
});

const heuristic = { longest: 86_400, without: 60 };
const directive = fc.oneof(
  fc.constantFrom(
    "max-age=60",
    'max-age="5"',
    "max-age",
    "max-age=",
    "no-cache",
    'x="a, b\\""',
    "private",
    ",",
    "=",
    '"',
    "immutable",
  ),
  fc.string({ maxLength: 12 }),
);

test("whatever Cache-Control says, it is read in a moment, and an answer is fresh for a time that makes sense", () => {
  fc.assert(
    fc.property(fc.array(directive, { maxLength: 30 }), fc.string(), fc.string(), (parts, expires, date) => {
      const value = parts.join(",");
      const headers = new Map([
        ["cache-control", value],
        ["expires", expires],
        ["date", date],
      ]);
      const answer = { status: 200, headers, requestTime: 0, responseTime: 0, varied: new Map<string, string>() };
      const lifetime = freshnessLifetime(answer, heuristic);
      assert.ok(lifetime >= 0 && lifetime <= 2 ** 31);
      assert.ok(freshUntil(answer, heuristic) >= 0);
      if (parseCacheControl(value).directives.has("no-cache"))
        assert.notEqual(reuse(answer, { method: "GET", headers: new Map() }, 1, heuristic), "fresh");
    }),
  );
});

test("a Cache-Control of 64 KiB is read in less than a second", () => {
  for (const piece of ['"', "a=", 'a="', "\\", "a ", " ", '="\\"', ","]) {
    const before = performance.now();
    parseCacheControl(piece.repeat(65_536 / piece.length));
    assert.ok(performance.now() - before < 1000, JSON.stringify(piece));
  }
});
