/** A share that may be fetched so often ends by what was given, whatever its peers say of themselves. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { FRAME } from "../../../src/daemon/p2p/types.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { type ShareFixture, shareFixture, unbroken } from "../../support/p2p/share-fixture.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { TestClock } from "../../support/test-clock.ts";

const SIZE = 200_000;
const MINUTE = 60_000;

/** A share of a file that may be fetched so often; over the same store it is there after a restart. */
async function limited(maxFetches: number) {
  const folder = await temporaryFolder();
  const path = join(folder.path, "f");
  await writeFile(path, randomBytes(SIZE));
  const clock = new TestClock();
  const keyValue = new MemoryKeyValue();
  const fixture = shareFixture(folder.path, { clock, keyValue });
  const made = await fixture.shares.share([path], { maxFetches }, unbroken());
  return {
    ...{ fixture, clock, id: made.state.id },
    again: async () => {
      await fixture[Symbol.asyncDispose]();
      const next = shareFixture(folder.path, { clock, keyValue });
      await next.shares.start();
      return next;
    },
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** A peer takes a part of the file, and may say that it has all. @returns ends it */
async function take(fixture: ShareFixture, id: string, word: string, bytes: number, complete = false) {
  const { peer } = fixture.network.call(id, word);
  if (bytes > 0) await peer.take(0, 0, bytes);
  if (complete) void peer.channel.send(FRAME.complete);
  await peer.takeCatalogue().catch(() => undefined);
  return async () => {
    peer.channel.close();
    await new Promise(setImmediate);
    await new Promise(setImmediate);
  };
}

const countOf = async ({ shares }: ShareFixture): Promise<number | undefined> => (await shares.shares())[0]?.fetchCount;

test("who was given everything counts, although he never says so", async () => {
  await using share = await limited(2);
  const { fixture, id, clock } = share;
  const leave = await take(fixture, id, "a", SIZE);
  assert.equal(await countOf(fixture), 0, "the last bytes may have been lost");
  await clock.advance(MINUTE);
  assert.equal(await countOf(fixture), 1);
  await leave();
  await (await take(fixture, id, "b", SIZE))();
  await clock.advance(MINUTE);
  assert.deepEqual(await fixture.shares.shares(), []);
});

test("one peer cannot fetch again and again", async () => {
  await using share = await limited(1);
  const { fixture, id } = share;
  let sent = 0;
  for (; (await fixture.shares.shares()).length > 0 && sent < 10; sent++) await (await take(fixture, id, "a", SIZE))();
  assert.equal(sent, 2);
});

test("who says that he has everything, and was given nothing, ends no share", async () => {
  await using share = await limited(1);
  const { fixture, id } = share;
  for (const word of ["a", "b", "c"]) await (await take(fixture, id, word, 0, true))();
  assert.equal(await countOf(fixture), 0);
  await (await take(fixture, id, "d", SIZE * 0.4, true))();
  assert.equal(await countOf(fixture), 0);
});

test("who has much of it from here and the rest from others counts, once", async () => {
  await using share = await limited(5);
  const { fixture, id, clock } = share;
  await (await take(fixture, id, "a", SIZE * 0.6, true))();
  assert.equal(await countOf(fixture), 1);
  await (await take(fixture, id, "a", 0, true))();
  await clock.advance(2 * MINUTE);
  assert.equal(await countOf(fixture), 1);
});

test("parts that were given under many names add up", async () => {
  await using share = await limited(1);
  const { fixture, id } = share;
  await (await take(fixture, id, "a", SIZE * 0.9))();
  assert.equal(await countOf(fixture), 0);
  await (await take(fixture, id, "b", SIZE * 0.9))();
  assert.deepEqual(await fixture.shares.shares(), []);
});

test("no more fetch it at once than may still fetch it, and a broken fetch can go on", async () => {
  await using share = await limited(1);
  const { fixture, id, clock } = share;
  const leave = await take(fixture, id, "a", SIZE);
  const other = fixture.network.call(id, "b");
  assert.match((await other.peer.untilClosed()).message, /others are fetching/);
  await leave();
  // Its last bytes may have been lost: it is waited for.
  await clock.advance(MINUTE / 2);
  assert.match((await fixture.network.call(id, "c").peer.untilClosed()).message, /others are fetching/);
  await take(fixture, id, "a", 1000, true);
  assert.deepEqual(await fixture.shares.shares(), []);
});

test("who was counted, and stays, takes no place from others", async () => {
  await using share = await limited(2);
  const { fixture, id } = share;
  await take(fixture, id, "a", SIZE, true);
  assert.equal(await countOf(fixture), 1);
  await take(fixture, id, "b", SIZE, true);
  assert.deepEqual(await fixture.shares.shares(), []);
});

test("a restart neither forgets what was given nor counts it twice", async () => {
  await using share = await limited(3);
  const { fixture, id, clock } = share;
  await (await take(fixture, id, "a", SIZE, true))();
  await (await take(fixture, id, "b", SIZE))();
  await (await take(fixture, id, "c", SIZE * 0.6))();
  await using next = await share.again();
  assert.equal(await countOf(next), 1);
  await (await take(next, id, "a", 0, true))();
  assert.equal(await countOf(next), 1);
  await clock.advance(MINUTE);
  assert.equal(await countOf(next), 2);
  await take(next, id, "c", SIZE * 0.4, true);
  assert.deepEqual(await next.shares.shares(), []);
});
