import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressLimits } from "../../../src/daemon/p2p/network/address-limits.ts";
import { TestClock } from "../../support/test-clock.ts";

const SMALL = { connections: 10, halfOpen: 6, connectionsEach: 4, halfOpenEach: 2, failures: 3 };

test("one address has so many connections, and fewer that have proved nothing", () => {
  const limits = new AddressLimits(new TestClock(), SMALL);
  const first = limits.enter("203.0.113.1");
  assert.ok(first && limits.enter("203.0.113.1"));
  assert.equal(limits.enter("203.0.113.1"), undefined);
  assert.ok(limits.enter("203.0.113.2"), "another address is not affected");
  first.proved();
  assert.ok(limits.enter("203.0.113.1"));
  first.closed();
  first.closed();
  assert.deepEqual(limits.counts, { connections: 3, halfOpen: 3, addresses: 2 });
});

test("all addresses together have so many", () => {
  const limits = new AddressLimits(new TestClock(), SMALL);
  const tickets = Array.from({ length: 20 }, (_, index) => limits.enter(`198.51.100.${index}`));
  assert.equal(tickets.filter((ticket) => ticket !== undefined).length, SMALL.halfOpen);
  for (const ticket of tickets) ticket?.closed();
  assert.deepEqual([limits.counts.connections, limits.counts.halfOpen], [0, 0]);
});

test("wrong proofs are answered by silence, longer each time, and a right one forgives", async () => {
  const clock = new TestClock();
  const limits = new AddressLimits(clock, SMALL);
  const fail = () => {
    const ticket = limits.enter("203.0.113.9");
    ticket?.failed();
    ticket?.closed();
    return ticket !== undefined;
  };
  assert.deepEqual([fail(), fail(), fail(), fail()], [true, true, true, false]);
  await clock.advance(59_000);
  assert.deepEqual([fail(), fail()], [true, false], "one is let through now and then, and counts for nothing");
  await clock.advance(2000);
  assert.deepEqual([fail(), fail(), fail(), fail()], [true, true, true, false]);
  await clock.advance(61_000);
  assert.deepEqual([fail(), fail()], [true, false], "two minutes, the second time");
  await clock.advance(60_000);
  const ticket = limits.enter("203.0.113.9");
  ticket?.proved();
  ticket?.closed();
  assert.deepEqual([fail(), fail(), fail(), fail()], [true, true, true, false]);
  await clock.advance(61_000);
  assert.equal(fail(), true, "one minute again");
});

test("a right proof ends a silence", async () => {
  const clock = new TestClock();
  const limits = new AddressLimits(clock, SMALL);
  for (let n = 0; n < 3; n++) {
    const ticket = limits.enter("203.0.113.9");
    ticket?.failed();
    ticket?.closed();
  }
  await clock.advance(9000);
  assert.equal(limits.enter("203.0.113.9"), undefined);
  await clock.advance(1000);
  const friend = limits.enter("203.0.113.9");
  friend?.proved();
  assert.ok(limits.enter("203.0.113.9"));
});

test("failures of another minute do not count, and this machine is never silenced", async () => {
  const clock = new TestClock();
  const limits = new AddressLimits(clock, SMALL);
  for (let n = 0; n < 10; n++) {
    const ticket = limits.enter("203.0.113.9");
    assert.ok(ticket);
    ticket.failed();
    ticket.closed();
    await clock.advance(40_000);
  }
  for (let n = 0; n < 10; n++) {
    const ticket = limits.enter("127.0.0.1");
    assert.ok(ticket);
    ticket.failed();
    ticket.closed();
  }
});

test("64 bits of IPv6 are one address, and a mapped IPv4 address is that address", () => {
  const limits = new AddressLimits(new TestClock(), SMALL);
  assert.ok(limits.enter("2001:4860::1"));
  assert.ok(limits.enter("2001:4860:0:0:ffff::2"));
  assert.equal(limits.enter("2001:4860:0:0:1:2:3:4"), undefined);
  assert.ok(limits.enter("2001:4860:0:1::1"));
  assert.ok(limits.enter("203.0.113.1"));
  assert.ok(limits.enter("::ffff:203.0.113.1"));
  assert.equal(limits.enter("203.0.113.1"), undefined);
});

test("memory is bounded, however many addresses come", () => {
  const limits = new AddressLimits(new TestClock());
  for (let n = 0; n < 20_000; n++) limits.enter(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)?.closed();
  assert.ok(limits.counts.addresses <= 4096, String(limits.counts.addresses));
});
