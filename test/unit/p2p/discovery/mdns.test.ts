import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { type TestContext, test } from "node:test";
import makeSocket from "multicast-dns";
import { SystemClock } from "../../../../src/daemon/os/clock.ts";
import { MulticastDiscovery } from "../../../../src/daemon/p2p/discovery/mdns.ts";
import { peerAt } from "../../../support/p2p/dht-node.ts";
import { someKeys, somePeerId } from "../../../support/p2p/share-keys.ts";
import { RecordLogger } from "../../../support/record-logger.ts";

/** Everything goes over loopback alone: nobody else is asked. */
function onLoopback(): MulticastDiscovery {
  return new MulticastDiscovery({
    enabled: () => true,
    clock: new SystemClock(),
    logger: new RecordLogger(),
    address: "127.0.0.1",
  });
}

/** Some machines have no multicast on loopback: then the test says that it did not run. */
const multicast = { skip: !(await hasMulticast()) && "NOT RUN: there is no multicast on loopback here" };

function hasMulticast(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: "udp4", reuseAddr: true });
    const end = (answer: boolean) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => end(false), 500);
    socket.on("error", () => end(false));
    socket.on("message", () => end(true));
    socket.bind(0, "0.0.0.0", () => {
      try {
        socket.addMembership("224.0.0.251", "127.0.0.1");
        socket.setMulticastInterface("127.0.0.1");
        socket.send("x", socket.address().port, "224.0.0.251");
      } catch {
        end(false);
      }
    });
  });
}

test("who announces a share is found within 200 ms, by those who know its key", multicast, async (t: TestContext) => {
  await using giver = onLoopback();
  await using taker = onLoopback();
  const [key, other] = [someKeys().lookupKey, someKeys().lookupKey];
  const peerId = somePeerId();
  assert.equal(giver.state, "idle");
  const announced = await giver.announce(key, { ...peerAt(4711), peerId });
  // Opens the socket; nobody has this one.
  assert.deepEqual(await taker.discoverPeers(other, AbortSignal.timeout(300)), []);
  const begun = performance.now();
  const found = await taker.discoverPeers(key, AbortSignal.timeout(5000));
  const took = performance.now() - begun;
  t.diagnostic(`found after ${took.toFixed(1)} ms`);
  assert.deepEqual(
    found.map(({ peerId: id, externalPort }) => ({ id, externalPort })),
    [{ id: peerId, externalPort: 4711 }],
  );
  assert.ok(took < 200, `${took} ms`);
  assert.deepEqual(await giver.discoverPeers(key, AbortSignal.timeout(300)), [], "it found itself");
  await announced[Symbol.asyncDispose]();
  assert.deepEqual(await taker.discoverPeers(key, AbortSignal.timeout(300)), [], "it was taken back");
});

test("neighbours are told the port that listens here, whatever the router's is", multicast, async () => {
  await using giver = onLoopback();
  await using taker = onLoopback();
  const key = someKeys().lookupKey;
  const self = { ...peerAt(54_321, "198.41.0.4"), localPort: 4711, peerId: somePeerId() };
  await using _announced = await giver.announce(key, self);
  const found = await taker.discoverPeers(key, AbortSignal.timeout(5000));
  assert.deepEqual(
    found.map(({ externalPort }) => externalPort),
    [4711],
  );
});

test("nothing of the key is to be seen on the network", multicast, async () => {
  const key = someKeys().lookupKey;
  const packets: Buffer[] = [];
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  await new Promise<void>((resolve) => socket.bind(5353, "0.0.0.0", resolve));
  socket.addMembership("224.0.0.251", "127.0.0.1");
  socket.on("message", (bytes) => packets.push(bytes));
  {
    await using giver = onLoopback();
    await using _announced = await giver.announce(key, { ...peerAt(4711), peerId: somePeerId() });
    await using taker = onLoopback();
    await taker.discoverPeers(key, AbortSignal.timeout(2000));
  }
  socket.close();
  const all = Buffer.concat(packets);
  assert.ok(all.includes("_snatch"), "nothing was seen at all");
  for (const form of [key, key.slice(0, 16), Buffer.from(key, "hex")]) assert.ok(!all.includes(form), String(form));
});

test("answers that lie are left out, and damaged packets do no harm", multicast, async () => {
  await using taker = onLoopback();
  const key = someKeys().lookupKey;
  const liar = makeSocket({ bind: "0.0.0.0", interface: "127.0.0.1" });
  liar.on("query", (query: { readonly questions: readonly { readonly name: string }[] }) => {
    const name = query.questions[0]?.name ?? "";
    for (const port of [0, 4711])
      liar.respond([
        { name, type: "SRV", ttl: 120, data: { port, target: "x.local" } },
        { name, type: "TXT", ttl: 120, data: ["k=0000", `id=${somePeerId()}`] },
      ]);
    const raw = createSocket("udp4");
    raw.bind(0, "127.0.0.1", () => {
      raw.setMulticastInterface("127.0.0.1");
      raw.send(Buffer.from("0000840000000001000000000a", "hex"), 5353, "224.0.0.251", () => raw.close());
    });
  });
  await new Promise<void>((resolve) => liar.once("ready", resolve));
  assert.deepEqual(await taker.discoverPeers(key, AbortSignal.timeout(400)), []);
  await new Promise<void>((resolve) => liar.destroy(resolve));
});

test("where there is no multicast nothing is found, and nothing fails", async () => {
  const logger = new RecordLogger();
  // An address that no interface here has: nobody can be joined on it.
  await using discovery = new MulticastDiscovery({
    enabled: () => true,
    clock: new SystemClock(),
    logger,
    address: "192.0.2.99",
  });
  await using _announced = await discovery.announce(someKeys().lookupKey, { ...peerAt(4711), peerId: somePeerId() });
  assert.deepEqual(await discovery.discoverPeers(someKeys().lookupKey, AbortSignal.timeout(200)), []);
  assert.ok(logger.lines.every(({ level }) => level === "debug"));
});
