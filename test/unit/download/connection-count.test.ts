import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConnectionCount } from "../../../src/daemon/download/connection-count.ts";

/** Lets time pass for an origin whose total rate depends on the connections, in bytes a second. */
function simulate(
  count: ConnectionCount,
  options: {
    readonly seconds: number;
    readonly size: number;
    readonly rate: (connections: number, now: number) => number;
    readonly held?: boolean;
  },
): readonly number[] {
  const seen: number[] = [];
  let received = 0;
  let connections = 1;
  for (let now = 0; now < options.seconds * 1000 && received < options.size; now += 50) {
    received += options.rate(connections, now) / 20;
    connections = count.see({ now, received, left: options.size - received, held: options.held ?? false });
    seen.push(connections);
  }
  return seen;
}

const MB = 1_000_000;

describe("the number of connections", () => {
  test("each is limited: all that are allowed within a second, and they stay", () => {
    const seen = simulate(new ConnectionCount(16), { seconds: 120, size: 10_000 * MB, rate: (n) => n * 2 * MB });
    assert.ok(seen.indexOf(16) * 50 <= 1000, `16 after ${seen.indexOf(16) * 50} ms`);
    const late = seen.slice(-1200);
    assert.ok(late.filter((n) => n === 16).length > late.length * 0.85, "and most of the time");
  });

  test("it comes in bursts of a second: they stay all the same", () => {
    const burst = (n: number, now: number): number => (now % 1000 < 50 ? n * 40 * MB : 0);
    const seen = simulate(new ConnectionCount(16), { seconds: 60, size: 10_000 * MB, rate: burst });
    const late = seen.slice(-600);
    assert.ok(late.filter((n) => n >= 8).length > late.length * 0.8);
  });

  test("the line is limited: those that bring nothing are put down", () => {
    const seen = simulate(new ConnectionCount(16), { seconds: 60, size: 10_000 * MB, rate: () => 20 * MB });
    assert.ok(
      seen.slice(-400).every((n) => n <= 2),
      `${seen.at(-1)} at the end`,
    );
  });

  test("what is here in a moment gets no second one", () => {
    const seen = simulate(new ConnectionCount(16), { seconds: 5, size: 2000 * MB, rate: () => 1000 * MB });
    assert.equal(Math.max(...seen), 1);
  });

  test("the disk or a limit holds it back: no second one", () => {
    const seen = simulate(new ConnectionCount(16), { seconds: 20, size: 2000 * MB, rate: () => MB, held: true });
    assert.equal(Math.max(...seen), 1);
  });

  test("nothing comes: no second one", () => {
    const seen = simulate(new ConnectionCount(16), { seconds: 20, size: 2000 * MB, rate: () => 0 });
    assert.equal(Math.max(...seen), 1);
  });

  test("the origin objects: fewer, and one more only after a while", () => {
    const count = new ConnectionCount(16);
    simulate(count, { seconds: 2, size: 10_000 * MB, rate: (n) => n * MB });
    assert.equal(count.wanted, 16);
    count.objected(2000, 3);
    assert.equal(count.wanted, 3);
    const see = (now: number): number => count.see({ now, received: now * 3000, left: 1e12, held: false });
    assert.equal(see(20_000), 3);
    assert.ok(see(33_000) <= 4);
    count.objected(34_000, 0);
    assert.equal(count.wanted, 1);
  });

  test("never more than are allowed, never none", () => {
    for (const most of [1, 2, 3, 5]) {
      const seen = simulate(new ConnectionCount(most), { seconds: 90, size: 10_000 * MB, rate: (n) => n * MB });
      assert.ok(seen.every((n) => n >= 1 && n <= most));
    }
  });

  test("memory is short: half of them, then one, and all again when it suffices", () => {
    let level: 0 | 1 | 2 = 0;
    const count = new ConnectionCount(5, () => level);
    simulate(count, { seconds: 2, size: 10_000 * MB, rate: (n) => n * MB });
    assert.equal(count.wanted, 5);
    level = 1;
    assert.equal(count.wanted, 3);
    level = 2;
    const seen = simulate(count, { seconds: 60, size: 10_000 * MB, rate: (n) => n * MB });
    assert.equal(Math.max(...seen), 1);
    level = 0;
    assert.equal(count.wanted, 5);
  });
});
