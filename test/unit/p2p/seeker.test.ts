/** Whom a seeker calls, and where. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { PeerInfo } from "../../../src/daemon/core/peers.ts";
import { deriveKeys } from "../../../src/daemon/p2p/keys.ts";
import { Seeker } from "../../../src/daemon/p2p/network/seeker.ts";
import type { RaceTarget } from "../../../src/daemon/p2p/path/race.ts";
import type { Endpoint, Presence } from "../../../src/daemon/p2p/types.ts";
import { memoryChannels, peerIdOf } from "../../support/p2p/memory-channels.ts";
import { TestTaker } from "../../support/p2p/test-network.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";

const ANN = peerIdOf("Ann");
const place = (port: number, host = "192.168.1.5"): Endpoint => ({ host, port, kind: "lan" });
const named = (peerId: string, { host, port }: Endpoint): PeerInfo => ({
  ...{ peerId, publicKey: new Uint8Array(), externalIp: host, externalPort: port },
  ...{ natType: "unknown", capabilities: [] },
});
const says = (...endpoints: Endpoint[]): Presence => ({
  ...{ peerId: ANN, shares: true, endpoints, natType: "unknown", capabilities: [], time: 0 },
});

/** A seeker of which each call fails, but where somebody is. */
function seeking(t: { after(end: () => void): void }) {
  const keys = deriveKeys(randomBytes(15));
  const clock = new TestClock();
  const taker = new TestTaker(keys);
  const called: Endpoint[][] = [];
  const there = new Map<number, string>();
  const seeker = new Seeker({
    ...{ taker, clock, logger: new RecordLogger(), self: () => peerIdOf("self") },
    allowsLookup: true,
    ...{ allowsTcp: () => true, mayBeCalled: () => true, mayBeAskedByIce: () => true, failed: () => undefined },
    order: (endpoints) => [...endpoints],
    connect: async (peer) => memoryChannels({ giverId: there.get(peer.called?.port ?? 0) ?? "" }).taker,
    reach: async ({ endpoints, authenticate }: RaceTarget, signal) => {
      called.push([...endpoints]);
      const at = endpoints.find(({ port }) => there.has(port));
      if (!at) throw failure("PEERS_UNREACHABLE", "nobody is there");
      return authenticate({ stream: new PassThrough(), path: "lan", remoteAddress: at.host, called: at }, signal);
    },
  });
  t.after(() => seeker[Symbol.dispose]());
  /** Ports that are called in the next minutes. */
  const ports = async (): Promise<Set<number>> => {
    called.length = 0;
    for (let second = 0; second < 600; second += 5) await clock.advance(5000);
    return new Set(called.flat().map(({ port }) => port));
  };
  return { seeker, clock, taker, there, ports };
}

test("what strangers say of a peer pushes out no place that it names itself", async (t) => {
  const { seeker, ports } = seeking(t);
  seeker.present(says(place(4000), place(4001)));
  for (let port = 5000; port < 5040; port++) seeker.found(named(ANN, place(port)));
  const called = await ports();
  assert.ok(called.has(4000) && called.has(4001), [...called].join(" "));
  seeker.present(says(place(4002)));
  assert.ok((await ports()).has(4002));
});

test("nor does it push out another place that a stranger has named: the true one may be among them", async (t) => {
  const { seeker, ports } = seeking(t);
  for (let port = 5000; port < 5020; port++) seeker.found(named(ANN, place(port)));
  seeker.found(named(ANN, place(4000)));
  for (let port = 5020; port < 5040; port++) seeker.found(named(ANN, place(port)));
  assert.ok((await ports()).has(4000));
});

test("nor one at which the peer was", async (t) => {
  const { seeker, clock, there, taker, ports } = seeking(t);
  there.set(4000, ANN);
  seeker.found(named(ANN, place(4000)));
  await clock.advance(10);
  await taker.first;
  // It says nothing of that place: only that it has others, which do not answer.
  seeker.present(says(...Array.from({ length: 8 }, (_, nth) => place(6000 + nth))));
  for (let port = 5000; port < 5040; port++) seeker.found(named(ANN, place(port)));
  await clock.advance(10_000);
  there.clear();
  taker.channels[0]?.close();
  const called = await ports();
  assert.ok(called.has(4000) && called.has(6007), [...called].join(" "));
});

test("who answers in a peer's name and is another gains nothing for his place", async (t) => {
  const { seeker, clock, there, taker, ports } = seeking(t);
  there.set(5000, peerIdOf("Mallory"));
  seeker.present(says(place(4000)));
  seeker.found(named(ANN, place(5000)));
  await clock.advance(3000);
  assert.equal((await taker.first).peerId, peerIdOf("Mallory"));
  there.clear();
  taker.channels[0]?.close();
  assert.ok((await ports()).has(4000));
});

test("whoever was let go of at this end is called again as soon as that is wanted", async (t) => {
  const { seeker, clock, there, taker } = seeking(t);
  there.set(4000, ANN);
  seeker.present(says(place(4000)));
  await clock.advance(10);
  const first = await taker.first;
  taker.limit = 0;
  first.close();
  taker.limit = 1;
  await clock.advance(0);
  seeker.look();
  await clock.advance(0);
  assert.equal(taker.channels.length, 2);
});

test("who is known and not here is counted: not strangers, nor who is not to be asked", async (t) => {
  const { seeker, clock, there, taker } = seeking(t);
  const counts: number[] = [];
  Object.assign(taker, { othersKnown: (count: number) => void counts.push(count) });
  seeker.found(named(peerIdOf("stranger"), place(7000)));
  await clock.advance(3000);
  assert.deepEqual(counts, []);
  there.set(4000, ANN);
  seeker.present(says(place(4000)));
  await clock.advance(3000);
  assert.deepEqual(counts, [1, 0], "known, then here");
  taker.channels[0]?.close();
  there.clear();
  await clock.advance(3000);
  assert.deepEqual(counts, [1, 0, 1]);
  taker.banned.add(ANN);
  await clock.advance(3000);
  assert.deepEqual(counts, [1, 0, 1, 0]);
});
