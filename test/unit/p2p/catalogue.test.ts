/** The catalogue of a share: what goes in comes out, and nothing that a stranger sends leads anywhere. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { chunkCount, makeManifest } from "../../../src/daemon/core/manifest.ts";
import {
  CATALOGUE_LIMITS,
  type CatalogueEntry,
  CHUNK_SIZES,
  catalogueRoot,
  decodeCatalogue,
  encodeCatalogue,
} from "../../../src/daemon/p2p/share/catalogue.ts";
import { nameProblem } from "../../../src/daemon/p2p/share/catalogue-names.ts";

const MIB = 1024 * 1024;

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

function entry(name: string, size = 10, chunkSize = MIB): CatalogueEntry {
  const chunks = Array.from({ length: chunkCount(size, chunkSize) }, (_, index) => digest(`${name} ${index}`));
  return { name, size, mode: 0o644, mtimeMs: 1_700_000_000_123, manifest: makeManifest(size, chunkSize, chunks) };
}

const refused = (why: RegExp) => (error: unknown) =>
  error instanceof DownloadError && error.code === "SHARE_REFUSED" && why.test(error.message);

const segment = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
  .filter((text) => nameProblem(text) === undefined && !text.includes("/"));
const names = fc.uniqueArray(fc.array(segment, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 20 });
const files = names.chain((all) =>
  fc.tuple(
    ...all.map((segments, index) =>
      fc
        .record({
          size: fc.integer({ min: 0, max: 40 * MIB }),
          chunkSize: fc.integer({ min: CHUNK_SIZES.least, max: CHUNK_SIZES.most }).filter((size) => size > MIB / 2),
          mode: fc.integer({ min: 0, max: 0o777 }),
          mtimeMs: fc.integer({ min: -(2 ** 47 - 1), max: 2 ** 47 - 1 }),
        })
        // A number in front: no two names are the same, and none is the folder of another.
        .map(
          ({ size, chunkSize, mode, mtimeMs }): CatalogueEntry => ({
            ...entry(`${index}-${segments.join("/")}`, size, chunkSize),
            mode,
            mtimeMs,
          }),
        ),
    ),
  ),
);

test("what was written is read", async () => {
  await fc.assert(
    fc.asyncProperty(files, async (entries) => {
      const bytes = encodeCatalogue(entries);
      const read = await decodeCatalogue(bytes);
      assert.deepEqual(
        read.map(({ chunkSize: _, ...file }) => file),
        entries,
      );
      assert.deepEqual(encodeCatalogue(read), bytes);
    }),
    { numRuns: 100 },
  );
});

test("the root is of the bytes, and of nothing else that is hashed", () => {
  const bytes = encodeCatalogue([entry("a"), entry("b/c")]);
  const expected = createHash("sha256").update("snatch-catalogue-1\n").update(bytes).digest("hex");
  assert.equal(catalogueRoot(bytes), expected);
});

test("bytes that are no catalogue are refused, and nothing else happens", async () => {
  const whole = encodeCatalogue([entry("a.txt", 3 * MIB), entry("b/c.txt", 0), entry("b/d.txt", 70_000)]);
  const changes = fc.array(fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 })), { maxLength: 6 });
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.tuple(changes, fc.nat({ max: whole.length }), fc.uint8Array({ maxLength: 8 })).map(([put, length, tail]) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of put) bytes[at] = value;
      return Buffer.concat([bytes.subarray(0, length), tail]);
    }),
  );
  await fc.assert(
    fc.asyncProperty(hostile, async (bytes) => {
      try {
        const entries = await decodeCatalogue(bytes);
        // What was read can be used: each name is harmless and each manifest fits its size.
        for (const { name, size, manifest } of entries) {
          assert.equal(nameProblem(name), undefined);
          assert.equal(manifest.chunks.length, chunkCount(size, manifest.chunkSize));
        }
      } catch (error) {
        assert.ok(error instanceof DownloadError && error.code === "SHARE_REFUSED", String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

const BAD_NAMES: readonly (readonly [name: string, why: RegExp])[] = [
  ["../x", /leads elsewhere/],
  ["a/../../x", /leads elsewhere/],
  ["..", /leads elsewhere/],
  ["a/./b", /leads elsewhere/],
  ["/etc/passwd", /absolute/],
  ["//host/share", /absolute/],
  ["a//b", /no name/],
  ["a/", /no name/],
  ["", /empty/],
  ["a\0b", /control/],
  ["a\nb", /control/],
  ["a\u2028b", /control/],
  ["invoice-\u202Efdp.exe", /direction/],
  ["sub\u2066/a", /direction/],
  ["..\\x", /backslash/],
  ["C:\\x", /backslash/],
  ["C:x", /drive/],
  ["c:", /drive/],
  ["x".repeat(256), /longer than 255/],
  ["ä".repeat(128), /longer than 255/],
  [`${"abc/".repeat(600)}x`, /longer than 2048/],
  [`${"a/".repeat(64)}x`, /more than 63 folders/],
];

test("names that lead elsewhere are refused", async () => {
  for (const [name, why] of BAD_NAMES)
    await assert.rejects(decodeCatalogue(encodeCatalogue([entry("good"), entry(name)])), refused(why), name);
  await assert.rejects(
    async () => {
      const bytes = encodeCatalogue([entry("abc")]);
      bytes[bytes.indexOf("abc")] = 0xff;
      await decodeCatalogue(bytes);
    },
    refused(/not UTF-8/),
  );
});

test("names that mean the same file somewhere are refused", async () => {
  const pairs: readonly (readonly [string, string, RegExp])[] = [
    ["a", "a", /same name/],
    ["Readme", "README", /same name/],
    ["\u00e4", "a\u0308", /same name/],
    ["Straße", "STRASSE", /same name/],
    ["a", "a/b", /folder in it/],
    ["a/b", "a", /name of a folder/],
    ["A/b/c", "a/B", /name of a folder/],
    ["x/y", "X/Y/z", /folder in it/],
  ];
  for (const [first, second, why] of pairs)
    await assert.rejects(decodeCatalogue(encodeCatalogue([entry(first), entry(second)])), refused(why), first);
  const read = await decodeCatalogue(encodeCatalogue([entry("a/b"), entry("a/c"), entry("A/d"), entry(".b..")]));
  assert.equal(read.length, 4);
});

test("numbers that cannot be are refused", async () => {
  const one = (): Buffer => encodeCatalogue([entry("abc", 10)]);
  // Behind the head and the name: mode, time, size, chunk size.
  const at = 5 + 2 + 3;
  const cases: readonly (readonly [(bytes: Buffer) => void, RegExp])[] = [
    [(bytes) => bytes.writeUInt8(2, 0), /version 2/],
    [(bytes) => bytes.writeUInt32BE(0, 1), /no file/],
    [(bytes) => bytes.writeUInt32BE(0xffff_ffff, 1), /4294967295 files/],
    [(bytes) => bytes.writeUInt32BE(2, 1), /ends in the middle/],
    [(bytes) => bytes.writeUInt16BE(0o4755, at), /mode/],
    [(bytes) => bytes.writeBigUInt64BE(2n ** 64n - 1n, at + 8), /more than can be counted/],
    [(bytes) => bytes.writeBigUInt64BE(2n ** 53n - 1n, at + 8), /ends in the middle/],
    [(bytes) => bytes.writeUInt32BE(0, at + 16), /chunks of "abc" have 0 bytes/],
    [(bytes) => bytes.writeUInt32BE(CHUNK_SIZES.least - 1, at + 16), /have 65535 bytes/],
    [(bytes) => bytes.writeUInt32BE(CHUNK_SIZES.most + 1, at + 16), /have 16777217 bytes/],
  ];
  for (const [change, why] of cases) {
    const bytes = one();
    change(bytes);
    await assert.rejects(decodeCatalogue(bytes), refused(why), String(why));
  }
  await assert.rejects(decodeCatalogue(Buffer.concat([one(), Buffer.alloc(1)])), refused(/behind its last file/));
  await assert.rejects(decodeCatalogue(one(), { ...CATALOGUE_LIMITS, bytes: 20 }), refused(/more than 20/));
  assert.throws(() => encodeCatalogue([]), /no file/);
});

test("a hundred thousand files are read while other work goes on", async () => {
  const entries = Array.from({ length: 100_000 }, (_, index) => entry(`folder ${index % 300}/file ${index}.txt`));
  const bytes = encodeCatalogue(entries);
  let turns = 0;
  const count = setInterval(() => turns++, 1);
  const read = await decodeCatalogue(bytes);
  clearInterval(count);
  assert.equal(read.length, 100_000);
  assert.ok(turns > 5, `only ${turns} turns of other work`);
  assert.deepEqual(read.at(-1)?.manifest, entries.at(-1)?.manifest);
});

test("a list of very many folders is refused before it fills memory, and deep ones are read in small turns", async () => {
  const manifest = makeManifest(0, 1024 * 1024, []);
  const deep = Array.from({ length: 60 }, (_, n) => `d${n}`).join("/");
  const listOf = (name: (n: number) => string) =>
    encodeCatalogue(
      Array.from({ length: 100_000 }, (_, n) => ({ name: name(n), size: 0, mode: 0o644, mtimeMs: 0, manifest })),
    );
  const bomb = listOf((n) => `${n.toString(36)}/${deep}/${"é".repeat(60)}`);
  const honest = listOf((n) => `${deep}/${"é".repeat(60)}${n.toString(36)}`);
  const before = process.memoryUsage().rss;
  await assert.rejects(decodeCatalogue(bomb), /more than 200000 folders/);
  const grown = (process.memoryUsage().rss - before) / 1e6;
  assert.ok(grown < 150, `RSS grew by ${grown.toFixed(0)} MB`);
  let turns = 0;
  const count = (): void => {
    turns++;
    immediate = setImmediate(count);
  };
  let immediate = setImmediate(count);
  const begun = performance.now();
  assert.equal((await decodeCatalogue(honest)).length, 100_000);
  clearImmediate(immediate);
  assert.ok(turns > (performance.now() - begun) / 100, `others had ${turns} turns`);
});
