/** Files go from one daemon to another by a code, whoever of them dies meanwhile; on this machine, and with nobody else. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { makeCode } from "../../src/daemon/p2p/code.ts";
import { EXIT } from "../../src/shared/errors.ts";
import { makeFile, sha256Of, temporaryFolder } from "../support/files.ts";
import { SharingHome } from "../support/p2p/sharing-home.ts";
import { waitFor } from "../support/wait.ts";

const MIB = 1024 * 1024;
const SIZE = 8 * MIB;
/** Bytes a second: slow enough for something to happen on the way. */
const slowly = (rate: number): string[] => [`upload_limit = ${rate}`];

/** A giver with a file, and a taker that fetches it. */
async function pair(p2p: readonly string[] = []) {
  await using stack = new AsyncDisposableStack();
  const [giver, taker] = await Promise.all([SharingHome.start(p2p), SharingHome.start()]);
  stack.use(giver);
  stack.use(taker);
  const file = join(giver.home.path, "file.bin");
  const sha256 = await makeFile(file, SIZE);
  const { code, id } = await giver.share(file);
  const held = stack.move();
  return {
    ...{ giver, taker, file, sha256, code, id },
    /** Where it comes to be. */
    target: join(taker.home.path, "out/file.bin"),
    fetch: (...flags: readonly string[]) =>
      taker.home.startCtl(["fetch", "-", "-d", join(taker.home.path, "out"), "--peer", giver.peer, ...flags], {
        input: code,
      }),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** Every file below a folder, with its digest. */
async function tree(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) found.set(path.slice(folder.length + 1), await sha256Of(path));
  }
  return new Map([...found].sort());
}

describe("whole daemons share", { concurrency: 3 }, () => {
  test("a folder: every file under its name; one that rots is mended by the peers that it came from", async () => {
    await using giver = await SharingHome.start();
    await using taker = await SharingHome.start();
    const folder = join(giver.home.path, "project");
    for (let at = 0; at < 200; at++) {
      const inside = join(folder, at % 3 === 0 ? ".hidden" : `sub ${at % 7}`);
      await mkdir(inside, { recursive: true });
      await writeFile(join(inside, `${at}: a.txt.`), `${at}`.repeat(at * 20));
    }
    await writeFile(join(folder, ".gitignore"), "node_modules\n");
    await writeFile(join(folder, "run.sh"), "#!/bin/sh\n");
    await chmod(join(folder, "run.sh"), 0o755);
    const { code } = await giver.share(folder);
    const out = join(taker.home.path, "out");
    const fetched = await taker.home.ctl(["fetch", "-", "-d", out, "--peer", giver.peer], { input: code });
    assert.equal(fetched.code, 0, fetched.stderr);
    assert.deepEqual(await tree(join(out, "project")), await tree(folder));
    const [shared, arrived] = await Promise.all([folder, join(out, "project")].map((at) => stat(join(at, "run.sh"))));
    assert.equal((arrived?.mode ?? 0) & 0o111, 0o111 & ~process.umask());
    assert.equal(Math.floor((arrived?.mtimeMs ?? 0) / 1000), Math.floor((shared?.mtimeMs ?? 1) / 1000));

    const rotten = join(out, "project", ".gitignore");
    await writeFile(rotten, "node_modulez\n");
    const verified = await taker.home.ctl(["verify", "--repair", rotten]);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    assert.match(verified.stdout, /^repaired .* from snatch:share\/[\da-f]{32}\/\d+$/m);
    assert.equal(await readFile(rotten, "utf8"), "node_modules\n");
  });

  test("the giver dies in the middle and comes back: it is gone on with", async () => {
    await using sides = await pair(slowly(2 * MIB));
    const { giver, taker, sha256, target } = sides;
    const { finished } = sides.fetch();
    const { status } = await taker.downloaded(SIZE / 8);
    await giver.kill();
    assert.equal(status, "active");
    await giver.restart();
    const { code, stderr } = await finished;
    assert.equal(code, 0, stderr);
    assert.equal(await sha256Of(target), sha256);
  });

  test("the giver's daemon is stopped in the middle: that is what is said, not that the share has ended", async () => {
    await using sides = await pair(slowly(2 * MIB));
    const { giver, taker, sha256, target } = sides;
    const { finished } = sides.fetch();
    await taker.downloaded(SIZE / 8);
    await giver.daemon.kill("SIGTERM");
    await giver.restart();
    const { code, stderr } = await finished;
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /has ended|was ended/);
    assert.match(taker.daemon.log(), /a peer has gone: the peer says: The daemon is ending/);
    assert.equal(await sha256Of(target), sha256);
  });

  test("the taker dies in the middle and comes back: what was recorded is not fetched again", async () => {
    await using sides = await pair(slowly(2 * MIB));
    const { giver, taker, sha256, target } = sides;
    const { child, finished } = sides.fetch("--json");
    const { bytes, status } = await taker.downloaded(SIZE / 8);
    await taker.kill();
    assert.equal(status, "active");
    await taker.restart();
    await taker.downloaded(SIZE);
    child.kill("SIGTERM");
    await finished;
    await waitFor("the file", async () => (await stat(target).catch(() => undefined)) !== undefined);
    assert.equal(await sha256Of(target), sha256);
    const sent = await giver.sent();
    // Each of its connections may have lost a chunk, and what was on its way.
    assert.ok(sent < 2 * SIZE - bytes && sent >= SIZE, `${sent} bytes sent, ${bytes} were here when it died`);
  });

  test("the share ends in the middle: the fetch ends, says why and what to do; nothing half is left as a file", async () => {
    await using sides = await pair(slowly(MIB));
    const { giver, taker, id, target } = sides;
    const { finished } = sides.fetch();
    await taker.downloaded(MIB);
    await giver.json(["unshare", id]);
    const { code, stderr } = await finished;
    assert.equal(code, EXIT.resource, stderr);
    assert.match(stderr, /SHARE_ENDED: .*the peer says: the share was ended by its owner/);
    assert.match(stderr, /Ask who shares it for a new code/);
    assert.doesNotMatch(stderr, /WAITING/);
    await assert.rejects(stat(target), { code: "ENOENT" });
    const [session] = await taker.json(["list"]);
    assert.equal(session?.["status"], "failed");
  });

  test("a folder whose share ends: all its files end, those that wait and those that have not begun", async () => {
    await using giver = await SharingHome.start(slowly(256 * 1024));
    await using taker = await SharingHome.start();
    const folder = join(giver.home.path, "many");
    await mkdir(folder);
    for (let at = 0; at < 40; at++) await makeFile(join(folder, `${at}.bin`), 256 * 1024);
    const { code, id } = await giver.share(folder);
    const out = join(taker.home.path, "out");
    const { finished } = taker.home.startCtl(["fetch", "-", "-d", out, "--peer", giver.peer], { input: code });
    await waitFor("a file", async () => (await tree(join(out, "many")).catch(() => undefined))?.has("0.bin"));
    const begun = performance.now();
    await giver.json(["unshare", id]);
    const ended = await finished;
    assert.equal(ended.code, EXIT.resource, ended.stderr);
    assert.ok(performance.now() - begun < 45_000, `${performance.now() - begun} ms`);
    const statuses = new Set((await taker.json(["list"])).map(({ status }) => status));
    assert.deepEqual([...statuses].sort(), ["completed", "failed"]);
  });

  test("the giver's daemon is started anew in the middle: the share has not ended, and it is gone on with", async () => {
    await using sides = await pair(slowly(2 * MIB));
    const { giver, taker, sha256, target } = sides;
    const { finished } = sides.fetch();
    await taker.downloaded(SIZE / 8);
    await giver.daemon.kill("SIGTERM");
    await giver.restart();
    const { code, stderr } = await finished;
    assert.equal(code, 0, stderr);
    assert.equal(await sha256Of(target), sha256);
  });

  test("a list of codes behind which nobody is keeps no other download waiting, nor a code of which a peer is named", async () => {
    await using sides = await pair();
    const { taker, sha256, target } = sides;
    const origin = createServer((_, response) => void response.end("hello")).listen(0, "127.0.0.1");
    try {
      await once(origin, "listening");
      const codes = Array.from({ length: 80 }, () => `snatch:${makeCode()}`);
      await taker.json(["add", ...codes]);
      await waitFor("some are looked for", async () =>
        (await taker.json(["list"])).some(({ status }) => status === "waiting"),
      );
      const begun = performance.now();
      const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}/hi.txt`;
      const got = await taker.home.ctl(["get", url, "-d", join(taker.home.path, "out")]);
      assert.equal(got.code, 0, got.stderr);
      const { code, stderr } = await sides.fetch().finished;
      assert.equal(code, 0, stderr);
      assert.equal(await sha256Of(target), sha256);
      assert.ok(performance.now() - begun < 15_000, `${performance.now() - begun} ms`);
    } finally {
      origin.close();
    }
  });

  test("Ctrl-C pauses, its advice goes on; limit and cancel work as for any other download", async () => {
    await using sides = await pair();
    const { giver, taker, sha256, target } = sides;
    const { child, finished } = sides.fetch("--limit", "2M");
    const { id: session } = await taker.downloaded(SIZE / 8);
    child.kill("SIGINT");
    const { code, stderr } = await finished;
    assert.equal(code, EXIT.interrupted, stderr);
    const [, advice = ""] = /paused; go on with: snatchctl (.*)/.exec(stderr) ?? [];
    const [paused] = await taker.json(["list"]);
    assert.equal(paused?.["status"], "paused");
    const sent = await giver.sent();
    await taker.json(["limit", "0", session]);
    const resumed = await taker.home.ctl(advice.split(" "));
    assert.equal(resumed.code, 0, resumed.stderr);
    await taker.downloaded(SIZE);
    await waitFor("the file", async () => (await stat(target).catch(() => undefined)) !== undefined);
    assert.equal(await sha256Of(target), sha256);
    assert.ok((await giver.sent()) - sent < SIZE, "only the rest was sent");

    const again = sides.fetch("--force", "--limit", "1M");
    await waitFor("it runs", async () => (await taker.json(["list"])).some((each) => each["status"] === "active"));
    const [running] = (await taker.json(["list"])).filter((each) => each["status"] === "active");
    await taker.json(["cancel", String(running?.["session_id"])]);
    assert.equal((await again.finished).code, EXIT.refused);
    assert.deepEqual(await readdir(join(taker.home.path, "out")), ["file.bin"]);
  });

  test("Ctrl-C in the middle of a folder pauses its files, and its advice goes on with them", async () => {
    await using giver = await SharingHome.start(slowly(2 * MIB));
    await using taker = await SharingHome.start();
    const folder = join(giver.home.path, "films");
    await mkdir(folder);
    for (let at = 0; at < 8; at++) await makeFile(join(folder, `${at}.bin`), MIB);
    const { code } = await giver.share(folder);
    const out = join(taker.home.path, "out");
    const fetch = taker.home.startCtl(["fetch", "-", "-d", out, "--peer", giver.peer], { input: code });
    await taker.downloaded(MIB / 2);
    fetch.child.kill("SIGINT");
    const { code: exit, stderr } = await fetch.finished;
    assert.equal(exit, EXIT.interrupted, stderr);
    const after = await taker.json(["list"]);
    assert.deepEqual([...new Set(after.map(({ status }) => status))].sort(), ["completed", "paused"]);
    const [, advice = ""] = /paused; go on with: snatchctl (.*)/.exec(stderr) ?? [];
    const resumed = await taker.home.ctl(advice.split(" "));
    assert.equal(resumed.code, 0, resumed.stderr);
    const whole = await tree(folder);
    await waitFor("the rest", async () =>
      (await taker.json(["list"])).every(({ status }) => status === "completed") ? true : undefined,
    );
    assert.deepEqual(await tree(join(out, "films")), whole);
  });

  test("from hand to hand: a third fetches from the second when the first has gone", async () => {
    await using sides = await pair();
    const { giver, taker, sha256, code } = sides;
    const first = await sides.fetch("--share").finished;
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, new RegExp(`^shared by the code ${code}; snatchctl unshare`, "m"));
    await giver.kill();
    await using third = await SharingHome.start();
    const out = join(third.home.path, "out");
    const fetched = await third.home.ctl(["fetch", "-", "-d", out, "--peer", taker.peer], { input: code });
    assert.equal(fetched.code, 0, fetched.stderr);
    assert.equal(await sha256Of(join(out, "file.bin")), sha256);
  });

  test("once and no more, if that was said; and a file by itself does not hide", async () => {
    await using giver = await SharingHome.start();
    await using taker = await SharingHome.start();
    const file = join(giver.home.path, ".profile");
    const sha256 = await makeFile(file, 100_000);
    const { code } = await giver.share(file, "--max-fetches", "1");
    const out = join(taker.home.path, "out");
    const fetched = await taker.home.ctl(["fetch", "-", "-d", out, "--peer", giver.peer], { input: code });
    assert.equal(fetched.code, 0, fetched.stderr);
    assert.equal(await sha256Of(join(out, "profile")), sha256);
    await waitFor("the share's end", async () => (await giver.json(["shares"])).length === 0);
  });

  test("one at a time: who has everything makes room at once", async () => {
    await using sides = await pair();
    const { giver, taker } = sides;
    const file = join(giver.home.path, "single.bin");
    await makeFile(file, 100_000);
    const { code } = await giver.share(file, "--max-peers", "1");
    const fetched = await taker.home.ctl(["fetch", "-", "-d", taker.home.path, "--peer", giver.peer], { input: code });
    assert.equal(fetched.code, 0, fetched.stderr);
    const ended = performance.now();
    await waitFor("room", async () => (await giver.json(["shares"])).every((share) => share["peer_count"] === 0));
    assert.ok(performance.now() - ended < 15_000, "as soon as it is done, and not when it may be forgotten");
    await using third = await SharingHome.start();
    const second = await third.home.ctl(["fetch", "-", "-d", third.home.path, "--peer", giver.peer], { input: code });
    assert.equal(second.code, 0, second.stderr);
    assert.doesNotMatch(second.stderr, /WAITING/);
  });

  test("not for callers over TCP, unless that was said", async () => {
    await using folder = await temporaryFolder();
    await using giver = await SharingHome.start();
    await using taker = await SharingHome.start([], ["--daemon.listen=127.0.0.1:0"]);
    const file = join(folder.path, "file.bin");
    await makeFile(file, 1000);
    const { code } = await giver.share(file);
    const [, address = ""] = /(127\.0\.0\.1:\d+)/.exec(taker.daemon.log()) ?? [];
    const token = join(taker.home.path, "state/token");
    const remote = ["--address", address, "--token-file", token];
    const fetched = await taker.home.ctl([...remote, "fetch", "-", "--peer", giver.peer], { input: code });
    assert.equal(fetched.code, EXIT.refused, fetched.stderr);
    assert.match(fetched.stderr + fetched.stdout, /NETWORK_OFF: .*p2p\.allow_remote/);
    const shared = await taker.home.ctl([...remote, "share", file]);
    assert.notEqual(shared.code, 0);
  });
});
