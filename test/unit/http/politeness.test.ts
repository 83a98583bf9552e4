/** Turns at a host: the cap, the order, and Retry-After for everyone. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure } from "../../../src/daemon/core/errors.ts";
import { Politeness } from "../../../src/daemon/http/politeness.ts";
import { TestClock } from "../../support/test-clock.ts";

const busy = () =>
  failure("HTTP_TOO_MANY_REQUESTS", "h asks for patience (HTTP 429)", {
    retryAfterMs: 10_000,
    metadata: { status: "429" },
  });

describe("politeness", () => {
  test("no more turns at once than the cap, first come first served, each host by itself", async () => {
    const politeness = new Politeness(2, new TestClock());
    const order: string[] = [];
    const take = async (name: string) => {
      const back = await politeness.turn("h");
      order.push(name);
      return back;
    };
    const a = await take("a");
    const b = await take("b");
    const c = take("c");
    const d = take("d");
    await politeness.turn("other");
    assert.deepEqual(order, ["a", "b"]);
    b();
    b();
    (await c)();
    await d;
    a();
    assert.deepEqual(order, ["a", "b", "c", "d"]);
  });

  test("who gives up waiting is no longer in line", async () => {
    const politeness = new Politeness(1, new TestClock());
    const back = await politeness.turn("h");
    const controller = new AbortController();
    const gone = politeness.turn("h", controller.signal);
    const next = politeness.turn("h");
    controller.abort(new Error("not any more"));
    await assert.rejects(gone, /not any more/);
    back();
    await next;
  });

  test("Retry-After holds for the whole host, also for those who wait, with the time that is left", async () => {
    const clock = new TestClock();
    const politeness = new Politeness(1, clock);
    const back = await politeness.turn("h");
    const waiting = politeness.turn("h");
    politeness.hold("h", busy());
    await clock.advance(4000);
    back();
    await assert.rejects(waiting, { code: "HTTP_TOO_MANY_REQUESTS", retryAfterMs: 6000, retryable: true });
    await assert.rejects(politeness.turn("h"), { retryAfterMs: 6000, metadata: { status: "429", held: "true" } });
    await politeness.turn("other");
    await clock.advance(6000);
    (await politeness.turn("h"))();
  });

  test("a shorter wait does not cut a longer one", async () => {
    const politeness = new Politeness(1, new TestClock());
    politeness.hold("h", busy());
    politeness.hold("h", failure("HTTP_SERVER_ERROR", "h is not available", { retryAfterMs: 10 }));
    await assert.rejects(politeness.turn("h"), { retryAfterMs: 10_000 });
  });
});
