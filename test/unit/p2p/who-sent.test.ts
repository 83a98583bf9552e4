import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Appetite } from "../../../src/daemon/p2p/take/appetite.ts";
import { Bans } from "../../../src/daemon/p2p/take/bans.ts";
import { rarest } from "../../../src/daemon/p2p/take/rarest.ts";
import { SentRanges } from "../../../src/daemon/p2p/take/sent-ranges.ts";

const peer = (peerId: string, remoteAddress = `10.0.0.${peerId}`, path: "lan" | "relay-udp" = "lan") => ({
  peerId,
  remoteAddress,
  path,
  inClear: false,
});

test("bytes are held against whoever sent them, and against nobody else", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ start: fc.nat(100), length: fc.nat(40), who: fc.nat(4) }), { maxLength: 12 }),
      fc.nat(100),
      fc.integer({ min: 1, max: 40 }),
      fc.nat(30),
      (sent, start, length, later) => {
        const ranges = new SentRanges(10);
        const truth = new Map<number, Set<string>>();
        const note = (from: number, to: number, who: string): void => {
          for (let at = from; at < to; at++) truth.set(at, (truth.get(at) ?? new Set()).add(who));
        };
        const of = (from: number, to: number): string[] =>
          [...new Set([...truth].flatMap(([at, who]) => (at >= from && at < to ? [...who] : [])))].sort();
        const begun = sent.map(({ start: from, length: bytes, who }) => {
          const range = ranges.begin(from, peer(String(who)));
          range.end = from + bytes;
          note(from, from + bytes, String(who));
          return range;
        });
        const end = start + length;
        const senders = (from: number, to: number): string[] =>
          ranges
            .senders({ start: from, end: to })
            .map(({ peerId }) => peerId)
            .sort();
        assert.deepEqual(senders(start, end), of(start, end));
        ranges.forget({ start, end });
        for (let at = start; at < end; at++) truth.delete(at);
        assert.deepEqual(senders(start, end), []);
        assert.deepEqual(senders(0, 1000), of(0, 1000));
        // The last one goes on sending.
        const last = begun.at(-1);
        const who = sent.at(-1)?.who;
        if (last && last.end >= end) {
          note(last.end, last.end + later, String(who));
          last.end += later;
          assert.deepEqual(senders(0, 1000), of(0, 1000));
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("a chunk that is to come from one peer is asked for by itself", () => {
  const ranges = new SentRanges(10);
  assert.equal(ranges.bound(3, 95), 95);
  ranges.setAlone(4);
  ranges.setAlone(7);
  assert.deepEqual(
    [ranges.bound(3, 95), ranges.bound(40, 95), ranges.bound(50, 95), ranges.bound(80, 95)],
    [40, 50, 70, 95],
  );
  assert.equal(ranges.bound(43, 45), 45);
  assert.ok(ranges.settled(4));
  assert.equal(ranges.settled(4), false);
  assert.equal(ranges.bound(3, 95), 70);
});

test("bans: by identity at once, by address after two; a relay's address is nobody's; doubts add up, and are taken back", () => {
  const bans = new Bans();
  bans.ban(peer("1", "a"));
  assert.ok(bans.isBanned("1") && bans.refuses(peer("1", "z")));
  assert.equal(bans.refuses(peer("2", "a")), false);
  bans.ban(peer("2", "a"));
  assert.ok(bans.refuses(peer("3", "a")));
  for (const id of ["4", "5", "6"]) bans.ban(peer(id, "r", "relay-udp"));
  assert.equal(bans.refuses(peer("7", "r", "relay-udp")), false);
  assert.deepEqual([bans.doubt("8"), bans.doubt("8")], [false, false]);
  bans.trust("8");
  assert.equal(bans.doubts("8"), 1);
  assert.deepEqual([bans.doubt("8"), bans.doubt("8")], [false, true]);
  for (let id = 100; id < 2500; id++) bans.ban(peer(String(id)));
  assert.equal(bans.isBanned("100"), false, "what is remembered is bounded");
  assert.ok(bans.isBanned("2499"));
});

test("rarest first: of what is missing, what the fewest have, and what nobody has is left", () => {
  const holder = (complete: boolean, ...chunks: number[]) => ({
    complete,
    has: (_: number, chunk: number) => complete || chunks.includes(chunk),
  });
  const gaps = [{ start: 0, end: 95 }];
  assert.equal(rarest(gaps, 0, 10, [holder(true), holder(true)]), undefined);
  assert.equal(rarest(gaps, 0, 10, [holder(false)]), undefined);
  assert.equal(rarest([], 0, 10, [holder(false, 1)]), undefined);
  assert.deepEqual(rarest(gaps, 0, 10, [holder(false, 1, 2, 3), holder(false, 1, 3)]), { start: 20, end: 30 });
  assert.deepEqual(rarest([{ start: 25, end: 28 }], 0, 10, [holder(false, 2)]), { start: 25, end: 28 });
  const far = [{ start: 0, end: 100_000 }];
  // Of a long gap another part is looked at each time.
  let found = false;
  for (let turn = 0; turn < 200 && !found; turn++) found = rarest(far, 0, 10, [holder(false, 9_999)]) !== undefined;
  assert.ok(found);
});

test("another peer is tried out, and no further one while the last brought nothing", () => {
  const appetite = new Appetite();
  const steady = (peers: number, rate: number, from: number): boolean => {
    appetite.helps(from, peers, rate);
    appetite.helps(from + 3000, peers, rate);
    return appetite.helps(from + 3001, peers, rate);
  };
  assert.ok(steady(1, 100, 0));
  assert.ok(steady(2, 190, 10_000));
  assert.equal(steady(3, 191, 20_000), false);
  assert.ok(appetite.helps(20_000 + 63_001, 3, 300), "after a minute it is tried again");
});
