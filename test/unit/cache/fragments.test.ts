/** The index of stored files: found by digest, proved, bounded, swept; whatever stands in the database, no wrong byte. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm, stat, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { decodeChunk, decodeFile, recordWrites, SPACE } from "../../../src/daemon/cache/fragment-record.ts";
import { FragmentCache } from "../../../src/daemon/cache/fragments.ts";
import type { PlacedFile } from "../../../src/daemon/core/ports/files.ts";
import type { KeyValue, Write } from "../../../src/daemon/core/ports/key-value.ts";
import type { ChunkSource } from "../../../src/daemon/core/ports/sources.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { TestClock } from "../../support/test-clock.ts";

const CHUNK = 1000;
const hex = (bytes: Uint8Array, algorithm = "sha256"): string => createHash(algorithm).update(bytes).digest("hex");
const sha256 = (bytes: Uint8Array) => ({ algorithm: "sha-256", value: hex(bytes) });

/** A cache over a store, without bodies. */
function cacheOn(store: KeyValue, maxNoted = 10_000, clock = new TestClock()): FragmentCache {
  const options = () => ({ maxNoted, ttlMs: 1000 });
  return new FragmentCache({ store, clock, logger: new RecordLogger(), options });
}

/** Writes a file, and describes it as the engine does. */
async function place(path: string, bytes: Buffer, digests: PlacedFile["digests"] = []): Promise<PlacedFile> {
  await writeFile(path, bytes);
  const { size, mtimeMs, ino } = await stat(path);
  const count = Math.ceil(size / CHUNK);
  const chunks = Array.from({ length: count }, (_, at) => hex(bytes.subarray(at * CHUNK, (at + 1) * CHUNK)));
  return { file: { path, size, mtimeMs, ino }, chunkSize: CHUNK, chunks, digests };
}

const whole = (bytes: Uint8Array) => ({ ...sha256(bytes), algorithm: "sha-256", from: "the test" }) as const;

/** What a source gives; it may end in an error. */
async function read(source: ChunkSource, start = 0, end?: number): Promise<{ bytes: Buffer; error?: unknown }> {
  const pieces: Buffer[] = [];
  try {
    const signal = AbortSignal.timeout(10_000);
    const stream = await source.open({ start, ...(end !== undefined && { end }), signal });
    await stream.pipe((piece) => void pieces.push(Buffer.from(piece)));
    return { bytes: Buffer.concat(pieces) };
  } catch (error) {
    return { bytes: Buffer.concat(pieces), error };
  }
}

test("a small file costs one record, a large one a few more than its chunks", async () => {
  await using folder = await temporaryFolder();
  const small = await place(join(folder.path, "small"), randomBytes(CHUNK));
  assert.equal(recordWrites(small, 1).length, 1);
  assert.equal(recordWrites({ ...small, digests: [whole(randomBytes(1))] }, 1).length, 1, "its SHA-256 is its chunk's");
  const bytes = randomBytes(3 * CHUNK);
  const large = await place(join(folder.path, "large"), bytes, [whole(bytes)]);
  assert.equal(recordWrites(large, 1).length, 3 + 3);
  const empty = await place(join(folder.path, "empty"), Buffer.alloc(0));
  assert.deepEqual(recordWrites(empty, 1), []);
});

test("what is noted is handed to the store in the same turn", async () => {
  await using folder = await temporaryFolder();
  let writes = 0;
  const store = new MemoryKeyValue();
  const counting: KeyValue = Object.assign(Object.create(store), {
    write: (all: readonly Write[]) => {
      writes += all.length;
      return store.write(all);
    },
  });
  const file = await place(join(folder.path, "a"), randomBytes(10));
  const noted = cacheOn(counting).placed(file);
  assert.equal(writes, 1);
  await noted;
});

test("every range of every file comes back to the byte", async () => {
  await using folder = await temporaryFolder();
  const cache = cacheOn(new MemoryKeyValue());
  const path = join(folder.path, "file");
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5 * CHUNK }), fc.nat(), fc.nat(), async (size, a, b) => {
      const bytes = randomBytes(size);
      await cache.placed(await place(path, bytes, [whole(bytes)]));
      const source = (await cache.sourceFor(sha256(bytes))) ?? assert.fail("not found");
      const start = Math.min(a, b) % size;
      const end = start + 1 + (Math.max(a, b) % (size - start));
      const found = await read(source, start, end);
      assert.equal(found.error, undefined);
      assert.ok(found.bytes.equals(bytes.subarray(start, end)));
    }),
    { numRuns: 100 },
  );
});

test("whatever becomes of the file, no wrong byte is given; what is of no use leaves the index", async () => {
  await using folder = await temporaryFolder();
  const bytes = randomBytes(4 * CHUNK + 10);
  const path = join(folder.path, "file");
  const changes: Record<string, () => Promise<void>> = {
    removed: () => rm(path),
    shorter: () => truncate(path, 2 * CHUNK),
    touched: () => utimes(path, 1, 1),
    "another file": () => writeFile(`${path}2`, bytes).then(() => rename(`${path}2`, path)),
    "a folder": () => rm(path).then(() => mkdir(path)),
    "a FIFO": () => rm(path).then(() => void execFileSync("sh", ["-c", `mkfifo "$1"`, "sh", path])),
    "a link to the same bytes": () => rename(path, `${path}3`).then(() => symlink(`${path}3`, path)),
    "other bytes at the same time": async () => {
      const { atimeMs, mtimeMs } = await stat(path);
      await writeFile(path, Buffer.from(bytes).fill(0, 3 * CHUNK, 3 * CHUNK + 5));
      await utimes(path, atimeMs / 1000, mtimeMs / 1000);
    },
  };
  for (const [what, change] of Object.entries(changes)) {
    await rm(path, { recursive: true, force: true });
    const cache = cacheOn(new MemoryKeyValue());
    const placed = await place(path, bytes, [whole(bytes)]);
    // A whole number of milliseconds can be set again.
    await utimes(path, 1_700_000_000, 1_700_000_000);
    await cache.placed({ ...placed, file: { ...placed.file, mtimeMs: 1_700_000_000_000 } });
    const source = (await cache.sourceFor(sha256(bytes))) ?? assert.fail("not found");
    assert.ok((await read(source)).bytes.equals(bytes), "before the change");
    await change();
    const { bytes: given, error } = await read(source);
    assert.equal((error as { code?: string } | undefined)?.code, "RESOURCE_CHANGED", what);
    assert.ok(given.equals(bytes.subarray(0, given.length)), what);
    assert.equal(await cache.sourceFor(sha256(bytes)), undefined, `${what}: it is forgotten`);
    assert.equal(await cache.chunk(hex(bytes.subarray(0, CHUNK))), undefined, what);
    assert.deepEqual([(await cache.stats()).entries, (await cache.stats()).damaged], [0, 1], what);
  }
});

test("a file that is opened and then cancelled, or that nobody wants any more, is let go", async () => {
  await using folder = await temporaryFolder();
  const bytes = randomBytes(3 * CHUNK);
  const cache = cacheOn(new MemoryKeyValue());
  await cache.placed(await place(join(folder.path, "file"), bytes, [whole(bytes)]));
  const source = (await cache.sourceFor(sha256(bytes))) ?? assert.fail("not found");
  const descriptors = async (): Promise<number> => (await readdir("/dev/fd")).length;
  const before = await descriptors();
  for (let at = 0; at < 20; at++) {
    const stream = await source.open({ start: 0, signal: AbortSignal.timeout(10_000) });
    stream.cancel();
    const other = await source.open({ start: 0, signal: AbortSignal.timeout(10_000) });
    await assert.rejects(
      other.pipe(() => other.cancel()),
      { code: "CANCELLED" },
    );
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok((await descriptors()) <= before + 1);
  await assert.rejects(source.open({ start: bytes.length, signal: AbortSignal.timeout(1000) }), {
    code: "RANGE_INVALID",
  });
});

test("no more is noted than is allowed; the newest stay", async () => {
  await using folder = await temporaryFolder();
  const store = new MemoryKeyValue();
  const clock = new TestClock();
  const cache = cacheOn(store, 200, clock);
  await cache.start();
  const kept: Buffer[] = [];
  for (let at = 0; at < 500; at++) {
    const bytes = randomBytes(at % 10 === 0 ? 5 * CHUNK : 20);
    kept.push(bytes);
    await cache.placed(await place(join(folder.path, `file${at}`), bytes, [whole(bytes)]));
    await clock.advance(1000);
  }
  await cache[Symbol.asyncDispose]();
  const { entries, evicted } = await cache.stats();
  assert.ok(entries <= 200 && entries > 100, `${entries} entries`);
  assert.ok(evicted > 0);
  const found = await Promise.all(kept.map((bytes) => cache.sourceFor(sha256(bytes))));
  const count = (from: number, to: number): number => found.slice(from, to).filter(Boolean).length;
  assert.ok(count(400, 500) > 2 * count(0, 100), "old ones left rather than new ones");
  await cache.placed(await place(join(folder.path, "huge"), randomBytes(201 * CHUNK)));
  assert.equal((await cache.stats()).entries, entries, "a file of more chunks than there may be is left out");
  for (const space of [SPACE.file, SPACE.grid, SPACE.digest])
    for await (const [key] of store.entries(space))
      if (space === SPACE.grid) assert.ok(await store.get(SPACE.file, key.slice(0, 32)), "no block without its head");
});

test("a sweep forgets what is gone and leaves nothing behind", async () => {
  await using folder = await temporaryFolder();
  const store = new MemoryKeyValue();
  const cache = cacheOn(store);
  const paths = Array.from({ length: 20 }, (_, at) => join(folder.path, `file${at}`));
  const all = paths.map((_, at) => randomBytes(at % 2 ? 50 : 3 * CHUNK));
  const sha512 = (bytes: Buffer) => ({ algorithm: "sha-512", value: hex(bytes, "sha512"), from: "the test" }) as const;
  for (const [at, path] of paths.entries())
    await cache.placed(await place(path, all[at] ?? Buffer.alloc(0), [sha512(all[at] ?? Buffer.alloc(0))]));
  for (const path of paths.slice(0, 10)) await rm(path);
  await cache.sweep();
  const found = await Promise.all(all.map((bytes) => cache.sourceFor(sha512(bytes))));
  assert.deepEqual(
    found.map((source) => source !== undefined),
    paths.map((_, at) => at >= 10),
  );
  assert.equal((await cache.stats()).entries, 5 + 5 * 3);
  for (const path of paths.slice(10)) await rm(path);
  await cache.sweep();
  for (const space of Object.values(SPACE))
    for await (const [key] of store.entries(space)) assert.fail(`${space} ${key}`);
  assert.equal((await cache.stats()).entries, 0);
});

test("the same bytes under two names: when one is gone the other is not lost with its chunks' entries wrong", async () => {
  await using folder = await temporaryFolder();
  const bytes = randomBytes(3 * CHUNK);
  const cache = cacheOn(new MemoryKeyValue());
  await cache.placed(await place(join(folder.path, "one"), bytes, [whole(bytes)]));
  await cache.placed(await place(join(folder.path, "two"), bytes, [whole(bytes)]));
  await rm(join(folder.path, "one"));
  await cache.sweep();
  const source = (await cache.sourceFor(sha256(bytes))) ?? assert.fail("not found");
  assert.ok((await read(source)).bytes.equals(bytes));
  assert.deepEqual(
    Buffer.from((await cache.chunk(hex(bytes.subarray(CHUNK, 2 * CHUNK)))) ?? []),
    bytes.subarray(CHUNK, 2 * CHUNK),
  );
});

test("a later file at the same path takes the place of the former", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "file");
  const cache = cacheOn(new MemoryKeyValue());
  const [former, later] = [randomBytes(5 * CHUNK), randomBytes(2 * CHUNK)];
  await cache.placed(await place(path, former, [whole(former)]));
  await cache.placed(await place(path, later, [whole(later)]));
  assert.equal(await cache.sourceFor(sha256(former)), undefined);
  assert.equal(await cache.chunk(hex(former.subarray(0, CHUNK))), undefined);
  const source = (await cache.sourceFor(sha256(later))) ?? assert.fail("not found");
  assert.ok((await read(source)).bytes.equals(later));
});

test("whatever stands in the database: a miss or right bytes, never anything else", async () => {
  await using folder = await temporaryFolder();
  const bytes = randomBytes(3 * CHUNK);
  const placed = await place(join(folder.path, "file"), bytes, [whole(bytes)]);
  const right = recordWrites(placed, 1);
  const broken = fc.oneof(
    fc.string(),
    fc.json(),
    fc.constantFrom(...right.map((write) => (write.type === "put" ? write.value : ""))),
    fc.tuple(fc.constantFrom("[", "]", "9", "-", "/", '"', "e"), fc.nat(300)).map(([mark, at]) => {
      const value = right[0]?.type === "put" ? right[0].value : "";
      return value.slice(0, at % value.length) + mark + value.slice((at % value.length) + 1);
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.nat(right.length - 1), broken, async (which, value) => {
      const store = new MemoryKeyValue();
      await store.write(right.map((write, at) => (at === which && write.type === "put" ? { ...write, value } : write)));
      const cache = cacheOn(store);
      const source = await cache.sourceFor(sha256(bytes));
      if (source) {
        const found = await read(source);
        if (!found.error) assert.ok(found.bytes.equals(bytes));
        assert.ok(found.bytes.equals(bytes.subarray(0, found.bytes.length)));
      }
      for (const [at, chunk] of placed.chunks.entries()) {
        const found = await cache.chunk(chunk);
        if (found) assert.equal(hex(found), placed.chunks[at]);
      }
      await cache.sweep();
      decodeFile(value);
      decodeChunk(value);
    }),
    { numRuns: 500 },
  );
});

test("a store that fails makes a download slower, and nothing worse", async () => {
  await using folder = await temporaryFolder();
  const broken: KeyValue = {
    get: () => Promise.reject(new Error("the disk is gone")),
    getMany: () => Promise.reject(new Error("the disk is gone")),
    entries: () => ({
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error("the disk is gone")) }),
    }),
    write: () => Promise.reject(new Error("the disk is gone")),
  };
  const cache = cacheOn(broken);
  await cache.start();
  await cache.placed(await place(join(folder.path, "file"), randomBytes(10)));
  assert.equal(await cache.sourceFor(sha256(randomBytes(1))), undefined);
  await cache[Symbol.asyncDispose]();
});
