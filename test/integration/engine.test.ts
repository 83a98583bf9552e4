/** The engine against a real nginx: the bytes on disk, the requests in the server's log, the sessions in the store. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { copyFile, mkdtemp, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { DownloadManager } from "../../src/daemon/library.ts";
import { libraryHome, sha256File, sha256Of } from "../support/library.ts";
import { NGINX_CREDENTIALS, type Nginx, needsNginx, startNginx } from "../support/nginx.ts";
import { waitFor } from "../support/wait.ts";

const MIB = 1024 * 1024;
const big = randomBytes(6 * MIB + 12_345);
const small = randomBytes(20 * 1024);
const digest = sha256Of(big);

describe("engine and nginx", needsNginx, () => {
  let root: string;
  let nginx: Nginx;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), "snatch-www-"));
    await writeFile(join(root, "big.bin"), big);
    await writeFile(join(root, "small.bin"), small);
    await writeFile(join(root, "empty.bin"), "");
    await writeFile(join(root, "näme with space.txt"), "hello");
    // Long ago, so that Last-Modified is a strong validator too.
    for (const name of ["big.bin", "small.bin"]) await utimes(join(root, name), 1_600_000_000, 1_600_000_000);
    nginx = await startNginx({ root });
  });

  after(async () => {
    await nginx?.stop();
    if (root) await rm(root, { recursive: true, force: true });
  });

  test("a large file: right bytes, mtime of the origin, If-Range in every later range", async () => {
    await nginx.clearRequests();
    await using home = await libraryHome();
    const [result] = await home.manager().download([`${nginx.http}/big.bin`]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.equal(result?.path, join(home.downloads, "big.bin"));
    assert.equal(await sha256File(result.path), digest);
    assert.equal((await stat(result.path)).mtimeMs, 1_600_000_000_000);
    assert.deepEqual(await home.files(), ["big.bin"]);
    const requests = await nginx.waitForRequests((all) => all.length >= 2);
    assert.equal(requests[0]?.ifRange ?? "-", "", "the probe knows no version yet");
    assert.ok(requests.slice(1).every((request) => request.status === 206 && request.ifRange.startsWith('"')));
    assert.ok(requests.length > 1, "more than the probe");
    const bytes = requests.reduce((sum, request) => sum + request.bytes, 0);
    assert.ok(bytes <= big.length + 8 * 256 * 1024, `${bytes} bytes were sent for ${big.length}`);
  });

  test("a small file is one request", async () => {
    await nginx.clearRequests();
    await using home = await libraryHome();
    const [result] = await home.manager().download([`${nginx.http}/small.bin`]);
    assert.equal(await sha256File(result?.path ?? ""), sha256Of(small));
    assert.equal((await nginx.waitForRequests((all) => all.length > 0)).length, 1);
  });

  test("an empty file, a name with spaces, a server without ranges", async () => {
    await using home = await libraryHome();
    const results = await home
      .manager()
      .download([
        `${nginx.http}/empty.bin`,
        `${nginx.http}/${encodeURIComponent("näme with space.txt")}`,
        `${nginx.http}/no-ranges/big.bin`,
      ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["completed", "completed", "completed"],
    );
    assert.deepEqual(await home.files(), ["big.bin", "empty.bin", "näme with space.txt"]);
    assert.equal((await stat(join(home.downloads, "empty.bin"))).size, 0);
    assert.equal(await sha256File(join(home.downloads, "big.bin")), digest);
  });

  test("basic auth: refused without, taken from the URL, taken from a header", async () => {
    await using home = await libraryHome();
    const manager = home.manager();
    const url = `${nginx.http}/auth/small.bin`;
    const [refused] = await manager.download([url], { directory: join(home.home, "a") });
    assert.equal(refused?.error?.code, "HTTP_UNAUTHORIZED");
    const { user, password } = NGINX_CREDENTIALS;
    const [inUrl] = await manager.download([url.replace("://", `://${user}:${password}@`)], {
      directory: join(home.home, "b"),
    });
    assert.equal(inUrl?.status, "completed");
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    const [inHeader] = await manager.download([url], {
      directory: join(home.home, "c"),
      headers: [["Authorization", authorization]],
    });
    assert.equal(inHeader?.status, "completed");
  });

  test("the checksum is compared before the file gets its name", async () => {
    await using home = await libraryHome();
    const manager = home.manager();
    const url = `${nginx.http}/big.bin`;
    const wrong = "0".repeat(64);
    const [bad] = await manager.download([url], { checksum: { algorithm: "sha-256", value: wrong } });
    assert.equal(bad?.error?.code, "CHECKSUM_MISMATCH");
    assert.equal(bad?.error?.metadata["found"], digest);
    assert.equal(bad?.error?.metadata["expected"], wrong);
    assert.equal((await home.files()).includes("big.bin"), false);
    const [good] = await manager.download([url], { checksum: { algorithm: "sha-256", value: digest } });
    assert.equal(good?.status, "completed", good?.error?.message);
    assert.equal(await sha256File(good?.path ?? ""), digest);
    const kept = basename(bad?.error?.metadata["kept"] ?? "");
    assert.match(kept, /^big\.bin\.[0-9a-f]{8}\.quarantine$/);
    assert.deepEqual(await home.files(), ["big.bin", kept]);
  });

  test("asked for again: already there; after a change on disk, or with force, fetched again", async () => {
    await nginx.clearRequests();
    await using home = await libraryHome();
    const manager = home.manager();
    const url = `${nginx.http}/small.bin`;
    const [first] = await manager.download([url]);
    const [again] = await manager.download([url]);
    assert.deepEqual([first?.already, again?.already, again?.sessionId], [false, true, first?.sessionId]);
    assert.equal((await nginx.requests()).length, 1);
    const [forced] = await manager.download([url], { force: true });
    assert.equal(forced?.path, join(home.downloads, "small (1).bin"));
    await writeFile(forced?.path ?? "", "not what was fetched");
    const [mended] = await manager.download([url]);
    assert.equal(mended?.already, false);
    assert.equal(
      await readFile(forced?.path ?? "", "utf8"),
      "not what was fetched",
      "a file of somebody else is left alone",
    );
  });

  test("an existing file is kept, left alone or replaced, as asked", async () => {
    await using home = await libraryHome();
    const manager = home.manager();
    const url = `${nginx.http}/small.bin`;
    const output = join(home.home, "mine.bin");
    await writeFile(output, "mine");
    const [skipped] = await manager.download([url], { output, ifExists: "skip" });
    assert.equal(skipped?.error?.code, "TARGET_EXISTS");
    assert.equal(await readFile(output, "utf8"), "mine");
    const [renamed] = await manager.download([url], { output, ifExists: "rename" });
    assert.equal(renamed?.path, join(home.home, "mine (1).bin"));
    const [replaced] = await manager.download([url], { output, ifExists: "overwrite", force: true });
    assert.equal(replaced?.path, output);
    assert.equal(await sha256File(output), sha256Of(small));
  });

  test("killed in the middle and started again: only the rest is fetched", async () => {
    await nginx.clearRequests();
    await using home = await libraryHome();
    const first = home.manager({ connections_per_download: 2, limit: 2 * MIB });
    const [session] = await first.enqueue([`${nginx.http}/big.bin`]);
    assert.ok(session);
    await progressed(first, 2 * MIB);
    await first[Symbol.asyncDispose]();
    assert.equal((await home.files()).includes("big.bin"), false);
    const before = (await nginx.requests()).length;
    const second = home.manager({ connections_per_download: 2 });
    const result = await second.resumeDownload(session.id);
    assert.equal(result.status, "completed", result.error?.message);
    assert.equal(await sha256File(result.path ?? ""), digest);
    const requests = (await nginx.requests()).slice(before);
    const fetched = requests.reduce((sum, request) => sum + request.bytes, 0);
    assert.ok(fetched <= big.length - 2 * MIB + 2 * 256 * 1024 + MIB, `${fetched} bytes were fetched again`);
    assert.ok(requests.every((request) => request.ifRange !== ""));
  });

  test("a chunk that rotted on disk meanwhile is noticed and fetched again", async () => {
    await using home = await libraryHome();
    const first = home.manager({ connections_per_download: 1, limit: 2 * MIB });
    const [session] = await first.enqueue([`${nginx.http}/big.bin`]);
    assert.ok(session);
    await progressed(first, MIB);
    await first[Symbol.asyncDispose]();
    const [part] = (await home.files()).filter((name) => name.endsWith(".part"));
    const path = join(home.downloads, part ?? "");
    const bytes = await readFile(path);
    bytes[100_000] = (bytes[100_000] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const result = await home.manager().resumeDownload(session.id);
    assert.equal(await sha256File(result.path ?? ""), digest);
  });

  test("the file changes in the middle: the new version, whole", async () => {
    await using home = await libraryHome();
    const manager = home.manager({ connections_per_download: 2, limit: 2 * MIB });
    const changing = join(root, "changing.bin");
    await copyFile(join(root, "big.bin"), changing);
    await manager.start();
    const waiting = manager.download([`${nginx.http}/changing.bin`]);
    await progressed(manager, MIB);
    const other = randomBytes(5 * MIB);
    await rm(changing);
    await writeFile(changing, other);
    const [result] = await waiting;
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.equal(await sha256File(result?.path ?? ""), sha256Of(other));
  });

  test("pause keeps what is here, resume goes on, cancel cleans up", async () => {
    await using home = await libraryHome();
    const manager = home.manager({ connections_per_download: 1, limit: 2 * MIB });
    const [session] = await manager.enqueue([`${nginx.http}/big.bin`]);
    assert.ok(session);
    await progressed(manager, MIB);
    const paused = await manager.pause({ ids: [session.id.slice(0, 8)] });
    assert.equal(paused.sessions[0]?.status, "paused");
    assert.ok((paused.sessions[0]?.progress.downloadedBytes ?? 0) >= MIB);
    assert.equal(manager.live(session.id), undefined);
    await manager.resume({ all: true });
    await progressed(manager, 2 * MIB);
    const cancelled = await manager.cancel({ ids: [session.id] });
    assert.equal(cancelled.sessions[0]?.status, "cancelled");
    assert.deepEqual(await home.files(), []);
    const result = await manager.resumeDownload(session.id);
    assert.equal(await sha256File(result.path ?? ""), digest);
  });

  test("a program that ends while it waits is told so; the session goes on the next time", async () => {
    await using home = await libraryHome();
    const first = home.manager({ limit: MIB });
    await first.start();
    const waiting = first.download([`${nginx.http}/big.bin`]);
    await Promise.all([
      assert.rejects(waiting, { code: "SHUTTING_DOWN" }),
      progressed(first, 1).then(() => first[Symbol.asyncDispose]()),
    ]);
    const [result] = await home.manager().download([`${nginx.http}/big.bin`]);
    assert.equal(await sha256File(result?.path ?? ""), digest);
  });

  test("404 is final, a server that is away is tried again", async () => {
    await using home = await libraryHome();
    const manager = home.manager();
    const [missing] = await manager.download([`${nginx.http}/nothing-here.bin`]);
    assert.equal(missing?.error?.code, "HTTP_NOT_FOUND");
    const [away] = await manager.download(["http://127.0.0.1:9/away.bin"]);
    assert.equal(away?.error?.code, "CONNECT_REFUSED");
    assert.deepEqual(await home.files(), []);
  });

  test("a rate limit holds for one download and for all", async () => {
    await using home = await libraryHome();
    const manager = home.manager({ limit: 4 * MIB });
    const start = performance.now();
    const [result] = await manager.download([`${nginx.http}/big.bin`]);
    const seconds = (performance.now() - start) / 1000;
    assert.equal(result?.status, "completed");
    assert.ok(seconds > (big.length / (4 * MIB)) * 0.8, `${seconds} s at 4 MiB/s`);
  });

  test("hooks: veto, every chunk with its digest, the end; a broken one harms nothing", async () => {
    await using home = await libraryHome();
    const manager = home.manager();
    const chunks = new Map<number, string>();
    const ended: string[] = [];
    manager.registerHooks("broken", { postChunk: () => Promise.reject(new Error("oh")) });
    manager.registerHooks("witness", {
      preDownload: (url) => {
        if (url.endsWith("/empty.bin")) throw new Error("nothing in it");
      },
      postChunk: (chunk, sha256) => void chunks.set(chunk.start, sha256),
      postDownload: (_url, path) => void ended.push(path),
    });
    const [taken, refused] = await manager.download([`${nginx.http}/big.bin`, `${nginx.http}/empty.bin`]);
    assert.equal(refused?.error?.code, "VETOED");
    assert.deepEqual(ended, [taken?.path]);
    assert.equal(chunks.size, Math.ceil(big.length / (256 * 1024)));
    for (const [start, sha256] of chunks) assert.equal(sha256, sha256Of(big.subarray(start, start + 256 * 1024)));
  });
});

/** Resolves when this much of the only active download is on disk and proved. */
async function progressed(manager: DownloadManager, bytes: number): Promise<void> {
  await waitFor(`${bytes} bytes are proved`, async () => {
    const { sessions } = await manager.sessions.list({ status: "active" }, { size: 10 });
    return (sessions[0]?.progress.downloadedBytes ?? 0) >= bytes;
  });
}
