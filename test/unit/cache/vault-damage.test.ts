import assert from "node:assert/strict";
import { access, chmod, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { CacheEntry } from "../../../src/daemon/cache/vault.ts";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { KeyValue } from "../../../src/daemon/core/ports/key-value.ts";
import { Store } from "../../../src/daemon/store/store.ts";
import { fillDisk } from "../../support/fill-disk.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { needsMount, temporaryFolder, temporaryMount } from "../../support/temporary-folder.ts";
import { evenLimits, VaultFixture } from "../../support/vault-fixture.ts";

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function flip(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

const put = (fixture: VaultFixture, key: string, body: string | Uint8Array): Promise<CacheEntry> =>
  fixture.vault.put("fragment", key, Buffer.from(body));

for (const [how, damage] of [
  ["has a flipped bit", flip],
  ["was cut short", (path: string) => truncate(path, 3)],
  ["has grown beyond all memory", (path: string) => truncate(path, 2 ** 42)],
  ["is a folder", (path: string) => rm(path).then(() => mkdir(path))],
] as const) {
  test(`a body that ${how}: never given out, dropped, counted, reported, and stored anew`, async () => {
    await using fixture = await VaultFixture.start();
    const { digest } = await put(fixture, "k", "some bytes");
    await damage(fixture.file(digest));
    assert.equal(await fixture.text("k", "fragment"), undefined);
    assert.equal(await exists(fixture.file(digest)), false);
    assert.equal(await fixture.vault.peek("fragment", "k"), undefined);
    const { fragment } = await fixture.vault.stats();
    assert.deepEqual([fragment.damaged, fragment.entries, fragment.bytes, fragment.misses], [1, 0, 0, 1]);
    assert.ok(fixture.logger.lines.some(({ level, message }) => level === "warn" && message.includes("damaged")));
    await put(fixture, "k", "some bytes");
    assert.equal(await fixture.text("k", "fragment"), "some bytes");
  });
}

test("a store mends a body that had rotted unseen, also for others that share it", async () => {
  await using fixture = await VaultFixture.start();
  const { digest } = await put(fixture, "a", "shared bytes");
  await flip(fixture.file(digest));
  await put(fixture, "b", "shared bytes");
  assert.equal(await fixture.text("b", "fragment"), "shared bytes");
  assert.equal(await fixture.text("a", "fragment"), "shared bytes");
});

test("one damaged body of two entries: neither is given out", async () => {
  await using fixture = await VaultFixture.start();
  const { digest } = await put(fixture, "a", "shared bytes");
  await put(fixture, "b", "shared bytes");
  await flip(fixture.file(digest));
  assert.equal(await fixture.text("a", "fragment"), undefined);
  assert.equal(await fixture.text("b", "fragment"), undefined);
  assert.deepEqual(await fixture.totals(), { entries: 0, bytes: 0 });
});

for (const deep of [false, true]) {
  test(`a folder that was ${deep ? "deleted" : "emptied"} by hand: misses, said once, and it works on`, async () => {
    await using fixture = await VaultFixture.start();
    for (const key of ["a", "b", "c"]) await put(fixture, key, key);
    if (deep) await rm(fixture.directory, { recursive: true });
    else
      for (const name of await readdir(fixture.directory)) await rm(join(fixture.directory, name), { recursive: true });
    assert.equal(await fixture.text("a", "fragment"), undefined);
    assert.equal(await fixture.text("b", "fragment"), undefined);
    assert.equal(fixture.logger.lines.filter(({ level }) => level === "warn").length, 1);
    await put(fixture, "a", "anew");
    assert.equal(await fixture.text("a", "fragment"), "anew");
    assert.deepEqual(await fixture.vault.compactStorage(), { entries: 1, bytes: 0 });
    assert.deepEqual(await fixture.totals(), { entries: 1, bytes: 4 });
    await fixture.restart();
    assert.equal(await fixture.text("a", "fragment"), "anew");
  });
}

test("compaction sweeps what has no name, proves the rest, and makes the database smaller", async () => {
  await using folder = await temporaryFolder();
  await using store = new Store({ directory: join(folder.path, "db"), logger: new RecordLogger() });
  await store.start();
  await using fixture = await VaultFixture.start({ keyValue: store.keyValue });
  const kept = await put(fixture, "kept", "kept");
  const rotten = await put(fixture, "rotten", "rotten");
  await flip(fixture.file(rotten.digest));
  const orphan = fixture.file("ab".repeat(32));
  await mkdir(dirname(orphan), { recursive: true });
  await writeFile(orphan, Buffer.alloc(1000));
  const stray = join(fixture.directory, "vault/content-v2/sha256/ab/stray");
  await mkdir(stray, { recursive: true });
  await writeFile(join(stray, "file"), Buffer.alloc(10));
  assert.deepEqual(await fixture.vault.compactStorage(), { entries: 1, bytes: 1016 });
  assert.deepEqual(await readdir(join(fixture.directory, "vault/content-v2/sha256")), [kept.digest.slice(0, 2)]);
  assert.equal((await fixture.vault.stats()).fragment.damaged, 1);
  const note = "n".repeat(100_000);
  for (let at = 0; at < 30; at++) await fixture.vault.put("metadata", `${at}`, Buffer.from("x"), { note });
  await fixture.vault.clear("metadata");
  const { bytes } = await fixture.vault.compactStorage();
  assert.ok(bytes > 1_000_000, `${bytes} bytes`);
});

test("upkeep stops at its signal", async () => {
  await using fixture = await VaultFixture.start();
  await put(fixture, "a", "a");
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(fixture.vault.compactStorage(signal), /enough/);
  await assert.rejects(fixture.vault.cleanupExpired(signal), /enough/);
  await assert.rejects(fixture.vault.clear(undefined, signal), /enough/);
  assert.equal(await fixture.text("a", "fragment"), "a");
});

test("lowered limits are reached by the next compaction", async () => {
  await using fixture = await VaultFixture.start();
  for (const key of ["a", "b", "c"]) await put(fixture, key, key.repeat(100));
  fixture.limits = evenLimits(150);
  assert.deepEqual(await fixture.vault.compactStorage(), { entries: 2, bytes: 200 });
  assert.equal(await fixture.text("c", "fragment"), "c".repeat(100));
});

test("two daemons, one folder: the second works without, says so, and gets it when the first has ended", async () => {
  await using first = await VaultFixture.start();
  await put(first, "a", "of the first");
  await using second = await VaultFixture.start({ directory: first.directory });
  assert.match(second.vault.problem ?? "", /another process/);
  assert.equal(await second.vault.get("fragment", "a"), undefined);
  await assert.rejects(put(second, "b", "b"), { code: "CACHE_UNAVAILABLE" });
  await assert.rejects(second.vault.compactStorage(), { code: "CACHE_UNAVAILABLE" });
  assert.equal(await first.text("a", "fragment"), "of the first");
  await first.vault[Symbol.asyncDispose]();
  await second.clock.advance(20_000);
  await put(second, "b", "of the second");
  assert.equal(second.vault.problem, undefined);
  assert.equal(await second.text("a", "fragment"), undefined);
  // And what the first left is not its business to keep.
  await second.vault.compactStorage();
  assert.deepEqual(await second.totals(), { entries: 1, bytes: 13 });
  await second.vault[Symbol.asyncDispose]();
  first.vault = first.make();
  await first.vault.start();
  assert.deepEqual(await first.totals(), { entries: 0, bytes: 0 });
});

test("entries are not believed after a repair of the database", async () => {
  await using fixture = await VaultFixture.start();
  await put(fixture, "a", "a");
  const repaired: KeyValue = Object.assign(Object.create(fixture.keyValue) as KeyValue, { repairs: 1 });
  for (const name of ["get", "getMany", "entries", "write"] as const)
    Object.assign(repaired, { [name]: (fixture.keyValue[name] as () => unknown).bind(fixture.keyValue) });
  await fixture.vault[Symbol.asyncDispose]();
  fixture.vault = fixture.make(repaired);
  await fixture.vault.start();
  assert.deepEqual(await fixture.totals(), { entries: 0, bytes: 0 });
});

test("records that are none are no entries", async () => {
  await using fixture = await VaultFixture.start();
  await put(fixture, "a", "a");
  await put(fixture, "b", "b");
  let id = "";
  for await (const [key] of fixture.keyValue.entries("cache")) id = key;
  await fixture.keyValue.write([
    { type: "put", space: "cache", key: id, value: "{" },
    ...["", "x", "m", "f1"].map((key) => ({ type: "put", space: "cache-index", key, value: "nonsense" }) as const),
  ]);
  await fixture.restart();
  assert.equal((await fixture.totals()).entries, 2);
  const texts = [await fixture.text("a", "fragment"), await fixture.text("b", "fragment")];
  assert.equal(texts.filter((text) => text === undefined).length, 1);
  assert.equal((await fixture.totals()).entries, 1);
});

test("what a kill leaves is swept at the next use: drafts, bodies without a name", async () => {
  await using fixture = await VaultFixture.start();
  await put(fixture, "a", "a");
  const orphan = fixture.file("cd".repeat(32));
  await mkdir(dirname(orphan), { recursive: true });
  await writeFile(orphan, "orphan");
  const draft = join(fixture.directory, "vault/tmp/draft");
  await writeFile(draft, "draft");
  await fixture.vault[Symbol.asyncDispose]();
  // As if it had not been ended.
  const mark = join(fixture.directory, "vault/OWNER");
  await writeFile(mark, (await readFile(mark, "utf8")).replace("closed", "open"));
  fixture.vault = fixture.make();
  await fixture.vault.start();
  assert.equal(await fixture.text("a", "fragment"), "a");
  assert.equal(await exists(draft), false);
  // Upkeep waits for the sweep.
  await fixture.vault.cleanupExpired();
  assert.equal(await exists(orphan), false);
});

test("a database that refuses: what was there before stays, and the sums are right", async () => {
  const inner = new MemoryKeyValue();
  let broken = false;
  const keyValue: KeyValue = {
    get: (space, key) => inner.get(space, key),
    getMany: (space, keys) => inner.getMany(space, keys),
    entries: (space, range) => inner.entries(space, range),
    write: async (writes) => {
      if (broken) throw failure("DISK_FULL", "no room");
      return inner.write(writes);
    },
  };
  await using fixture = await VaultFixture.start({ keyValue, limits: evenLimits(30) });
  await put(fixture, "a", "aaaaaaaaaa");
  await put(fixture, "b", "bbbbbbbbbb");
  broken = true;
  await assert.rejects(put(fixture, "a", "AAAAA"), { code: "DISK_FULL" });
  await assert.rejects(put(fixture, "c", "c".repeat(25)), { code: "DISK_FULL" });
  await assert.rejects(fixture.vault.remove("fragment", "a"), { code: "DISK_FULL" });
  await assert.rejects(fixture.vault.amend("fragment", "a", { note: "n" }), { code: "DISK_FULL" });
  assert.deepEqual(await fixture.totals(), { entries: 2, bytes: 20 });
  assert.equal(await fixture.text("a", "fragment"), "aaaaaaaaaa");
  assert.equal(await fixture.text("b", "fragment"), "bbbbbbbbbb");
  broken = false;
  await put(fixture, "c", "c".repeat(25));
  assert.deepEqual(await fixture.totals(), { entries: 1, bytes: 25 });
  assert.deepEqual(await fixture.vault.compactStorage(), { entries: 0, bytes: 0 });
});

test("a full disk: a clear error, what was there stays, and it works on", needsMount, async () => {
  await using mount = await temporaryMount(1024 * 1024);
  await using fixture = await VaultFixture.start({ directory: join(mount.path, "cache") });
  await put(fixture, "a", "a");
  await fillDisk(join(mount.path, "ballast"));
  await assert.rejects(put(fixture, "a", Buffer.alloc(100_000)), { code: "DISK_FULL" });
  assert.equal(await fixture.text("a", "fragment"), "a");
  await rm(join(mount.path, "ballast"));
  await put(fixture, "a", Buffer.alloc(100_000));
  assert.deepEqual(await fixture.vault.compactStorage(), { entries: 0, bytes: 0 });
  assert.deepEqual(await fixture.totals(), { entries: 1, bytes: 100_000 });
});

test("a read-only folder: what is there is read, stores say why not", needsMount, async () => {
  await using mount = await temporaryMount(1024 * 1024);
  await using fixture = await VaultFixture.start({ directory: join(mount.path, "cache") });
  await put(fixture, "a", "a");
  await fixture.vault[Symbol.asyncDispose]();
  mount.remount("ro");
  fixture.vault = fixture.make();
  await fixture.vault.start();
  assert.equal(await fixture.text("a", "fragment"), "a");
  await assert.rejects(put(fixture, "b", "b"), { code: "READ_ONLY" });
  mount.remount("rw");
  await put(fixture, "b", "b");
  assert.equal(await fixture.text("b", "fragment"), "b");
});

test("a folder that cannot be made: a start all the same, misses, and a clear error", async () => {
  await using folder = await temporaryFolder();
  const directory = join(folder.path, "file", "cache");
  await writeFile(join(folder.path, "file"), "");
  await using fixture = await VaultFixture.start({ directory });
  assert.equal(await fixture.text("a", "fragment"), undefined);
  await assert.rejects(put(fixture, "a", "a"), { code: "CACHE_UNAVAILABLE" });
  await rename(join(folder.path, "file"), join(folder.path, "moved"));
  await fixture.clock.advance(20_000);
  await put(fixture, "a", "a");
  await chmod(fixture.directory, 0o700);
  assert.equal(await fixture.text("a", "fragment"), "a");
});

test("after its end it is empty and refuses", async () => {
  await using fixture = await VaultFixture.start();
  await put(fixture, "a", "a");
  await fixture.vault[Symbol.asyncDispose]();
  assert.equal(await fixture.vault.get("fragment", "a"), undefined);
  await assert.rejects(put(fixture, "a", "a"), { code: "SHUTTING_DOWN" });
  await assert.rejects(fixture.vault.compactStorage(), { code: "SHUTTING_DOWN" });
});
