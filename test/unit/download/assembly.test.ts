import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { PartFile } from "../../../src/daemon/core/ports/files.ts";
import { DiskFileStore } from "../../../src/daemon/disk/file-store.ts";
import { Assembly, type WrittenChunk } from "../../../src/daemon/download/assembly.ts";
import { ChunkHasher } from "../../../src/daemon/download/chunk-hasher.ts";
import { Slabs } from "../../../src/daemon/download/slabs.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const CHUNK = 1000;
const hasher = new ChunkHasher(new SystemClock());

/** Puts bytes of `all` into the assembly, as a connection would. */
async function put(assembly: Assembly, all: Buffer, from: number, to: number, source = 0): Promise<void> {
  for (let at = from; at < to; ) {
    const space = assembly.space(at, to, 300);
    const count = all.copy(space, 0, at, Math.min(at + space.length, to));
    await assembly.received(at, count, source);
    at += count;
  }
}

describe("assembly", () => {
  test("whatever the order and the sources, every chunk is written and hashed once, with who brought it", async () => {
    await using folder = await temporaryFolder();
    const files = new DiskFileStore();
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 6000 }),
        fc.array(fc.nat(6000), { maxLength: 12 }),
        fc.infiniteStream(fc.nat(1000)),
        async (size, cuts, dice) => {
          const all = randomBytes(size);
          const part = await files.openPart(join(folder.path, "x.part"));
          await part.truncate(0);
          const chunks: WrittenChunk[] = [];
          using assembly = new Assembly({
            part,
            slabs: new Slabs(() => 0),
            hasher,
            chunkSize: CHUNK,
            size,
            onChunk: (chunk) => {
              chunks.push(chunk);
              return Promise.resolve();
            },
          });
          const edges = [...new Set([0, ...cuts.filter((cut) => cut < size), size])].sort((a, b) => a - b);
          const pieces = edges.slice(1).map((end, at) => ({ start: edges[at] ?? 0, end, at }));
          pieces.sort(() => (dice.next().value ?? 0) - 500);
          await Promise.all(pieces.map(({ start, end, at }) => put(assembly, all, start, end, at)));
          await assembly.drain();
          await part.close();
          assert.deepEqual(await readFile(part.path), all);
          chunks.sort((a, b) => a.index - b.index);
          assert.deepEqual(
            chunks.map(({ index, sha256, length, sources }) => ({
              index,
              sha256,
              length,
              sources: [...sources].sort(),
            })),
            Array.from({ length: Math.ceil(size / CHUNK) }, (_, index) => {
              const bytes = all.subarray(index * CHUNK, (index + 1) * CHUNK);
              const inside = pieces.filter(({ start, end }) => start < (index + 1) * CHUNK && end > index * CHUNK);
              return {
                index,
                sha256: createHash("sha256").update(bytes).digest("hex"),
                length: bytes.length,
                sources: inside.map(({ at }) => at).sort(),
              };
            }),
          );
          assert.equal(assembly.pendingBytes, 0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("a file of unknown length ends where the stream does", async () => {
    await using folder = await temporaryFolder();
    const part = await new DiskFileStore().openPart(join(folder.path, "x.part"));
    const all = randomBytes(2500);
    const lengths: number[] = [];
    const onChunk = ({ length }: WrittenChunk): Promise<void> => Promise.resolve(void lengths.push(length));
    using assembly = new Assembly({ part, slabs: new Slabs(() => 0), hasher, chunkSize: CHUNK, onChunk });
    await put(assembly, all, 0, all.length);
    assembly.end();
    await assembly.drain();
    await part.close();
    assert.deepEqual(await readFile(part.path), all);
    assert.deepEqual(lengths.toSorted(), [1000, 1000, 500]);
  });

  test("a disk that fails is told to whoever comes next, and to who waits for the end", async () => {
    const part = { write: () => Promise.reject(failure("DISK_FULL", "full")) } as unknown as PartFile;
    using assembly = new Assembly({
      part,
      slabs: new Slabs(() => 0),
      hasher,
      chunkSize: CHUNK,
      size: 5000,
      onChunk: () => Promise.resolve(),
    });
    await put(assembly, Buffer.alloc(5000), 0, 1000);
    await assert.rejects(assembly.drain(), { code: "DISK_FULL" });
    assert.throws(() => assembly.space(1000, 2000, 100), { code: "DISK_FULL" });
  });
});
