import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { SystemClock } from "../../../../src/daemon/os/clock.ts";
import { decode, encode } from "../../../../src/daemon/p2p/discovery/bencode.ts";
import { type DhtRelays, DhtRoute } from "../../../../src/daemon/p2p/discovery/dht-route.ts";
import { DhtSocket } from "../../../../src/daemon/p2p/discovery/dht-socket.ts";
import { signingKey } from "../../../../src/daemon/p2p/discovery/ed25519.ts";
import { EndpointFilter } from "../../../../src/daemon/p2p/discovery/endpoint-filter.ts";
import { asReadOnly } from "../../../../src/daemon/p2p/discovery/krpc.ts";
import { TurnRelays } from "../../../../src/daemon/p2p/nat/turn-relay.ts";
import { ownNode, peerAt } from "../../../support/p2p/dht-node.ts";
import { type FakeTurn, fakeTurn } from "../../../support/p2p/fake-turn.ts";
import { localDht } from "../../../support/p2p/local-dht.ts";
import { quickClock } from "../../../support/p2p/quick-clock.ts";
import { someKeys } from "../../../support/p2p/share-keys.ts";
import { RecordLogger } from "../../../support/record-logger.ts";
import { waitFor } from "../../../support/wait.ts";

function relaysBy(server: FakeTurn, only: boolean): DhtRelays {
  const relays = new TurnRelays([server.account], new SystemClock());
  return { only, open: (events, signal) => relays.open(events, signal) };
}

test("by a relay alone: items are put and found, every packet goes by it, and no peer is announced there", async () => {
  await using network = await localDht(12);
  await using server = await fakeTurn();
  await using own = await ownNode(network.bootstrap, relaysBy(server, true));
  await using other = await ownNode(network.bootstrap);
  const keys = someKeys();
  const key = signingKey(keys.signalSeed);
  const salt = Buffer.from("here");
  assert.equal(server.links.size, 0, "it connects before its first use");
  const put = await own.dht.put(key, salt, { value: Buffer.from("hello"), sequence: 7 });
  assert.ok(put.stored >= 4, JSON.stringify(put));
  assert.deepEqual(await other.dht.get(key.publicKey, salt), { value: Buffer.from("hello"), sequence: 7 });
  assert.match(own.dht.state, /^[0-9]+ nodes, by the relay of turn:127\.0\.0\.1:[0-9]+$/);
  assert.equal(own.dht.port, 0);
  await using _announced = await own.dht.announce(keys.lookupKey, peerAt(4711));
  assert.deepEqual(await own.dht.discoverPeers(keys.lookupKey, AbortSignal.timeout(5000)), []);
  await waitFor("all packets at the relay", () => server.relayed.out === own.dht.counts?.sent);
});

test("by a relay alone, and there is none: nothing is sent, and that is said", async () => {
  await using network = await localDht(3);
  await using server = await fakeTurn({ onConnect: (socket) => Boolean(socket.destroy()) });
  await using own = await ownNode(network.bootstrap, relaysBy(server, true));
  assert.equal(await own.dht.get(Buffer.alloc(32), Buffer.from("x")), undefined);
  assert.match(own.dht.state, /^no node answers, no relay \(turn:127.*\)$/);
});

test("where UDP gets no answer a relay is taken; where UDP is there again, or the relay is lost, it is left", async () => {
  const clock = quickClock(50);
  await using server = await fakeTurn();
  // A node that can be silent for those who do not come by the relay.
  const node = createSocket("udp4");
  let open = false;
  node.on("message", (bytes, { address, port }) => {
    const query = decode(bytes);
    const t = query instanceof Map ? query.get("t") : undefined;
    const byRelay = bytes.includes("2:roi1e");
    if (!Buffer.isBuffer(t) || (!open && !byRelay)) return;
    node.send(encode({ r: { id: Buffer.alloc(20, 1) }, t, y: "r" }), port, address);
  });
  using ends = new DisposableStack();
  ends.defer(() => node.close());
  node.bind(0, "127.0.0.1");
  await once(node, "listening");
  const place = { host: "127.0.0.1", port: node.address().port };
  const id = Buffer.alloc(20, 2);
  const socket = new DhtSocket(new EndpointFilter({ networks: [], loopback: true }), clock, true);
  ends.defer(() => socket.close());
  socket.bind(0, "127.0.0.1", () => undefined);
  await once(socket, "listening");
  let switches = 0;
  using route = new DhtRoute({
    ...{ socket, clock, relays: relaysBy(server, false), nodes: () => [place], nodeId: id, logger: new RecordLogger() },
    onSwitch: () => void switches++,
  });
  const ask = () => socket.ask(place, "ping", { id });
  route.start();
  assert.equal(await ask(), undefined);
  await route.settled;
  assert.match(route.state ?? "", /by the relay of/);
  assert.ok(await waitFor("an answer by the relay", ask));
  assert.equal(server.links.size, 1);

  for (const link of server.links) link.destroy();
  await waitFor("the relay to be lost", () => socket.relay === undefined);
  await ask();
  await waitFor("another relay", () => socket.relay !== undefined);
  assert.ok(await waitFor("an answer by the relay", ask));

  open = true;
  await waitFor("UDP to be there again", () => socket.relay === undefined);
  assert.ok(await waitFor("an answer by UDP", ask));
  await waitFor("the relay to be given back", () => server.links.size === 0);
  assert.equal(route.state, undefined);
  assert.equal(switches, 4);
});

test("where UDP answers no relay is asked", async () => {
  await using network = await localDht(3);
  await using server = await fakeTurn();
  await using own = await ownNode(network.bootstrap, relaysBy(server, false));
  await own.dht.get(Buffer.alloc(32), Buffer.from("x"));
  assert.match(own.dht.state, /^[0-9]+ nodes$/);
  assert.equal(server.links.size, 0);
});

test("a query says that we answer none, in its place; nothing else is changed", () => {
  for (const t of ["ab", "abcd"]) {
    const query = { a: { id: Buffer.alloc(20, 1), target: Buffer.alloc(20, 2) }, q: "find_node", t, y: "q" };
    assert.deepEqual(Buffer.from(asReadOnly(encode(query))), encode({ ...query, ro: 1 }));
    const reply = encode({ r: { id: Buffer.alloc(20, 1) }, t, y: "r" });
    assert.equal(asReadOnly(reply), reply);
  }
  for (const odd of ["", "1:y1:qe", "1:t2:ab1:y1:qe"]) assert.equal(asReadOnly(Buffer.from(odd)).length, odd.length);
});
