/** The example of the specification's cache section, in TypeScript, against the package by its name. */
import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import { describe, test } from "node:test";
import { DownloadCache, DownloadManager, SessionManager } from "snatch";
import { libraryHome, sha256Of } from "../support/library.ts";
import { resourceOf, serve } from "../support/origins/origin.ts";

const bytes = Buffer.alloc(300_000, "fragments ");
const config = { chunk_size: 65_536, min_free_space: 0 };
const url = "https://example.com/video";
const metadata = { title: "A video", duration: 212.5, formats: ["opus", "m4a"] };

describe("spec: cache", () => {
  test("storeMetadata, getMetadata, cleanupExpired, compactStorage", async () => {
    await using home = await libraryHome();
    {
      await using cache = new DownloadCache(config, { home: home.home });
      // Cache metadata
      await cache.storeMetadata(url, metadata, { ttl: 3600 });
      // Retrieve with fallback
      assert.deepEqual(await cache.getMetadata(url, { fetchIfMissing: true }), metadata);
      await cache.storeMetadata(`${url}/gone`, metadata, { ttl: 0 });
      assert.equal(await cache.getMetadata(`${url}/gone`), undefined);
      // Cache management
      assert.equal((await cache.cleanupExpired()).entries, 1);
      assert.equal((await cache.compactStorage()).entries, 0);
    }
    await using again = new DownloadCache(config, { home: home.home });
    assert.deepEqual(await again.getMetadata(url), metadata, "it outlives the program that stored it");
    await assert.rejects(again.storeMetadata(url, metadata, { ttl: -1 }), { code: "INVALID_ARGUMENT" });
    assert.deepEqual(await again.getMetadata(url), metadata);
  });

  test("getMetadata asks the origin for what is missing, once", async () => {
    await using origin = await serve(resourceOf(bytes), (call) => call.answer({ "cache-control": "max-age=60" }));
    await using home = await libraryHome();
    await using cache = new DownloadCache(config, { home: home.home });
    assert.equal(await cache.getMetadata(origin.url), undefined);
    assert.equal(origin.requests.length, 0);
    const all = await Promise.all([1, 2, 3].map(() => cache.getMetadata(origin.url, { fetchIfMissing: true })));
    assert.deepEqual(all[1], all[0]);
    assert.equal(origin.requests.length, 1);
    const { kinds } = await cache.stats();
    assert.equal(kinds.find(({ kind }) => kind === "metadata")?.entries, 1);
  });

  test("fragments: kept by key, and gone when they are cleared", async () => {
    await using home = await libraryHome();
    await using cache = new DownloadCache(config, { home: home.home });
    const key = "https://example.com/live/segment-7.ts";
    await cache.storeFragment(key, bytes);
    assert.deepEqual(Buffer.from((await cache.getFragment(key)) ?? []), bytes);
    assert.deepEqual(await cache.clear("fragments"), { entries: 1, bytes: bytes.length });
    assert.equal(await cache.getFragment(key), undefined);
  });

  test("AsyncDownloadManager(config, session_manager, cache): what is here is not fetched again", async () => {
    await using origin = await serve(resourceOf(bytes), (call) => call.answer());
    await using home = await libraryHome();
    await using sessionManager = new SessionManager(config, { home: home.home });
    await using downloadCache = new DownloadCache(config, { home: home.home });
    await using manager = new DownloadManager(config, { home: home.home, sessionManager, downloadCache });
    const checksum = { algorithm: "sha-256", value: sha256Of(bytes) } as const;
    const [first] = await manager.download([`${origin.base}/first`], { checksum });
    const asked = origin.requests.length;
    const [second] = await manager.download([`${origin.base}/second`], { checksum });
    assert.equal(second?.status, "completed", second?.error?.message);
    assert.equal(origin.requests.length, asked);
    assert.deepEqual(await readFile(second.path ?? ""), bytes);
    assert.deepEqual(
      Buffer.from((await downloadCache.getChunk(sha256Of(bytes.subarray(0, 65_536)))) ?? []),
      bytes.subarray(0, 65_536),
    );
    await rm(first?.path ?? "");
    await rm(second.path ?? "");
    assert.equal(await downloadCache.getChunk(sha256Of(bytes.subarray(0, 65_536))), undefined);
    await downloadCache.cleanupExpired();
    const { kinds } = await downloadCache.stats();
    assert.equal(kinds.find(({ kind }) => kind === "fragments")?.entries, 0);
  });

  test("a manager without one has the daemon's, unless the configuration turns it off", async () => {
    for (const enabled of [true, false]) {
      await using origin = await serve(resourceOf(bytes), (call) => call.answer());
      await using home = await libraryHome();
      await using manager = new DownloadManager({ ...config, cache: { enabled } }, { home: home.home });
      const checksum = { algorithm: "sha-256", value: sha256Of(bytes) } as const;
      await manager.download([`${origin.base}/first`], { checksum });
      const asked = origin.requests.length;
      await manager.download([`${origin.base}/second`], { checksum });
      assert.equal(origin.requests.length > asked, !enabled);
    }
  });
});
