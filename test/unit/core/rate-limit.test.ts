import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Clock } from "../../../src/daemon/core/ports/runtime.ts";
import { RateLimit } from "../../../src/daemon/core/rate-limit.ts";

/** A clock that moves when it is told to; only its monotonic time is asked for here. */
function fakeClock(): Clock & { at: number } {
  return {
    at: 0,
    monotonic() {
      return this.at;
    },
  } as Clock & { at: number };
}

describe("rate limit", () => {
  test("the average is the rate, whatever the size of the pieces", () => {
    for (const piece of [1, 1000, 65_536, 3_000_000]) {
      const clock = fakeClock();
      const limit = new RateLimit(clock, 1_000_000);
      let bytes = 0;
      while (clock.at < 60_000) {
        clock.at += limit.take(piece);
        bytes += piece;
        if (piece === 1 && bytes > 300_000) break;
      }
      const seconds = Math.max(clock.at / 1000, 0.001);
      if (clock.at > 1000) assert.ok(Math.abs(bytes / seconds / 1_000_000 - 1) < 0.11, `${piece}: ${bytes / seconds}`);
      else assert.ok(bytes <= 1_000_000 * (seconds + 0.1) + piece);
    }
  });

  test("zero is unlimited; raising the limit is felt at once", () => {
    const clock = fakeClock();
    const limit = new RateLimit(clock);
    assert.equal(limit.take(1e12), 0);
    limit.set(10);
    assert.ok(limit.take(1000) > 90_000);
    limit.set(1e9);
    assert.equal(limit.take(1000), 0);
  });

  test("an idle time is not saved up", () => {
    const clock = fakeClock();
    const limit = new RateLimit(clock, 1000);
    clock.at = 3_600_000;
    assert.ok(limit.take(1100) >= 1000 - 1e-6);
  });
});
