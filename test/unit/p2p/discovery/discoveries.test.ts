import assert from "node:assert/strict";
import { test } from "node:test";
import type { PeerDiscovery, PeerInfo } from "../../../../src/daemon/core/peers.ts";
import { Discoveries } from "../../../../src/daemon/p2p/discovery/discoveries.ts";
import { peerAt } from "../../../support/p2p/dht-node.ts";
import { RecordLogger } from "../../../support/record-logger.ts";
import { TestClock } from "../../../support/test-clock.ts";

const KEY = "ab".repeat(20);

function begin() {
  const clock = new TestClock();
  const logger = new RecordLogger();
  const discoveries = new Discoveries({ clock, logger });
  const seen: PeerInfo[] = [];
  const stop = new AbortController();
  return { clock, logger, discoveries, seen, stop, onPeer: (peer: PeerInfo) => void seen.push(peer) };
}

const answering = (name: string, answer: () => unknown): PeerDiscovery => ({
  name,
  // What a plugin in JavaScript may do, whatever the types say.
  discoverPeers: answer as PeerDiscovery["discoverPeers"],
});

test("one that throws, hangs or answers nonsense does not hurt the others", async () => {
  const { clock, discoveries, seen, stop, onPeer } = begin();
  discoveries.register(
    answering("throws", () => {
      throw new Error("no registry");
    }),
  );
  discoveries.register(answering("hangs", () => new Promise(() => undefined)));
  discoveries.register(answering("no list", async () => "x"));
  discoveries.register(
    answering("lies", async () => [null, 7, {}, peerAt(0), peerAt(70_000), peerAt(1, "224.0.0.1"), peerAt(1, "host")]),
  );
  discoveries.register(answering("good", async () => [peerAt(4711, "192.168.1.2")]));
  discoveries.discover(KEY, onPeer, stop.signal);
  await clock.advance(1000);
  assert.deepEqual(
    seen.map(({ externalPort }) => externalPort),
    [4711],
  );
  await clock.advance(200_000);
  const states = Object.fromEntries(discoveries.states().map(({ name, state }) => [name, state]));
  assert.match(states["throws"] ?? "", /no registry/);
  assert.equal(states["hangs"], "does not answer");
  assert.match(states["no list"] ?? "", /no list/);
  assert.equal(states["lies"], "found 0");
  stop.abort();
  await clock.advance(1000);
  assert.equal(clock.pending, 0);
});

test("500 false peers: a bounded number is told, few of one neighbourhood; those that failed make room", async () => {
  const { clock, discoveries, seen, stop, onPeer } = begin();
  const crowd = Array.from({ length: 100 }, (_, index) => peerAt(1000 + index, `9.9.9.${index}`));
  const spread = Array.from({ length: 400 }, (_, index) => peerAt(2000, `9.${index % 200}.${index % 7}.1`));
  let turn = 0;
  discoveries.register(answering("false", async () => (turn++ % 2 === 0 ? crowd : spread)));
  discoveries.discover(KEY, onPeer, stop.signal);
  await clock.advance(60_000);
  assert.equal(seen.filter(({ externalIp }) => externalIp.startsWith("9.9.9.")).length, 4);
  assert.equal(seen.length, 64);
  for (const peer of seen) discoveries.failed(KEY, peer);
  discoveries.register(answering("true", async () => [peerAt(4711, "8.8.4.4")]));
  await clock.advance(1000);
  assert.equal(seen.at(-1)?.externalPort, 4711);
  stop.abort();
});

test("a way that is added takes part in what is on, and one that is taken out no longer", async () => {
  const { clock, discoveries, seen, stop, onPeer } = begin();
  discoveries.discover(KEY, onPeer, stop.signal);
  const self = peerAt(4711, "192.168.1.2");
  const announced: string[] = [];
  await using _announcement = discoveries.announce(KEY, self);
  let asked = 0;
  const remove = discoveries.register({
    name: "late",
    discoverPeers: async () => {
      asked++;
      return [self, peerAt(4712, "192.168.1.3")];
    },
    announce: async (fileHash) => {
      announced.push(fileHash);
      return { [Symbol.asyncDispose]: async () => void announced.pop() };
    },
  });
  await clock.advance(1000);
  assert.deepEqual(announced, [KEY]);
  assert.deepEqual(
    seen.map(({ externalPort }) => externalPort),
    [4712],
    "our own announcement is left out",
  );
  remove();
  await clock.advance(1000);
  assert.deepEqual(announced, []);
  const before = asked;
  await clock.advance(300_000);
  assert.equal(asked, before);
  stop.abort();
});
