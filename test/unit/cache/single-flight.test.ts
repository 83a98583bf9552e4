/** One making of a thing for many who want it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SingleFlight } from "../../../src/daemon/cache/single-flight.ts";

test("those who come while it is made share it; those who come later do not", async () => {
  const flights = new SingleFlight<number>();
  let made = 0;
  const work = async (): Promise<number> => {
    await new Promise((resolve) => void setImmediate(resolve));
    return ++made;
  };
  assert.deepEqual(await Promise.all([1, 2, 3].map(() => flights.run("a", undefined, work))), [1, 1, 1]);
  assert.equal(await flights.run("a", undefined, work), 2);
  assert.deepEqual(await Promise.all([flights.run("a", undefined, work), flights.run("b", undefined, work)]), [3, 4]);
});

test("a failure is told to all who wait, and not remembered", async () => {
  const flights = new SingleFlight<number>();
  const failing = () => flights.run("a", undefined, () => Promise.reject(new Error("no")));
  for (const one of [failing(), failing()]) await assert.rejects(one, /no/);
  assert.equal(await flights.run("a", undefined, async () => 1), 1);
});

test("the work is called off when the last one has given up, and who comes then begins anew", async () => {
  const flights = new SingleFlight<string>();
  const [first, second] = [new AbortController(), new AbortController()];
  const signals: AbortSignal[] = [];
  // It does not hear of it at once, as a request that is being opened.
  const never = (signal: AbortSignal): Promise<string> => {
    signals.push(signal);
    return new Promise(() => undefined);
  };
  const waiting = [first, second].map(({ signal }) => flights.run("a", signal, never));
  first.abort(new Error("first"));
  await assert.rejects(waiting[0] ?? Promise.resolve(), /first/);
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [false],
  );
  second.abort(new Error("second"));
  await assert.rejects(waiting[1] ?? Promise.resolve(), /second/);
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true],
  );
  assert.equal(await flights.run("a", undefined, async () => "new"), "new");
});

test("who comes with a signal that has aborted begins nothing", async () => {
  const flights = new SingleFlight<number>();
  const work = () => assert.fail("it was begun");
  await assert.rejects(flights.run("a", AbortSignal.abort(new Error("late")), work), /late/);
});
