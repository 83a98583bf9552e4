import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { failure } from "../../../src/daemon/core/errors.ts";
import { DISK_POLL_MS, judge, LONGEST_BACKOFF_MS } from "../../../src/daemon/download/retry.ts";

const base = { attempt: 1, advanced: false, maxRetries: 5, retryDelay: 2, random: 0.5 };

describe("retry policy", () => {
  test("an error that no repetition mends is final", () => {
    assert.deepEqual(judge({ ...base, error: failure("HTTP_NOT_FOUND", "404") }), { action: "fail" });
  });

  test("full jitter over a growing span", () => {
    const error = failure("CONNECTION_LOST", "lost");
    const delays = [1, 2, 3, 4].map((attempt) => judge({ ...base, attempt, error }));
    assert.deepEqual(
      delays.map((verdict) => verdict.action === "wait" && verdict.delayMs),
      [1000, 2000, 4000, 8000],
    );
  });

  test("gives up behind the last retry", () => {
    const error = failure("TIMED_OUT", "slow");
    assert.equal(judge({ ...base, attempt: 5, error }).action, "wait");
    assert.equal(judge({ ...base, attempt: 6, error }).action, "fail");
    assert.equal(judge({ ...base, attempt: 1, maxRetries: 0, error }).action, "fail");
  });

  test("an attempt that brought bytes does not count", () => {
    const verdict = judge({ ...base, attempt: 6, advanced: true, error: failure("CONNECTION_LOST", "lost") });
    assert.deepEqual(verdict, { action: "wait", delayMs: 1000, free: true });
  });

  test("whoever gave may come back: that costs no attempt, however long it takes", () => {
    const error = failure("PEERS_NOT_FOUND", "gone", { retryAfterMs: 5000, metadata: { away: "true" } });
    assert.deepEqual(judge({ ...base, attempt: 99, error }), { action: "wait", delayMs: 5000, free: true });
    assert.deepEqual(judge({ ...base, maxRetries: 0, error }), { action: "fail" }, "as was said");
    const nobody = failure("PEERS_NOT_FOUND", "gone");
    assert.deepEqual(judge({ ...base, attempt: 99, error: nobody }), { action: "fail" });
  });

  test("the origin's word comes first", () => {
    const error = failure("HTTP_TOO_MANY_REQUESTS", "429", { retryAfterMs: 120_000 });
    assert.deepEqual(judge({ ...base, error }), { action: "wait", delayMs: 120_000, free: false });
  });

  test("a full disk is waited for without end", () => {
    const verdict = judge({ ...base, attempt: 99, error: failure("DISK_FULL", "full") });
    assert.deepEqual(verdict, { action: "wait", delayMs: DISK_POLL_MS, free: true });
  });

  test("a broken disk is waited for without end, any other failure of a file is not", () => {
    const error = failure("IO_ERROR", "gone", { metadata: { errno: "EIO" } });
    assert.deepEqual(judge({ ...base, attempt: 99, error }), { action: "wait", delayMs: DISK_POLL_MS, free: true });
    assert.equal(judge({ ...base, attempt: 99, error: failure("IO_ERROR", "closed") }).action, "fail");
  });

  test("a hook's decision overrides the policy", () => {
    const error = failure("HTTP_FORBIDDEN", "403");
    assert.deepEqual(judge({ ...base, error, recovery: { action: "wait", seconds: 7 } }), {
      action: "wait",
      delayMs: 7000,
      free: false,
    });
    const lost = failure("CONNECTION_LOST", "lost");
    assert.deepEqual(judge({ ...base, error: lost, recovery: { action: "fail" } }), { action: "fail" });
  });

  test("the wait is never zero, never longer than the longest", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.double({ min: 0.001, max: 86_400, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (attempt, retryDelay, random) => {
          const error = failure("TIMED_OUT", "slow");
          const verdict = judge({ ...base, maxRetries: 1e6, attempt, retryDelay, random, error });
          assert.ok(verdict.action === "wait" && verdict.delayMs > 0);
          assert.ok(verdict.delayMs <= Math.max(LONGEST_BACKOFF_MS, retryDelay * 1000));
        },
      ),
    );
  });
});
