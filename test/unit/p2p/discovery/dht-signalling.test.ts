import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { SystemClock } from "../../../../src/daemon/os/clock.ts";
import { type Item, targetOf } from "../../../../src/daemon/p2p/discovery/dht-items.ts";
import { DhtSignalling } from "../../../../src/daemon/p2p/discovery/dht-signalling.ts";
import { signingKey } from "../../../../src/daemon/p2p/discovery/ed25519.ts";
import { PresenceBoard } from "../../../../src/daemon/p2p/discovery/presence-board.ts";
import { encodePresence, open, saltOf, seal } from "../../../../src/daemon/p2p/discovery/signal-codec.ts";
import type { Presence, ShareKeys } from "../../../../src/daemon/p2p/types.ts";
import { ownNode } from "../../../support/p2p/dht-node.ts";
import { localDht } from "../../../support/p2p/local-dht.ts";
import { someKeys, somePeerId } from "../../../support/p2p/share-keys.ts";
import { RecordLogger } from "../../../support/record-logger.ts";
import { TestClock } from "../../../support/test-clock.ts";
import { waitFor } from "../../../support/wait.ts";

const clock = new SystemClock();

/** Pauses are an eighth as long: what is waited for are nodes, not the pace. */
const quick = Object.assign(new SystemClock(), {
  sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms / 8, signal),
});

function presenceOf(peerId: string, more: Partial<Presence> = {}): Presence {
  return {
    peerId,
    shares: true,
    endpoints: [{ host: "192.0.2.7", port: 4711, kind: "direct" }],
    natType: "symmetric",
    capabilities: ["punch", "ice"],
    time: Date.now(),
    ...more,
  };
}

test("two who know the code see each other, and their messages arrive", async () => {
  await using network = await localDht(12);
  await using a = await ownNode(network.bootstrap);
  await using b = await ownNode(network.bootstrap);
  await using ends = new AsyncDisposableStack();
  const keys = someKeys();
  const [giver, taker] = [somePeerId(), somePeerId()];
  const [atGiver, atTaker] = [a, b].map(
    ({ dht, logger }) => new DhtSignalling({ items: dht, clock: quick, logger }),
  ) as [DhtSignalling, DhtSignalling];
  const stop = new AbortController();
  ends.defer(() => stop.abort());
  const seen: Presence[] = [];
  let port = 4711;
  await using _here = atGiver.announce(keys, () =>
    presenceOf(giver, { endpoints: [{ host: "192.0.2.7", port, kind: "direct" }] }),
  );
  atTaker.watch(keys, taker, (presence) => seen.push(presence), stop.signal);
  const first = await waitFor("the giver's presence", () => seen[0]);
  assert.equal(first.peerId, giver);
  assert.deepEqual(first.endpoints, [{ host: "192.0.2.7", port: 4711, kind: "direct" }]);
  assert.deepEqual(first.capabilities, ["punch", "ice"]);

  const messages: string[] = [];
  atGiver.receive(keys, taker, giver, (message) => messages.push(Buffer.from(message).toString()), stop.signal);
  await atTaker.send(keys, taker, giver, Buffer.from("call me"), stop.signal);
  await waitFor("the message", () => messages.length === 1);
  await atTaker.send(keys, taker, giver, Buffer.alloc(700, "x"), stop.signal);
  await waitFor("the second message", () => messages.length === 2);
  assert.deepEqual(messages, ["call me", "x".repeat(700)]);
  await assert.rejects(atTaker.send(keys, taker, giver, Buffer.alloc(701), stop.signal), /at most 700 bytes/);

  port = 4712;
  const moved = await waitFor("the giver's new port", () => seen[1]);
  assert.equal(moved.endpoints[0]?.port, 4712);
});

test("ten who come at once all find a place, and all see each other", async () => {
  await using network = await localDht(20);
  await using nodes = new AsyncDisposableStack();
  const keys = someKeys();
  const stop = new AbortController();
  nodes.defer(() => stop.abort());
  const participants = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const node = nodes.use(await ownNode(network.bootstrap));
      await node.dht.get(Buffer.alloc(32), Buffer.alloc(1));
      return {
        signalling: new DhtSignalling({ items: node.dht, clock, logger: node.logger }),
        peerId: somePeerId(),
      };
    }),
  );
  const known = participants.map(({ signalling, peerId }) => {
    nodes.use(signalling.announce(keys, () => presenceOf(peerId)));
    const seen = new Set<string>();
    signalling.watch(keys, peerId, (presence) => seen.add(presence.peerId), stop.signal);
    return seen;
  });
  await waitFor("all to see all others", () => known.every((seen) => seen.size === 9), 40_000);
});

test("a place is free as soon as its holder has left, and after ten minutes without a word", async () => {
  const items = new MemoryItems();
  const test = new TestClock();
  const keys = someKeys();
  const [first, second] = [
    new PresenceBoard(keys, { items, clock: test }),
    new PresenceBoard(keys, { items, clock: test }),
  ];
  const [anna, bert] = [somePeerId(), somePeerId()];
  const at = () => test.now();
  for (let slot = 0; slot < 16; slot++)
    await first.write(slot, presenceOf(slot === 5 ? anna : somePeerId(), { time: at() }));
  await second.look(true);
  assert.equal(second.present.length, 16);
  assert.equal(second.choose(bert), undefined, "all are taken");
  await first.write(5, undefined);
  await second.look(true);
  assert.equal(second.choose(bert), 5);
  await test.advance(9 * 60_000);
  assert.equal(second.present.length, 15);
  await test.advance(2 * 60_000);
  assert.equal(second.present.length, 0, "nobody wrote again");
});

test("an older item that comes again changes nothing", async () => {
  const items = new MemoryItems();
  const keys = someKeys();
  const board = new PresenceBoard(keys, { items, clock });
  const [anna, bert] = [somePeerId(), somePeerId()];
  const writer = new PresenceBoard(keys, { items, clock });
  await writer.write(0, presenceOf(anna));
  const old = items.only();
  await writer.write(0, presenceOf(bert));
  assert.equal(await board.lookAt(0), bert);
  items.replaceOnly(old);
  assert.equal(await board.lookAt(0), bert, "the replayed item was believed");
  // Who sees only the old one, an hour later, sees that it is old.
  const late = new PresenceBoard(keys, { items, clock: new TestClock(Date.now() + 3_600_000) });
  assert.equal(await late.lookAt(0), undefined);
});

test("who is seen to write is there, whatever his clock says", async () => {
  const items = new MemoryItems();
  const keys = someKeys();
  const anna = somePeerId();
  const ahead = new TestClock(Date.now() + 3 * 3_600_000);
  const [writer, reader] = [
    new PresenceBoard(keys, { items, clock: ahead }),
    new PresenceBoard(keys, { items, clock }),
  ];
  await writer.write(0, presenceOf(anna, { time: ahead.now() }));
  assert.equal(await reader.lookAt(0), undefined);
  await writer.write(0, presenceOf(anna, { time: ahead.now() }));
  assert.equal(await reader.lookAt(0), anna);
});

test("forged and damaged items are as if they were not there", async () => {
  const keys = someKeys();
  const anna = somePeerId();
  const salt = saltOf(keys, "presence", "0");
  const good = seal(keys, salt, [], encodePresence(presenceOf(anna)));
  const other: ShareKeys = { ...keys, signalKey: someKeys().signalKey };
  const forged: Record<string, Buffer> = {
    "another key": seal(other, salt, [], encodePresence(presenceOf(anna))),
    "another place": seal(keys, saltOf(keys, "presence", "1"), [], encodePresence(presenceOf(anna))),
    truncated: good.subarray(0, -1),
    "too long": Buffer.concat([good, Buffer.alloc(1)]),
    "wrong tag": Buffer.concat([good.subarray(0, -1), Buffer.from([(good.at(-1) ?? 0) ^ 1])]),
    "wrong nonce": Buffer.concat([Buffer.from([(good[0] ?? 0) ^ 1]), good.subarray(1)]),
    empty: Buffer.alloc(0),
    "no JSON": seal(keys, salt, [], Buffer.from("{")),
    "no list": seal(keys, salt, [], Buffer.from('{"0":1}')),
    "no id": seal(keys, salt, [], Buffer.from('["x",true,"none",[],0,[]]')),
  };
  for (const [what, value] of Object.entries(forged)) {
    const items = new MemoryItems();
    await items.put(signingKey(keys.signalSeed), salt, { value, sequence: 7 });
    const board = new PresenceBoard(keys, { items, clock });
    assert.equal(await board.lookAt(0), undefined, what);
    assert.equal(typeof board.choose(anna), "number", `${what}: the place can be taken`);
  }
  assert.ok(open(keys, salt, [], good));
});

test("endpoints that cannot be called are left out of a presence, and a long one loses the last", async () => {
  const keys = someKeys();
  const items = new MemoryItems();
  const board = new PresenceBoard(keys, { items, clock });
  const host = "2001:db8:1111:2222:3333:4444:5555:6666";
  const ten = Array.from({ length: 10 }, (_, index) => ({ host, port: 50_000 + index, kind: "direct" as const }));
  await board.write(0, presenceOf(somePeerId(), { endpoints: ten }));
  await board.lookAt(0);
  const count = board.present[0]?.endpoints.length ?? 0;
  assert.ok(count >= 6 && count <= 8, `${count} endpoints`);
  const bad = [
    "0.0.0.0",
    "224.0.0.251",
    "255.255.255.255",
    "::",
    "ff02::1",
    "example.org",
    "fe80::1%eth0",
    "::ffff:10.0.0.1",
  ];
  await board.write(
    1,
    presenceOf(somePeerId(), { endpoints: bad.slice(0, 8).map((name) => ({ host: name, port: 80, kind: "direct" })) }),
  );
  await board.lookAt(1);
  assert.deepEqual(board.present.find((p) => p.endpoints.length < 6)?.endpoints, []);
});

test("items have one of two lengths, below what BEP 44 allows, and no two are alike", () => {
  const keys = someKeys();
  const salt = saltOf(keys, "presence", "0");
  const short = seal(keys, salt, [], Buffer.from("x"));
  const again = seal(keys, salt, [], Buffer.from("x"));
  const longest = seal(keys, salt, [], Buffer.alloc(708));
  assert.equal(short.length, again.length);
  assert.notDeepEqual(short, again);
  assert.ok(longest.length < 995 && longest.length > short.length);
  assert.equal(saltOf(keys, "mail", "a", "b").equals(saltOf(keys, "mail", "b", "a")), false);
  assert.throws(() => seal(keys, salt, [], Buffer.alloc(800)), RangeError);
});

test("a message of another day, or to somebody else, is not handed over; one that comes while we wait is", async () => {
  const items = new MemoryItems();
  const keys = someKeys();
  const [anna, bert] = [somePeerId(), somePeerId()];
  const test = new TestClock(Date.now() - 86_400_000);
  const yesterday = new DhtSignalling({ items, clock: test, logger: new RecordLogger() });
  const stop = new AbortController();
  await yesterday.send(keys, anna, bert, Buffer.from("old"), stop.signal);
  const now = new TestClock();
  const today = new DhtSignalling({ items, clock: now, logger: new RecordLogger() });
  const got: string[] = [];
  today.receive(keys, anna, bert, (message) => got.push(Buffer.from(message).toString()), stop.signal);
  await now.advance(20_000);
  assert.deepEqual(got, []);
  await yesterday.send(keys, anna, bert, Buffer.from("his clock is a day behind"), stop.signal);
  await yesterday.send(keys, bert, anna, Buffer.from("the other way"), stop.signal);
  await now.advance(20_000);
  assert.deepEqual(got, ["his clock is a day behind"]);
  stop.abort();
  await now.advance(100_000);
  assert.equal(now.pending, 0, "something still polls");
});

test("what is said of oneself in the turn in which one comes is in the first word", async () => {
  const items = new MemoryItems();
  const time = new TestClock();
  const keys = someKeys();
  const self = somePeerId();
  const signalling = new DhtSignalling({ items, clock: time, logger: new RecordLogger() });
  let shares = false;
  const here = signalling.announce(keys, () => presenceOf(self, { shares, time: time.now() }));
  shares = true;
  await time.advance(0);
  const board = new PresenceBoard(keys, { items, clock: time });
  await board.look(true);
  assert.deepEqual(
    board.present.map((presence) => presence.shares),
    [true],
  );
  const left = here[Symbol.asyncDispose]();
  await time.advance(2000);
  await left;
});

test("a node that has gone is not waited for until its time is over", async (t: TestContext) => {
  await using network = await localDht(16);
  await using own = await ownNode(network.bootstrap);
  const key = signingKey(someKeys().signalSeed);
  const salts = ["a", "b", "c"].map((name) => Buffer.from(name));
  await own.dht.get(key.publicKey, Buffer.from("first"));
  await network.lose(3);
  for (const salt of salts) {
    const began = performance.now();
    const { stored } = await own.dht.put(key, salt, { value: Buffer.from("x"), sequence: 1 });
    const ms = performance.now() - began;
    t.diagnostic(`put with 3 of 16 nodes gone: ${ms.toFixed(0)} ms`);
    assert.ok(stored >= 4 && ms < 2000, `${stored} nodes, ${ms} ms`);
  }
});

test("polling slows down, and who can be reached hardly asks", async () => {
  const keys = someKeys();
  const asked = async (endpoint: Presence["endpoints"][number]["kind"]) => {
    const items = new MemoryItems();
    const time = new TestClock();
    const signalling = new DhtSignalling({ items, clock: time, logger: new RecordLogger() });
    const self = somePeerId();
    const stop = new AbortController();
    const here = signalling.announce(keys, () =>
      presenceOf(self, { endpoints: [{ host: "192.0.2.1", port: 1, kind: endpoint }], time: time.now() }),
    );
    signalling.watch(keys, self, () => undefined, stop.signal);
    const minutes: number[] = [];
    for (let minute = 0; minute < 20; minute++) {
      const before = items.gets;
      await time.advance(60_000);
      minutes.push(items.gets - before);
    }
    stop.abort();
    const left = here[Symbol.asyncDispose]();
    await time.advance(2000);
    await left;
    return minutes;
  };
  const [hidden, reachable] = [await asked("lan"), await asked("mapped")];
  assert.ok((hidden[1] ?? 0) > 3 * (hidden[18] ?? 0), `${hidden}`);
  assert.ok((reachable[3] ?? 99) * 4 < (hidden[2] ?? 0), `${reachable} | ${hidden}`);
  assert.ok((reachable[18] ?? 99) <= 10, `${reachable}`);
});

/** Items in memory, with one node's rules. */
class MemoryItems {
  readonly #items = new Map<string, Item>();
  gets = 0;

  get(publicKey: Buffer, salt: Buffer): Promise<Item | undefined> {
    this.gets++;
    return Promise.resolve(this.#items.get(targetOf(publicKey, salt).toString("hex")));
  }

  put(key: { readonly publicKey: Buffer }, salt: Buffer, item: Item, replaces?: number) {
    const name = targetOf(key.publicKey, salt).toString("hex");
    const there = this.#items.get(name);
    const refused =
      there && (there.sequence >= item.sequence || (replaces !== undefined && replaces !== there.sequence));
    if (!refused) this.#items.set(name, item);
    return Promise.resolve(refused ? { stored: 0, refused: 1 } : { stored: 1, refused: 0 });
  }

  only(): Item {
    return [...this.#items.values()][0] as Item;
  }

  replaceOnly(item: Item): void {
    for (const name of this.#items.keys()) this.#items.set(name, item);
  }
}
