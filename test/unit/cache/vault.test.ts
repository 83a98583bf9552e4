import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { VaultKind } from "../../../src/daemon/cache/vault.ts";
import { evenLimits, VaultFixture } from "../../support/vault-fixture.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);
const sized = (size: number, fill: string): Uint8Array => Buffer.alloc(size, fill);

test("what was stored is given back, with what was kept with it", async () => {
  await using fixture = await VaultFixture.start();
  const { vault, clock } = fixture;
  const entry = await vault.put("metadata", "https://a.example/", bytes("body"), { note: '{"a":1}', expiresAt: 5 });
  const digest = createHash("sha256").update("body").digest("hex");
  assert.deepEqual(entry, {
    ...{ kind: "metadata", key: "https://a.example/", digest, size: 4 },
    ...{ storedAt: clock.now(), expiresAt: 5, note: '{"a":1}' },
  });
  const found = await vault.get("metadata", "https://a.example/");
  assert.deepEqual(found?.entry, entry);
  assert.equal(Buffer.from(found?.body ?? []).toString(), "body");
  assert.deepEqual(await vault.peek("metadata", "https://a.example/"), entry);
  assert.equal(await vault.get("thumbnail", "https://a.example/"), undefined);
  assert.equal(await vault.get("metadata", "https://a.example/?"), undefined);
});

test("it is there after a restart, with the order of use and the sums", async () => {
  await using fixture = await VaultFixture.start({ limits: evenLimits(30) });
  for (const key of ["a", "b", "c"]) {
    await fixture.vault.put("metadata", key, sized(10, key));
    await fixture.clock.advance(1000);
  }
  assert.ok(await fixture.text("a"));
  await fixture.restart();
  assert.deepEqual(await fixture.totals(), { entries: 3, bytes: 30 });
  await fixture.vault.put("metadata", "d", sized(10, "d"));
  assert.equal(await fixture.text("b"), undefined);
  assert.equal(await fixture.text("a"), "aaaaaaaaaa");
});

test("a body that is a stream, an empty one, and a key of 64 KiB", async () => {
  await using fixture = await VaultFixture.start();
  const { vault } = fixture;
  async function* pieces() {
    const memory = Buffer.alloc(2);
    for (const text of ["ab", "cd", "ef"]) {
      memory.write(text);
      yield memory;
    }
  }
  await vault.put("fragment", "stream", pieces());
  assert.equal(await fixture.text("stream", "fragment"), "abcdef");
  await vault.put("fragment", "empty", bytes(""));
  assert.equal(await fixture.text("empty", "fragment"), "");
  const long = "u".repeat(65_536);
  await vault.put("metadata", `${long}1`, bytes("1"));
  await vault.put("metadata", `${long}2`, bytes("2"));
  assert.equal(await fixture.text(`${long}1`), "1");
  assert.equal((await vault.peek("metadata", `${long}2`))?.key, `${long}2`);
  await assert.rejects(vault.put("metadata", "k".repeat(300_000), bytes("")), { code: "CACHE_TOO_LARGE" });
  await assert.rejects(vault.put("metadata", "k", bytes(""), { expiresAt: Number.NaN }), { code: "INVALID_ARGUMENT" });
});

test("an endless body is cut off at its limit, and what was there before stays", async () => {
  await using fixture = await VaultFixture.start({ limits: evenLimits(1000, 100) });
  const { vault } = fixture;
  await vault.put("thumbnail", "k", bytes("before"));
  let [given, ended] = [0, false];
  async function* endless() {
    try {
      for (;;) {
        given += 40;
        yield Buffer.alloc(40);
      }
    } finally {
      ended = true;
    }
  }
  await assert.rejects(vault.put("thumbnail", "k", endless()), { code: "CACHE_TOO_LARGE" });
  assert.equal(given, 120);
  assert.ok(ended);
  await assert.rejects(vault.put("thumbnail", "k", sized(101, "x")), { code: "CACHE_TOO_LARGE" });
  await assert.rejects(vault.put("thumbnail", "k", sized(11, "x"), { maxBytes: 10 }), { code: "CACHE_TOO_LARGE" });
  assert.equal(await fixture.text("k", "thumbnail"), "before");
  assert.deepEqual(await fixture.totals(), { entries: 1, bytes: 6 });
});

test("a body that was silent when it was called off is not waited for", async () => {
  await using fixture = await VaultFixture.start();
  const stop = new AbortController();
  async function* silent() {
    yield Buffer.alloc(1);
    stop.abort(new Error("called off"));
    await new Promise(() => undefined);
  }
  await assert.rejects(fixture.vault.put("metadata", "k", silent(), { signal: stop.signal }), /called off/);
  assert.equal(await fixture.vault.peek("metadata", "k"), undefined);
});

test("limits hold in each kind and in all; the least recently used goes first", async () => {
  await using fixture = await VaultFixture.start({ limits: evenLimits(100, 60, 150) });
  const { vault, clock } = fixture;
  const put = async (kind: VaultKind, key: string, size: number) => {
    await vault.put(kind, key, sized(size, key));
    await clock.advance(1);
    const stats = await vault.stats();
    for (const each of Object.values(stats)) assert.ok(each.bytes <= 100);
    assert.ok((await fixture.totals()).bytes <= 150);
  };
  await put("metadata", "a", 50);
  await put("metadata", "b", 50);
  await put("metadata", "c", 50);
  assert.equal(await vault.peek("metadata", "a"), undefined, "its kind was full");
  await put("thumbnail", "d", 50);
  assert.ok(await vault.get("metadata", "b"));
  await put("fragment", "e", 20);
  assert.equal(await vault.peek("metadata", "c"), undefined, "all was full, and it was the oldest of all");
  assert.ok(await vault.peek("metadata", "b"));
  assert.ok(await vault.peek("thumbnail", "d"));
  const { metadata } = await vault.stats();
  assert.deepEqual(metadata, { entries: 1, bytes: 50, maxBytes: 100, hits: 1, misses: 0, evicted: 2, damaged: 0 });
});

test("a hundred stores at once keep the limits", async () => {
  await using fixture = await VaultFixture.start({ limits: evenLimits(1000, 100, 1000) });
  const { vault } = fixture;
  const puts = Array.from({ length: 100 }, (_, at) => vault.put("metadata", `${at}`, sized(90, `${at}`)));
  const results = await Promise.allSettled(puts);
  assert.ok((await fixture.totals()).bytes <= 1000);
  assert.ok((await fixture.totals()).entries >= 5);
  for (const result of results) if (result.status === "rejected") assert.equal(result.reason.code, "CACHE_FULL");
});

test("what is pinned stays; where everything is, a store is refused", async () => {
  await using fixture = await VaultFixture.start({ limits: evenLimits(30) });
  const { vault, clock } = fixture;
  const pins = ["a", "b", "c"].map((key) => vault.pin("fragment", key));
  for (const key of ["a", "b", "c"]) await vault.put("fragment", key, sized(10, key), { expiresAt: clock.now() - 1 });
  await assert.rejects(vault.put("fragment", "d", sized(10, "d")), { code: "CACHE_FULL" });
  assert.deepEqual(await vault.cleanupExpired(), { entries: 0, bytes: 0 });
  assert.deepEqual(await vault.clear(), { entries: 0, bytes: 0 });
  await vault.put("fragment", "a", sized(10, "A"));
  assert.equal(await fixture.text("a", "fragment"), "AAAAAAAAAA", "one of the same key takes its place");
  pins[1]?.[Symbol.dispose]();
  pins[1]?.[Symbol.dispose]();
  await vault.put("fragment", "d", sized(10, "d"));
  assert.equal(await vault.peek("fragment", "b"), undefined);
  assert.deepEqual(await vault.clear("metadata"), { entries: 0, bytes: 0 });
  assert.deepEqual(await vault.clear("fragment"), { entries: 1, bytes: 10 });
  for (const pin of pins) pin[Symbol.dispose]();
  assert.deepEqual(await vault.clear(), { entries: 2, bytes: 20 });
  assert.deepEqual(await fixture.totals(), { entries: 0, bytes: 0 });
});

test("two entries of one body: removing one leaves the other's", async () => {
  await using fixture = await VaultFixture.start();
  const { vault } = fixture;
  await vault.put("metadata", "a", bytes("same"));
  await vault.put("fragment", "b", bytes("same"));
  assert.deepEqual(await fixture.totals(), { entries: 2, bytes: 8 });
  assert.ok(await vault.remove("metadata", "a"));
  assert.equal(await fixture.text("b", "fragment"), "same");
  assert.equal(await vault.remove("metadata", "a"), false);
  // Gone and stored anew, again and again at once: the body of those that are there is there.
  for (let round = 0; round < 20; round++) {
    await Promise.all([vault.remove("fragment", "b"), vault.put("metadata", "a", bytes("same"))]);
    await Promise.all([vault.put("fragment", "b", bytes("same")), vault.remove("metadata", "a")]);
    assert.equal(await fixture.text("b", "fragment"), "same");
  }
});

test("a revalidation changes the time and the note, each alone too", async () => {
  await using fixture = await VaultFixture.start();
  const { vault } = fixture;
  await vault.put("metadata", "k", bytes("x"), { note: "one", expiresAt: 1 });
  assert.ok(await vault.amend("metadata", "k", { note: "two" }));
  assert.equal((await vault.peek("metadata", "k"))?.expiresAt, 1);
  const both = [vault.amend("metadata", "k", { note: "three" }), vault.amend("metadata", "k", { expiresAt: 9 })];
  assert.deepEqual(await Promise.all(both), [true, true]);
  const entry = await vault.peek("metadata", "k");
  assert.deepEqual([entry?.note, entry?.expiresAt], ["three", 9]);
  assert.ok(await vault.amend("metadata", "k", { expiresAt: undefined }));
  assert.equal((await vault.peek("metadata", "k"))?.expiresAt, undefined);
  assert.deepEqual(await vault.cleanupExpired(), { entries: 0, bytes: 0 });
  assert.equal(await vault.amend("metadata", "other", { note: "" }), false);
  // Beside a removal: whatever comes first, nothing is left that has no entry.
  await Promise.all([vault.amend("metadata", "k", { note: "four" }), vault.remove("metadata", "k")]);
  await fixture.restart();
  assert.deepEqual(await fixture.totals(), { entries: 0, bytes: 0 });
});

test("what is stale is found until it is cleaned up", async () => {
  await using fixture = await VaultFixture.start();
  const { vault, clock } = fixture;
  await vault.put("metadata", "stale", bytes("x"), { expiresAt: clock.now() + 1000 });
  await vault.put("metadata", "fresh", bytes("y"), { expiresAt: clock.now() + 3000 });
  await vault.put("metadata", "lasting", bytes("z"));
  await clock.advance(2000);
  assert.equal(await fixture.text("stale"), "x");
  await fixture.restart();
  assert.deepEqual(await fixture.vault.cleanupExpired(), { entries: 1, bytes: 1 });
  assert.equal(await fixture.text("stale"), undefined);
  assert.deepEqual(await fixture.totals(), { entries: 2, bytes: 2 });
});

test("limits that were lowered below what is pinned: everything else goes", async () => {
  await using fixture = await VaultFixture.start({ limits: evenLimits(100) });
  const { vault } = fixture;
  for (const key of ["a", "b", "c"]) await vault.put("fragment", key, sized(10, key));
  using _pin = vault.pin("fragment", "b");
  fixture.limits = evenLimits(5, 5, 1000);
  assert.deepEqual((await vault.compactStorage()).entries, 2);
  assert.deepEqual(await fixture.totals(), { entries: 1, bytes: 10 });
  assert.equal(await fixture.text("b", "fragment"), "bbbbbbbbbb");
});
