/** One stored share of which something is lost is one problem: the others are given, and it can be ended. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { KeyValue } from "../../../src/daemon/core/ports/key-value.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { PeerRoom } from "../../../src/daemon/p2p/room.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { shareFixture, unbroken } from "../../support/p2p/share-fixture.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** Two shares of a file, made in a run that is over. */
async function twoShares(folder: string, keyValue: KeyValue): Promise<readonly [good: string, bad: string]> {
  const path = join(folder, "f");
  await writeFile(path, randomBytes(100));
  await using fixture = shareFixture(folder, { keyValue });
  const made = async (name: string) => (await fixture.shares.share([path], { name, fresh: true }, unbroken())).state.id;
  return [await made("good"), await made("bad")];
}

/** After a restart: the other one is given, the damaged one is listed with its problem, and can be ended. */
async function assertOneProblem(folder: string, keyValue: KeyValue, [good, bad]: readonly [string, string]) {
  await using fixture = shareFixture(folder, { keyValue });
  const { shares, network, logger } = fixture;
  await shares.start();
  const states = await shares.shares();
  assert.deepEqual(
    states.map(({ id, problem }) => [id, problem !== undefined]),
    [
      [good, false],
      [bad, true],
    ],
  );
  assert.ok(logger.lines.some(({ fields }) => fields["share"] === bad));
  await network.call(good).peer.takeCatalogue();
  assert.throws(() => network.call(bad));
  assert.ok(shares.has(bad), "its code is kept while it is listed");
  const ended = await shares.unshare(bad.slice(0, 10));
  assert.equal(ended.id, bad);
  assert.deepEqual(
    (await shares.shares()).map(({ id }) => id),
    [good],
  );
  assert.equal(await keyValue.get("share", bad), undefined);
}

test("the catalogue of a fetched share is damaged", async () => {
  await using folder = await temporaryFolder();
  const keyValue = new MemoryKeyValue();
  const ids = await twoShares(folder.path, keyValue);
  const record = JSON.parse((await keyValue.get("share", ids[1])) ?? "");
  await keyValue.write([
    { type: "put", space: "share", key: ids[1], value: JSON.stringify({ ...record, fetched: true }) },
    { type: "put", space: "share-catalogue", key: `${ids[1]}!000000`, value: "AAAA" },
  ]);
  await assertOneProblem(folder.path, keyValue, ids);
});

test("the file of a code cannot be read", async () => {
  await using folder = await temporaryFolder();
  const keyValue = new MemoryKeyValue();
  const ids = await twoShares(folder.path, keyValue);
  const file = join(folder.path, "codes", ids[1]);
  await rm(file);
  await mkdir(file);
  await assertOneProblem(folder.path, keyValue, ids);
});

test("a room that could not begin leaves nothing behind, and begins when it can", async () => {
  await using folder = await temporaryFolder();
  const keyValue = new MemoryKeyValue();
  let broken = true;
  const entries = keyValue.entries.bind(keyValue);
  keyValue.entries = (space, range) => {
    if (broken && space === "share-file") throw new Error("the disk has failed");
    return entries(space, range);
  };
  await using room = new PeerRoom({
    directory: folder.path,
    own: () => ({ paths: [], except: [] }),
    keyValue,
    clock: new SystemClock(),
    logger: new RecordLogger(),
    settings: () => ({ enabled: true, allowRemote: false, maxPeers: 10, uploadLimit: 0, shareForMs: 1e9 }),
    reach: () => ({
      mode: "auto",
      suite: "modern",
      port: 0,
      dht: { enabled: false, bootstrap: [], port: 0 },
      mdns: false,
      upnp: false,
      natPmp: false,
      stun: [],
      turn: [],
    }),
    receipts: { byPath: async () => undefined, chunks: async function* () {} },
  });
  room.registerDiscoveryMethod({
    name: "own",
    discoverPeers: async () => [],
  });
  await assert.rejects(room.shares(), /the disk has failed/);
  assert.throws(() => room.peer("snatch:share/x"), { code: "INTERNAL" });
  broken = false;
  assert.deepEqual(await room.shares(), []);
  const state = await room.network(false, AbortSignal.timeout(5000));
  assert.deepEqual(
    state.discovery.map(({ name }) => name),
    ["own"],
  );
});
