import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CacheUpkeep, type KeptCaches } from "../../../src/daemon/cache/upkeep.ts";
import type { KindStats } from "../../../src/daemon/cache/vault.ts";
import { TestClock } from "../../support/test-clock.ts";

const STATS: KindStats = { entries: 1, bytes: 10, maxBytes: 100, hits: 2, misses: 3, evicted: 4, damaged: 5 };

/** The care for caches that write down what is done to them; `steps` holds back each of it, if it is given. */
function careFor(options: { off?: boolean; problem?: string; hold?: Promise<void> } = {}) {
  const done: string[] = [];
  const freed = (what: string, entries: number, bytes: number) => async (signal?: AbortSignal) => {
    done.push(`${what} begins`);
    await options.hold;
    signal?.throwIfAborted();
    done.push(`${what} ends`);
    return { entries, bytes };
  };
  const kept: KeptCaches = {
    vault: {
      problem: options.problem,
      stats: async () => ({ metadata: STATS, thumbnail: STATS, fragment: STATS }),
      cleanupExpired: freed("vault clean", 1, 100),
      compactStorage: freed("vault compact", 2, 200),
      clear: (kind, signal) => freed(`vault clear ${kind}`, 3, 300)(signal),
    },
    fragments: {
      stats: async () => ({ ...STATS, entries: 7 }),
      sweep: freed("sweep", 10, 0),
      forget: freed("forget", 20, 0),
    },
  };
  const clock = new TestClock();
  const care = new CacheUpkeep({
    ...(options.off !== true && { kept }),
    sessions: { stats: () => ({ ...STATS, bytes: 0 }), clear: () => 40 },
    store: { compact: async (space) => (space === "fragment" ? 1000 : 0) },
    clock,
    settings: () => ({ directory: "/c", maxBytes: 1024 }),
  });
  return { care, done, clock };
}

describe("the care for all caches", () => {
  test("tells of each kind, and when it was last at work", async () => {
    const { care, clock } = careFor();
    const before = await care.stats();
    assert.deepEqual(
      before.kinds.map(({ kind, entries }) => [kind, entries]),
      [
        ["metadata", 1],
        ["thumbnails", 1],
        ["fragments", 7],
        ["sessions", 1],
      ],
    );
    assert.deepEqual([before.bytes, before.maxBytes, before.directory], [30, 1024, "/c"]);
    assert.deepEqual([before.cleanedAt, before.compactedAt], [undefined, undefined]);
    await care.clean();
    await clock.advance(1000);
    await care.compact();
    const { cleanedAt = 0, compactedAt = 0 } = await care.stats();
    assert.equal(compactedAt - cleanedAt, 1000);
  });

  test("answers with all that was freed", async () => {
    const { care, done } = careFor();
    assert.deepEqual(await care.clean(), { entries: 11, bytes: 100 });
    assert.deepEqual(await care.compact(), { entries: 2, bytes: 1200 });
    assert.deepEqual(await care.clear("thumbnails"), { entries: 3, bytes: 300 });
    assert.deepEqual(await care.clear("fragments"), { entries: 23, bytes: 300 });
    assert.deepEqual(await care.clear("sessions"), { entries: 40, bytes: 0 });
    done.length = 0;
    assert.deepEqual(await care.clear(), { entries: 69, bytes: 900 });
    assert.deepEqual(
      done.filter((step) => step.endsWith("ends")),
      ["vault clear metadata ends", "vault clear thumbnail ends", "vault clear fragment ends", "forget ends"],
    );
  });

  test("never does two things at once, and does not wait for those who have left", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { care, done } = careFor({ hold: promise });
    const left = new AbortController();
    const all = [care.clean(), care.compact(left.signal), care.clear("metadata")];
    left.abort(new Error("gone"));
    resolve();
    const [cleaned, compacted, cleared] = await Promise.allSettled(all);
    assert.deepEqual([cleaned?.status, compacted?.status, cleared?.status], ["fulfilled", "rejected", "fulfilled"]);
    for (let step = 0; step < done.length; step += 2)
      assert.equal(done[step]?.replace("begins", "ends"), done[step + 1], done.join("; "));
    assert.ok(!done.some((step) => step.startsWith("vault compact")));
  });

  test("a cache that is off has only sessions, and nothing to clean", async () => {
    const { care } = careFor({ off: true });
    const { enabled, kinds } = await care.stats();
    assert.deepEqual([enabled, kinds.map(({ kind }) => kind)], [false, ["sessions"]]);
    await assert.rejects(care.clean(), { code: "CACHE_UNAVAILABLE", message: /cache\.enabled/ });
    await assert.rejects(care.clear("metadata"), { code: "CACHE_UNAVAILABLE" });
    assert.deepEqual(await care.clear(), { entries: 40, bytes: 0 });
  });

  test("a cache that cannot be used says why", async () => {
    const { problem, kinds } = await careFor({ problem: "it is a file" }).care.stats();
    assert.equal(problem, "it is a file");
    assert.deepEqual(
      kinds.map(({ kind }) => kind),
      ["sessions"],
    );
  });
});
