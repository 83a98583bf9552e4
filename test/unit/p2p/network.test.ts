import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { deriveKeys } from "../../../src/daemon/p2p/keys.ts";
import { IceLibrary } from "../../../src/daemon/p2p/path/ice-library.ts";
import type { Channel, ShareKeys } from "../../../src/daemon/p2p/types.ts";
import { MemorySignalling } from "../../support/p2p/memory-signalling.ts";
import { emptyServable, fetchSample, giveSample, TestTaker, testNetwork } from "../../support/p2p/test-network.ts";
import { TestClock } from "../../support/test-clock.ts";
import { waitFor } from "../../support/wait.ts";

const NEVER = new AbortController().signal;
const newKeys = (): ShareKeys => deriveKeys(randomBytes(16));

test("a peer that a person named is reached at once, and bytes come within a second", async () => {
  const keys = newKeys();
  await using giver = await testNetwork();
  await using taker = await testNetwork();
  assert.equal((await giver.network.state(false, NEVER)).listening, false, "nothing listens before the first share");
  await using _share = await giver.network.publish(emptyServable(keys), giveSample);
  const wants = new TestTaker(keys, [`127.0.0.1:${await giver.port()}`]);
  const started = performance.now();
  await using _seek = await taker.network.seek(wants);
  const channel = await wants.first;
  const { bytes } = await fetchSample(channel, 3_000_000);
  assert.equal(bytes, 3_000_000);
  assert.ok(performance.now() - started < 1000, `${performance.now() - started} ms`);
  assert.equal(channel.path, "lan");
  const [up] = (await giver.network.state(false, NEVER)).peers;
  assert.deepEqual([up?.direction, up?.sentBytes, up?.peerId], ["up", 3_000_000, taker.peerId]);
  const [down] = (await taker.network.state(false, NEVER)).peers;
  assert.deepEqual([down?.direction, down?.receivedBytes], ["down", 3_000_000]);
  channel.close();
  await waitFor("nobody to be left", async () => (await giver.network.state(false, NEVER)).peers.length === 0);
});

test("who knows the code is found by signals; a way by ICE exists when nobody can be called", async () => {
  const keys = newKeys();
  const signalling = new MemorySignalling();
  const noAddresses = { signalling, localAddresses: async () => [], iceServers: { stun: ["127.0.0.1:9"], turn: [] } };
  await using giver = await testNetwork(noAddresses);
  await using taker = await testNetwork(noAddresses);
  await using _share = await giver.network.publish(emptyServable(keys), giveSample);
  const wants = new TestTaker(keys);
  await using _seek = await taker.network.seek(wants);
  const channel = await wants.first;
  assert.equal(channel.path, "ice");
  assert.equal((await fetchSample(channel, 5_000_000)).bytes, 5_000_000);
  assert.ok(signalling.sent.every(({ bytes }) => bytes <= 700));
});

test("a wrong code gets nothing, and the reason says what was tried", async () => {
  await using giver = await testNetwork();
  await using taker = await testNetwork();
  let given = 0;
  await using _share = await giver.network.publish(emptyServable(newKeys()), () => {
    given += 1;
  });
  const wants = new TestTaker(newKeys(), [`127.0.0.1:${await giver.port()}`]);
  await using _seek = await taker.network.seek(wants);
  const problem = await waitFor("a reason", () => wants.problems[0]);
  assert.equal(problem.code, "PEER_REFUSED");
  assert.match(problem.message, /127\.0\.0\.1/);
  assert.equal(given, 0);
});

test("as many peers as the share allows, counted when they have proved the code", async () => {
  const keys = newKeys();
  await using giver = await testNetwork();
  await using one = await testNetwork();
  await using two = await testNetwork();
  await using _share = await giver.network.publish(emptyServable(keys, { maxPeers: 1 }), giveSample);
  const place = `127.0.0.1:${await giver.port()}`;
  const first = new TestTaker(keys, [place]);
  await using _first = await one.network.seek(first);
  await first.first;
  const second = new TestTaker(keys, [place]);
  await using _second = await two.network.seek(second);
  const refused = await second.first;
  const reason = await new Promise((resolve) => {
    refused.start({ frame: () => undefined, data: () => undefined, closed: resolve });
  });
  assert.equal((reason as { readonly code: string }).code, "PEER_BUSY");
});

test("a peer named twice is connected once; a banned one is left alone", async () => {
  const keys = newKeys();
  await using giver = await testNetwork();
  await using taker = await testNetwork();
  const given: Channel[] = [];
  await using _share = await giver.network.publish(emptyServable(keys), (channel) => {
    given.push(channel);
    giveSample(channel);
  });
  const port = await giver.port();
  const wants = new TestTaker(keys, [`127.0.0.1:${port}`, `[::1]:${port}`]);
  wants.limit = 5;
  await using seek = await taker.network.seek(wants);
  await wants.first;
  await waitFor(
    "the second call to be given up",
    () => given.filter(({ closed }) => closed).length >= given.length - 1,
  );
  assert.equal(wants.channels.length, 1);
  await seek[Symbol.asyncDispose]();
  const other = new TestTaker(keys, [`127.0.0.1:${port}`]);
  other.banned.add(giver.peerId);
  await using _other = await taker.network.seek(other);
  await waitFor("a reason", () => other.problems.length > 0);
  assert.equal(other.channels.length, 0);
});

test("for a caller from elsewhere no private address is called", async () => {
  const keys = newKeys();
  await using giver = await testNetwork();
  await using taker = await testNetwork();
  let given = 0;
  await using _share = await giver.network.publish(emptyServable(keys), () => {
    given += 1;
  });
  const wants = new TestTaker(keys, [`127.0.0.1:${await giver.port()}`, `localhost:${await giver.port()}`], true);
  await using _seek = await taker.network.seek(wants);
  await waitFor("both to be refused", () => wants.problems.length >= 2);
  assert.equal(given, 0);
});

test("relay-only opens no port and says no address; a missing library is said", async () => {
  const keys = newKeys();
  const missing = () => Promise.reject(new Error("Cannot find package '@roamhq/wrtc'"));
  const ice = new IceLibrary(missing, () => {
    throw new Error("Cannot find package '@roamhq/wrtc'");
  });
  await using giver = await testNetwork({ mode: "relay-only", ice });
  await using _share = await giver.network.publish(emptyServable(keys), giveSample);
  const state = await giver.network.state(false, NEVER);
  assert.equal(state.listening, false);
  assert.equal(state.ice, false);
  assert.match(state.iceProblem ?? "", /optional package @roamhq\/wrtc/);
});

test("the port is closed when the network ends", async () => {
  const giver = await testNetwork();
  await giver.network.publish(emptyServable(newKeys()), giveSample);
  const port = await giver.port();
  await giver[Symbol.asyncDispose]();
  const late = connect({ port, host: "127.0.0.1" });
  const [error] = await once(late, "error");
  assert.equal(error.code, "ECONNREFUSED");
});

test("the port stays open for a minute after the last use, and closes then", async () => {
  const clock = new TestClock();
  await using peer = await testNetwork({ clock });
  const isListening = async () => (await peer.network.state(false, new AbortController().signal)).listening;
  const share = await peer.network.publish(emptyServable(newKeys()), giveSample);
  await share[Symbol.asyncDispose]();
  await clock.advance(59_000);
  assert.equal(await isListening(), true);
  // Used again meanwhile: the minute begins anew.
  const again = await peer.network.publish(emptyServable(newKeys()), giveSample);
  await clock.advance(59_000);
  await again[Symbol.asyncDispose]();
  await clock.advance(59_000);
  assert.equal(await isListening(), true);
  await clock.advance(1000);
  assert.equal(await isListening(), false);
});

test("a place that was found and is of no use is told to who found it", async () => {
  const failed: object[] = [];
  const told = Promise.withResolvers<void>();
  await using taker = await testNetwork({
    finder: {
      discover: (_hash, onPeer) => {
        const place = { peerId: "", publicKey: new Uint8Array(), natType: "unknown" as const, capabilities: [] };
        onPeer({ ...place, externalIp: "127.0.0.1", externalPort: 1 });
      },
      failed: (fileHash, { externalIp, externalPort }) => {
        failed.push({ fileHash, externalIp, externalPort });
        told.resolve();
      },
      announce: () => ({ [Symbol.asyncDispose]: async () => undefined }),
      states: () => [],
    },
  });
  const keys = newKeys();
  await using _seek = await taker.network.seek(new TestTaker(keys));
  await told.promise;
  assert.deepEqual(failed, [{ fileHash: keys.lookupKey, externalIp: "127.0.0.1", externalPort: 1 }]);
});

test("on the local network alone no name is looked up: that could ask a server elsewhere", async () => {
  const keys = newKeys();
  await using giver = await testNetwork();
  await using taker = await testNetwork({ mode: "lan-only" });
  await using _share = await giver.network.publish(emptyServable(keys), giveSample);
  const wants = new TestTaker(keys, ["nas.example.invalid:4000"]);
  await using _seek = await taker.network.seek(wants);
  const [problem] = wants.problems;
  assert.deepEqual([problem?.code, problem?.retryable], ["INVALID_ARGUMENT", false]);
  assert.match(problem?.message ?? "", /"nas\.example\.invalid:4000".*lan-only.*address, such as 192\.168\.1\.5:4000/);
  // This machine's own name is no question for anybody.
  const local = new TestTaker(keys, [`localhost:${await giver.port()}`]);
  await using _local = await taker.network.seek(local);
  assert.equal((await local.first).path, "lan");
});
