/** Bytes that pass the page cache by: where they can, with the same bytes in the file as ever, and in every other case too. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DiskFileStore } from "../../../src/daemon/disk/file-store.ts";
import { Assembly } from "../../../src/daemon/download/assembly.ts";
import { Slabs } from "../../../src/daemon/download/slabs.ts";
import { type Way, waysTo } from "../../support/descriptors.ts";
import { needsDirect } from "../../support/takes-direct.ts";
import { needsMount, temporaryFolder, temporaryMount } from "../../support/temporary-folder.ts";

const files = new DiskFileStore();
const MIB = 1024 * 1024;
const ways = (of: string): Way[] => waysTo((path) => path === of);
const PASSING = { passing: true };

/** Memory that begins with a page, full of random bytes. */
function slab(size: number): Buffer {
  const bytes = new Slabs(() => 0).take(size);
  bytes.set(randomBytes(size));
  return bytes;
}

describe("passing bytes", () => {
  test(
    "large aligned ones take the direct way, small and odd ones do not, and closing closes both",
    needsDirect,
    async () => {
      await using folder = await temporaryFolder();
      const path = join(folder.path, "a.part");
      const part = await files.openPart(path);
      const [large, odd, small] = [slab(2 * MIB), slab(2 * MIB), slab(4096)];
      await part.write(odd.subarray(0, 2 * MIB - 1), 2 * MIB, PASSING);
      await part.write(odd.subarray(2 * MIB - 1), 4 * MIB - 1, PASSING);
      await part.write(small, 4 * MIB, PASSING);
      await part.write(large, 0);
      assert.deepEqual(ways(path), ["cached"]);
      await part.write(large, 0, PASSING);
      assert.deepEqual(ways(path), ["cached", "direct"]);
      await part.sync();
      assert.ok((await readFile(path)).equals(Buffer.concat([large, odd, small])));
      assert.deepEqual(Buffer.from(await part.read(MIB, 10)), large.subarray(MIB, MIB + 10));
      await part.close();
      assert.deepEqual(ways(path), []);
      await assert.rejects(part.write(large, 0, PASSING), { code: "IO_ERROR", message: /it is closed/ });
    },
  );

  test("memory that does not begin with a page: refused by the disk, written all the same", async () => {
    await using folder = await temporaryFolder();
    const part = await files.openPart(join(folder.path, "a.part"));
    const whole = randomBytes(3 * MIB + 4096);
    // Malloc's own notes lie before it.
    const [first, second] = [Buffer.from(whole.buffer, whole.byteOffset, MIB), Buffer.alloc(2 * MIB + 4096)];
    whole.copy(second, 0, MIB);
    await Promise.all([part.write(first, 0, PASSING), part.write(second, MIB, PASSING)]);
    const aligned = slab(MIB);
    await part.write(aligned, 4 * MIB, PASSING);
    await part.sync();
    await part.close();
    const read = await readFile(part.path);
    assert.ok(read.subarray(0, whole.length).equals(whole));
    assert.ok(read.subarray(4 * MIB).equals(aligned));
  });

  test("of a file that was moved away meanwhile: into that file, not into what is there now", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "a.part");
    const part = await files.openPart(path);
    await files.place(path, join(folder.path, "moved"), { replace: false });
    await writeFile(path, "another's");
    const bytes = slab(MIB);
    await part.write(bytes, 0, PASSING);
    await part.close();
    assert.equal(await readFile(path, "utf8"), "another's");
    assert.ok((await readFile(join(folder.path, "moved"))).equals(bytes));
  });

  test("closed while the first of them is on its way: nothing is left open", needsDirect, async () => {
    await using folder = await temporaryFolder();
    const part = await files.openPart(join(folder.path, "a.part"));
    const written = part.write(slab(MIB), 0, PASSING);
    const refused = assert.rejects(written, { code: "IO_ERROR", message: /it is closed/ });
    await part.close();
    await refused;
    assert.deepEqual(ways(part.path), []);
  });

  test("a disk that fills up: DISK_FULL", needsMount, async () => {
    await using disk = await temporaryMount(4 * MIB);
    const part = await files.openPart(join(disk.path, "a.part"));
    await assert.rejects(part.write(slab(8 * MIB), 0, PASSING), {
      code: "DISK_FULL",
      message: /^writing .*a\.part failed: no space left on device \(ENOSPC\)$/,
    });
    await part.close();
  });

  test("chunks of an assembly, in any order, with a last one of any length", async () => {
    await using folder = await temporaryFolder();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 * MIB }), fc.infiniteStream(fc.nat(1000)), async (size, dice) => {
        const all = randomBytes(size);
        const part = await files.openPart(join(folder.path, "x.part"), { empty: true });
        await part.reserve(size);
        using assembly = new Assembly({
          part,
          slabs: new Slabs(() => 8 * MIB),
          hasher: { sha256: (bytes) => createHash("sha256").update(bytes).digest("hex") },
          chunkSize: MIB,
          size,
          passing: true,
          onChunk: () => part.sync(),
        });
        const starts = Array.from({ length: Math.ceil(size / MIB) }, (_, index) => index * MIB);
        starts.sort(() => (dice.next().value ?? 0) - 500);
        for (const start of starts) {
          const space = assembly.space(start, size, MIB);
          all.copy(space, 0, start);
          await assembly.received(start, space.length, 0);
        }
        await assembly.drain();
        await part.close();
        assert.ok((await readFile(part.path)).equals(all));
      }),
      { numRuns: 15 },
    );
  });
});

describe("memory for large chunks", () => {
  test("begins with a page, has exactly the bytes asked for, and another thread can see it", needsDirect, async () => {
    await using folder = await temporaryFolder();
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_DIRECT;
    const descriptor = openSync(join(folder.path, "x"), flags);
    for (const size of [MIB, 8 * MIB, 3 * MIB + 123]) {
      const bytes = new Slabs(() => 0).take(size);
      assert.equal(bytes.length, size);
      assert.equal(bytes.byteOffset, 0);
      assert.ok(bytes.buffer instanceof SharedArrayBuffer);
      // EINVAL from memory that is not aligned.
      assert.equal(writeSync(descriptor, bytes, 0, MIB, 0), MIB);
    }
    closeSync(descriptor);
  });
});
