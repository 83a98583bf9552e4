import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { DownloadError } from "../../../src/daemon/core/errors.ts";
import type { SessionFilter } from "../../../src/daemon/core/ports/sessions.ts";
import type { Session } from "../../../src/daemon/core/session.ts";
import { matchesFilter, parseFilter } from "../../../src/daemon/session/filter.ts";

describe("filters", () => {
  for (const [text, filter] of [
    ["", {}],
    ["  ", {}],
    ["status = failed", { status: "failed" }],
    ["status=FAILED", { status: "failed" }],
    ["status != completed", { statusNot: "completed" }],
    ['status = failed AND batch_id = "x" AND url = "*.iso"', { status: "failed", batchId: "x", url: "*.iso" }],
    ['batch_id = "a \\"b\\" \\\\ AND c"', { batchId: 'a "b" \\ AND c' }],
    ["batch_id = 7d3f-11  ", { batchId: "7d3f-11" }],
    ['url="http://x.test/?a=b&c=*"', { url: "http://x.test/?a=b&c=*" }],
    ['batch_id = ""', { batchId: "" }],
    ["status = queued AND status != paused", { status: "queued", statusNot: "paused" }],
  ] as const satisfies ReadonlyArray<readonly [string, SessionFilter]>) {
    test(`${JSON.stringify(text)} is read`, () => assert.deepEqual(parseFilter(text), filter));
  }

  for (const [text, message] of [
    ["state = failed", /character 1: "state" is no field/],
    ["status failed", /character 8: expected = or !=/],
    ["status = lost", /character 10: "lost" is no status/],
    ["status =", /character 9: expected a value/],
    ["status = = x", /character 10: expected a value/],
    ["status = failed OR status = active", /character 17: expected AND, not "OR"/],
    ["status = failed AND", /character 20: expected status/],
    ["status = failed and url = x", /character 17: expected AND/],
    ["status = failed AND status = active", /character 21: status = is given twice/],
    ["url != x", /character 5: url knows only =/],
    ['url = "a*b"', /character 7: a \* stands only at the ends/],
    ['url = "abc', /character 7: a quote is not closed/],
    ['url = "a\\n"', /character 7: a quote is not closed/],
    ["url : x", /character 5: ":" is not understood/],
    ["status > active", /character 8: ">" is not understood/],
    ["(status = failed)", /character 1: "\(" is not understood/],
    ['"status" = failed', /character 1: expected status/],
    ["x".repeat(10_001), /at most 10000 characters/],
  ] as const) {
    test(`${JSON.stringify(text.slice(0, 40))} is refused`, () =>
      assert.throws(
        () => parseFilter(text),
        (error: DownloadError) => error.code === "INVALID_ARGUMENT" && message.test(error.message),
      ));
  }

  test("any text is read or refused, soon", () => {
    const text = fc.oneof(
      fc.string(),
      fc
        .array(fc.constantFrom("status", "url", "=", "!=", "AND", '"', "\\", " ", "*", "failed", "("), {
          maxLength: 30,
        })
        .map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(text, (value) => {
        try {
          parseFilter(value);
        } catch (error) {
          assert.equal((error as DownloadError).code, "INVALID_ARGUMENT");
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a quoted value is taken as it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        const text = `batch_id = "${value.replaceAll(/["\\]/g, "\\$&")}"`;
        assert.deepEqual(parseFilter(text), { batchId: value });
      }),
    );
  });

  const session = { url: "http://x.test/a.iso", status: "failed", batchId: "b" } as Session;
  for (const [filter, passes] of [
    [{}, true],
    [{ status: "failed" }, true],
    [{ status: "queued" }, false],
    [{ statusNot: "failed" }, false],
    [{ batchId: "b" }, true],
    [{ batchId: "c" }, false],
    [{ url: "*.iso" }, true],
    [{ url: "*.is" }, false],
    [{ url: "http://x*" }, true],
    [{ url: "*x.test*" }, true],
    [{ url: "*y.test*" }, false],
    [{ url: "*" }, true],
    [{ url: "**" }, true],
    [{ url: "http://x.test/a.iso" }, true],
    [{ url: "http://x.test" }, false],
  ] as const satisfies ReadonlyArray<readonly [SessionFilter, boolean]>) {
    test(`${JSON.stringify(filter)} ${passes ? "lets it pass" : "keeps it out"}`, () =>
      assert.equal(matchesFilter(session, filter), passes));
  }

  test("a session passes by any of its batches", () => {
    assert.equal(matchesFilter(session, { batchId: "c" }, ["b", "c"]), true);
  });
});
