import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { type DownloadError, failure } from "../../../src/daemon/core/errors.ts";
import type { Plan } from "../../../src/daemon/core/plan.ts";
import { makeCode, readCode } from "../../../src/daemon/p2p/code.ts";
import { deriveKeys } from "../../../src/daemon/p2p/keys.ts";
import { PeerResolver } from "../../../src/daemon/p2p/take/peer-resolver.ts";
import { Swarms } from "../../../src/daemon/p2p/take/swarms.ts";
import { type Channel, FRAME } from "../../../src/daemon/p2p/types.ts";
import { FakeNetwork } from "../../support/p2p/fake-network.ts";
import type { MemoryChannel } from "../../support/p2p/memory-channels.ts";
import { type Content, type Manner, makeContent, scriptGiver } from "../../support/p2p/script-giver.ts";
import { SmallEngine, type SmallEngineOptions } from "../../support/p2p/small-engine.ts";
import { numbers } from "../../support/p2p/taking.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";
import { waitFor } from "../../support/wait.ts";

const CHUNK = 64 * 1024;
const repeat = (times: number, call: () => void): void => {
  for (let time = 0; time < times; time++) call();
};
const file = (chunks: number, more = 1234): Content =>
  makeContent([["film.mkv", randomBytes(chunks * CHUNK + more)]], { chunkSize: CHUNK });

/**
 * A taker with all that belongs to it; time runs fast while the test waits.
 *
 * @param stepMs - that pass in each two: where it matters how long something took, few, so that the work keeps up on a busy
 *   machine too
 */
function taker(t: TestContext, { flow = true, stepMs = 250 }: { flow?: boolean; stepMs?: number } = {}) {
  const network = new FakeNetwork();
  const clock = new TestClock();
  const logger = new RecordLogger();
  const secrets = new Map<string, Uint8Array>();
  const secret = readCode(makeCode());
  const { publicId } = deriveKeys(secret);
  secrets.set(publicId, secret);
  const given: unknown[] = [];
  const swarms = new Swarms({
    network,
    secrets,
    clock,
    logger,
    maxPeers: () => 10,
    give: (channel, servable) => void given.push([channel, servable]),
  });
  const resolver = new PeerResolver({
    swarms: () => Promise.resolve(swarms),
    secrets: { keep: (id, kept) => void secrets.set(id, kept) },
    settings: () => ({ enabled: true, allowRemote: false }),
  });
  const url = `snatch:share/${publicId}`;
  const resolve = (share = false) =>
    resolver.resolve({ url, mirrors: [], options: { share } }, new AbortController().signal);
  const fetch = async (options: SmallEngineOptions = {}) => {
    const { manifest } = (await resolve()) as Plan;
    assert.ok(manifest);
    const engine = new SmallEngine(swarms.peer(`${url}/0`), manifest, options);
    const bytes = await engine.all();
    return { engine, bytes };
  };
  const timer = flow ? setInterval(() => void clock.advance(stepMs), 2) : undefined;
  t.after(async () => {
    clearInterval(timer);
    await swarms[Symbol.asyncDispose]();
    assert.equal(network.takers.size, 0, "nothing is sought any more");
    // Givers hear a moment later that it has ended.
    await waitFor("no timer is left", () => clock.pending === 0);
  });
  return { network, clock, logger, swarms, resolver, resolve, fetch, url, publicId, given, secrets };
}

/** Bytes that one request may have on the way. */
const WINDOW = 2 * 1024 * 1024;

test("a file comes whole from one peer, with what is known of it", async (t) => {
  const { network, swarms, resolve, fetch, url } = taker(t);
  const content = file(5);
  const giver = scriptGiver(content);
  network.givers.push(giver);
  const plan = (await resolve()) as Plan;
  assert.equal(plan.filename, "film.mkv");
  assert.equal(plan.size, content.offer.size);
  assert.ok(plan.alone && plan.final);
  assert.deepEqual(plan.candidates, [{ url: `${url}/0`, headers: [] }]);
  const source = swarms.peer(`${url}/0`);
  const stream = await source.open({ start: 10, end: 20, signal: new AbortController().signal });
  assert.deepEqual(stream.resource, {
    finalUrl: `${url}/0`,
    ranges: true,
    size: content.offer.size,
    etag: `"${plan.manifest?.root}"`,
    strongValidator: `"${plan.manifest?.root}"`,
    lastModified: "Tue, 03 Feb 2026 00:00:00 GMT",
    filename: "film.mkv",
    mode: 0o644,
  });
  const got: Buffer[] = [];
  await stream.pipe((bytes) => void got.push(Buffer.from(bytes)));
  assert.deepEqual(Buffer.concat(got), content.files[0]?.subarray(10, 20));
  assert.deepEqual(source.via, ["lan"]);
  const { engine, bytes } = await fetch();
  assert.deepEqual(bytes, content.files[0]);
  assert.deepEqual(engine.failures, []);
  await waitFor("complete", () => giver.saw.completes === 1);
});

test("a disk that is slow holds the peer back, and nothing is lost or doubled", async (t) => {
  const { network, fetch } = taker(t);
  const content = file(20);
  network.givers.push(scriptGiver(content, { piece: 5000 }));
  const { bytes, engine } = await fetch({ holdEvery: 3, lanes: 4 });
  assert.deepEqual(bytes, content.files[0]);
  assert.deepEqual(engine.failures, []);
});

test("a sink that is held is granted no more than the window; what came is kept in bounds", async (t) => {
  const { network, swarms, url } = taker(t);
  const content = makeContent([["big.bin", Buffer.alloc(12 * 1024 * 1024, 7)]], { chunkSize: 1024 * 1024 });
  const giver = scriptGiver(content);
  network.givers.push(giver);
  const source = swarms.peer(`${url}/0`);
  const stream = await source.open({ start: 0, signal: new AbortController().signal });
  const gate = Promise.withResolvers<void>();
  let bytes = 0;
  const piping = stream.pipe((piece) => {
    bytes += piece.length;
    return gate.promise;
  });
  await waitFor("the window is full", () => giver.saw.sent >= WINDOW);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(giver.saw.sent, WINDOW);
  gate.resolve();
  await piping;
  assert.equal(bytes, content.offer.size);
});

test("a liar is banned at once, and the file still comes whole from an honest peer", async (t) => {
  const { network, fetch, logger } = taker(t);
  const content = file(12);
  const liar = scriptGiver(content, { lies: (chunk) => chunk % 2 === 0 }, { address: "192.168.7.1" });
  network.givers.push(liar, scriptGiver(content, {}, { address: "192.168.7.2" }));
  const { bytes, engine } = await fetch();
  assert.deepEqual(bytes, content.files[0]);
  assert.ok(engine.rejected >= 1);
  assert.equal(network.met.get(liar), 1, "it is not called again");
  assert.ok(logger.lines.some(({ fields, message }) => fields["peer"] === liar.peerId && /banned/.test(message)));
});

test("whoever comes back under new names from the same address is not let in", async (t) => {
  const { network, fetch } = taker(t);
  const content = file(12);
  const liars = [1, 2, 3, 4].map(() => scriptGiver(content, { lies: () => true }, { address: "192.168.7.1" }));
  network.givers.push(...liars);
  const pending = fetch({ patience: 4, lanes: 1 });
  await assert.rejects(pending, { message: /are not those of the file/ });
  assert.ok(liars.filter(({ saw }) => saw.sent > 0).length <= 2);
});

test("a peer that stalls, refuses or dies is left, and another goes on with the next byte", async (t) => {
  const manners: Manner[] = [{ stallsAfter: 100_000 }, { diesAfter: 100_000 }, { refuses: (chunk) => chunk >= 1 }];
  for (const manner of manners) {
    const { network, swarms, url } = taker(t);
    const content = file(6);
    const bad = scriptGiver(content, manner, { most: 1 });
    const other = scriptGiver(content);
    // Of those of whom nothing is known the first one is asked first.
    network.givers.push(bad, other);
    const stream = await swarms.peer(`${url}/0`).open({ start: 0, signal: new AbortController().signal });
    assert.equal(network.open.size, 2);
    const got: Buffer[] = [];
    await stream.pipe((bytes) => void got.push(Buffer.from(bytes)));
    assert.deepEqual(Buffer.concat(got), content.files[0]);
    assert.ok(bad.saw.sent > 0 && other.saw.sent > 0);
  }
});

test("who trickles keeps nobody waiting: what is under way with him goes on from another", async (t) => {
  const { network, clock, fetch } = taker(t, { stepMs: 50 });
  const content = file(30);
  for (const after of [0, 5000, 200_000]) {
    const trickling = scriptGiver(
      content,
      { trickles: { clock, ms: 10_000, after } },
      { address: `10.0.0.${after % 99}` },
    );
    network.givers.push(trickling);
  }
  const honest = scriptGiver(content, {}, { address: "10.1.1.1" });
  network.givers.push(honest);
  const begun = clock.monotonic();
  const { bytes, engine } = await fetch({ lanes: 4, signal: AbortSignal.timeout(20_000) });
  assert.deepEqual(bytes, content.files[0]);
  assert.equal(engine.rejected, 0, "no byte came twice or was left out");
  assert.deepEqual(engine.failures, [], "the engine hears nothing of it");
  // A request's own rate is told after 15 s, and looked at twice a second.
  assert.ok(clock.monotonic() - begun < 16_000, `it took ${clock.monotonic() - begun} ms`);
});

test("one request of many that does not go on is noticed, though the others of that peer do", async (t) => {
  const { network, clock, fetch } = taker(t);
  const content = file(40);
  let held = false;
  const picky = scriptGiver(content, {
    ignores: () => {
      if (held) return false;
      held = true;
      return true;
    },
    drips: { clock, ms: 1000 },
  });
  network.givers.push(picky, scriptGiver(content, {}, { address: "10.1.1.1" }));
  const { bytes } = await fetch({ lanes: 4, signal: AbortSignal.timeout(20_000) });
  assert.deepEqual(bytes, content.files[0]);
  assert.ok(held);
});

test("a lone slow giver stays usable; he is left as soon as somebody quicker comes", async (t) => {
  const { network, clock, fetch, swarms, publicId } = taker(t);
  const content = file(1, 0);
  // He stays from one fetch to the next.
  using _use = swarms.use(publicId, { remote: false });
  const slow = scriptGiver(content, { trickles: { clock, ms: 250, after: CHUNK - 600 } });
  network.givers.push(slow);
  const { bytes, engine } = await fetch({ lanes: 1, signal: AbortSignal.timeout(20_000) });
  assert.deepEqual(bytes, content.files[0]);
  assert.deepEqual(engine.failures, []);
  assert.equal(slow.saw.reasons.length, 0, "four bytes a second, for two minutes, from him alone");
  const quick = scriptGiver(content, {}, { address: "10.1.1.1" });
  setTimeout(() => network.givers.push(quick), 200);
  const again = await fetch({ lanes: 1, signal: AbortSignal.timeout(20_000) });
  assert.deepEqual(again.bytes, content.files[0]);
  assert.equal(quick.saw.requests, 1);
});

test("a list of files that trickles keeps nobody waiting, if another offers it too", async (t) => {
  const { network, clock, fetch } = taker(t);
  const content = file(20);
  for (const address of ["10.0.0.1", "10.0.0.2"])
    network.givers.push(scriptGiver(content, { tricklesCatalogue: { clock, ms: 10_000 } }, { address }));
  network.givers.push(scriptGiver(content, {}, { address: "10.1.1.1" }));
  const begun = clock.monotonic();
  const { bytes } = await fetch({ signal: AbortSignal.timeout(20_000) });
  assert.deepEqual(bytes, content.files[0]);
  assert.ok(clock.monotonic() - begun < 20_000, `it took ${clock.monotonic() - begun} ms`);
});

for (const [name, manner] of Object.entries<Manner>({
  "wrong bytes": { lies: (chunk) => chunk === 2 },
  "a breach": { onRequest: (channel) => void channel.send(FRAME.end, numbers(77)) },
  "a stall": { stallsAfter: 100_000 },
})) {
  test(`${name} in the clear: that proves nothing, nobody is blamed, and the same peer gives over TLS`, async (t) => {
    const { network, logger, fetch } = taker(t);
    const content = file(6);
    const bad = scriptGiver(content, manner);
    const good = scriptGiver(content);
    const { peerId } = bad;
    // Whoever sits between changes what comes in the clear, and cannot change what comes over TLS.
    network.givers.push({
      peerId,
      clear: true,
      give: (channel, ends) => (channel.inClear ? bad : good).give(channel, ends),
    });
    let last: unknown;
    const { bytes } = await fetch({ lanes: 1, patience: 5 }).catch(async (error: unknown) => {
      last = error;
      return fetch({ lanes: 1 });
    });
    assert.deepEqual(bytes, content.files[0], String(last));
    assert.ok(good.saw.requests > 0 && bad.saw.requests > 0);
    assert.ok(!logger.lines.some(({ message }) => /banned/.test(message)));
  });
}

test("wrong bytes over TLS ban, also after it was tried in the clear", async (t) => {
  const { network, logger, fetch } = taker(t);
  const content = file(6);
  const bad = scriptGiver(content, { lies: (chunk) => chunk === 2 });
  network.givers.push({ ...bad, clear: true });
  await assert.rejects(fetch({ lanes: 1, patience: 3 }));
  assert.ok(logger.lines.some(({ message, fields }) => /banned/.test(message) && fields["peer"] === bad.peerId));
});

test("with no other peer a stall ends the stream with an error that may be tried again", async (t) => {
  const { network, swarms, url, clock } = taker(t, { flow: false });
  network.givers.push(scriptGiver(file(6), { stallsAfter: 50_000 }, { most: 1 }));
  const stream = await swarms.peer(`${url}/0`).open({ start: 0, signal: new AbortController().signal });
  let received = 0;
  const piping = stream.pipe((bytes) => {
    received += bytes.length;
  });
  piping.catch(() => undefined);
  await waitFor("some bytes", () => received >= 50_000);
  await clock.advance(14_000);
  let over = false;
  void piping.catch(() => {
    over = true;
  });
  await clock.advance(0);
  assert.equal(over, false, "fourteen seconds are no stall");
  await clock.advance(3000);
  await assert.rejects(piping, { name: "NetworkError", code: "TIMED_OUT", retryable: true });
});

test("partial peers together make the whole; nobody is asked for what he does not have", async (t) => {
  const { network, fetch } = taker(t);
  const content = file(30);
  const givers = [0, 1, 2].map((third) => scriptGiver(content, { has: (chunk) => chunk % 3 === third }));
  network.givers.push(...givers);
  const { bytes, engine } = await fetch();
  assert.deepEqual(bytes, content.files[0]);
  assert.deepEqual(engine.failures, []);
  for (const { saw } of givers) assert.ok(saw.sent > 0);
});

test("a peer that gains chunks is asked for them when it has them", async (t) => {
  const { network, fetch } = taker(t);
  const content = file(4, 0);
  const has = new Set([0, 1]);
  network.givers.push(
    scriptGiver(content, {
      has: (chunk) => has.has(chunk),
      onRequest: (channel) => {
        if (has.size === 4) return;
        for (const chunk of [2, 3]) {
          has.add(chunk);
          void channel.send(FRAME.have, numbers(0, chunk));
        }
      },
    }),
  );
  assert.deepEqual((await fetch()).bytes, content.files[0]);
});

test("who says that he has all and refuses is not asked for it again", async (t) => {
  const { network, fetch } = taker(t);
  const content = file(8);
  const boaster = scriptGiver(content, { has: () => true, refuses: () => true });
  network.givers.push(boaster, scriptGiver(content));
  assert.deepEqual((await fetch()).bytes, content.files[0]);
  assert.ok(boaster.saw.requests <= 9);
});

test("the first catalogue wins; who offers another is left out and told", async (t) => {
  const { network, resolve, fetch } = taker(t);
  const content = file(4);
  network.givers.push(scriptGiver(content));
  await resolve();
  const other = scriptGiver(file(3));
  network.givers.push(other);
  assert.deepEqual((await fetch()).bytes, content.files[0]);
  await waitFor("the other was told", () => other.saw.reasons.length > 0 || network.met.get(other) === undefined);
  assert.equal(other.saw.sent, 0);
});

test("a share that has another root than before is a changed resource", async (t) => {
  const { network, swarms, url } = taker(t);
  network.givers.push(scriptGiver(file(2)));
  const expected = { finalUrl: url, ranges: true, strongValidator: '"0000"' };
  await assert.rejects(swarms.peer(`${url}/0`).open({ start: 0, expected, signal: new AbortController().signal }), {
    code: "RESOURCE_CHANGED",
  });
});

test("hostile offers and catalogues are refused, and said so", async (t) => {
  const good = file(2);
  const wide = makeContent([["a/../b", Buffer.from("x")]], { name: "f" });
  const cases: readonly [Manner, RegExp][] = [
    [{ offer: { name: "../../etc/passwd" } }, /SHARE_REFUSED/],
    [{ offer: { name: "C:evil" } }, /SHARE_REFUSED/],
    [{ offer: { name: "a\u0000b" } }, /SHARE_REFUSED/],
    [{ offer: { name: "" } }, /SHARE_REFUSED/],
    [{ offer: { catalogueSize: 2 ** 31 } }, /SHARE_REFUSED/],
    [{ offer: { fileCount: 1e9, kind: "folder" } }, /SHARE_REFUSED/],
    [{ offer: { size: -1 } }, /SHARE_REFUSED/],
    [{ offer: { size: 1 } }, /SHARE_REFUSED/],
    [{ offer: { root: "00".repeat(32) } }, /PEER_MISBEHAVED/],
    [{ rawOffer: Buffer.from("[1]") }, /PEER_MISBEHAVED/],
    [{ catalogue: Buffer.alloc(good.catalogue.length) }, /PEER_MISBEHAVED/],
    [{ catalogue: Buffer.concat([good.catalogue, Buffer.alloc(1)]) }, /PEER_MISBEHAVED/],
    [{ offer: wide.offer as never, catalogue: wide.catalogue }, /SHARE_REFUSED/],
  ];
  for (const [manner, code] of cases) {
    const { network, resolve } = taker(t);
    const giver = scriptGiver(good, manner);
    network.givers.push(giver);
    await assert.rejects(resolve(), { code }, JSON.stringify(manner));
    assert.equal(network.met.get(giver), 1, "it is not called again");
  }
});

test("what breaks the protocol ends the channel, and the peer is not called again", async (t) => {
  const frames: readonly [string, (channel: Channel) => void][] = [
    ["data for nobody", (to) => void to.send(FRAME.data, numbers(1), Buffer.alloc(10))],
    ["an end of nothing", (to) => void to.send(FRAME.end, numbers(7))],
    ["a taker's frame", (to) => void to.send(FRAME.request, Buffer.alloc(28))],
    ["a pong to no ping", (to) => void to.send(FRAME.pong, Buffer.alloc(8))],
    ["a second offer", (to) => void to.send(FRAME.offer, Buffer.from("{}"))],
    ["a chunk that there is not", (to) => void to.send(FRAME.have, numbers(0, 99))],
    ["a map for another file", (to) => void to.send(FRAME.haveMap, numbers(1), Buffer.alloc(1))],
    ["a map that is too long", (to) => void to.send(FRAME.haveMap, numbers(0), Buffer.alloc(60_000))],
    ["the same map without an end", (to) => repeat(50, () => void to.send(FRAME.haveMap, numbers(0), Buffer.alloc(1)))],
    ["the same chunk without an end", (to) => repeat(50, () => void to.send(FRAME.have, numbers(0, 1)))],
    ["pings without an end", (to) => repeat(200, () => void to.send(FRAME.ping, Buffer.alloc(8)))],
  ];
  for (const [what, onStart] of frames) {
    const { network, resolve, logger } = taker(t);
    const giver = scriptGiver(file(2), { has: () => true, onStart });
    network.givers.push(giver);
    await resolve().catch(() => undefined);
    await waitFor(`closed for ${what}`, () => network.open.get(giver)?.closed);
    await waitFor(what, () => logger.lines.some(({ fields }) => fields["code"] === "PEER_MISBEHAVED"));
    assert.equal(network.met.get(giver), 1, what);
  }
});

test("data before it was granted ends the channel, however much there was asked for", async (t) => {
  const content = makeContent([["big.bin", randomBytes(8 * 1024 * 1024)]], { chunkSize: 1024 * 1024 });
  const { network, swarms, url } = taker(t);
  const bad = scriptGiver(content, { greedy: true, piece: 200_000 });
  network.givers.push(bad);
  const stream = await swarms.peer(`${url}/0`).open({ start: 0, signal: new AbortController().signal });
  await assert.rejects(
    stream.pipe(() => new Promise((resolve) => setTimeout(resolve, 50))),
    { code: "PEER_MISBEHAVED" },
  );
  assert.equal(network.met.get(bad), 1);
});

test("data for nobody, or an end too early: the peer is banned", async (t) => {
  const content = makeContent([["big.bin", randomBytes(8 * 1024 * 1024)]], { chunkSize: 1024 * 1024 });
  const manners: Manner[] = [
    { onRequest: (channel, id) => void channel.send(FRAME.data, numbers(id + 1), Buffer.alloc(10)) },
    { onRequest: (channel, id) => void channel.send(FRAME.end, numbers(id)) },
  ];
  for (const manner of manners) {
    const { network, fetch } = taker(t);
    const bad = scriptGiver(content, { ...manner, piece: 200_000 });
    network.givers.push(bad);
    await assert.rejects(fetch({ patience: 2, lanes: 1 }), { message: /broke the protocol/ });
    assert.equal(network.met.get(bad), 1);
  }
});

test("data may come late after a cancel, up to what was granted, and no further", async (t) => {
  const content = makeContent([["big.bin", randomBytes(8 * 1024 * 1024)]], { chunkSize: 1024 * 1024 });
  const { network, swarms, url } = taker(t);
  let channel: Channel | undefined;
  let cancelled = 0;
  const giver = scriptGiver(content, {
    stallsAfter: 1,
    onRequest: (at) => {
      channel = at;
    },
    onCancel: (_, id) => {
      cancelled = id;
    },
  });
  network.givers.push(giver);
  const abort = new AbortController();
  const stream = await swarms.peer(`${url}/0`).open({ start: 0, signal: abort.signal });
  const piping = stream.pipe(() => abort.abort(new Error("enough")));
  await assert.rejects(piping, /enough/);
  await waitFor("cancel", () => cancelled > 0);
  const window = WINDOW - giver.saw.sent;
  for (let sent = 0; sent < window; sent += 131_072)
    void channel?.send(FRAME.data, numbers(cancelled), Buffer.alloc(Math.min(131_072, window - sent)));
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(channel?.closed, false);
  void channel?.send(FRAME.data, numbers(cancelled), Buffer.alloc(1));
  await waitFor("closed", () => channel?.closed === true);
});

test("all who wait for the peers of a share have one patience: nobody waits after another", async (t) => {
  const { resolve, clock } = taker(t, { flow: false });
  const ended: string[] = [];
  const wait = (name: string): void => void resolve().catch(({ code }) => ended.push(`${name} ${code}`));
  wait("first");
  await clock.advance(25_000);
  wait("second");
  await clock.advance(4000);
  assert.deepEqual(ended, []);
  await clock.advance(2000);
  assert.deepEqual(ended, ["first PEERS_NOT_FOUND", "second PEERS_NOT_FOUND"]);
  wait("late");
  await clock.advance(1000);
  assert.equal(ended.at(-1), "late PEERS_NOT_FOUND");
  // Nobody has asked for a while: the search begins anew.
  await clock.advance(40_000);
  wait("new");
  await clock.advance(29_000);
  assert.equal(ended.length, 3);
  await clock.advance(2000);
  assert.equal(ended.length, 4);
});

test("nobody there: where and how long it was looked, and that a wrong code looks the same", async (t) => {
  const { network, resolve, clock } = taker(t, { flow: false });
  network.problem = failure("PEERS_NOT_FOUND", "nobody was found in the DHT or on the local network");
  const resolving = resolve();
  resolving.catch(() => undefined);
  await clock.advance(31_000);
  await assert.rejects(resolving, (error: Error & { code: string; retryable: boolean }) => {
    assert.equal(error.code, "PEERS_NOT_FOUND");
    assert.ok(error.retryable);
    assert.match(error.message, /in the DHT or on the local network \(looked for 30 s\).*wrong code/);
    return true;
  });
});

test("a dead peer is noticed by its silence", async (t) => {
  const { network, resolve, clock, swarms, publicId, logger } = taker(t, { flow: false });
  const giver = scriptGiver(file(1), {}, { most: 1 });
  network.givers.push(giver);
  await resolve();
  const channel = network.open.get(giver);
  assert.ok(channel);
  for (let second = 0; second < 29; second++) await clock.advance(1000);
  assert.equal(channel.closed, false, "pings are answered");
  (channel as MemoryChannel).hold(true);
  using _use = swarms.use(publicId, { remote: false });
  for (let second = 0; second < 45; second++) await clock.advance(1000);
  assert.equal(channel.closed, true);
  assert.ok(logger.lines.some(({ message }) => /has not been heard of for 30 s/.test(message)));
});

test("who has everything gives his place up soon, and comes again if something is missed after all", async (t) => {
  const { network, fetch, clock } = taker(t, { flow: false });
  const content = file(3);
  const giver = scriptGiver(content);
  network.givers.push(giver);
  for (let times = 1; times <= 2; times++) {
    const { bytes } = await fetch();
    assert.deepEqual(bytes, content.files[0]);
    await clock.advance(500);
    await waitFor("gone", () => network.open.get(giver)?.closed === true);
    assert.equal(network.met.get(giver), times);
    await waitFor("he was told", () => giver.saw.completes === 1);
    assert.equal(network.takers.size, 1, "the search lingers");
  }
});

test("a swarm lingers, then ends; it is found again meanwhile", async (t) => {
  const { network, resolve, clock } = taker(t, { flow: false });
  network.givers.push(scriptGiver(file(1)));
  await resolve();
  assert.equal(network.takers.size, 1);
  await clock.advance(29_000);
  await resolve();
  await clock.advance(29_000);
  assert.equal(network.takers.size, 1);
  await clock.advance(2000);
  await waitFor("ended", () => network.takers.size === 0);
});

test("one patience for all files of a share: who comes later waits no longer, more than a few need not wait at all, and all are told who comes", async (t) => {
  const { network, clock, resolver, swarms, url, publicId } = taker(t, { flow: false });
  const { signal } = new AbortController();
  const heard: boolean[] = [];
  swarms.onPresence((share, here) => void (share === publicId && heard.push(here)));
  const failures: Array<{ readonly at: number; readonly code: string; readonly held: boolean; readonly ms: number }> =
    [];
  const ask = (file: number) => {
    void resolver.resolve({ url: `${url}/${file}`, mirrors: [], options: {} }, signal).catch((error: DownloadError) => {
      const { code, metadata, retryAfterMs = 0 } = error;
      failures.push({ at: clock.monotonic(), code, held: metadata["held"] !== undefined, ms: retryAfterMs });
    });
  };
  for (let file = 0; file < 4; file++) ask(file);
  await clock.advance(20_000);
  assert.deepEqual(failures, []);
  assert.equal(swarms.seeking(`${url}/0`), true);
  for (let file = 4; file < 100; file++) ask(file);
  await clock.advance(1);
  assert.equal(failures.length, 96, "one waits for all of them");
  assert.ok(failures.every(({ code, held, ms }) => code === "PEERS_NOT_FOUND" && held && ms === 10_000));
  await clock.advance(10_000);
  assert.equal(failures.length, 100);
  assert.ok(failures.slice(96).every(({ held, at }) => !held && at <= 30_000));
  using _use = swarms.use(publicId, { remote: false });
  ask(0);
  await clock.advance(1);
  assert.equal(failures.length, 101, "nobody was here for so long already");
  network.givers.push(scriptGiver(file(1)));
  ask(0);
  await clock.advance(1000);
  await waitFor("somebody comes", () => heard.includes(true));
  assert.equal(heard[0], false);
  assert.equal(swarms.seeking(`${url}/0`), false);
});

test("the only one who gave ends the share: five seconds for another, then his word; later, that there is nobody else", async (t) => {
  const { network, clock, resolve, swarms, url } = taker(t, { flow: false });
  const content = file(3);
  const giver = scriptGiver(content);
  const channels: Channel[] = [];
  network.givers.push({
    ...giver,
    most: 1,
    give: (channel, ends) => {
      channels.push(channel);
      giver.give(channel, ends);
    },
  });
  await resolve();
  channels[0]?.close(failure("PEER_REFUSED", "whoever shared it has ended the share"));
  await waitFor("the end is known", () => swarms.peers().length === 0);
  const wait = async () => {
    const stream = await swarms.peer(`${url}/0`).open({ start: 0, signal: new AbortController().signal });
    const began = clock.monotonic();
    let over = false;
    const end = stream
      .pipe(() => undefined)
      .then(
        () => assert.fail("it came"),
        (error: unknown) => error,
      );
    void end.finally(() => {
      over = true;
    });
    await waitFor("the end of the waiting", async () => {
      if (!over) await clock.advance(250);
      return over;
    });
    const { code, message, metadata } = (await end) as DownloadError;
    return { code, message, last: metadata["last_word"], seconds: Math.round((clock.monotonic() - began) / 1000) };
  };
  await clock.advance(250);
  const first = await wait();
  assert.deepEqual([first.code, first.last, first.seconds], ["PEER_REFUSED", "true", 5]);
  assert.match(first.message, /whoever shared it has ended the share$/);
  const second = await wait();
  assert.deepEqual(
    [second.code, second.last, second.seconds],
    ["PEERS_NOT_FOUND", undefined, 25],
    "half a minute since he left",
  );
  assert.match(second.message, /whoever shared it has ended the share; nobody else was found/);
  assert.doesNotMatch(second.message, /wrong code/, "the code was right");
});

/** A giver that ends its channels when the test says so. */
function ending(content: Content, about: Parameters<typeof scriptGiver>[2] = {}, manner: Manner = {}) {
  const giver = scriptGiver(content, manner, { most: 1, ...about });
  const channels: Channel[] = [];
  return {
    giver: {
      ...giver,
      give: (channel: Channel, ends: Parameters<typeof giver.give>[1]) => {
        channels.push(channel);
        giver.give(channel, ends);
      },
    },
    end: (code: "SHARE_ENDED" | "PEER_REFUSED" = "SHARE_ENDED") =>
      void channels.at(-1)?.close(failure(code, "the share was ended by its owner")),
  };
}

/** How asking for a file ends, and after how many seconds. */
async function asking({ swarms, clock, url }: ReturnType<typeof taker>) {
  const began = clock.monotonic();
  let error: DownloadError | undefined;
  void (async () => {
    const stream = await swarms.peer(`${url}/0`).open({ start: 0, signal: new AbortController().signal });
    await stream.pipe(() => undefined);
  })().catch((thrown: DownloadError) => {
    error = thrown;
  });
  await waitFor("an answer", async () => {
    if (!error) await clock.advance(250);
    return error !== undefined;
  });
  assert.ok(error);
  const { code, message, retryable } = error;
  return { code, message, retryable, seconds: Math.round((clock.monotonic() - began) / 1000) };
}

test("everybody who gave says that the share has ended: so it has, and all who wait for it need not any more", async (t) => {
  const fetching = taker(t, { flow: false });
  const { network, clock, resolve, resolver, swarms, url, publicId } = fetching;
  const content = file(3);
  const [first, second] = [ending(content), ending(content)];
  network.givers.push(first.giver, second.giver);
  await resolve();
  await waitFor("both are here", () => swarms.peers().length === 2);
  const heard: boolean[] = [];
  swarms.onPresence((share, here) => void (share === publicId && heard.push(here)));
  first.end();
  second.end();
  await waitFor("the end is known", () => swarms.peers().length === 0);
  const late = await asking(fetching);
  assert.deepEqual([late.code, late.retryable], ["SHARE_ENDED", false]);
  assert.ok(late.seconds > 10 && late.seconds <= 15, `after ${late.seconds} s: others might have been found meanwhile`);
  assert.match(late.message, /the peer says: the share was ended by its owner; nobody else was found/);
  assert.deepEqual(heard, [false, true], "files that wait for it are to look");
  const again = await asking(fetching);
  assert.deepEqual([again.code, again.seconds], ["SHARE_ENDED", 0]);
  const { signal } = new AbortController();
  for (let nth = 0; nth < 20; nth++)
    await assert.rejects(resolver.resolve({ url: `${url}/${nth}`, mirrors: [], options: {} }, signal), {
      code: "SHARE_ENDED",
    });
  // Somebody names a peer: that is another search.
  network.givers.push(scriptGiver(content));
  const { kind } = (await Promise.race([
    resolver.resolve({ url, mirrors: [], options: { peers: ["192.168.1.9:4000"] } }, signal),
    clock.advance(1000).then(() => clock.advance(1000)),
  ])) as Plan;
  assert.notEqual(kind, "expansion");
});

test("a share that ends after a long while is believed to have ended in five seconds", async (t) => {
  const fetching = taker(t, { flow: false });
  const { giver, end } = ending(file(3));
  fetching.network.givers.push(giver);
  await fetching.resolve();
  using _use = fetching.swarms.use(fetching.publicId, { remote: false });
  for (let second = 0; second < 20; second++) await fetching.clock.advance(1000);
  end();
  await waitFor("the end is known", () => fetching.swarms.peers().length === 0);
  const { code, seconds } = await asking(fetching);
  assert.deepEqual([code, seconds], ["SHARE_ENDED", 5]);
});

test("one who says that the share has ended ends nothing that another gives, now or later", async (t) => {
  const fetching = taker(t);
  const content = file(12);
  const { giver, end } = ending(content, {}, { onRequest: () => setImmediate(end) });
  const honest = scriptGiver(content);
  fetching.network.givers.push(giver);
  setTimeout(() => fetching.network.givers.push(honest), 50);
  const { bytes } = await fetching.fetch();
  assert.deepEqual(bytes, content.files[0]);
  assert.ok(honest.saw.sent > 0);
});

for (const breaks of [true, false])
  test(`one says that the share has ended, another one who gave ${breaks ? "has broken off" : "is away for now"}: it is tried again`, async (t) => {
    const fetching = taker(t, { flow: false });
    const content = file(3);
    const [liar, honest] = [ending(content), ending(content)];
    fetching.network.givers.push(honest.giver, liar.giver);
    await fetching.resolve();
    await waitFor("both are here", () => fetching.swarms.peers().length === 2);
    const channel = fetching.network.open.get(honest.giver) as MemoryChannel;
    if (breaks) channel.end(failure("CONNECTION_LOST", "it broke"));
    else honest.end("PEER_REFUSED");
    await waitFor("he has gone", () => fetching.swarms.peers().length === 1);
    liar.end();
    await waitFor("both have gone", () => fetching.swarms.peers().length === 0);
    const { code, retryable } = await asking(fetching);
    assert.notEqual(code, "SHARE_ENDED");
    assert.equal(retryable, true);
  });

test("somebody else is known who cannot be reached now: the share has not ended", async (t) => {
  const fetching = taker(t, { flow: false });
  const { giver, end } = ending(file(3));
  fetching.network.givers.push(giver);
  await fetching.resolve();
  end();
  await waitFor("the end is known", () => fetching.swarms.peers().length === 0);
  for (const one of fetching.network.takers) one.othersKnown?.(1);
  const { code, retryable } = await asking(fetching);
  assert.equal(retryable, true);
  assert.notEqual(code, "SHARE_ENDED");
});

test("of many codes behind which nobody is a few are looked for; the others hold nothing, and have their turns later", async (t) => {
  const { clock, resolver, secrets, network, resolve } = taker(t, { flow: false });
  const { signal } = new AbortController();
  const others = Array.from({ length: 100 }, () => {
    const secret = readCode(makeCode());
    const { publicId } = deriveKeys(secret);
    secrets.set(publicId, secret);
    return `snatch:share/${publicId}`;
  });
  const ended: DownloadError[] = [];
  const ask = (url: string): void =>
    void resolver.resolve({ url, mirrors: [], options: {} }, signal).catch((error: DownloadError) => ended.push(error));
  for (const url of others) ask(url);
  await clock.advance(1);
  assert.equal(ended.length, 76, "24 wait");
  for (const { code, retryable, metadata } of ended)
    assert.deepEqual([code, retryable, metadata["held"] !== undefined], ["PEERS_NOT_FOUND", true, true]);
  const turns = ended.map(({ retryAfterMs = 0 }) => retryAfterMs);
  assert.deepEqual(
    [turns[0], turns[75]],
    [10_000, 10_000 + 75 * 1250],
    "not all at once: as many as can be looked for meanwhile",
  );
  await clock.advance(30_000);
  assert.equal(ended.length, 100, "the first are through");
  assert.ok(ended.slice(76).every(({ metadata }) => metadata["held"] === undefined));
  network.givers.push(scriptGiver(file(1)));
  assert.equal(((await resolve()) as Plan).filename, "film.mkv", "there is room again");
  for (const url of others) ask(url);
  await clock.advance(1);
  assert.equal(((await resolve()) as Plan).filename, "film.mkv", "whose peers are here waits for nobody");
});

test("whoever gave and has gone without a word may come back: to wait for him is no failed attempt, for a quarter of an hour", async (t) => {
  const { network, clock, resolve, swarms, url } = taker(t, { flow: false });
  const giver = scriptGiver(file(3));
  network.givers.push(giver);
  await resolve();
  const { signal } = new AbortController();
  /** Waits for bytes. @returns seconds, and why it was given up; undefined if they came */
  const wait = async () => {
    const began = clock.monotonic();
    const stream = await swarms.peer(`${url}/0`).open({ start: 0, signal });
    let over = false;
    const end = stream
      .pipe(() => undefined)
      .then(
        () => undefined,
        (error: unknown) => error as DownloadError,
      );
    void end.finally(() => {
      over = true;
    });
    await waitFor("the end of the waiting", async () => {
      if (!over) await clock.advance(network.givers.length === 0 ? 5000 : 250);
      return over;
    });
    const error = await end;
    if (error) assert.equal(error.code, "PEERS_NOT_FOUND");
    return { error, seconds: (clock.monotonic() - began) / 1000 };
  };
  network.givers.length = 0;
  network.open.get(giver)?.close();
  await waitFor("he has gone", () => swarms.peers().length === 0);
  const waits: number[] = [];
  let last: DownloadError | undefined;
  for (const gone = clock.monotonic(); clock.monotonic() - gone < 600_000; ) {
    const { error, seconds } = await wait();
    last = error;
    assert.equal(error?.metadata["away"], "true", "no attempt is used up");
    waits.push(Math.round(seconds));
    await clock.advance(error?.retryAfterMs ?? 0);
  }
  assert.deepEqual(waits.slice(0, 3), [30, 35, 75], "each is longer than the one before");
  assert.ok(waits.length < 7, `${waits.length} waits`);
  network.givers.push(giver);
  assert.equal((await wait()).error, undefined, "he is back");

  network.givers.length = 0;
  network.open.get(giver)?.close();
  await waitFor("he has gone again", () => swarms.peers().length === 0);
  const gone = clock.monotonic();
  for (last = undefined; last === undefined || last.metadata["away"] !== undefined; ) {
    last = (await wait()).error;
    await clock.advance(last?.retryAfterMs ?? 0);
  }
  const minutes = (clock.monotonic() - gone) / 60_000;
  assert.ok(minutes > 14.9 && minutes < 15.5, `for ever is too long: ${minutes} minutes`);
});

test("of many files that wait for whoever comes back a few do, the others less and less often", async (t) => {
  const { network, clock, resolve, resolver, swarms, url } = taker(t, { flow: false });
  const content = makeContent(
    Array.from({ length: 50 }, (_, index) => [`f/${index}`, randomBytes(100)]),
    { chunkSize: CHUNK },
  );
  const giver = scriptGiver(content);
  network.givers.push(giver);
  await resolve();
  network.givers.length = 0;
  network.open.get(giver)?.close();
  await waitFor("he has gone", () => swarms.peers().length === 0);
  const { signal } = new AbortController();
  const ask = (index: number) =>
    resolver
      .resolve({ url: `${url}/${index}`, mirrors: [], options: {} }, signal)
      .then(() => swarms.peer(`${url}/${index}`).open({ start: 0, signal }))
      .then((stream) => stream.pipe(() => undefined))
      .then(
        () => assert.fail("it came"),
        (error: unknown) => error as DownloadError,
      );
  for (const held of [30_000, 35_000]) {
    const asked = Array.from({ length: 50 }, (_, index) => ask(index));
    const settled: DownloadError[] = [];
    for (const one of asked) void one.then((error) => settled.push(error));
    await waitFor("most are told to leave waiting to others", () => settled.length === 46);
    for (const error of settled) assert.equal(error.metadata["held"] !== undefined, true);
    assert.ok(settled.every(({ retryAfterMs = 0 }) => retryAfterMs === held));
    for (let second = 0; second < 36 && settled.length < 50; second++) await clock.advance(1000);
    assert.equal(settled.filter(({ metadata }) => metadata["away"] !== undefined).length, 4);
    await clock.advance(5000);
  }
});

test("who lets nobody in for now is waited for, without an attempt used up, and gone to as soon as there is room", async (t) => {
  const { network, clock, resolve, swarms, publicId } = taker(t, { flow: false });
  const giver = scriptGiver(file(1));
  let busy = true;
  network.givers.push({
    ...giver,
    give: (channel, ends) => {
      if (busy) channel.close(failure("PEER_BUSY", "10 others fetch it now"));
      else giver.give(channel, ends);
    },
  });
  const here = Promise.withResolvers<void>();
  swarms.onPresence((share, present) => void (share === publicId && present && !busy && here.resolve()));
  for (let minutes = 0; minutes < 20; minutes++) {
    let error: DownloadError | undefined;
    const resolving = resolve().catch((thrown: unknown) => {
      error = thrown as DownloadError;
    });
    await waitFor("an answer", async () => {
      if (!error) await clock.advance(5000);
      return error !== undefined;
    });
    await resolving;
    assert.equal(error?.code, "PEER_BUSY");
    assert.match(error?.message ?? "", /10 others fetch it now/);
    assert.equal(error?.metadata["away"], "true");
    await clock.advance(Math.min(error?.retryAfterMs ?? 60_000, 60_000));
  }
  busy = false;
  using _use = swarms.use(publicId, { remote: false });
  let came = false;
  void here.promise.then(() => {
    came = true;
  });
  await waitFor("he has room", async () => {
    await clock.advance(250);
    return came;
  });
  await resolve();
});
