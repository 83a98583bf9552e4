/** Shares of real files: what is shared, what is left out, and what becomes of it. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { appendFile, chmod, mkdir, rename, rm, stat, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { DownloadError } from "../../../src/daemon/core/errors.ts";
import { makeManifest } from "../../../src/daemon/core/manifest.ts";
import type { Receipt } from "../../../src/daemon/core/receipt.ts";
import { decodeCatalogue } from "../../../src/daemon/p2p/share/catalogue.ts";
import { chunkSizeFor } from "../../../src/daemon/p2p/share/share-hash.ts";
import { FRAME } from "../../../src/daemon/p2p/types.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import type { MemoryNetwork } from "../../support/p2p/memory-network.ts";
import { shareFixture, unbroken } from "../../support/p2p/share-fixture.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { TestClock } from "../../support/test-clock.ts";

const MIB = 1024 * 1024;
const HOUR = 3_600_000;

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const code = (wanted: string) => (error: unknown) => (error as { code?: unknown }).code === wanted;

/** Fetches all files of a share, each chunk compared with the catalogue. */
async function fetchAll(network: MemoryNetwork, id: string): Promise<ReadonlyMap<string, Buffer>> {
  const { peer } = network.call(id);
  const files = new Map<string, Buffer>();
  for (const [index, { name, size, manifest }] of (await decodeCatalogue(await peer.takeCatalogue())).entries()) {
    const bytes = size === 0 ? Buffer.alloc(0) : await peer.take(index, 0, size);
    for (const [chunk, digest] of manifest.chunks.entries()) {
      const start = chunk * manifest.chunkSize;
      assert.equal(sha256(bytes.subarray(start, start + manifest.chunkSize)), digest);
    }
    files.set(name, bytes);
  }
  return files;
}

test("chunks are as small as 4,096 of them allow", () => {
  assert.equal(chunkSizeFor(0), MIB);
  assert.equal(chunkSizeFor(4096 * MIB), MIB);
  assert.equal(chunkSizeFor(4096 * MIB + 1), 2 * MIB);
  assert.equal(chunkSizeFor(2 ** 46), 16 * MIB);
});

test("a file is shared: the other end gets its bytes, its name, its mode and its time", async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  const path = join(folder.path, "a file.bin");
  const bytes = randomBytes(3 * MIB + 5);
  await writeFile(path, bytes);
  await chmod(path, 0o755);
  await utimes(path, 1_700_000_000, 1_700_000_000.5);
  const told: number[] = [];
  const made = await fixture.shares.share([path], {}, { ...unbroken(), onProgress: (at) => told.push(at.bytes) });
  assert.deepEqual(
    told.toSorted((a, b) => a - b),
    told,
  );
  assert.equal(told.at(-1), bytes.length);
  assert.equal(made.state.kind, "file");
  assert.equal(made.state.name, "a file.bin");
  assert.equal(made.state.size, bytes.length);
  assert.deepEqual(made.state.paths, [path]);
  assert.deepEqual(made.leftOut, []);
  assert.match(made.code, /^[0-9A-HJKMNP-TV-Z]{5}(-[0-9A-HJKMNP-TV-Z]{5}){4}$/);
  const { peer } = fixture.network.call(made.state.id);
  const [entry] = await decodeCatalogue(await peer.takeCatalogue());
  assert.deepEqual([entry?.name, entry?.mode, entry?.mtimeMs], ["a file.bin", 0o755, 1_700_000_000_500]);
  assert.ok((await peer.take(0, 0, bytes.length)).equals(bytes));
  const [state] = await fixture.shares.shares();
  assert.equal(state?.sentBytes, bytes.length);
  assert.equal(state?.peerCount, 1);
  // Nothing of the code is in the database.
  for (const space of ["share", "share-file", "share-catalogue"])
    for await (const [, text] of fixture.keyValue.entries(space)) assert.ok(!text.includes(made.code));
});

test("of a folder nothing is shared that leads elsewhere or cannot be taken, and each is told", async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  const root = join(folder.path, "music");
  await mkdir(join(root, "b", "empty"), { recursive: true });
  const files = { "a.txt": "1", "b/c.txt": "22", "b/A.TXT": "", "b.txt": "3", "a\u0308.txt": "4" };
  for (const [name, text] of Object.entries(files)) await writeFile(join(root, name), text);
  await writeFile(join(root, "film.0a1b2c3d.part"), "half");
  await writeFile(join(root, "A.txt"), "the same elsewhere");
  await writeFile(join(root, "back\\slash"), "x");
  await writeFile(join(root, "invoice-\u202Efdp.exe"), "x");
  await symlink("/etc/passwd", join(root, "passwd"));
  await symlink("/etc", join(root, "etc"));
  await symlink("..", join(root, "b", "up"));
  const socket = createServer().listen(join(root, "socket"));
  try {
    const made = await fixture.shares.share([root], {}, unbroken());
    assert.equal(made.state.kind, "folder");
    assert.equal(made.state.name, "music");
    const left = made.leftOut.map(({ path, why }) => [path.slice(root.length + 1), why] as const);
    assert.deepEqual(
      new Set(left.map(([path]) => path)),
      new Set(
        ["a.txt", "back\\slash", "b/empty", "b/up", "etc", "film.0a1b2c3d.part", "passwd", "socket"].concat(
          "invoice-\u202Efdp.exe",
        ),
      ),
    );
    const why = new Map(left);
    assert.match(why.get("passwd") ?? "", /symbolic link/);
    assert.match(why.get("socket") ?? "", /socket/);
    assert.match(why.get("invoice-\u202Efdp.exe") ?? "", /direction of text/);
    assert.match(why.get("a.txt") ?? "", /but for case/);
    assert.match(why.get("b/empty") ?? "", /empty/);
    assert.match(why.get("film.0a1b2c3d.part") ?? "", /not finished/);
    assert.match(why.get("back\\slash") ?? "", /backslash/);
    const taken = await fetchAll(fixture.network, made.state.id);
    // By bytes: capitals first; what lies in a folder where the folder is.
    assert.deepEqual(
      [...taken.keys()],
      ["A.txt", "b/A.TXT", "b/c.txt", "b.txt", "\u00e4.txt"].toSorted(
        (a, b) => [...taken.keys()].indexOf(a) - [...taken.keys()].indexOf(b),
      ),
    );
    assert.equal(taken.get("b/c.txt")?.toString(), "22");
    assert.equal(taken.get("\u00e4.txt")?.toString(), "4");
  } finally {
    socket.close();
  }
});

test("a name that is no text is why a file or folder is left out, not that it has gone", {
  skip: process.platform !== "linux",
}, async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  const root = join(folder.path, "old");
  await mkdir(root);
  await writeFile(join(root, "a.txt"), "1");
  // As another machine wrote it, in Latin-1.
  await mkdir(Buffer.from(join(root, "b\u00fccher"), "latin1"));
  await writeFile(Buffer.from(join(root, "stra\u00dfe.txt"), "latin1"), "2");
  const made = await fixture.shares.share([root], {}, unbroken());
  assert.equal(made.state.fileCount, 1);
  assert.deepEqual(
    made.leftOut.map(({ why }) => why),
    ["its name is no text in UTF-8", "its name is no text in UTF-8"],
  );
});

test("several paths are one share; what a person names may be a link", async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  await mkdir(join(folder.path, "real"));
  await writeFile(join(folder.path, "real", "x"), "x");
  await writeFile(join(folder.path, "y"), "y");
  await symlink("real", join(folder.path, "link"));
  const made = await fixture.shares.share(
    [join(folder.path, "link"), join(folder.path, "y")],
    { name: "both" },
    unbroken(),
  );
  assert.equal(made.state.name, "both");
  assert.deepEqual([...(await fetchAll(fixture.network, made.state.id)).keys()], ["link/x", "y"]);
  const dated = await fixture.shares.share([join(folder.path, "y"), join(folder.path, "real")], {}, unbroken());
  assert.match(dated.state.name, /^Files of \d{4}-\d\d-\d\d$/);
});

test("what cannot be shared is said, and leaves nothing", async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  await mkdir(join(folder.path, "empty", "empty"), { recursive: true });
  await writeFile(join(folder.path, "f"), "x");
  const { shares } = fixture;
  await assert.rejects(shares.share([join(folder.path, "empty")], {}, unbroken()), code("SHARE_INVALID"));
  await assert.rejects(shares.share([join(folder.path, "missing")], {}, unbroken()), /it is not there/);
  await assert.rejects(shares.share(["/dev/null"], {}, unbroken()), /it is a device/);
  await assert.rejects(shares.share([], {}, unbroken()), code("SHARE_INVALID"));
  for (const options of [{ maxPeers: 0 }, { maxFetches: 0 }, { expiresInMs: -1 }, { name: "../x" }, { name: "a/b" }])
    await assert.rejects(shares.share([join(folder.path, "f")], options, unbroken()), code("INVALID_ARGUMENT"));
  const reason = new Error("called off");
  await assert.rejects(shares.share([join(folder.path, "f")], {}, { signal: AbortSignal.abort(reason) }), reason);
  assert.deepEqual(await shares.shares(), []);
});

test("what the daemon keeps for itself is left out, and what people have inside of it is not", async () => {
  await using folder = await temporaryFolder();
  const at = (...names: string[]) => join(folder.path, ...names);
  await mkdir(at("home", "state", "codes"), { recursive: true });
  await mkdir(at("home", "state", "downloads"));
  for (const name of ["a", "config", "state/token", "state/codes/1", "state/downloads/film", "state2"])
    await writeFile(at("home", name), name);
  await symlink(at("home"), at("link"));
  const own = {
    paths: [at("link", "state"), at("home", "config"), at("missing")],
    except: [at("home", "state", "downloads")],
  };
  await using fixture = shareFixture(folder.path, { own });
  const { shares } = fixture;
  const made = await shares.share([at("home")], {}, unbroken());
  assert.deepEqual(
    made.leftOut.map(({ path }) => path),
    [at("home", "config"), at("home", "state")],
  );
  assert.match(made.leftOut[0]?.why ?? "", /the daemon's own/);
  assert.equal(made.state.fileCount, 2);
  for (const name of ["state", "state/codes", "state/codes/1", "config"])
    for (const path of [at("home", name), at("link", name)])
      await assert.rejects(shares.share([path], {}, unbroken()), code("SHARE_INVALID"));
  assert.equal((await shares.share([at("home", "state", "downloads")], {}, unbroken())).state.fileCount, 1);
  const both = await shares.share([at("home", "a"), at("home", "state")], {}, unbroken());
  assert.deepEqual([both.state.fileCount, both.leftOut.length], [1, 1]);
});

test("files whose bytes are made as they are read would arrive empty: they are not shared", async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  const { shares } = fixture;
  await assert.rejects(shares.share(["/proc/self/status"], {}, unbroken()), /is empty and is not/);
  await writeFile(join(folder.path, "empty"), "");
  const made = await shares.share(["/proc/self/status", join(folder.path, "empty")], {}, unbroken());
  assert.deepEqual([made.state.fileCount, made.leftOut.length], [1, 1]);
  await assert.rejects(shares.share([""], {}, unbroken()), code("SHARE_INVALID"));
});

test("the making can be called off while a file is read", async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  const path = join(folder.path, "large");
  await writeFile(path, "");
  await truncate(path, 4096 * MIB);
  const stop = new AbortController();
  const reason = new Error("called off");
  const share = fixture.shares.share(
    [path],
    {},
    {
      signal: stop.signal,
      onProgress: ({ bytes }) => bytes > 0 && stop.abort(reason),
    },
  );
  await assert.rejects(share, reason);
  assert.deepEqual(await fixture.shares.shares(), []);
});

test("a file that changes while it is read is no share", async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  const path = join(folder.path, "log");
  await writeFile(path, "");
  await truncate(path, 256 * MIB);
  let changed: Promise<void> | undefined;
  const onProgress = ({ bytes }: { readonly bytes: number }): void => {
    if (bytes > 0) changed ??= appendFile(path, "x");
  };
  await assert.rejects(fixture.shares.share([path], {}, { ...unbroken(), onProgress }), code("SHARE_CHANGED"));
  await changed;
});

const CHANGES: readonly (readonly [string, (path: string) => Promise<void>])[] = [
  ["changed in place", (path) => writeFile(path, randomBytes(MIB))],
  ["made shorter", (path) => truncate(path, MIB / 2)],
  ["made longer", (path) => appendFile(path, "x")],
  ["removed", (path) => rm(path)],
  [
    "replaced by a symbolic link to the same",
    async (path) => {
      await rename(path, `${path}.real`);
      await symlink(`${path}.real`, path);
    },
  ],
  [
    "replaced by a folder",
    async (path) => {
      await rm(path);
      await mkdir(path);
    },
  ],
  [
    "replaced by another of the same size and time",
    async (path) => {
      const { mtime } = await stat(path);
      await writeFile(`${path}.new`, randomBytes(MIB));
      await utimes(`${path}.new`, mtime, mtime);
      await rename(`${path}.new`, path);
    },
  ],
];

for (const [what, change] of CHANGES)
  test(`a shared file that was ${what} is not given any more`, async () => {
    await using folder = await temporaryFolder();
    await using fixture = shareFixture(folder.path);
    await mkdir(join(folder.path, "x"));
    const path = join(folder.path, "x", "f");
    await writeFile(path, randomBytes(MIB));
    await writeFile(join(folder.path, "x", "other"), "is as it was");
    const made = await fixture.shares.share([join(folder.path, "x")], {}, unbroken());
    await change(path);
    const { peer } = fixture.network.call(made.state.id);
    await assert.rejects(peer.take(0, 0, MIB), /SHARE_CHANGED/);
    assert.equal((await peer.take(1, 0, 12)).toString(), "is as it was");
    const [state] = await fixture.shares.shares();
    assert.ok(state?.problem?.includes(path), state?.problem);
  });

test("a file that changes while it is given is noticed at the next read", async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  const path = join(folder.path, "f");
  await writeFile(path, randomBytes(8 * MIB));
  const made = await fixture.shares.share([path], {}, unbroken());
  const { peer } = fixture.network.call(made.state.id);
  await peer.take(0, 0, MIB);
  await appendFile(path, "x");
  await assert.rejects(peer.take(0, MIB, MIB), /SHARE_CHANGED/);
});

test("the same files shared again are the same share, until something differs", async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  await using fixture = shareFixture(folder.path, { clock });
  const path = join(folder.path, "f");
  await writeFile(path, randomBytes(MIB));
  const share = (options: object = {}) => fixture.shares.share([path], options, unbroken());
  const first = await share();
  await clock.advance(HOUR);
  const again = await share();
  assert.equal(again.code, first.code);
  assert.equal(again.state.expiresAt, (first.state.expiresAt ?? 0) + HOUR);
  const codes = [first.code];
  for (const options of [
    { fresh: true },
    { encryption: false },
    { maxPeers: 3 },
    { name: "g" },
    { maxFetches: 1 },
    { maxFetches: 1 },
  ])
    codes.push((await share(options)).code);
  await appendFile(path, "x");
  codes.push((await share()).code);
  assert.equal(new Set(codes).size, codes.length);
  assert.equal((await fixture.shares.shares()).length, codes.length);
});

test("a share outlives a restart, with its code and its counts; an ended one does not come back", async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const keyValue = new MemoryKeyValue();
  const path = join(folder.path, "f");
  const bytes = randomBytes(2 * MIB);
  await writeFile(path, bytes);
  const [kept, ended, short] = await (async () => {
    await using fixture = shareFixture(folder.path, { clock, keyValue });
    const { shares, network } = fixture;
    const made = await shares.share([path], {}, unbroken());
    const { peer } = network.call(made.state.id);
    await peer.take(0, 0, bytes.length);
    void peer.channel.send(FRAME.complete);
    await peer.take(0, 0, 1);
    const other = await shares.share([path], { fresh: true }, unbroken());
    const brief = await shares.share([path], { fresh: true, expiresInMs: HOUR }, unbroken());
    await shares.unshare(other.code);
    return [made, other, brief] as const;
  })();
  clock.jump(2 * HOUR);
  await using fixture = shareFixture(folder.path, { clock, keyValue });
  await fixture.shares.start();
  const states = await fixture.shares.shares();
  assert.deepEqual(
    states.map(({ id }) => id),
    [kept.state.id],
  );
  assert.equal(states[0]?.fetchCount, 1);
  assert.equal(states[0]?.sentBytes, bytes.length + 1);
  assert.equal(await fixture.shares.codeOf(kept.state.id.slice(0, 6)), kept.code);
  assert.ok((await fetchAll(fixture.network, kept.state.id)).get("f")?.equals(bytes));
  for (const { code: gone, state } of [ended, short]) {
    await assert.rejects(fixture.shares.codeOf(gone), code("SHARE_NOT_FOUND"));
    assert.equal(fixture.secrets.get(state.id), undefined);
  }
});

/** Not only that there is nothing to be had here for now. */
function assertEnded({ code: why, message }: DownloadError, words: RegExp): void {
  assert.equal(why, "SHARE_ENDED");
  assert.match(message, words);
}

test("a daemon that ends, as for a restart, does not say that its shares have ended", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "f");
  await writeFile(path, randomBytes(MIB));
  const reason = await (async () => {
    await using fixture = shareFixture(folder.path);
    const made = await fixture.shares.share([path], {}, unbroken());
    const { peer } = fixture.network.call(made.state.id);
    await peer.until(() => peer.offer !== undefined);
    return peer;
  })().then((peer) => peer.untilClosed());
  assert.deepEqual([reason.code, reason.retryable], ["CONNECTION_LOST", true]);
  assert.match(reason.message, /the daemon is ending/i);
});

test("a share ends when its time has come, and whoever fetches is told", async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  await using fixture = shareFixture(folder.path, { clock });
  const path = join(folder.path, "f");
  await writeFile(path, randomBytes(MIB));
  const made = await fixture.shares.share([path], { expiresInMs: 30_000 }, unbroken());
  const endless = await fixture.shares.share([path], { expiresInMs: 0, fresh: true }, unbroken());
  assert.equal(endless.state.expiresAt, undefined);
  const { peer } = fixture.network.call(made.state.id);
  await peer.until(() => peer.offer !== undefined);
  await clock.advance(30_000);
  assertEnded(await peer.untilClosed(), /has ended/);
  assert.deepEqual(
    (await fixture.shares.shares()).map(({ id }) => id),
    [endless.state.id],
  );
  assert.throws(() => fixture.network.call(made.state.id), /not published/);
});

test("a share ends when it was fetched as often as was wanted", async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  const path = join(folder.path, "f");
  await writeFile(path, randomBytes(MIB));
  const made = await fixture.shares.share([path], { maxFetches: 2 }, unbroken());
  for (const word of ["a", "b"]) {
    const { peer } = fixture.network.call(made.state.id, word);
    await peer.take(0, 0, MIB);
    void peer.channel.send(FRAME.complete);
    if (word === "a") await peer.takeCatalogue();
    else assertEnded(await peer.untilClosed(), /has ended/);
  }
  assert.deepEqual(await fixture.shares.shares(), []);
  await assert.rejects(fixture.shares.codeOf(made.code), code("SHARE_NOT_FOUND"));
});

test("unshare in the middle of a fetch: the peer is told, the file stays", async () => {
  await using folder = await temporaryFolder();
  await using fixture = shareFixture(folder.path);
  const path = join(folder.path, "f");
  await writeFile(path, randomBytes(8 * MIB));
  const made = await fixture.shares.share([path], {}, unbroken());
  const { peer } = fixture.network.call(made.state.id);
  peer.ask(0, 0, 8 * MIB);
  await peer.until(() => peer.receivedBytes > 0);
  const state = await fixture.shares.unshare(made.code.toLowerCase());
  assert.equal(state.id, made.state.id);
  assertEnded(await peer.untilClosed(), /was ended by its owner: ask for a new code/);
  assert.equal((await stat(path)).size, 8 * MIB);
  await assert.rejects(fixture.shares.unshare(made.code), code("SHARE_NOT_FOUND"));
  for (const space of ["share", "share-file", "share-catalogue"])
    for await (const [key] of fixture.keyValue.entries(space)) assert.fail(`${space} ${key} is left`);
});

test("what has a receipt is not read again, unless it was changed", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "f");
  const bytes = randomBytes(5 * MIB);
  await writeFile(path, bytes);
  // A grid that hashing would not choose, and digests of which one is wrong: whoever reads the file notices.
  const chunkSize = 2 * MIB;
  const chunks = [0, 1, 2].map((index) => sha256(bytes.subarray(index * chunkSize, (index + 1) * chunkSize)));
  chunks[1] = "ab".repeat(32);
  const manifest = makeManifest(bytes.length, chunkSize, chunks);
  const { size, mtimeMs, ino } = await stat(path);
  const receipt = {
    file: { path, size, mtimeMs, ino },
    manifests: { source: manifest, file: manifest },
  } as unknown as Receipt;
  await using fixture = shareFixture(folder.path, {
    receipts: {
      byPath: async (wanted) => (wanted === path ? receipt : undefined),
      async *chunks() {
        for (const digest of chunks) yield { sha256: digest, sources: [] };
      },
    },
  });
  const manifestOf = async (id: string) => {
    const { peer } = fixture.network.call(id);
    return (await decodeCatalogue(await peer.takeCatalogue()))[0]?.manifest;
  };
  const made = await fixture.shares.share([path], {}, unbroken());
  assert.deepEqual(await manifestOf(made.state.id), manifest);
  await utimes(path, 1, 1);
  const read = await fixture.shares.share([path], {}, unbroken());
  assert.equal((await manifestOf(read.state.id))?.chunkSize, MIB);
});

test("a share that cannot be published is not made, and one that is stored is tried again", async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const keyValue = new MemoryKeyValue();
  const path = join(folder.path, "f");
  await writeFile(path, "x");
  {
    await using fixture = shareFixture(folder.path, { clock, keyValue });
    fixture.network.error = new Error("no port is free");
    await assert.rejects(fixture.shares.share([path], {}, unbroken()), /no port is free/);
    assert.deepEqual(await fixture.shares.shares(), []);
    fixture.network.error = undefined;
    await fixture.shares.share([path], {}, unbroken());
  }
  await using fixture = shareFixture(folder.path, { clock, keyValue });
  fixture.network.error = new Error("no port is free");
  await fixture.shares.start();
  assert.match((await fixture.shares.shares())[0]?.problem ?? "", /no port is free/);
  fixture.network.error = undefined;
  await clock.advance(30_000);
  const [state] = await fixture.shares.shares();
  assert.equal(state?.problem, undefined);
  assert.equal(fixture.network.published.size, 1);
});

test("what was fetched is shared on under its code, file by file; what differs gets a code of its own", async () => {
  await using folder = await temporaryFolder();
  await using giver = shareFixture(join(folder.path, "giver"));
  const source = join(folder.path, "folder");
  await mkdir(join(source, "sub"), { recursive: true });
  const contents = { a: randomBytes(MIB + 1), "sub/b": randomBytes(100) };
  for (const [name, bytes] of Object.entries(contents)) await writeFile(join(source, name), bytes);
  const made = await giver.shares.share([source], {}, unbroken());
  const { peer } = giver.network.call(made.state.id);
  const catalogue = await peer.takeCatalogue();
  const entries = await decodeCatalogue(catalogue);
  const { id, root } = made.state;
  const secret = giver.secrets.get(id) as Uint8Array;
  const offer = peer.offer;
  assert.ok(offer);
  const target = join(folder.path, "taken");
  await mkdir(join(target, "sub"), { recursive: true });
  const place = async (index: number) => {
    const { name, manifest } = entries[index] ?? assert.fail();
    const path = join(target, name);
    await writeFile(path, contents[name as keyof typeof contents]);
    const { size, mtimeMs, ino } = await stat(path);
    return { file: { path, size, mtimeMs, ino }, chunkSize: manifest.chunkSize, chunks: manifest.chunks, digests: [] };
  };
  const keyValue = new MemoryKeyValue();
  const state = join(folder.path, "taker");
  const options = { keyValue, offered: new Map([[id, { offer, bytes: catalogue }]]) };
  {
    await using taker = shareFixture(state, options);
    taker.secrets.keep(id, secret);
    assert.equal(await taker.shares.shareFetched({ url: `snatch:share/${id}/0`, options: {} }, await place(0)), id);
    assert.deepEqual(
      taker.handedOver.map(({ keys }) => keys.publicId),
      [id],
    );
    const call = taker.network.call(id);
    await call.peer.until(() => call.peer.held.length === 1);
    assert.equal(call.peer.offer?.root, root);
    assert.equal(call.peer.offer?.complete, false);
    assert.ok((await call.peer.take(0, 0, MIB + 1)).equals(contents.a));
    await assert.rejects(call.peer.take(1, 0, 100), /PEER_REFUSED/);
  }
  // After a restart nothing is fetched any more: what is shared on already knows what belongs to it.
  await using taker = shareFixture(state, { keyValue });
  await taker.shares.start();
  const call = taker.network.call(id);
  await call.peer.until(() => call.peer.held.length === 1);
  assert.equal(await taker.shares.shareFetched({ url: `snatch:share/${id}/1`, options: {} }, await place(1)), id);
  await call.peer.until(() => call.peer.gained.length === 1);
  assert.ok((await call.peer.take(1, 0, 100)).equals(contents["sub/b"]));
  assert.equal((await taker.shares.shares())[0]?.fileCount, 2);
  assert.ok((await fetchAll(taker.network, id)).get("sub/b")?.equals(contents["sub/b"]));
  assert.equal(await taker.shares.codeOf(id), made.code);
  const placed = await place(1);
  const processed = { ...placed, chunks: ["cd".repeat(32)] };
  const own = await taker.shares.shareFetched({ url: `snatch:share/${id}/1`, options: {} }, processed);
  assert.notEqual(own, id);
  const web = await taker.shares.shareFetched({ url: "https://example.org/b", options: {} }, placed);
  assert.equal(web, own);
  // It is not given on any more: that says nothing of whoever shares it.
  await taker.shares.unshare(id);
  assert.equal((await call.peer.untilClosed()).code, "PEER_REFUSED");
});
