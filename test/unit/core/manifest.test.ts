import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { chunkCount, chunkRange, makeManifest, manifestRoot } from "../../../src/daemon/core/manifest.ts";

const digest = (text: string) => createHash("sha256").update(text).digest("hex");

describe("manifest", () => {
  test("the chunks of a grid cover the file without gap or overlap", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 1, max: 5000 }), (size, chunkSize) => {
        let end = 0;
        for (let index = 0; index < chunkCount(size, chunkSize); index++) {
          const range = chunkRange(index, size, chunkSize);
          assert.equal(range.start, end);
          assert.ok(range.end > range.start && range.end - range.start <= chunkSize);
          end = range.end;
        }
        assert.equal(end, size);
      }),
    );
  });

  test("the root changes with every part of the description", () => {
    const chunks = [digest("a"), digest("b")];
    const roots = [
      manifestRoot(20, 10, chunks),
      manifestRoot(19, 10, chunks),
      manifestRoot(20, 11, chunks),
      manifestRoot(20, 10, chunks.toReversed()),
      manifestRoot(20, 10, chunks.slice(0, 1)),
    ];
    assert.equal(new Set(roots).size, roots.length);
  });

  test("a list of digests that does not fit the grid is refused", () => {
    assert.throws(() => makeManifest(20, 10, [digest("a")]), { code: "INVALID_ARGUMENT" });
    assert.equal(makeManifest(0, 10, []).chunks.length, 0);
  });
});
