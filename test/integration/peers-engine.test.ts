/** The engine and files that peers hold: every chunk is what the manifest says, or does not count. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../../src/daemon/core/errors.ts";
import type { HeldPart } from "../../src/daemon/core/ports/sources.ts";
import {
  CODE,
  type FakeFile,
  FakePeers,
  FakeSharer,
  manifestOfBytes,
  PEER_CHUNK,
  peerEngine,
  SHARE_ID,
  slow,
} from "../support/p2p/fake-peers.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

const bytes = randomBytes(20 * PEER_CHUNK + 1234);
const one = (file: Partial<FakeFile> = {}): FakePeers => new FakePeers([{ bytes, name: "file.bin", ...file }]);

describe("files from peers", () => {
  test("the right bytes, on the manifest's grid, with mode, time and the ways by which they came", async () => {
    await using home = await temporaryFolder();
    const peers = one({ mode: 0o6755, lastModified: "Mon, 06 Jan 2020 10:00:00 GMT" });
    await using engine = await peerEngine(home.path, peers);
    const { result, session } = await engine.fetch();
    assert.equal(result.status, "completed", result.error?.message);
    assert.deepEqual(await readFile(result.path ?? ""), bytes);
    const { mode, mtimeMs } = await stat(result.path ?? "");
    assert.equal(mode & 0o7777, 0o777 & ~process.umask(), "execution, and neither setuid nor setgid");
    assert.equal(mtimeMs, Date.UTC(2020, 0, 6, 10));
    assert.equal(session.manifestRoot, manifestOfBytes(bytes).root);
    assert.equal(session.part?.chunkSize, PEER_CHUNK);
    assert.deepEqual(session.via, ["lan"]);
    assert.equal(peers.sent, bytes.length, "no byte is asked for twice");
    assert.equal(peers.attachments, 1);
    await waitFor("the end of the attachment", () => peers.attached.size === 0);
    assert.equal(engine.sharer.shared.length, 0);
  });

  test("while it runs, the ways are told", async () => {
    await using home = await temporaryFolder();
    await using engine = await peerEngine(home.path, one({ pace: slow(20) }));
    const [session] = await engine.manager.enqueue([`snatch:${CODE}`]);
    const live = await waitFor("the ways", () => engine.manager.live(session?.id ?? "")?.via);
    assert.deepEqual(live, ["lan"]);
  });

  test("wrong chunks do not count: they are rejected and fetched again", async () => {
    await using home = await temporaryFolder();
    const lies = new Map([
      [0, 1],
      [7, 3],
      [20, 2],
    ]);
    const peers = one({ lies: new Map(lies) });
    await using engine = await peerEngine(home.path, peers);
    const seen: number[] = [];
    engine.sessions.subscribe(({ event }) => void seen.push(event.session.progress.downloadedBytes));
    const { result, session } = await engine.fetch();
    assert.equal(result.status, "completed", result.error?.message);
    assert.deepEqual(await readFile(result.path ?? ""), bytes);
    const rejected = (chunk: number): number =>
      peers.rejected.filter(({ start }) => start === chunk * PEER_CHUNK).length;
    for (const [chunk, times] of lies) assert.equal(rejected(chunk), times, `chunk ${chunk}`);
    assert.equal(peers.rejected.length, 6);
    assert.deepEqual(peers.rejected.find(({ start }) => start === 20 * PEER_CHUNK)?.end, bytes.length);
    assert.ok(Math.max(...seen) <= bytes.length, "no byte is counted twice");
    assert.equal(session.progress.downloadedBytes, bytes.length);
    assert.equal(session.attempt, 1);
  });

  test("what is proved is not pending as well, also while others wait for the disk, or are wrong", async () => {
    await using home = await temporaryFolder();
    const peers = one({ lies: new Map([[3, 2]]), pace: slow(1) });
    await using engine = await peerEngine(home.path, peers);
    // Chunks come while others are synced: they wait for a sync of their own.
    const { recordChunks } = engine.sessions;
    engine.sessions.recordChunks = async (...chunks) => {
      await sleep(20);
      return recordChunks.apply(engine.sessions, chunks);
    };
    const [session] = await engine.manager.enqueue([`snatch:${CODE}`]);
    const id = session?.id ?? "";
    let most = 0;
    let looks = 0;
    await waitFor("the end", async () => {
      const { status, progress } = (await engine.sessions.get(id)) ?? {};
      const live = engine.manager.live(id);
      if (live) looks++;
      most = Math.max(most, (progress?.downloadedBytes ?? 0) + (live?.pendingBytes ?? 0));
      return status === "completed";
    });
    assert.ok(looks > 10, `${looks}`);
    assert.ok(most <= bytes.length, `${most} of ${bytes.length} bytes`);
  });

  for (const [what, length] of [
    ["a tiny file", 20_000],
    ["a file of one chunk", PEER_CHUNK],
    ["a file of two chunks", PEER_CHUNK + 1],
  ] as const)
    test(`${what}, wrong at first`, async () => {
      await using home = await temporaryFolder();
      const peers = one({ bytes: bytes.subarray(0, length), lies: new Map([[0, 2]]) });
      await using engine = await peerEngine(home.path, peers);
      const { result } = await engine.fetch();
      assert.equal(result.status, "completed", result.error?.message);
      assert.deepEqual(await readFile(result.path ?? ""), bytes.subarray(0, length));
      assert.equal(peers.rejected.length, 2);
    });

  test("an empty file", async () => {
    await using home = await temporaryFolder();
    await using engine = await peerEngine(home.path, one({ bytes: Buffer.alloc(0) }));
    const { result } = await engine.fetch();
    assert.equal(result.status, "completed", result.error?.message);
    assert.equal((await stat(result.path ?? "")).size, 0);
  });

  test("a source without ranges: a wrong chunk ends the attempt, the next one may be right", async () => {
    await using home = await temporaryFolder();
    const peers = one({ whole: true, lies: new Map([[3, 1]]) });
    await using engine = await peerEngine(home.path, peers, { maxRetries: 1 });
    const { result, session } = await engine.fetch();
    assert.equal(result.status, "completed", result.error?.message);
    assert.deepEqual(await readFile(result.path ?? ""), bytes);
    assert.equal(session.attempt, 2);
    assert.equal(peers.rejected.length, 1);
  });

  test("whoever lies for ever is not asked for ever; what was right stays", async () => {
    await using home = await temporaryFolder();
    const lies = new Map([[5, Number.POSITIVE_INFINITY]]);
    const peers = one({ lies });
    await using engine = await peerEngine(home.path, peers);
    const { result, session } = await engine.fetch();
    assert.equal(result.status, "failed");
    assert.equal(result.error?.code, "CHUNK_MISMATCH");
    // The first attempt won something, so that there is a second one.
    assert.equal(peers.rejected.length, 2 * 8);
    assert.deepEqual(
      (await readdir(engine.downloads)).filter((name) => !name.endsWith(".part")),
      [],
    );
    const { length } = [...(await engine.sessions.chunks(session.id, session.part?.epoch ?? 0)).keys()];
    assert.ok(length > 0, "others are recorded");
    lies.clear();
    const before = peers.sent;
    const again = await engine.manager.resumeDownload(session.id);
    assert.equal(again.status, "completed", again.error?.message);
    assert.deepEqual(await readFile(again.path ?? ""), bytes);
    assert.ok(peers.sent - before <= bytes.length - (length - 1) * PEER_CHUNK, "only the rest is fetched");
  });

  for (const waitsLate of [false, true])
    test(`peers have a part each time, and more of it later: what can be had is fetched, in whatever order${waitsLate ? ", also in streams that are open" : ""}`, async () => {
      await using home = await temporaryFolder();
      const held = new Set([13]);
      const peers = one({ held, waitsLate });
      await using engine = await peerEngine(home.path, peers, { connections: 2 });
      const [session] = await engine.manager.enqueue([`snatch:${CODE}`]);
      const id = session?.id ?? "";
      const downloaded = async (): Promise<number> => (await engine.sessions.get(id))?.progress.downloadedBytes ?? 0;
      // Each is there only when the one before has come: nothing goes on if anybody waits for another.
      const order = [19, 4, 5, 6, 1, 20, 0, 11, 2, 3, 7, 18, 8, 9, 10, 12, 14, 17, 16, 15];
      let came = 0;
      for (const chunk of [13, ...order]) {
        held.add(chunk);
        peers.changed();
        came += chunk === 20 ? 1234 : PEER_CHUNK;
        const wanted = came;
        await waitFor(`chunk ${chunk}`, async () => (await downloaded()) >= wanted, 5000);
      }
      const result = await engine.manager.resumeDownload(id);
      assert.equal(result.status, "completed", result.error?.message);
      assert.deepEqual(await readFile(result.path ?? ""), bytes);
      assert.equal(peers.sent, bytes.length);
    });

  test("a peer goes away in the middle of a chunk: it is gone on with behind the last byte", async () => {
    await using home = await temporaryFolder();
    const peers = one({ breaks: [30_000, 5 * PEER_CHUNK + 10_000] });
    await using engine = await peerEngine(home.path, peers);
    const { result, session } = await engine.fetch();
    assert.equal(result.status, "completed", result.error?.message);
    assert.deepEqual(await readFile(result.path ?? ""), bytes);
    assert.equal(session.attempt, 1);
  });

  test("nobody is left: that is the swarm's last word in this attempt, and the next goes on", async () => {
    await using home = await temporaryFolder();
    const peers = one({ breaks: [9 * PEER_CHUNK] });
    await using engine = await peerEngine(home.path, peers, { connections: 1 });
    const [file] = peers.files;
    assert.ok(file);
    const unsubscribe = engine.sessions.subscribe(({ event }) => {
      if (event.session.progress.downloadedBytes > 0 && event.session.attempt === 1)
        file.refusal = failure("PEERS_NOT_FOUND", "nobody was found for 30 s");
    });
    const { result, session } = await engine.fetch();
    assert.equal(result.error?.code, "PEERS_NOT_FOUND");
    // The first attempt won something, so that there is a second one.
    assert.equal(peers.refusals, 2, "each attempt asks once");
    assert.ok(session.progress.downloadedBytes > 0);
    assert.deepEqual(session.via, ["lan"], "kept for the next attempt");
    unsubscribe();
    delete file.refusal;
    const again = await engine.manager.resumeDownload(session.id);
    assert.deepEqual(await readFile(again.path ?? ""), bytes);
  });

  test("gone on with by another process: only what is missing is fetched", async () => {
    await using home = await temporaryFolder();
    const peers = one({ pace: slow(3) });
    let id = "";
    {
      await using first = await peerEngine(home.path, peers, { connections: 2 });
      const [session] = await first.manager.enqueue([`snatch:${CODE}`]);
      id = session?.id ?? "";
      await waitFor("half", async () => {
        const { downloadedBytes = 0 } = (await first.sessions.get(id))?.progress ?? {};
        return downloadedBytes > bytes.length / 3;
      });
    }
    const before = peers.sent;
    await using second = await peerEngine(home.path, peers);
    const result = await second.manager.resumeDownload(id);
    assert.equal(result.status, "completed", result.error?.message);
    assert.deepEqual(await readFile(result.path ?? ""), bytes);
    assert.ok(peers.sent - before < (bytes.length * 2) / 3 + PEER_CHUNK, `${peers.sent - before} bytes again`);
  });

  for (const [what, chunkSize] of [
    ["another content on the same grid", PEER_CHUNK],
    ["another grid", 2 * PEER_CHUNK],
  ] as const)
    test(`what is behind the code has changed meanwhile (${what}): nothing is mixed`, async () => {
      await using home = await temporaryFolder();
      const peers = one({ breaks: [9 * PEER_CHUNK] });
      await using engine = await peerEngine(home.path, peers, { connections: 1 });
      const [file] = peers.files;
      assert.ok(file);
      engine.sessions.subscribe(({ event }) => {
        if (event.session.progress.downloadedBytes > 0 && event.session.attempt === 1)
          file.refusal = failure("PEERS_NOT_FOUND", "nobody was found for 30 s");
      });
      const { session } = await engine.fetch();
      assert.ok(session.progress.downloadedBytes > 0, "something of the old one is here");
      const changed = Buffer.from(bytes);
      changed.fill(0, PEER_CHUNK, 2 * PEER_CHUNK);
      peers.files[0] = { bytes: changed, name: "file.bin", manifest: manifestOfBytes(changed, chunkSize) };
      const result = await engine.manager.resumeDownload(session.id);
      assert.equal(result.status, "completed", result.error?.message);
      assert.deepEqual(await readFile(result.path ?? ""), changed);
      assert.equal((await engine.sessions.get(session.id))?.manifestRoot, manifestOfBytes(changed, chunkSize).root);
    });
});

describe("folders from peers", () => {
  test("every file lands in its folder", async () => {
    await using home = await temporaryFolder();
    const names = ["f/a.txt", "f/sub/b.txt", "f/sub/deep/c.txt"];
    const peers = new FakePeers(names.map((name, at) => ({ bytes: bytes.subarray(at, 100_000 + at), name })));
    await using engine = await peerEngine(home.path, peers);
    const { result } = await engine.fetch({ peers: ["127.0.0.1:4000"], share: true });
    assert.equal(result.status, "completed", result.error?.message);
    for (const [at, name] of names.entries())
      assert.deepEqual(await readFile(join(engine.downloads, name)), bytes.subarray(at, 100_000 + at));
    const asked = engine.resolver.resolved.map(({ options }) => [options.peers, options.share]);
    assert.equal(asked.length, 4);
    for (const each of asked) assert.deepEqual(each, [["127.0.0.1:4000"], true], "passed on to every file");
    assert.equal(engine.sharer.shared.length, 3);
  });

  test("what is in a folder keeps its name, hidden files too; what stands alone, and the folder itself, does not hide", async () => {
    await using home = await temporaryFolder();
    const inside = [
      ".gitignore",
      ".config/x.y",
      "a:b",
      "dots...",
      "blank ",
      " blank",
      "-r",
      "~",
      "CON",
      "e\u0301\u0327.txt",
      'what? "<|>"*',
      "\u{1F3F4}\u{E0067}\u{E007F}",
      "x".repeat(255),
      `${"y".repeat(255)}/.z`,
      "sub./..hidden",
    ];
    const names = inside.map((name) => `.top/${name}`);
    const peers = new FakePeers(names.map((name, at) => ({ bytes: bytes.subarray(at, 100 + at), name })));
    await using engine = await peerEngine(home.path, peers);
    const { result } = await engine.fetch();
    assert.equal(result.status, "completed", result.error?.message);
    for (const [at, name] of inside.entries())
      assert.deepEqual(await readFile(join(engine.downloads, "top", name)), bytes.subarray(at, 100 + at), name);
    const alone = new FakePeers([{ bytes: bytes.subarray(0, 10), name: ".bashrc" }]);
    await using elsewhere = await temporaryFolder();
    await using other = await peerEngine(elsewhere.path, alone);
    const { result: single } = await other.fetch();
    assert.equal(single.path, join(other.downloads, "bashrc"));
  });

  test("a name that turns text around loses what turns it, as one from the web does; also in a folder", async () => {
    await using home = await temporaryFolder();
    const turned = ["invoice-\u202Efdp.exe", "\u2066a\u2069/x", "left\u200Eto right"];
    const peers = new FakePeers(turned.map((name) => ({ bytes: bytes.subarray(0, 10), name: `top/${name}` })));
    await using engine = await peerEngine(home.path, peers);
    const { result } = await engine.fetch();
    assert.equal(result.status, "completed", result.error?.message);
    const at = join(engine.downloads, "top");
    assert.deepEqual(new Set(await readdir(at)), new Set(["invoice-fdp.exe", "a", "left\u200Eto right"]));
    assert.deepEqual(await readdir(join(at, "a")), ["x"]);
  });

  test("into a folder that is there: what is in it stays as it is, unless that was said", async () => {
    await using home = await temporaryFolder();
    const names = ["photos/.album", "photos/a.jpg", "photos/sub/b.jpg"];
    const peers = new FakePeers(names.map((name, at) => ({ bytes: bytes.subarray(at, 1000 + at), name })));
    await using engine = await peerEngine(home.path, peers);
    const at = (name: string): string => join(engine.downloads, "photos", name);
    await mkdir(at("sub"), { recursive: true });
    for (const name of [".album", "a.jpg", "mine.jpg", "elsewhere"]) await writeFile(at(name), `my ${name}`);
    await symlink(at("elsewhere"), at("sub/b.jpg"));
    const mine = async (): Promise<void> => {
      for (const name of [".album", "a.jpg", "mine.jpg", "elsewhere"])
        assert.equal(await readFile(at(name), "utf8"), `my ${name}`);
      assert.equal(await readlink(at("sub/b.jpg")), at("elsewhere"));
    };
    const { result } = await engine.fetch();
    assert.equal(result.status, "completed", result.error?.message);
    await mine();
    for (const [index, name] of [".album (1)", "a (1).jpg", "sub/b (1).jpg"].entries())
      assert.deepEqual(await readFile(at(name)), bytes.subarray(index, 1000 + index));
    const skipped = await engine.fetch({ force: true, ifExists: "skip" });
    assert.equal(skipped.result.status, "failed");
    assert.equal(skipped.result.error?.code, "TARGET_EXISTS");
    await mine();
    const replaced = await engine.fetch({ force: true, ifExists: "overwrite" });
    assert.equal(replaced.result.status, "completed", replaced.result.error?.message);
    for (const [index, name] of [".album", "a.jpg", "sub/b.jpg"].entries())
      assert.deepEqual(await readFile(at(name)), bytes.subarray(index, 1000 + index));
    assert.equal(
      await readFile(at("elsewhere"), "utf8"),
      "my elsewhere",
      "the link was replaced, and not what it led to",
    );
  });

  for (const name of [
    "../../evil",
    "/etc/evil",
    "a/../../../evil",
    "a/./b//evil",
    "..\\..\\evil",
    "a\0b/evil",
    "C:/evil",
    "../..",
    ".",
    "",
    "a/",
    "\u202Etxt.evil",
    `${"x".repeat(300)}/${"y".repeat(300)}`,
  ])
    test(`a hostile name stays below the folder: ${JSON.stringify(name.slice(0, 30))}`, async () => {
      await using home = await temporaryFolder();
      await using engine = await peerEngine(home.path, one({ bytes: bytes.subarray(0, 100), name }));
      const before = await readdir(home.path);
      const { result } = await engine.fetch();
      if (result.status === "completed") assert.ok(result.path?.startsWith(`${engine.downloads}/`), result.path);
      const added = (await readdir(home.path)).filter((each) => !before.includes(each));
      assert.deepEqual(
        added.filter((each) => each !== "downloads"),
        [],
      );
      for (const place of ["/etc/evil", join(home.path, "evil"), join(home.path, "..", "evil")])
        await assert.rejects(stat(place), { code: "ENOENT" });
    });

  for (const [what, target] of [
    ["out of the folder", ".."],
    ["nowhere", "nowhere"],
    ["to itself", "link"],
  ] as const)
    test(`a folder that is a link ${what} is not written through`, async () => {
      await using home = await temporaryFolder();
      await using engine = await peerEngine(home.path, one({ name: "link/evil" }));
      await mkdir(engine.downloads);
      await symlink(target, join(engine.downloads, "link"));
      const { result } = await engine.fetch();
      assert.equal(result.status, "failed");
      await assert.rejects(stat(join(home.path, "evil")), { code: "ENOENT" });
      await assert.rejects(stat(join(engine.downloads, "nowhere")), { code: "ENOENT" });
    });
});

describe("sharing what was fetched", () => {
  test("under way what is proved can be given on, whole it is shared", async () => {
    await using home = await temporaryFolder();
    const peers = one({ lies: new Map([[4, 1]]), pace: slow(1) });
    const gained: number[] = [];
    const wrong: number[] = [];
    const reads: Promise<void>[] = [];
    peers.onAttach = (held: HeldPart) => {
      held.onGained((index) => {
        gained.push(index);
        assert.ok(held.done.has(index));
        const start = index * held.chunkSize;
        reads.push(
          held.read(start, held.chunkSize).then((read) => {
            if (!bytes.subarray(start, start + held.chunkSize).equals(read)) wrong.push(index);
          }),
        );
      });
    };
    await using engine = await peerEngine(home.path, peers);
    const { result, session } = await engine.fetch({ share: true });
    assert.equal(result.status, "completed", result.error?.message);
    await Promise.allSettled(reads);
    assert.deepEqual(
      gained.toSorted((a, b) => a - b),
      Array.from({ length: 21 }, (_, index) => index),
    );
    assert.deepEqual(wrong, []);
    assert.equal(peers.attachments, 1);
    await waitFor("the end of the attachment", () => peers.attached.size === 0);
    assert.equal(session.shareId, "f".repeat(32));
    const [shared] = engine.sharer.shared;
    assert.equal(shared?.session.url, `snatch:share/${SHARE_ID}`);
    assert.equal(shared?.placed.file.path, result.path);
    assert.deepEqual(shared?.placed.chunks, manifestOfBytes(bytes).chunks);
    assert.equal(shared?.placed.chunkSize, PEER_CHUNK);
  });

  test("what cannot be shared is here all the same, and says so", async () => {
    await using home = await temporaryFolder();
    const sharer = new FakeSharer();
    sharer.refusal = failure("SHARE_INVALID", "no more shares fit");
    await using engine = await peerEngine(home.path, one(), {}, sharer);
    const { result, session } = await engine.fetch({ share: true });
    assert.equal(result.status, "completed");
    assert.deepEqual(await readFile(result.path ?? ""), bytes);
    assert.equal(session.error?.code, "SHARE_INVALID");
    assert.match(session.error?.message ?? "", /is not shared: no more shares fit/);
    assert.ok(engine.logger.lines.some(({ level, message }) => level === "warn" && message.includes("no more shares")));
    sharer.refusal = undefined;
    const again = await engine.fetch({ share: true });
    assert.equal(again.result.already, true);
    assert.equal(again.session.id, session.id);
    assert.equal(again.session.shareId, "f".repeat(32));
    assert.equal(again.session.error, undefined);
  });

  test("asked for again with a share: what is here is shared, nothing is fetched", async () => {
    await using home = await temporaryFolder();
    const peers = one();
    await using engine = await peerEngine(home.path, peers);
    const first = await engine.fetch();
    assert.equal(first.session.shareId, undefined);
    const sent = peers.sent;
    const again = await engine.fetch({ share: true });
    assert.equal(again.result.already, true);
    assert.equal(again.session.shareId, "f".repeat(32));
    assert.equal(peers.sent, sent);
    const [shared] = engine.sharer.shared;
    assert.deepEqual(shared?.placed.chunks, manifestOfBytes(bytes).chunks);
    assert.equal(shared?.session.options.share, true);
  });

  test("asked for while it is under way, a share and peers are added to it; not by a stranger", async () => {
    await using home = await temporaryFolder();
    const peers = one({ held: new Set([0]) });
    await using engine = await peerEngine(home.path, peers);
    const [first] = await engine.manager.enqueue([`snatch:${CODE}`]);
    await waitFor("the first chunk", async () => {
      const session = await engine.sessions.get(first?.id ?? "");
      return (session?.progress.downloadedBytes ?? 0) > 0;
    });
    const [second] = await engine.manager.enqueue([`snatch:${CODE}`], { share: true, peers: ["127.0.0.1:1"] });
    assert.equal(second?.id, first?.id);
    assert.deepEqual(second?.options.peers, ["127.0.0.1:1"]);
    const theirs = { peers: ["10.0.0.1:1"], remote: true } as const;
    const [stranger] = await engine.manager.enqueue([`snatch:${CODE}`], theirs);
    assert.notEqual(stranger?.id, first?.id);
    await engine.manager.cancel({ ids: [stranger?.id ?? ""] });
    assert.deepEqual((await engine.sessions.get(first?.id ?? ""))?.options.peers, ["127.0.0.1:1"]);
    delete peers.files[0]?.held;
    peers.changed();
    const result = await engine.manager.resumeDownload(first?.id ?? "");
    assert.equal(result.status, "completed", result.error?.message);
    assert.equal((await engine.sessions.get(first?.id ?? ""))?.shareId, "f".repeat(32));
  });
});

describe("codes", () => {
  test("a code is in no session, no event, no log and no message", async () => {
    await using home = await temporaryFolder();
    const peers = one();
    await using engine = await peerEngine(home.path, peers);
    const events: string[] = [];
    engine.sessions.subscribe((event) => void events.push(JSON.stringify(event)));
    const { result, session } = await engine.fetch();
    assert.deepEqual(engine.resolver.codes, [CODE]);
    assert.equal(session.url, `snatch:share/${SHARE_ID}`);
    const messages = [
      () => engine.manager.check([`snatch:${CODE}`, "https://example.org/"], {}),
      () => engine.manager.check(["https://example.org/", `snatch:${CODE}`], {}),
      () => engine.manager.check([`snatch:${CODE}`], { checksumFile: `snatch:${CODE}` }),
      () => engine.manager.check([CODE], {}),
      () => engine.manager.check([CODE.toLowerCase().replaceAll("-", " ")], {}),
      () => engine.manager.check([`snacth:${CODE}`], {}),
      () => engine.manager.check([`snatch://[${CODE}`], {}),
    ].map((refused) => {
      try {
        refused();
      } catch (error) {
        return (error as Error).message;
      }
      throw new Error("it was taken");
    });
    assert.deepEqual(engine.resolver.codes, [CODE], "nothing of what is refused is kept");
    const all = JSON.stringify([result, session, events, engine.logger.lines, messages]);
    for (const group of CODE.split("-")) assert.ok(!all.toLowerCase().includes(group.toLowerCase()), all);
  });
});
