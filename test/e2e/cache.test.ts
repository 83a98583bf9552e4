/** The caches of a real daemon: looked at and cared for by `snatchctl cache`, and in the ways in which they break. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { DownloadCache, SessionManager } from "../../src/index.ts";
import { Home } from "../support/program.ts";
import { needsMount, temporaryMount } from "../support/temporary-folder.ts";

interface Stats {
  readonly enabled: boolean;
  readonly directory: string;
  readonly problem: string | null;
  readonly bytes: number;
  readonly kinds: ReadonlyArray<{ readonly kind: string; readonly entries: number; readonly bytes: number }>;
}

/** An origin of whole files. */
async function serveFiles(
  files: Readonly<Record<string, Buffer>>,
): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((request, response) => {
    const bytes = files[request.url ?? ""];
    response.writeHead(bytes ? 200 : 404, { "Content-Length": bytes?.length ?? 0, ETag: '"1"' }).end(bytes);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function statsOf(home: Home): Promise<Stats> {
  const { code, stderr, ...finished } = await home.ctl(["cache", "stats", "--json"]);
  assert.equal(code, 0, stderr);
  return finished.json()[0] as unknown as Stats;
}

const entriesOf = async (home: Home, kind: string) =>
  (await statsOf(home)).kinds.find((found) => found.kind === kind)?.entries;

async function freedBy(home: Home, ...words: string[]): Promise<{ entries: number; bytes: number }> {
  const { code, stderr, ...finished } = await home.ctl(["cache", ...words, "--json"]);
  assert.equal(code, 0, stderr);
  return (finished.json()[0] as { freed: { entries: number; bytes: number } }).freed;
}

/** Puts documents into the caches of a home whose daemon does not run. */
async function fill(home: Home, count: number, options: { readonly ttl?: number } = {}): Promise<void> {
  await using sessionManager = new SessionManager({}, { home: home.path });
  await using cache = new DownloadCache({}, { home: home.path, sessionManager });
  for (let at = 0; at < count; at += 50)
    await Promise.all(
      Array.from({ length: Math.min(50, count - at) }, (_, index) =>
        cache.storeMetadata(`http://127.0.0.1/${at + index}`, { at: at + index, text: "x".repeat(2000) }, options),
      ),
    );
}

/** The bodies that lie in the folder. */
async function bodies(home: Home): Promise<number> {
  const found = await readdir(join(home.path, "cache/vault"), { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile() && entry.parentPath.includes("content")).length;
}

describe("the caches of a daemon", () => {
  test("stats, clean, compact and clear say what is there, and what was freed", async () => {
    await using origin = await serveFiles({ "/a.bin": Buffer.alloc(100_000, "a"), "/b.bin": Buffer.alloc(5000, "b") });
    await using home = await Home.create({ config: "chunk_size = 65536\n" });
    await fill(home, 20);
    await fill(home, 10, { ttl: 0.001 });
    await home.start();
    for (const name of ["a.bin", "b.bin"])
      assert.equal((await home.ctl(["get", `${origin.url}/${name}`])).code, 0, name);

    const { directory, enabled, problem, kinds } = await statsOf(home);
    assert.deepEqual([directory, enabled, problem], [join(home.path, "cache"), true, null]);
    assert.deepEqual(
      kinds.map(({ kind, entries }) => [kind, entries]),
      [
        ["metadata", 20],
        ["thumbnails", 0],
        ["fragments", 3],
        ["sessions", 2],
      ],
    );
    const shown = await home.ctl(["cache", "stats"]);
    assert.match(shown.stdout, /^KIND +ENTRIES +SIZE +LIMIT +HITS +MISSES +EVICTED +DAMAGED$/m);
    assert.match(shown.stdout, /^metadata +20 +\S+ KiB +64\.0 MiB +\d+ +\d+ +0 +0$/m);
    assert.match(shown.stdout, /cleaned: not since the daemon started, compacted: not since the daemon started$/m);

    const stale = await freedBy(home, "clean");
    assert.equal(stale.entries, 10, "documents were stored anew with another lifetime");
    assert.equal(await entriesOf(home, "metadata"), 10);
    await rm(join(home.path, "downloads", "b.bin"));
    assert.equal((await freedBy(home, "clean")).entries, 1, "the file is gone");
    assert.equal((await freedBy(home, "compact")).entries, 0);
    assert.match((await home.ctl(["cache", "stats"])).stdout, /compacted: \d{4}-\d\d-\d\d /);
    assert.equal((await freedBy(home, "clear", "fragments")).entries, 2);
    const cleared = await home.ctl(["cache", "clear", "metadata"]);
    assert.match(cleared.stdout, /^cleared metadata: freed 10 entries, \S+ KiB\n$/);
    assert.equal((await home.ctl(["cache", "clear"])).code, 0);
    assert.deepEqual(
      (await statsOf(home)).kinds.map(({ entries, bytes }) => [entries, bytes]),
      [
        [0, 0],
        [0, 0],
        [0, 0],
        [0, 0],
      ],
    );
    assert.equal(await bodies(home), 0);
    const unknown = await home.ctl(["cache", "clear", "films"]);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /'films' is invalid .* metadata, thumbnails, fragments, sessions/);
  });

  test("killed with -9 in the middle of its care, it agrees with itself again", async () => {
    await using home = await Home.create();
    await fill(home, 400);
    for (const [words, delay] of [
      [["compact"], 10],
      [["clear", "metadata"], 5],
    ] as const) {
      const daemon = await home.start();
      const before = await entriesOf(home, "metadata");
      const running = home.ctl(["cache", ...words]);
      setTimeout(() => void daemon.kill(), delay + 150);
      await daemon.exited;
      await running;
      const again = await home.start();
      const entries = (await entriesOf(home, "metadata")) ?? 0;
      assert.ok(entries <= (before ?? 0));
      await freedBy(home, "compact");
      assert.equal(await bodies(home), entries, `after ${words.join(" ")}`);
      assert.equal(await entriesOf(home, "metadata"), entries);
      await again.kill("SIGTERM");
    }
  });

  test("a folder that was emptied by hand is an empty cache", async () => {
    await using origin = await serveFiles({ "/a.bin": Buffer.alloc(100_000, "a") });
    await using home = await Home.create();
    await fill(home, 30);
    await home.start();
    assert.equal(await entriesOf(home, "metadata"), 30);
    await rm(join(home.path, "cache"), { recursive: true });
    assert.equal((await home.ctl(["get", `${origin.url}/a.bin`])).code, 0);
    await home.ctl(["cache", "compact"]);
    assert.equal((await home.ctl(["get", `${origin.url}/a.bin`, "--force"])).code, 0);
    assert.equal((await home.ctl(["daemon", "status"])).code, 0, "it goes on");
    await home.ctl(["cache", "clear"]);
    assert.equal(await entriesOf(home, "metadata"), 0);
  });

  for (const place of ["a file in place of the folder", "a read-only file system"])
    test(`${place} stops no download`, place.startsWith("a read") ? needsMount : {}, async () => {
      await using origin = await serveFiles({ "/a.bin": Buffer.alloc(100_000, "a") });
      await using mount = place.startsWith("a read") ? await temporaryMount(1024 ** 2) : undefined;
      mount?.remount("ro");
      await using home = await Home.create();
      const directory = mount ? join(mount.path, "cache") : join(home.path, "file");
      if (!mount) await writeFile(directory, "not a folder");
      const daemon = await home.start([`--cache.directory=${directory}`]);
      assert.equal((await home.ctl(["get", `${origin.url}/a.bin`])).code, 0);
      const stats = await home.ctl(["cache", "stats"]);
      assert.equal(stats.code, 0);
      assert.match(stats.stderr, /^NOT USABLE: .*(is not a folder|not a directory|file|read-only)/im);
      const clean = await home.ctl(["cache", "clear", "metadata"]);
      assert.deepEqual([clean.code, clean.stderr.includes("CACHE_UNAVAILABLE")], [6, true], clean.stderr);
      const { stdout } = await home.ctl(["doctor"]);
      assert.match(stdout, /^warn +Cache: nothing is cached: /m);
      await daemon.kill("SIGTERM");
      mount?.remount("rw");
    });

  test("two daemons on one folder: the second does without, and spoils nothing", async () => {
    await using origin = await serveFiles({ "/a.bin": Buffer.alloc(100_000, "a") });
    await using first = await Home.create();
    await fill(first, 20);
    await first.start();
    assert.equal(await entriesOf(first, "metadata"), 20);
    await using second = await Home.create();
    await second.start([`--cache.directory=${join(first.path, "cache")}`]);
    assert.equal((await second.ctl(["get", `${origin.url}/a.bin`])).code, 0);
    assert.match((await statsOf(second)).problem ?? "", /another|other/);
    const cleared = await second.ctl(["cache", "clear"]);
    assert.equal(cleared.code, 6, cleared.stderr);
    assert.equal((await freedBy(first, "compact")).entries, 0);
    assert.equal(await entriesOf(first, "metadata"), 20);
    assert.equal(await bodies(first), 20);
  });

  test("a cache that is off is not there", async () => {
    await using origin = await serveFiles({ "/a.bin": Buffer.alloc(100_000, "a") });
    await using home = await Home.create({ config: "[cache]\nenabled = false\n" });
    await home.start();
    assert.equal((await home.ctl(["get", `${origin.url}/a.bin`])).code, 0);
    assert.match((await home.ctl(["cache", "stats"])).stdout, /^the cache is off/m);
    assert.equal((await home.ctl(["cache", "clean"])).code, 6);
    assert.equal((await freedBy(home, "clear")).entries, 1, "the session's record");
    await assert.rejects(readdir(join(home.path, "cache")), { code: "ENOENT" });
  });
});
