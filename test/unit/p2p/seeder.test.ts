/** The giver's end of a channel, against a taker that may be hostile. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { setImmediate as breathe } from "node:timers/promises";
import { failure } from "../../../src/daemon/core/errors.ts";
import { chunkCount, makeManifest } from "../../../src/daemon/core/manifest.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { Seeder } from "../../../src/daemon/p2p/give/seeder.ts";
import { deriveKeys } from "../../../src/daemon/p2p/keys.ts";
import { catalogueRoot, encodeCatalogue } from "../../../src/daemon/p2p/share/catalogue.ts";
import { FRAME, type Offer, type Servable } from "../../../src/daemon/p2p/types.ts";
import { memoryChannels, peerIdOf } from "../../support/p2p/memory-channels.ts";
import { numbers, requestOf, Taking } from "../../support/p2p/taking.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";

const MIB = 1024 * 1024;
const CHUNK = 64 * 1024;

/** A share in memory. */
class MemoryServable implements Servable {
  readonly keys = deriveKeys(randomBytes(15));
  readonly maxPeers = 10;
  readonly encryption = true;
  readonly files: readonly Buffer[];
  readonly listeners = new Set<(file: number, chunk: number) => void>();
  /** Absent: everything is here. */
  readonly here: ReadonlyMap<number, ReadonlySet<number>> | undefined;
  reads = 0;
  sentBytes = 0;
  fetchCount = 0;
  error: Error | undefined;
  /** Until then nothing is read. */
  slow: Promise<void> | undefined;
  readonly #catalogue: Buffer;

  constructor(sizes: readonly number[], here?: ReadonlyMap<number, ReadonlySet<number>>) {
    this.files = sizes.map((size) => randomBytes(size));
    this.here = here;
    const chunks = (size: number): string[] => Array.from({ length: chunkCount(size, CHUNK) }, () => "ab".repeat(32));
    this.#catalogue = encodeCatalogue(
      sizes.map((size, index) => ({
        name: `file ${index}`,
        size,
        mode: 0o644,
        mtimeMs: 0,
        manifest: makeManifest(size, CHUNK, chunks(size)),
      })),
    );
  }

  offer(): Offer {
    return {
      version: 1,
      kind: "folder",
      name: "x",
      root: catalogueRoot(this.#catalogue),
      catalogueSize: this.#catalogue.length,
      fileCount: this.files.length,
      size: this.files.reduce((sum, { length }) => sum + length, 0),
      complete: this.here === undefined,
    };
  }

  async catalogue(): Promise<Uint8Array> {
    return this.#catalogue;
  }

  held(file: number): ReturnType<Servable["held"]> {
    const here = this.here?.get(file);
    if (!this.here) return "all";
    const count = chunkCount(this.files[file]?.length ?? 0, CHUNK);
    return { chunkSize: CHUNK, count, has: (chunk) => here?.has(chunk) ?? false };
  }

  onGained(listener: (file: number, chunk: number) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  async read(file: number, position: number, length: number): Promise<Uint8Array> {
    this.reads++;
    await this.slow;
    if (this.error) throw this.error;
    return Buffer.from(this.files[file]?.subarray(position, position + length) ?? []);
  }

  sent(bytes: number): void {
    this.sentBytes += bytes;
  }

  fetched(): boolean {
    this.fetchCount++;
    return true;
  }
}

function giving(servable: MemoryServable, options: { uploadLimit?: number; clock?: TestClock } = {}) {
  const clock = options.clock ?? new SystemClock();
  const logger = new RecordLogger();
  const seeder = new Seeder({ clock, logger, uploadLimit: options.uploadLimit ?? 0 });
  const connect = (word = "taker", taking: { keep?: boolean; grants?: boolean } = {}) => {
    const pair = memoryChannels({ publicId: servable.keys.publicId, takerId: peerIdOf(word) });
    const peer = new Taking(pair.taker, taking);
    seeder.serve(pair.giver, servable);
    return { peer, pair };
  };
  return { seeder, connect, [Symbol.asyncDispose]: () => seeder[Symbol.asyncDispose]() };
}

test("a peer gets the offer, the catalogue and bytes of any range", async () => {
  const servable = new MemoryServable([3 * MIB + 17, 0, 5]);
  await using given = giving(servable);
  const { peer } = given.connect();
  const catalogue = await peer.takeCatalogue();
  assert.deepEqual(peer.offer, servable.offer());
  assert.equal(catalogueRoot(catalogue), peer.offer?.root);
  const whole = servable.files[0] as Buffer;
  const ranges = [
    [0, whole.length],
    [1, 1],
    [MIB - 1, 2],
    [whole.length - 1, 1],
    [300_000, 600_000],
  ] as const;
  const taken = await Promise.all(ranges.map(([start, length]) => peer.take(0, start, length)));
  for (const [index, [start, length]] of ranges.entries())
    assert.ok(taken[index]?.equals(whole.subarray(start, start + length)), `range ${index}`);
  assert.ok((await peer.take(2, 0, 5)).equals(servable.files[2] as Buffer));
  const total = ranges.reduce((sum, [, length]) => sum + length, 5);
  assert.equal(servable.sentBytes, total);
  assert.equal(given.seeder.peerCount(servable.keys.publicId), 1);
});

test("no more is sent, or even read, than credit was granted", async () => {
  const servable = new MemoryServable([MIB]);
  await using given = giving(servable);
  const { peer } = given.connect("taker", { grants: false });
  const id = peer.ask(0, 0, MIB, 1000);
  const none = peer.ask(0, 0, MIB, 0);
  const taken = peer.requests.get(id);
  await peer.until(() => taken?.length === 1000);
  await peer.take(0, 0, 10);
  assert.equal(taken?.length, 1000);
  assert.equal(peer.requests.get(none)?.length, 0);
  assert.equal(servable.reads, 2);
  void peer.channel.send(FRAME.credit, numbers(id, 0xffff_ffff));
  await peer.until(() => taken?.ended === true);
  assert.ok(Buffer.concat(taken?.pieces ?? []).equals(servable.files[0] as Buffer));
});

test("a request that was cancelled brings no more, and its number can be used again", async () => {
  const servable = new MemoryServable([8 * MIB]);
  await using given = giving(servable);
  const { peer } = given.connect("taker", { grants: false });
  const id = peer.ask(0, 0, 8 * MIB, 300_000);
  const taken = peer.requests.get(id);
  await peer.until(() => (taken?.length ?? 0) === 300_000);
  void peer.channel.send(FRAME.cancel, numbers(id));
  void peer.channel.send(FRAME.credit, numbers(id, 8 * MIB));
  await peer.take(0, 0, 100_000);
  assert.equal(taken?.length, 300_000);
  void peer.channel.send(FRAME.request, requestOf(id, 0, 0, 10, 10));
  await peer.until(() => taken?.ended === true);
  assert.equal(taken?.length, 300_010);
});

test("requests of one peer have turns", async () => {
  const servable = new MemoryServable([4 * MIB]);
  await using given = giving(servable);
  const { peer } = given.connect();
  const ids = [peer.ask(0, 0, 2 * MIB, 2 * MIB), peer.ask(0, 2 * MIB, 2 * MIB, 2 * MIB)];
  await peer.until(() => ids.every((id) => peer.requests.get(id)?.ended));
  // Not one after the other.
  assert.ok(peer.order.length >= 6, peer.order.join(" "));
});

test("what cannot be read is refused, and nothing of this machine is told", async () => {
  const servable = new MemoryServable([MIB, MIB]);
  await using given = giving(servable);
  const { peer } = given.connect();
  servable.error = failure("IO_ERROR", "reading /home/ann/secret plans.txt failed");
  const first = peer.ask(0, 0, 100);
  await peer.until(() => peer.requests.get(first)?.refused !== undefined);
  const refused = peer.requests.get(first)?.refused;
  assert.equal(refused?.code, "PEER_REFUSED");
  assert.doesNotMatch(refused?.message ?? "", /home|plans/);
  servable.error = failure("SHARE_CHANGED", "/home/ann/secret plans.txt is not what it was");
  await assert.rejects(peer.take(0, 0, 100), /SHARE_CHANGED/);
  servable.error = undefined;
  // Others go on.
  assert.ok((await peer.take(1, 0, MIB)).equals(servable.files[1] as Buffer));
});

const BREACHES: readonly (readonly [string, (peer: Taking) => void])[] = [
  ["bytes behind the end of a file", (peer) => void peer.ask(0, MIB - 1, 2)],
  ["a file that there is not", (peer) => void peer.ask(7, 0, 1)],
  ["no bytes", (peer) => void peer.ask(0, 0, 0)],
  [
    "a range that cannot be counted",
    (peer) => {
      const bytes = requestOf(9, 0, 0, 1, 1);
      bytes.fill(0xff, 8, 24);
      void peer.channel.send(FRAME.request, bytes);
    },
  ],
  [
    "a number twice",
    (peer) => {
      for (let times = 0; times < 2; times++) void peer.channel.send(FRAME.request, requestOf(9, 0, 0, MIB, 0));
    },
  ],
  [
    "65 requests at once",
    (peer) => {
      for (let id = 0; id < 65; id++) void peer.channel.send(FRAME.request, requestOf(id, 0, 0, MIB, 0));
    },
  ],
  ["a frame of a giver", (peer) => void peer.channel.send(FRAME.have, numbers(0, 0))],
  ["data", (peer) => void peer.channel.send(FRAME.data, numbers(0), Buffer.alloc(10))],
  ["a request that is too short", (peer) => void peer.channel.send(FRAME.request, Buffer.alloc(27))],
  ["credit that is too long", (peer) => void peer.channel.send(FRAME.credit, Buffer.alloc(9))],
  ["a place behind the catalogue", (peer) => void peer.channel.send(FRAME.catalogueRequest, numbers(0xffff_ffff))],
  [
    "the catalogue twice at once",
    (peer) => {
      for (let times = 0; times < 2; times++) void peer.channel.send(FRAME.catalogueRequest, numbers(0));
    },
  ],
  ["a type that there is not", (peer) => void peer.channel.send(99 as never, Buffer.alloc(1))],
];

for (const [what, breach] of BREACHES)
  test(`a peer that asks for ${what} is cut off, and no other`, async () => {
    const servable = new MemoryServable([MIB]);
    await using given = giving(servable);
    const good = given.connect("good");
    const bad = given.connect("bad");
    breach(bad.peer);
    const reason = await bad.peer.untilClosed();
    assert.equal(reason.code, "PEER_REFUSED", reason.message);
    assert.equal((await good.peer.take(0, 0, MIB)).length, MIB);
    assert.equal(given.seeder.peerCount(servable.keys.publicId), 1);
  });

test("the catalogue goes on where it broke off, but not without end", async () => {
  const servable = new MemoryServable([10]);
  await using given = giving(servable);
  const { peer } = given.connect();
  const whole = await peer.takeCatalogue();
  for (let times = 1; times < 16; times++) {
    peer.catalogue.length = 0;
    void peer.channel.send(FRAME.catalogueRequest, numbers(5));
    await peer.until(() => peer.catalogue.length > 0);
    assert.ok(Buffer.concat(peer.catalogue).equals(whole.subarray(5)));
  }
  void peer.channel.send(FRAME.catalogueRequest, numbers(5));
  assert.match((await peer.untilClosed()).message, /too often/);
});

test("a peer that takes nothing for a minute is cut off; one that pings and grants nothing is not", async () => {
  const clock = new TestClock();
  const servable = new MemoryServable([8 * MIB]);
  await using given = giving(servable, { clock });
  const stuck = given.connect("stuck");
  const patient = given.connect("patient", { grants: false });
  stuck.peer.ask(0, 0, 8 * MIB, 8 * MIB);
  patient.peer.ask(0, 0, 8 * MIB, 0);
  await stuck.peer.until(() => stuck.peer.receivedBytes > 0);
  stuck.pair.taker.hold(true);
  for (let second = 0; second < 61; second += 10) {
    for (const { peer } of [stuck, patient]) void peer.channel.send(FRAME.ping, Buffer.alloc(8));
    await clock.advance(10_000);
  }
  assert.equal(stuck.pair.giver.closed, true);
  assert.equal(patient.pair.giver.closed, false);
  // In memory: what the channel holds, and no more than a few pieces.
  assert.ok(stuck.pair.taker.waitingBytes < 2 * MIB);
  assert.ok(servable.reads < 12, `${servable.reads} reads`);
});

test("a peer on a slow path that goes on granting credit has more time, but not for ever", async () => {
  const clock = new TestClock();
  const servable = new MemoryServable([8 * MIB]);
  await using given = giving(servable, { clock });
  const { peer, pair } = given.connect();
  const id = peer.ask(0, 0, 8 * MIB, 8 * MIB);
  await peer.until(() => peer.receivedBytes > 0);
  pair.taker.hold(true);
  for (let second = 0; second < 290; second += 10) {
    void peer.channel.send(FRAME.credit, numbers(id, 1));
    await clock.advance(10_000);
  }
  assert.equal(pair.giver.closed, false);
  await clock.advance(20_000);
  assert.equal(pair.giver.closed, true);
});

test("a peer that says nothing at all for a minute is cut off", async () => {
  const clock = new TestClock();
  const servable = new MemoryServable([10]);
  await using given = giving(servable, { clock });
  const { pair, peer } = given.connect();
  void peer.channel.send(FRAME.ping, Buffer.alloc(8));
  await peer.until(() => peer.offer !== undefined);
  await clock.advance(59_000);
  assert.equal(pair.giver.closed, false);
  await clock.advance(2000);
  assert.equal(pair.giver.closed, true);
});

test("what is here of an unfinished share is told, and what comes", async () => {
  const servable = new MemoryServable(
    [5 * CHUNK, 9 * CHUNK, 0, CHUNK],
    new Map([
      [0, new Set([0, 3])],
      [3, new Set([0])],
    ]),
  );
  await using given = giving(servable);
  const { peer, pair } = given.connect();
  await peer.until(() => peer.held.length === 2);
  assert.equal(peer.offer?.complete, false);
  assert.deepEqual(peer.held, [
    [0, "10010000"],
    [3, "10000000"],
  ]);
  assert.equal((await peer.take(0, 3 * CHUNK, CHUNK)).length, CHUNK);
  await assert.rejects(peer.take(0, 2 * CHUNK, CHUNK + 1), /PEER_REFUSED/);
  await assert.rejects(peer.take(1, 0, 1), /PEER_REFUSED/);
  (servable.here as Map<number, Set<number>>).set(1, new Set([8]));
  for (const listener of servable.listeners) listener(1, 8);
  await peer.until(() => peer.gained.length === 1);
  assert.deepEqual(peer.gained, [[1, 8]]);
  assert.equal((await peer.take(1, 8 * CHUNK, CHUNK)).length, CHUNK);
  pair.cut();
  await peer.untilClosed();
  assert.equal(servable.listeners.size, 0);
});

test("that everything is there is told to the share once for each channel", async () => {
  const servable = new MemoryServable([10]);
  await using given = giving(servable);
  for (const word of ["a", "b"]) {
    const { peer } = given.connect(word);
    for (let times = 0; times < 2; times++) void peer.channel.send(FRAME.complete);
    await peer.take(0, 0, 10);
    peer.channel.close();
  }
  assert.equal(servable.fetchCount, 2);
});

test("when a share ends its peers are told why, and others go on", async () => {
  const servables = [new MemoryServable([8 * MIB]), new MemoryServable([MIB])] as const;
  await using seeder = new Seeder({ clock: new SystemClock(), logger: new RecordLogger(), uploadLimit: 0 });
  const peers = servables.map((servable) => {
    const pair = memoryChannels({ publicId: servable.keys.publicId });
    const peer = new Taking(pair.taker);
    seeder.serve(pair.giver, servable);
    return peer;
  });
  const [ended, other] = peers as [Taking, Taking];
  ended.ask(0, 0, 8 * MIB);
  await ended.until(() => ended.receivedBytes > 0);
  seeder.end(servables[0].keys.publicId, failure("PEER_REFUSED", "whoever shared it has ended the share"));
  assert.match((await ended.untilClosed()).message, /has ended the share/);
  assert.equal((await other.take(0, 0, MIB)).length, MIB);
});

test("the upload limit holds for all peers together, and gives them turns", async () => {
  const clock = new TestClock();
  const servable = new MemoryServable([8 * MIB]);
  await using given = giving(servable, { clock, uploadLimit: 100_000 });
  const peers = ["a", "b", "c", "d"].map((word) => given.connect(word, { keep: false }).peer);
  for (const peer of peers) peer.ask(0, 0, 8 * MIB, 8 * MIB);
  for (let second = 0; second < 20; second++) {
    for (const peer of peers) void peer.channel.send(FRAME.ping, Buffer.alloc(8));
    for (let step = 0; step < 20; step++) await clock.advance(50);
  }
  const got = peers.map(({ receivedBytes }) => receivedBytes);
  const total = got.reduce((sum, bytes) => sum + bytes, 0);
  assert.ok(total > 1_700_000 && total < 2_100_000, `${total} bytes in 20 s`);
  for (const bytes of got) assert.ok(bytes > total / 4 / 1.2 && bytes < (total / 4) * 1.2, got.join(" "));
  // Raised: felt at once.
  given.seeder.setUploadLimit(0);
  for (const peer of peers) await peer.until(() => peer.receivedBytes === 8 * MIB);
});

test("a hundred peers that take nothing keep little in memory, and do not keep others waiting", async () => {
  const servable = new MemoryServable([16 * MIB]);
  await using given = giving(servable);
  const stuck = Array.from({ length: 100 }, (_, index) => given.connect(`stuck ${index}`));
  for (const { peer, pair } of stuck) {
    pair.taker.hold(true);
    peer.ask(0, 0, 16 * MIB, 16 * MIB);
  }
  const { peer } = given.connect("good", { keep: false });
  const id = peer.ask(0, 0, 16 * MIB);
  await peer.until(() => peer.requests.get(id)?.ended === true);
  // One on the way and few ahead each; 64 that were served.
  const held = (servable.reads - 64) * 256 * 1024;
  assert.ok(held <= 64 * MIB, `${held / MIB} MiB are held`);
});

test("refusals to a peer that reads nothing keep their places, and a few of them wait", async () => {
  const servable = new MemoryServable([MIB], new Map());
  await using given = giving(servable);
  const { peer, pair } = given.connect();
  await peer.until(() => peer.offer !== undefined);
  pair.taker.hold(true);
  let most = 0;
  for (let asked = 0; asked < 20_000 && !pair.giver.closed; asked += 50) {
    for (let times = 0; times < 50; times++) peer.ask(0, 0, 1);
    await breathe();
    most = Math.max(most, pair.taker.waitingBytes);
  }
  assert.ok(most < 320 * 1024, `${most} bytes wait`);
  pair.taker.hold(false);
  assert.match((await peer.untilClosed()).message, /more than 64 requests/);
});

test("a peer that reads is refused as often as it asks", async () => {
  const servable = new MemoryServable([MIB], new Map());
  await using given = giving(servable);
  const { peer } = given.connect();
  for (let times = 0; times < 200; times++) {
    const asked = Array.from({ length: 16 }, () => peer.ask(0, 0, 1));
    await peer.until(() => asked.every((id) => peer.requests.get(id)?.refused !== undefined));
  }
  assert.equal(peer.reason, undefined);
});

test("a peer that is slow to hear what comes is told of it file by file", async () => {
  const here = new Set(Array.from({ length: 16 }, (_, chunk) => chunk));
  const servable = new MemoryServable([20_000 * CHUNK, CHUNK], new Map([[0, here]]));
  await using given = giving(servable);
  const { peer, pair } = given.connect("slow", { keep: false });
  await peer.takeCatalogue();
  await peer.until(() => peer.held.length === 1);
  pair.taker.hold(true);
  peer.ask(0, 0, MIB);
  while (pair.taker.waitingBytes < 256 * 1024) await breathe();
  for (let chunk = 16; chunk < 20_000; chunk++) {
    here.add(chunk);
    for (const listener of servable.listeners) listener(0, chunk);
  }
  await breathe();
  pair.taker.hold(false);
  await peer.until(() => peer.held.some(([, bits]) => /^1+$/.test(bits)) || peer.gained.length === 20_000 - 16);
  assert.ok(peer.gained.length <= 2048, `${peer.gained.length} chunks were told one by one`);
  assert.equal(peer.held.length, 2);
});

test("a peer that cancels what it has just asked for has little read in vain, and what it does take goes on", async () => {
  const clock = new TestClock();
  const servable = new MemoryServable([8 * MIB]);
  await using given = giving(servable, { clock });
  const { peer } = given.connect();
  await peer.until(() => peer.offer !== undefined);
  for (let second = 0; second < 5; second++) {
    for (let times = 0; times < 200; times++) {
      const before = servable.reads;
      const id = peer.ask(0, 0, 8 * MIB, 8 * MIB);
      for (let turns = 0; turns < 10 && servable.reads === before; turns++) await breathe();
      void peer.channel.send(FRAME.cancel, numbers(id));
    }
    await clock.advance(1000);
  }
  // So much to begin with, a little every second, and as much as was taken.
  const vain = servable.reads * 256 * 1024 - servable.sentBytes;
  assert.ok(vain < servable.sentBytes + 16 * MIB, `${vain / MIB} MiB were read in vain`);
  const id = peer.ask(0, 0, MIB);
  for (let second = 0; second < 10; second++) await clock.advance(1000);
  await peer.until(() => peer.requests.get(id)?.ended === true);
});

test("a request that was cancelled keeps its place until nothing is read for it any more", async () => {
  const servable = new MemoryServable([8 * MIB]);
  const reading = Promise.withResolvers<void>();
  servable.slow = reading.promise;
  await using given = giving(servable);
  const { peer } = given.connect();
  const first = peer.ask(0, 0, 8 * MIB, 8 * MIB);
  await peer.until(() => peer.offer !== undefined);
  for (let nth = 0; nth < 63; nth++) peer.ask(0, 0, 1);
  void peer.channel.send(FRAME.cancel, numbers(first));
  peer.ask(0, 0, 1);
  assert.match((await peer.untilClosed()).message, /more than 64 requests/);
  reading.resolve();
});

test("a peer that cancels as one does that has found a quicker one is served on at once", async () => {
  const clock = new TestClock();
  const servable = new MemoryServable([8 * MIB]);
  await using given = giving(servable, { clock });
  const { peer } = given.connect("taker", { keep: false });
  for (let times = 0; times < 30; times++) {
    const id = peer.ask(0, 0, 8 * MIB, 8 * MIB);
    const taken = peer.requests.get(id);
    await peer.until(() => (taken?.length ?? 0) >= MIB);
    void peer.channel.send(FRAME.cancel, numbers(id));
  }
  await peer.take(0, 0, MIB);
});
