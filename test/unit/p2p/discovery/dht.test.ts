import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { stat } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { encode } from "../../../../src/daemon/p2p/discovery/bencode.ts";
import { draw } from "../../../../src/daemon/p2p/discovery/dht-lookup.ts";
import { EndpointFilter } from "../../../../src/daemon/p2p/discovery/endpoint-filter.ts";
import { ownNode, peerAt } from "../../../support/p2p/dht-node.ts";
import { localDht } from "../../../support/p2p/local-dht.ts";
import { someKeys } from "../../../support/p2p/share-keys.ts";
import { waitFor } from "../../../support/wait.ts";

test("who announces is found; id and nodes are kept, 0600", async (t: TestContext) => {
  await using network = await localDht(20);
  await using giver = await ownNode(network.bootstrap);
  await using taker = await ownNode(network.bootstrap);
  assert.equal(giver.dht.port, undefined, "it listens before its first use");
  const key = someKeys().lookupKey;
  const begun = performance.now();
  await using _announced = await giver.dht.announce(key, peerAt(4711));
  await waitFor("the announcement", async () =>
    (await taker.dht.discoverPeers(key, AbortSignal.timeout(5000))).some(({ externalPort }) => externalPort === 4711),
  );
  t.diagnostic(`announced to found with 20 nodes: ${(performance.now() - begun).toFixed(0)} ms`);
  await taker.dht[Symbol.asyncDispose]();
  assert.equal((await stat(taker.file)).mode & 0o777, 0o600);
});

test("datagrams of the wrong form do not end the process, and the node answers on", async () => {
  await using network = await localDht(3);
  await using own = await ownNode(network.bootstrap);
  await own.dht.discoverPeers(someKeys().lookupKey, AbortSignal.timeout(5000));
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const id = Buffer.alloc(20, 1);
  const send = (message: Uint8Array) =>
    new Promise<void>((resolve) => socket.send(message, own.dht.port, "127.0.0.1", () => resolve()));
  for (const a of [
    { id, target: 5 },
    { id, info_hash: id, token: 5, port: 1 },
    { id: 7 },
    { id, token: id, v: 5, k: 7 },
  ])
    for (const q of ["ping", "find_node", "get_peers", "announce_peer", "get", "put"])
      await send(encode({ a, q, t: "xx", y: "q" }));
  for (const r of [{ id: 5 }, { id, nodes: 5 }, { id, values: [5] }, { id, values: 5 }])
    for (const tid of ["xx", "xxxx", "x"]) await send(encode({ r, t: tid, y: "r" }));
  await send(Buffer.from("d1:ad2:id20:"));
  await send(Buffer.from("l".repeat(1300)));
  const pong = new Promise<Buffer>((resolve) =>
    socket.on("message", (bytes) => {
      if (bytes.includes("zz")) resolve(bytes);
    }),
  );
  await send(encode({ a: { id }, q: "ping", t: "zz", y: "q" }));
  assert.ok((await pong).includes("zz"));
  assert.ok((own.dht.counts?.dropped ?? 0) > 20);
  socket.close();
});

test("one node that names hundreds gets no more than its part", () => {
  const false1 = new Set(Array.from({ length: 100 }, (_, index) => `9.${index}.1.1:80`));
  const crowd = new Set(Array.from({ length: 100 }, (_, index) => `9.9.9.${index}:80`));
  for (let run = 0; run < 20; run++) {
    const drawn = draw(
      new Map([
        ["a", false1],
        ["b", crowd],
        ["c", new Set(["8.8.4.4:4711"])],
      ]),
    );
    assert.ok(drawn.includes("8.8.4.4:4711"));
    assert.ok(drawn.length <= 40);
    assert.ok(drawn.filter((place) => place.startsWith("9.9.9.")).length <= 4);
  }
});

test("strangers name no address that leads into the own network, unless we are in it", () => {
  const home = new EndpointFilter({ networks: ["192.168.1.7/24"], loopback: false });
  for (const host of ["8.8.8.8", "192.168.1.9", "2a00::1"]) assert.ok(home.allows(host, 80), host);
  for (const host of [
    "127.0.0.1",
    "10.0.0.1",
    "192.168.2.1",
    "192.168.1.255",
    "0.0.0.0",
    "224.0.0.1",
    "::1",
    "fe80::1",
    "::ffff:8.8.8.8",
    "x",
  ])
    assert.ok(!home.allows(host, 80), host);
  assert.ok(!home.allows("8.8.8.8", 0) && !home.allows("8.8.8.8", 65_536));
  assert.ok(new EndpointFilter({ networks: [], loopback: true }).allows("127.0.0.1", 80));
});
