import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { test } from "node:test";
import { CallBacks, callTo, isCallTo } from "../../../../src/daemon/p2p/path/call-backs.ts";
import { Gathered } from "../../../../src/daemon/p2p/path/gathered.ts";
import type { Endpoint } from "../../../../src/daemon/p2p/types.ts";
import { TestClock } from "../../../support/test-clock.ts";

const NEVER = new AbortController().signal;

test("parts that are soon there go in one message, those that come later in another", async () => {
  const clock = new TestClock();
  const sent: object[] = [];
  using gathered = new Gathered<{ a?: number; b?: number; c?: number }>({}, (all) => sent.push(all), clock);
  const [a, b, c] = [gathered.expect(), gathered.expect(), gathered.expect()];
  gathered.add({ a: 1 });
  a();
  gathered.add({ b: 2 });
  b();
  b();
  assert.deepEqual(sent, []);
  await clock.advance(2500);
  assert.deepEqual(sent, [{ a: 1, b: 2 }]);
  gathered.add({ c: 3 });
  c();
  assert.deepEqual(sent.slice(1), [{ a: 1, b: 2, c: 3 }]);
});

test("what does not come holds the rest up no longer", () => {
  const sent: object[] = [];
  using gathered = new Gathered<{ a?: number }>({}, (all) => sent.push(all), new TestClock());
  const [a, b] = [gathered.expect(), gathered.expect()];
  gathered.add({ a: 1 });
  a();
  b();
  assert.deepEqual(sent, [{ a: 1 }]);
});

test("who calls back proves that he knows the number, and nobody chooses what is sent", () => {
  const nonce = randomBytes(32);
  const call = callTo(nonce);
  assert.ok(isCallTo(nonce, call));
  assert.ok(!isCallTo(randomBytes(32), call));
  assert.ok(!isCallTo(nonce, call.subarray(1)));
  assert.notDeepEqual(callTo(nonce), call);
  assert.equal(call.indexOf(nonce.subarray(0, 4)), -1);
});

test("call backs: no privileged ports, and no more than some in a minute", async () => {
  const clock = new TestClock();
  let calls = 0;
  const server = createServer((socket) => {
    calls += 1;
    socket.on("error", () => undefined).resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { readonly port: number };
  const backs = new CallBacks({ clock, allows: () => true, pathTo: () => "direct" });
  const endpoint = (at: number): Endpoint => ({ host: "127.0.0.1", port: at, kind: "direct" });
  const call = (...ports: readonly number[]) =>
    backs.call(ports.map(endpoint), randomBytes(32), async ({ stream }) => void stream.destroy(), NEVER);
  await assert.rejects(call(25, 80, 443), AggregateError);
  for (let n = 0; n < 60; n++) await call(port);
  await assert.rejects(call(port), AggregateError);
  await clock.advance(60_000);
  await call(port);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  assert.equal(calls, 61);
});
