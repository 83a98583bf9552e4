import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import type { Plan } from "../../../src/daemon/core/plan.ts";
import type { HeldPart } from "../../../src/daemon/core/ports/sources.ts";
import { Seeder } from "../../../src/daemon/p2p/give/seeder.ts";
import { deriveKeys } from "../../../src/daemon/p2p/keys.ts";
import { decodeCatalogue } from "../../../src/daemon/p2p/share/catalogue.ts";
import { DownloadServable } from "../../../src/daemon/p2p/take/download-servable.ts";
import { PeerResolver } from "../../../src/daemon/p2p/take/peer-resolver.ts";
import { Swarms } from "../../../src/daemon/p2p/take/swarms.ts";
import type { Servable } from "../../../src/daemon/p2p/types.ts";
import { FakeNetwork } from "../../support/p2p/fake-network.ts";
import { makeContent, scriptGiver } from "../../support/p2p/script-giver.ts";
import { SmallEngine } from "../../support/p2p/small-engine.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";
import { waitFor } from "../../support/wait.ts";

const CHUNK = 64 * 1024;
const content = makeContent([["film.mkv", randomBytes(6 * CHUNK + 99)]], { chunkSize: CHUNK });
const bytes = content.files[0] ?? Buffer.alloc(0);
const secret = randomBytes(15);
const keys = deriveKeys(secret);
const filesOf = async () => ({
  offer: content.offer,
  bytes: content.catalogue,
  entries: await decodeCatalogue(content.catalogue),
});

/** A part in the hand of a test. */
function part(...chunks: number[]) {
  const done = new Set(chunks);
  const listeners = new Set<(index: number) => void>();
  const held: HeldPart & { gain(chunk: number): void } = {
    done,
    chunkSize: CHUNK,
    read: async (position, length) => Buffer.from(bytes.subarray(position, position + length)),
    onGained: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    gain: (chunk) => {
      done.add(chunk);
      for (const listener of listeners) listener(chunk);
    },
  };
  return { held, listeners };
}

/** The share that takes over. */
function finished(): Servable & { counts: { sent: number; fetched: number } } {
  const counts = { sent: 0, fetched: 0 };
  return {
    keys,
    counts,
    offer: () => content.offer,
    catalogue: async () => content.catalogue,
    held: () => "all",
    onGained: () => () => undefined,
    read: async (_, position, length) => Buffer.from(bytes.subarray(position, position + length)),
    maxPeers: 3,
    encryption: true,
    sent: (count) => {
      counts.sent += count;
    },
    fetched: () => counts.fetched++ >= 0,
  };
}

test("what is here is offered as it comes, and no more than that", async () => {
  const servable = new DownloadServable({ keys, files: await filesOf(), clock: new TestClock(), maxPeers: 3 });
  const gained: number[] = [];
  servable.onGained((_, chunk) => void gained.push(chunk));
  assert.equal(servable.offer().complete, false);
  const { held, listeners } = part(1);
  const attached = servable.attach(0, held);
  held.gain(4);
  assert.deepEqual(gained, [1, 4]);
  const here = servable.held(0);
  assert.ok(here !== "all");
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6].filter((chunk) => here.has(chunk)),
    [1, 4],
  );
  assert.deepEqual([here.count, here.chunkSize], [7, CHUNK]);
  assert.deepEqual(await servable.read(0, CHUNK, 10), bytes.subarray(CHUNK, CHUNK + 10));
  attached[Symbol.dispose]();
  attached[Symbol.dispose]();
  assert.equal(listeners.size, 0);
});

test("between the last byte and the finished share reads wait; without one they are refused", async () => {
  const clock = new TestClock();
  const servable = new DownloadServable({ keys, files: await filesOf(), clock, maxPeers: 3 });
  servable.attach(0, part(0, 1).held)[Symbol.dispose]();
  const reading = servable.read(0, 5, 10);
  const successor = finished();
  servable.handOver(successor);
  assert.deepEqual(await reading, bytes.subarray(5, 15));
  assert.equal(servable.offer().complete, true);
  assert.equal(servable.held(0), "all");
  servable.sent(7, "a");
  servable.fetched("a");
  assert.deepEqual(successor.counts, { sent: 7, fetched: 1 });
  await clock.advance(61_000);
  assert.equal(clock.pending, 0);

  const alone = new DownloadServable({ keys, files: await filesOf(), clock, maxPeers: 3 });
  alone.attach(0, part(0).held)[Symbol.dispose]();
  const refused = alone.read(0, 0, 1);
  refused.catch(() => undefined);
  await clock.advance(61_000);
  await assert.rejects(refused, { code: "PEER_REFUSED" });
  assert.equal(clock.pending, 0);
});

test("a download under way is published and given on; the finished share takes over its peers", async () => {
  const network = new FakeNetwork();
  const logger = new RecordLogger();
  const clock = new TestClock();
  await using seeder = new Seeder({ clock, logger, uploadLimit: 0 });
  const secrets = { get: () => secret, keep: () => undefined };
  const give = seeder.serve.bind(seeder);
  await using swarms = new Swarms({ network, secrets, clock, logger, maxPeers: () => 10, give });
  const settings = () => ({ enabled: true, allowRemote: false });
  const resolver = new PeerResolver({ swarms: () => Promise.resolve(swarms), secrets, settings });
  const url = `snatch:share/${keys.publicId}`;
  const has = new Set([0, 1, 2]);
  const first = scriptGiver(content, { has: (chunk) => has.has(chunk) }, { most: 1 });
  network.givers.push(first);
  const signal = new AbortController().signal;
  const plan = (await resolver.resolve({ url, mirrors: [], options: { share: true } }, signal)) as Plan;
  assert.ok(plan.manifest);
  const stop = new AbortController();
  const engine = new SmallEngine(swarms.peer(`${url}/0`), plan.manifest, { lanes: 1, signal: stop.signal });
  const fetching = engine.all();
  const servable = await waitFor("published", () => [...network.published][0]);

  // Another taker fetches the rest from somewhere, and what is here from here.
  const others = new FakeNetwork();
  await using second = new Swarms({
    network: others,
    secrets,
    clock,
    logger,
    maxPeers: () => 10,
    give: () => undefined,
  });
  others.givers.push({
    peerId: "aa".repeat(32),
    give: (channel) => seeder.serve(channel, servable),
  });
  const source = second.peer(`${url}/0`);
  const other = new SmallEngine(source, plan.manifest, { lanes: 1 });
  const otherFetching = other.all();
  await waitFor("the second has what the first has", () => other.done.size === 3);
  assert.equal(engine.done.size, 3);
  network.givers.push(scriptGiver(content));
  await fetching;
  assert.deepEqual(swarms.known(keys.publicId)?.bytes, content.catalogue);
  const successor = finished();
  swarms.handOver(successor);
  assert.ok((await otherFetching).equals(bytes));
  assert.deepEqual(other.failures, []);
  await waitFor("nothing of the download is published any more", () => network.published.size === 0);
  await waitFor("counted", () => successor.counts.fetched === 1);
});
