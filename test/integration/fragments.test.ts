/** Downloads that are filled from files which are here already, against origins that count who asks them. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { appendFile, open, readFile, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { FragmentCache } from "../../src/daemon/cache/fragments.ts";
import type { ConfigInput } from "../../src/daemon/config/schema.ts";
import type { DownloadCache } from "../../src/daemon/core/ports/cache.ts";
import type { ChunkSource } from "../../src/daemon/core/ports/sources.ts";
import type { Session } from "../../src/daemon/core/session.ts";
import { DiskFileStore } from "../../src/daemon/disk/file-store.ts";
import { Verifier } from "../../src/daemon/download/verifier.ts";
import { UndiciClient } from "../../src/daemon/http/client.ts";
import { HttpSourceFactory } from "../../src/daemon/http/source.ts";
import { type DownloadManager, SessionManager } from "../../src/daemon/library.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { type LibraryHome, libraryHome } from "../support/library.ts";
import { type Origin, resourceOf, serve } from "../support/origins/origin.ts";
import { RecordLogger } from "../support/record-logger.ts";

const clock = new SystemClock();
const CHUNK = 64 * 1024;
const LARGE = randomBytes(20 * CHUNK + 77);
const SMALL = randomBytes(5000);
const hex = (algorithm: string, bytes: Uint8Array): string => createHash(algorithm).update(bytes).digest("hex");
const sum = (bytes: Uint8Array) => ({ algorithm: "sha-256", value: hex("sha256", bytes) }) as const;

interface Setup extends AsyncDisposable {
  readonly home: LibraryHome;
  readonly first: Origin;
  readonly second: Origin;
  readonly cache: FragmentCache;
  readonly sessions: SessionManager;
  readonly manager: DownloadManager;
  get(url: string, options?: Session["options"]): Promise<Session>;
}

/** @param between - stands between the engine and the cache */
async function setup(
  bytes: Buffer,
  config: ConfigInput = {},
  between: (cache: FragmentCache) => DownloadCache = (cache) => cache,
): Promise<Setup> {
  await using stack = new AsyncDisposableStack();
  const home = stack.use(await libraryHome());
  const first = stack.use(await serve(resourceOf(bytes), (call) => call.answer(), "/first.bin"));
  const second = stack.use(await serve(resourceOf(bytes, "other"), (call) => call.answer(), "/second.bin"));
  const sessions = stack.use(new SessionManager({}, { home: home.home }));
  await sessions.start();
  const cache = stack.use(
    new FragmentCache({
      store: sessions.keyValue,
      clock,
      logger: new RecordLogger(),
      options: () => ({ maxNoted: 1000, ttlMs: 1000 }),
    }),
  );
  await cache.start();
  const options = { sessionManager: sessions, downloadCache: between(cache) };
  const manager = home.manager({ chunk_size: CHUNK, ...config }, options);
  const owned = stack.move();
  return {
    home,
    first,
    second,
    cache,
    sessions,
    manager,
    async get(url, options) {
      const [result] = await manager.download([url], options);
      return (await sessions.get(result?.sessionId ?? "")) ?? assert.fail("no session");
    },
    async [Symbol.asyncDispose]() {
      await manager[Symbol.asyncDispose]();
      await owned[Symbol.asyncDispose]();
    },
  };
}

for (const [name, bytes] of [
  ["a file of one chunk", SMALL],
  ["a file of several chunks", LARGE],
] as const)
  test(`${name}, asked for under a second URL with its digest, is asked for nowhere`, async () => {
    await using it = await setup(bytes);
    const before = await it.get(it.first.url, bytes === LARGE ? { checksum: sum(bytes) } : {});
    assert.equal(before.status, "completed");
    const session = await it.get(it.second.url, { checksum: sum(bytes) });
    assert.equal(session.status, "completed", session.error?.message);
    assert.deepEqual(it.second.requests, []);
    assert.equal(session.file?.path, join(it.home.downloads, "second.bin"));
    assert.deepEqual(await readFile(session.file?.path ?? ""), bytes);
    const receipt = await it.sessions.receipts.bySession(session.id);
    const [source] = receipt.sources;
    assert.equal(source, `cache:sha-256:${sum(bytes).value}`);
    assert.deepEqual(
      receipt.digests.map(({ value }) => value),
      [sum(bytes).value],
    );
    for await (const chunk of it.sessions.receipts.chunks(receipt)) assert.deepEqual(chunk.sources, [0]);
    assert.equal(session.resource?.strongValidator, undefined);
  });

test("a file is found by its SHA-512 too, but not by digests that can be forged", async () => {
  await using it = await setup(LARGE);
  const sha512 = { algorithm: "sha-512", value: hex("sha512", LARGE) } as const;
  const md5 = { algorithm: "md5", value: hex("md5", LARGE) } as const;
  await it.get(it.first.url, { checksum: sha512 });
  await it.get(`${it.second.base}/by-sha-512`, { checksum: sha512 });
  assert.equal(it.second.requests.length, 0);
  await it.get(`${it.first.base}/by-md5`, { checksum: md5 });
  const session = await it.get(`${it.second.base}/by-md5-again`, { checksum: md5 });
  assert.equal(session.status, "completed");
  assert.ok(it.second.requests.length > 0);
});

test("a part of a stored file is found by the digest of its chunk", async () => {
  await using it = await setup(LARGE);
  await it.get(it.first.url);
  const chunk = LARGE.subarray(3 * CHUNK, 4 * CHUNK);
  const session = await it.get(`${it.second.base}/chunk`, { checksum: sum(chunk) });
  assert.equal(it.second.requests.length, 0);
  assert.deepEqual(await readFile(session.file?.path ?? ""), chunk);
});

test("by force, and for a caller over TCP, the origin is asked", async () => {
  await using it = await setup(SMALL, {});
  await it.get(it.first.url);
  const forced = await it.get(`${it.second.base}/forced`, { checksum: sum(SMALL), force: true });
  assert.equal(forced.status, "completed");
  assert.equal(it.second.requests.length, 1);
  const asked = it.cache.stats();
  // To loopback nobody gets over TCP; but the cache is not asked either, and that is what counts.
  const remote = await it.get(`${it.second.base}/remote`, { checksum: sum(SMALL), remote: true, maxRetries: 0 });
  assert.notEqual(remote.status, "completed");
  assert.deepEqual(await it.cache.stats(), await asked);
});

test("a stored file that was changed, shortened or removed is not used, and the origin is asked", async () => {
  await using it = await setup(SMALL);
  const changes: ((path: string) => Promise<void>)[] = [
    (path) => appendFile(path, "more"),
    (path) => rm(path),
    async (path) => {
      const { mtimeMs } = (await it.sessions.receipts.byPath(path))?.file ?? assert.fail("no receipt");
      await using file = await open(path, "r+");
      await file.write(Buffer.of(SMALL[100] === 1 ? 2 : 1), 0, 1, 100);
      await utimes(path, mtimeMs / 1000, mtimeMs / 1000);
    },
  ];
  for (const [at, change] of changes.entries()) {
    const session = await it.get(`${it.first.base}/file${at}`, { force: true });
    await change(session.file?.path ?? "");
    const asked = it.second.requests.length;
    const again = await it.get(`${it.second.base}/again${at}`, { checksum: sum(SMALL) });
    assert.equal(again.status, "completed", again.error?.message);
    assert.equal(it.second.requests.length, asked + 1, `change ${at}`);
    assert.deepEqual(await readFile(again.file?.path ?? ""), SMALL);
    await rm(again.file?.path ?? "");
  }
});

test("a stored file that changes or vanishes while it is copied: the download goes on from the origin, right to the byte", async () => {
  for (const change of ["bytes", "length", "vanishes"] as const) {
    let stored = "";
    const midway = (cache: FragmentCache): DownloadCache => ({
      placed: (file) => cache.placed(file),
      async sourceFor(digest) {
        const source = await cache.sourceFor(digest);
        return source && spoilt(source, () => spoil(stored, change));
      },
    });
    await using it = await setup(LARGE, {}, midway);
    const session = await it.get(it.first.url, { checksum: sum(LARGE) });
    stored = session.file?.path ?? "";
    const again = await it.get(it.second.url, { checksum: sum(LARGE) });
    assert.equal(again.status, "completed", again.error?.message);
    assert.deepEqual(await readFile(again.file?.path ?? ""), LARGE);
    assert.equal(it.second.requests.length > 0, change !== "vanishes", change);
    assert.equal(again.attempt, 1);
  }
});

async function spoil(path: string, change: "bytes" | "length" | "vanishes"): Promise<void> {
  if (change === "vanishes") return await rm(path);
  await using file = await open(path, "r+");
  if (change === "length") await file.truncate(12 * CHUNK + 5);
  else await file.write(Buffer.alloc(100, 7), 0, 100, 15 * CHUNK);
}

/** The source, with something that happens behind its fifth piece. */
function spoilt(source: ChunkSource, spoil: () => Promise<void>): ChunkSource {
  return {
    id: source.id,
    async open(request) {
      const stream = await source.open(request);
      let pieces = 0;
      return {
        ...stream,
        pipe: (sink) =>
          stream.pipe(async (piece) => {
            await sink(piece);
            if (++pieces === 5) await spoil();
          }),
      };
    },
  };
}

test("what came from the cache is mended from where it was asked for", async () => {
  await using it = await setup(LARGE);
  await it.get(it.first.url, { checksum: sum(LARGE) });
  const session = await it.get(it.second.url, { checksum: sum(LARGE) });
  const receipt = await it.sessions.receipts.bySession(session.id);
  assert.deepEqual(receipt.sources, [`cache:sha-256:${sum(LARGE).value}`, it.second.url]);
  assert.deepEqual(it.second.requests, []);
  const path = session.file?.path ?? "";
  await using file = await open(path, "r+");
  await file.write(Buffer.alloc(100, 7), 0, 100, 4 * CHUNK);
  await using client = new UndiciClient({ userAgent: "snatch-test" }, { clock, logger: new RecordLogger() });
  const verifier = new Verifier({
    receipts: it.sessions.receipts,
    files: new DiskFileStore(),
    sources: new HttpSourceFactory({ client, clock }),
    clock,
    busy: () => false,
    timeoutMs: () => 5000,
  });
  const signal = AbortSignal.timeout(20_000);
  const options = { repair: true, findMoved: false, mayWrite: () => Promise.resolve(), signal };
  const statuses: string[] = [];
  for await (const event of verifier.verify({ path }, options))
    if (event.type === "done") statuses.push(event.outcome.error?.message ?? event.outcome.status);
  assert.deepEqual(statuses, ["repaired"]);
  assert.deepEqual(
    it.second.requests.map(({ range }) => range),
    [{ start: 4 * CHUNK, end: 5 * CHUNK }],
  );
  assert.deepEqual(await readFile(path), LARGE);
});

test("a Metalink's digest fills the file as well; none of its places is asked", async () => {
  await using it = await setup(LARGE);
  await it.get(it.first.url, { checksum: sum(LARGE) });
  const text =
    `<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="described.bin"><size>${LARGE.length}</size>` +
    `<hash type="sha-256">${sum(LARGE).value}</hash><url>${it.second.url}</url></file></metalink>`;
  await using page = await serve(resourceOf(Buffer.alloc(0)), (call) => call.send(200, {}, text), "/a.meta4");
  const session = await it.get(page.url);
  assert.equal(session.status, "completed", session.error?.message);
  assert.equal(session.file?.path, join(it.home.downloads, "described.bin"));
  assert.deepEqual(await readFile(session.file?.path ?? ""), LARGE);
  assert.deepEqual(it.second.requests, []);
});

test("a size that is wanted and another one that is stored: the origin is asked", async () => {
  await using it = await setup(SMALL);
  await it.get(it.first.url);
  const session = await it.get(it.second.url, { checksum: sum(SMALL), size: SMALL.length + 1, maxRetries: 0 });
  assert.equal(session.error?.code, "SIZE_MISMATCH");
  assert.equal(it.second.requests.length, 1);
});

test("a wrong note leads to the origin, not to a wrong file", async () => {
  await using it = await setup(SMALL);
  const other = await it.get(it.first.url);
  const wanted = randomBytes(3000);
  const { file } = other;
  // As if somebody had written into the database: the chunk of one file under the digest of another.
  await it.cache.placed({
    file: file ?? assert.fail("no file"),
    chunkSize: CHUNK,
    chunks: [hex("sha256", SMALL)],
    digests: [{ algorithm: "sha-512", value: hex("sha512", wanted), from: "nowhere" }],
  });
  it.second.state.resource = resourceOf(wanted);
  const checksum = { algorithm: "sha-512", value: hex("sha512", wanted) } as const;
  const session = await it.get(it.second.url, { checksum });
  assert.equal(session.status, "completed", session.error?.message);
  assert.deepEqual(await readFile(session.file?.path ?? ""), wanted);
});
