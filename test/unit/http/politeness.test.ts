/** Turns at a host: the cap, the order, how it shrinks and grows, and Retry-After for everyone and beyond a restart. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure } from "../../../src/daemon/core/errors.ts";
import { Holds } from "../../../src/daemon/http/holds.ts";
import { Politeness } from "../../../src/daemon/http/politeness.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";

const busy = (retryAfterMs = 10_000) =>
  failure("HTTP_TOO_MANY_REQUESTS", "h asks for patience (HTTP 429)", { retryAfterMs, metadata: { status: "429" } });
const refused = failure("CONNECT_REFUSED", "h refused the connection");
const DAY_MS = 86_400_000;

async function keys(store: MemoryKeyValue): Promise<string[]> {
  const found: string[] = [];
  for await (const [key] of store.entries("holds")) found.push(key);
  return found;
}

function make(cap: number, clock = new TestClock()) {
  const holds = new Holds(DAY_MS, { clock, logger: new RecordLogger() });
  return { clock, holds, politeness: new Politeness(cap, clock, holds) };
}

/** A hold as it is kept. */
const value = (now: number): string =>
  JSON.stringify({ until: now + 60_000, code: "HTTP_TOO_MANY_REQUESTS", message: "later", metadata: {} });

describe("turns", () => {
  test("no more at once than the cap, first come first served, each host by itself", async () => {
    const { politeness } = make(2);
    const order: string[] = [];
    const take = async (name: string) => {
      const turn = await politeness.turn("h");
      order.push(name);
      return turn;
    };
    const a = await take("a");
    const b = await take("b");
    const c = take("c");
    const d = take("d");
    await politeness.turn("other");
    assert.deepEqual(order, ["a", "b"]);
    b.end();
    b.end();
    (await c).end();
    await d;
    a.end();
    assert.deepEqual(order, ["a", "b", "c", "d"]);
  });

  test("who gives up waiting is no longer in line", async () => {
    const { politeness } = make(1);
    const turn = await politeness.turn("h");
    const controller = new AbortController();
    const gone = politeness.turn("h", controller.signal);
    const next = politeness.turn("h");
    controller.abort(new Error("not any more"));
    await assert.rejects(gone, /not any more/);
    turn.end();
    await next;
  });
});

describe("a host that objects", () => {
  /** So many turns, all of them answered. */
  const running = async (politeness: Politeness, count: number) => {
    const turns = await Promise.all(Array.from({ length: count }, () => politeness.turn("h")));
    for (const turn of turns) turn.answered(200);
    return turns;
  };

  test("gets half of the connections; a burst of refusals is one objection", async () => {
    const { politeness, clock } = make(16);
    await running(politeness, 5);
    const more = await Promise.all([politeness.turn("h"), politeness.turn("h"), politeness.turn("h")]);
    await clock.advance(1);
    for (const turn of more) {
      turn.failed(refused);
      turn.end();
    }
    assert.equal(politeness.allowed("h"), 4);
    assert.equal(politeness.allowed("other"), 16);
  });

  test("one connection is what a host gets that refuses the second, and nobody else asks meanwhile", async () => {
    const { politeness } = make(16);
    const [first] = await running(politeness, 1);
    const second = await politeness.turn("h");
    second.failed(refused);
    second.end();
    assert.equal(politeness.allowed("h"), 1);
    let third = false;
    const waiting = politeness.turn("h").then((turn) => {
      third = true;
      return turn;
    });
    await new Promise(setImmediate);
    assert.equal(third, false);
    first?.end();
    (await waiting).end();
  });

  test("is given a moment to notice that a connection was closed", async () => {
    const { politeness, clock } = make(16);
    const [first] = await running(politeness, 1);
    const second = await politeness.turn("h");
    second.failed(refused);
    second.end(true);
    first?.end(true);
    let third = false;
    const waiting = politeness.turn("h").then(() => {
      third = true;
    });
    await clock.advance(40);
    assert.equal(third, false);
    await clock.advance(20);
    await waiting;
  });

  for (const status of [429, 503])
    test(`by HTTP ${status}, also alone`, async () => {
      const { politeness } = make(16);
      const turns = await running(politeness, 7);
      const last = await politeness.turn("h");
      last.answered(status);
      last.end();
      assert.equal(politeness.allowed("h"), 4);
      for (const turn of turns) turn.end();
      assert.equal(politeness.allowed("h"), 4, "it is remembered when nobody asks");
    });

  test("a host that is not there at all has objected to nothing; nor has one whose certificate is wrong", async () => {
    const { politeness } = make(16);
    const [one, two] = [await politeness.turn("h"), await politeness.turn("h")];
    one.failed(refused);
    two.failed(refused);
    one.end();
    two.end();
    assert.equal(politeness.allowed("h"), 16);
    await running(politeness, 2);
    (await politeness.turn("h")).failed(failure("TLS_FAILED", "no"));
    assert.equal(politeness.allowed("h"), 16);
  });

  test("gets one more after a while of success, and less often if it objects to that", async () => {
    const { politeness, clock } = make(4);
    const succeed = async () => {
      const turn = await politeness.turn("h");
      turn.answered(206);
      turn.end();
    };
    const object = async () => {
      const [one] = await running(politeness, 1);
      const two = await politeness.turn("h");
      two.failed(refused);
      two.end();
      one?.end();
    };
    await object();
    assert.equal(politeness.allowed("h"), 1);
    await clock.advance(9_000);
    await succeed();
    assert.equal(politeness.allowed("h"), 1);
    await clock.advance(1_500);
    await succeed();
    assert.equal(politeness.allowed("h"), 2);
    await object();
    assert.equal(politeness.allowed("h"), 1);
    await clock.advance(15_000);
    await succeed();
    assert.equal(politeness.allowed("h"), 1, "twice the time");
    await clock.advance(6_000);
    for (const expected of [2, 3, 4]) {
      await succeed();
      assert.equal(politeness.allowed("h"), expected);
      await clock.advance(21_000);
    }
    await succeed();
    assert.equal(politeness.allowed("h"), 4, "never more than the cap");
  });

  test("those who wait get the turns that were added", async () => {
    const { politeness, clock } = make(4);
    const [one, two] = await running(politeness, 2);
    two?.answered(503);
    two?.end();
    const waiting = [politeness.turn("h"), politeness.turn("h")];
    await clock.advance(11_000);
    one?.end();
    await Promise.all(waiting);
    assert.equal(politeness.allowed("h"), 2);
  });
});

describe("Retry-After", () => {
  test("holds for the whole host, also for those who wait, with the time that is left", async () => {
    const { politeness, clock } = make(1);
    const turn = await politeness.turn("h");
    const waiting = politeness.turn("h");
    politeness.hold("h", busy());
    await clock.advance(4000);
    turn.end();
    await assert.rejects(waiting, { code: "HTTP_TOO_MANY_REQUESTS", retryAfterMs: 6000, retryable: true });
    await assert.rejects(politeness.turn("h"), { retryAfterMs: 6000, metadata: { status: "429", held: "true" } });
    await politeness.turn("other");
    await clock.advance(6000);
    (await politeness.turn("h")).end();
  });

  test("a shorter wait does not cut a longer one, and none is longer than is allowed", async () => {
    const { politeness } = make(1);
    politeness.hold("h", busy());
    politeness.hold("h", failure("HTTP_SERVER_ERROR", "h is not available", { retryAfterMs: 10 }));
    await assert.rejects(politeness.turn("h"), { retryAfterMs: 10_000 });
    politeness.hold("h", busy(400 * DAY_MS));
    await assert.rejects(politeness.turn("h"), { retryAfterMs: DAY_MS });
  });

  test("outlives the process, for the time that is left; what is over, or unreadable, is forgotten", async () => {
    const store = new MemoryKeyValue();
    const logger = new RecordLogger();
    const before = new Holds(DAY_MS, { clock: new TestClock(1_000_000), logger, store });
    before.set("long:1", busy(60_000));
    before.set("short:1", busy(5_000));
    await store.write([{ type: "put", space: "holds", key: "odd", value: '{"until":1e15,"code":"NO","message":""}' }]);
    await before[Symbol.asyncDispose]();

    const clock = new TestClock(1_020_000);
    const after = new Holds(DAY_MS, { clock, logger, store });
    await after.start();
    assert.throws(() => after.check("long:1"), {
      code: "HTTP_TOO_MANY_REQUESTS",
      message: "h asks for patience (HTTP 429)",
      retryAfterMs: 40_000,
      metadata: { status: "429", held: "true" },
    });
    after.check("short:1");
    assert.deepEqual(await keys(store), ["long:1"]);
    await clock.advance(40_000);
    after.check("long:1");
    await after[Symbol.asyncDispose]();
    assert.deepEqual(await keys(store), []);
  });

  test("of very many hosts the latest are remembered, on the disk too", async () => {
    const store = new MemoryKeyValue();
    const logger = new RecordLogger();
    const clock = new TestClock();
    const names = Array.from({ length: 4100 }, (_, at) => `h${at}`);
    await store.write(names.map((key) => ({ type: "put", space: "holds", key, value: value(clock.now()) }) as const));
    const holds = new Holds(DAY_MS, { clock, logger, store });
    await holds.start();
    assert.equal((await keys(store)).length, 4096);
    holds.set("latest", busy(60_000));
    await holds[Symbol.asyncDispose]();
    assert.equal((await keys(store)).length, 4096);
    assert.throws(() => holds.check("latest"), { retryAfterMs: 60_000 });
  });

  test("a clock that was put back makes no wait longer than is allowed", async () => {
    const store = new MemoryKeyValue();
    const logger = new RecordLogger();
    const before = new Holds(DAY_MS, { clock: new TestClock(500 * DAY_MS), logger, store });
    before.set("h", busy());
    await before[Symbol.asyncDispose]();
    const after = new Holds(DAY_MS, { clock: new TestClock(1), logger, store });
    await after.start();
    assert.throws(() => after.check("h"), { retryAfterMs: DAY_MS });
  });
});
