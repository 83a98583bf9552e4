import assert from "node:assert/strict";
import { createHash, randomFillSync } from "node:crypto";
import { test } from "node:test";
import { ChunkHasher, type SharedBytes } from "../../../src/daemon/download/chunk-hasher.ts";
import { TestClock } from "../../support/test-clock.ts";

function chunk(size: number): SharedBytes {
  return randomFillSync(Buffer.from(new SharedArrayBuffer(size)));
}

const expected = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

test("chunks of every size, many at once, each its own digest", async () => {
  await using hasher = new ChunkHasher(new TestClock());
  const chunks = [0, 1, 1000, 64 * 1024, 64 * 1024 + 1, 300_000, 1_000_000, 8_000_000].flatMap((size) => [
    chunk(size),
    chunk(size),
  ]);
  assert.deepEqual(await Promise.all(chunks.map((bytes) => hasher.sha256(bytes))), chunks.map(expected));
});

test("the thread ends when nothing comes, and begins again with the next chunk", async () => {
  const clock = new TestClock();
  await using hasher = new ChunkHasher(clock);
  for (let turn = 0; turn < 3; turn++) {
    const bytes = chunk(100_000);
    assert.equal(await hasher.sha256(bytes), expected(bytes));
    await clock.advance(10_000);
  }
});

test("whoever waits when it is ended is told", async () => {
  const hasher = new ChunkHasher(new TestClock());
  const waiting = assert.rejects(Promise.resolve(hasher.sha256(chunk(8_000_000))), { code: "INTERNAL" });
  await hasher[Symbol.asyncDispose]();
  await waiting;
});
