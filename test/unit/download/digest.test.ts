/** Digests of files: each algorithm, several in one reading, in turns and in a thread, and stopped in the middle. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { DigestAlgorithm } from "../../../src/daemon/core/session.ts";
import { DiskFileStore } from "../../../src/daemon/disk/file-store.ts";
import { fileDigests } from "../../../src/daemon/download/digest.ts";
import { FileDigest } from "../../../src/daemon/download/file-digest.ts";
import { expectedDigests } from "../../../src/daemon/download/verify.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const MIB = 1024 * 1024;
const files = new DiskFileStore();
const { signal } = new AbortController();
const ALL: readonly DigestAlgorithm[] = ["sha-512", "sha-256", "sha-1", "md5", "crc32c"];

describe("a file's digests", () => {
  for (const [where, size] of [
    ["in turns", 3 * MIB + 1],
    ["in a thread", 9 * MIB + 7],
  ] as const)
    test(`${where}: all of them in one reading`, async () => {
      await using folder = await temporaryFolder();
      const path = join(folder.path, "file");
      const bytes = randomBytes(size);
      await writeFile(path, bytes);
      const found = await fileDigests({ path, size, algorithms: ALL, files, signal });
      for (const [name, node] of [
        ["sha-512", "sha512"],
        ["sha-256", "sha256"],
        ["sha-1", "sha1"],
        ["md5", "md5"],
      ] as const)
        assert.equal(found.get(name), createHash(node).update(bytes).digest("hex"), name);
      assert.match(found.get("crc32c") ?? "", /^[0-9a-f]{8}$/);
    });

  test("CRC-32C as RFC 3720 gives it", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "file");
    await writeFile(path, Buffer.alloc(32));
    const found = await fileDigests({ path, size: 32, algorithms: ["crc32c"], files, signal });
    assert.equal(found.get("crc32c"), "8a9136aa");
  });

  test("a thread is stopped in the middle, and one that finds no file says so", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "file");
    await writeFile(path, Buffer.alloc(64 * MIB));
    const abort = new AbortController();
    const found = fileDigests({ path, size: 64 * MIB, algorithms: ALL, files, signal: abort.signal });
    const why = new Error("stopped");
    abort.abort(why);
    await assert.rejects(found, why);
    await assert.rejects(
      fileDigests({ path: join(folder.path, "gone"), size: 64 * MIB, algorithms: ["md5"], files, signal }),
      { code: "IO_ERROR" },
    );
  });
});

describe("a digest that is made while the file comes", () => {
  test("is that of the whole, however far it was told each time", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "file");
    const bytes = randomBytes(21 * MIB + 3);
    await writeFile(path, bytes.subarray(0, 9 * MIB));
    await using digest = new FileDigest(path, ["sha-256", "md5"]);
    digest.reached(MIB);
    assert.equal(digest.running, false, "too little to begin with");
    digest.reached(9 * MIB);
    assert.equal(digest.running, true);
    await writeFile(path, bytes.subarray(9 * MIB), { flag: "a" });
    digest.reached(20 * MIB);
    const found = await digest.finish(bytes.length, signal);
    assert.equal(found.get("sha-256"), createHash("sha256").update(bytes).digest("hex"));
    assert.equal(found.get("md5"), createHash("md5").update(bytes).digest("hex"));
  });

  test("fails where the file is shorter than was said, and ends with its owner", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "file");
    await writeFile(path, Buffer.alloc(5 * MIB));
    await using short = new FileDigest(path, ["sha-256"]);
    await assert.rejects(short.finish(6 * MIB, signal), { code: "IO_ERROR" });
    const left = new FileDigest(path, ["sha-256"]);
    left.reached(5 * MIB);
    await left[Symbol.asyncDispose]();
    await assert.rejects(left.finish(5 * MIB, AbortSignal.abort(new Error("ended"))), { message: "ended" });
  });
});

describe("what is compared", () => {
  const digest = (algorithm: DigestAlgorithm, from = "origin") => ({ algorithm, value: "00", from });
  const asked = { algorithm: "sha-1", value: "11" } as const;
  const names = (...parameters: Parameters<typeof expectedDigests>): string[] =>
    expectedDigests(...parameters).map(({ algorithm, from }) => `${algorithm} ${from}`);

  test("the origin's strongest where nothing else is known", () => {
    assert.deepEqual(names({}, [], [digest("md5"), digest("sha-256"), digest("crc32c")]), ["sha-256 origin"]);
    assert.deepEqual(names({}), []);
  });

  test("all that was asked for and described, and the origin's where it is stronger", () => {
    assert.deepEqual(names({ checksum: asked }, [], [digest("sha-1"), digest("md5")]), ["sha-1 the request"]);
    assert.deepEqual(names({ checksum: asked }, [], [digest("sha-256")]), ["sha-1 the request", "sha-256 origin"]);
    assert.deepEqual(names({ checksum: asked }, [digest("sha-512", "Metalink")], [digest("sha-256")]), [
      "sha-1 the request",
      "sha-512 Metalink",
    ]);
  });
});
