import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { makeManifest } from "../../../src/daemon/core/manifest.ts";
import type { Receipt, ReceiptChunk } from "../../../src/daemon/core/receipt.ts";
import { redactReceipt } from "../../../src/daemon/core/receipt.ts";
import type { Session } from "../../../src/daemon/core/session.ts";
import { decodeChunks, encodeChunks } from "../../../src/daemon/session/receipt-codec.ts";
import type { SessionManager } from "../../../src/daemon/session/session-manager.ts";
import { requestFor, sessionFixture } from "../../support/session-fixture.ts";
import { verifyIndices } from "../../support/verify-sessions.ts";

const CHUNK = 10;

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

/** A completed session with a file of so many chunks. */
async function complete(sessions: SessionManager, path: string, count = 3, name = "a"): Promise<Session> {
  const [made] = await sessions.create([requestFor(name, { headers: [["Authorization", "Bearer x"]] })]);
  const { id } = made ?? assert.fail();
  const chunks = Array.from({ length: count }, (_, index) => digest(`${name} ${index}`));
  await sessions.update(id, {
    status: "active",
    resource: {
      finalUrl: `http://cdn.test/${name}?sig=geheim`,
      size: count * CHUNK,
      ranges: true,
      strongValidator: '"v1"',
      answer: { at: 1000, redirects: [`http://origin.test/${name}`], certificate: "c".repeat(64) },
    },
    part: {
      path: `${path}.part`,
      chunkSize: CHUNK,
      epoch: 2,
      sources: [`http://origin.test/${name}`, "http://mirror.test/"],
    },
  });
  await sessions.recordChunks(
    id,
    2,
    chunks.map((sha256, index) => [index, sha256, index % 2 === 0 ? [0] : [0, 1]] as const),
  );
  return sessions.update(id, {
    status: "completed",
    manifestRoot: makeManifest(count * CHUNK, CHUNK, chunks).root,
    file: { path, size: count * CHUNK, mtimeMs: 5.25, ino: 4711 },
  });
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

async function chunksOf(sessions: SessionManager, receipt: Receipt): Promise<ReceiptChunk[]> {
  return collect(sessions.receipts.chunks(receipt));
}

async function jsonOf(sessions: SessionManager, receipt: Receipt): Promise<string> {
  return (await collect(sessions.receipts.write(receipt))).join("");
}

test("a finished session has a receipt, which stays the same when the session is forgotten, until it is forgotten too", async () => {
  const { sessions, store, clock } = await sessionFixture();
  const { id } = await complete(sessions, "/d/a", 2500);
  const before = (await sessions.receipts.byPath("/d/a")) ?? assert.fail();
  const chunks = await chunksOf(sessions, before);
  assert.equal(chunks.length, 2500);
  assert.deepEqual(chunks[2049], { sha256: digest("a 2049"), sources: [0, 1] });
  assert.equal(before.manifests.source.root, before.manifests.file.root);

  await sessions.remove([id]);
  assert.equal(await sessions.get(id), undefined);
  const { sessions: restarted } = await sessionFixture({}, store, clock);
  for (const found of [
    await restarted.receipts.byPath("/d/a"),
    await restarted.receipts.bySession(id.slice(0, 8)),
    ...(await restarted.receipts.byIdentity({ ino: 4711, size: 25_000 })),
    ...(await collect(restarted.receipts.all())),
  ])
    assert.deepEqual(found, before);
  assert.deepEqual(await chunksOf(restarted, before), chunks);
  const kept = (await collect(store.entries("receipt-chunk"))).reduce((sum, [, value]) => sum + value.length, 0);
  assert.ok(kept < chunks.length * 56, `${kept} characters for ${chunks.length} chunks`);
  await verifyIndices(store);

  await restarted.receipts.forget(id);
  assert.equal(await restarted.receipts.byPath("/d/a"), undefined);
  await assert.rejects(restarted.receipts.bySession(id), { code: "RECEIPT_NOT_FOUND" });
  await assert.rejects(chunksOf(restarted, before), { code: "RECEIPT_NOT_FOUND" });
  for (const space of ["receipt", "receipt-id", "receipt-chunk", "file", "chunk"])
    assert.deepEqual(await collect(store.entries(space)), [], space);
});

test("the clean-up keeps receipts; forgetting a receipt forgets a session that is still known", async () => {
  const { sessions, store, clock } = await sessionFixture({ keepDays: 1 });
  await complete(sessions, "/d/old", 1);
  await clock.advance(2 * 86_400_000);
  const { id } = await complete(sessions, "/d/new", 1);
  assert.equal(await sessions.cleanUp(), 1);
  const paths = async () => (await collect(sessions.receipts.all())).map(({ file }) => file.path).sort();
  assert.deepEqual(await paths(), ["/d/new", "/d/old"]);
  await sessions.receipts.forget(id);
  assert.deepEqual(await paths(), ["/d/old"]);
  assert.equal(await sessions.get(id), undefined);
  await verifyIndices(store);
});

test("of two files in one place the newer one's receipt counts, and only that is kept", async () => {
  const { sessions, store } = await sessionFixture();
  const older = await complete(sessions, "/d/a", 3, "a");
  const newer = await complete(sessions, "/d/a", 4, "b");
  assert.equal((await sessions.receipts.byPath("/d/a"))?.sessionId, newer.id);
  assert.deepEqual(
    (await collect(sessions.receipts.all())).map(({ sessionId }) => sessionId),
    [newer.id],
  );
  assert.equal((await sessions.receipts.bySession(older.id)).sessionId, older.id);
  await sessions.remove([older.id, newer.id]);
  await assert.rejects(sessions.receipts.bySession(older.id), { code: "RECEIPT_NOT_FOUND" });
  assert.equal((await sessions.receipts.byPath("/d/a"))?.sessionId, newer.id);
  await verifyIndices(store);
});

test("sessions that brought no file have no receipt, and say how they stand", async () => {
  const { sessions } = await sessionFixture();
  const [made] = await sessions.create([requestFor("a")]);
  const { id } = made ?? assert.fail();
  await assert.rejects(sessions.receipts.bySession(id), {
    code: "RECEIPT_NOT_FOUND",
    message: `session ${id} is queued and has no receipt`,
  });
  await sessions.remove([id]);
  await assert.rejects(sessions.receipts.bySession("/d/a"), { code: "RECEIPT_NOT_FOUND" });
});

for (const forgotten of [false, true])
  test(`a moved file is found in its new place${forgotten ? ", its session forgotten" : ""}`, async () => {
    const { sessions, store } = await sessionFixture();
    const { id } = await complete(sessions, "/d/a");
    if (forgotten) await sessions.remove([id]);
    const receipt = await sessions.receipts.bySession(id);
    const file = { path: "/e/b", size: 30, mtimeMs: 6, ino: 4712 };
    await sessions.receipts.refile(receipt, file);
    assert.equal(await sessions.receipts.byPath("/d/a"), undefined);
    assert.deepEqual(await sessions.receipts.byPath("/e/b"), { ...receipt, file });
    assert.deepEqual(await sessions.receipts.byIdentity(receipt.file), []);
    assert.equal((await sessions.receipts.byIdentity(file)).length, 1);
    await verifyIndices(store);
  });

test("the indices of kept receipts are made anew after a repair of the database", async () => {
  const { sessions, store, clock } = await sessionFixture();
  const { id } = await complete(sessions, "/d/a");
  await complete(sessions, "/d/b", 2, "b");
  await sessions.remove([id]);
  Object.assign(store, { repairs: 1 });
  const { sessions: repaired } = await sessionFixture({}, store, clock);
  assert.equal((await repaired.receipts.bySession(id)).file.path, "/d/a");
  assert.equal((await repaired.receipts.byPath("/d/b"))?.url, "http://origin.test/b");
  await verifyIndices(store);
});

test("an exported receipt comes back; a redacted one tells no secret and verifies as well", async () => {
  const { sessions } = await sessionFixture();
  const { id } = await complete(sessions, "/d/a");
  const receipt = await sessions.receipts.bySession(id);
  const chunks = await chunksOf(sessions, receipt);
  assert.deepEqual(sessions.receipts.read(await jsonOf(sessions, receipt)), { receipt, chunks });
  const shown = await jsonOf(sessions, redactReceipt(receipt));
  assert.doesNotMatch(shown, /geheim|Bearer/);
  assert.deepEqual(sessions.receipts.read(shown).chunks, chunks);
});

test("what is no receipt is refused, whatever it is", async () => {
  const { sessions } = await sessionFixture();
  const { id } = await complete(sessions, "/d/a");
  const json = await jsonOf(sessions, await sessions.receipts.bySession(id));
  const forged = json.replace(digest("a 1"), digest("a 2"));
  for (const text of ["", "[]", "{}", json.slice(0, -1), forged, json.replace('"version":1', '"version":2')])
    assert.throws(() => sessions.receipts.read(text), { code: "RECEIPT_INVALID" });
  fc.assert(
    fc.property(fc.nat(json.length - 1), fc.string({ unit: "binary-ascii", maxLength: 3 }), (at, put) => {
      const changed = json.slice(0, at) + put + json.slice(at + put.length);
      try {
        const { receipt, chunks } = sessions.receipts.read(changed);
        const { size, chunkSize, root } = receipt.manifests.file;
        assert.equal(
          makeManifest(
            size,
            chunkSize,
            chunks.map(({ sha256 }) => sha256),
          ).root,
          root,
        );
      } catch (error) {
        assert.equal((error as { code?: unknown }).code, "RECEIPT_INVALID");
      }
    }),
    { numRuns: 300 },
  );
});

test("chunks in a block: any digests, any sources", () => {
  const hex = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString("hex"));
  const chunk = fc.record({ sha256: hex, sources: fc.array(fc.nat(300), { maxLength: 4 }) }, { noNullPrototype: true });
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 50 }), (chunks) => {
      assert.deepEqual(decodeChunks(encodeChunks(chunks)), chunks);
    }),
  );
});
