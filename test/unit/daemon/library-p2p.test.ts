/** P2PManager over a download manager in memory: what it asks for, and what it gives back. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { PeerDiscovery } from "../../../src/daemon/core/peers.ts";
import type { DownloadOptions } from "../../../src/daemon/core/session.ts";
import type { DownloadResult } from "../../../src/daemon/download/manager.ts";
import { P2PManager } from "../../../src/daemon/library-p2p.ts";
import { MemorySharing, someCode } from "../../support/memory-sharing.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

function fixture(results: readonly Partial<DownloadResult>[] = []) {
  const sharing = new MemorySharing();
  const discoveries = new Set<PeerDiscovery>();
  const asked: { readonly urls: readonly string[]; readonly options: DownloadOptions }[] = [];
  const calls: string[] = [];
  const downloadManager = {
    sharing: {
      ...sharing,
      registerDiscoveryMethod(discovery: PeerDiscovery) {
        discoveries.add(discovery);
        return () => void discoveries.delete(discovery);
      },
    },
    start: async () => void calls.push("start"),
    async download(urls: readonly string[], options: DownloadOptions) {
      asked.push({ urls, options });
      return results as readonly DownloadResult[];
    },
    async [Symbol.asyncDispose]() {
      calls.push("end");
    },
  };
  return { p2p: new P2PManager({}, { downloadManager }), sharing, discoveries, asked, calls };
}

test("shareFile gives the code; the manager that was brought along is started, and not ended", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "video.mp4");
  await writeFile(path, "video");
  const { p2p, sharing, calls } = fixture();
  const code = await p2p.shareFile(path, { encryption: false, maxPeers: 10 });
  assert.deepEqual(sharing.asked, [{ paths: [path], options: { encryption: false, maxPeers: 10 } }]);
  assert.equal(await sharing.codeOf((await sharing.shares())[0]?.id ?? ""), code);
  await p2p[Symbol.asyncDispose]();
  assert.deepEqual(calls, ["start"]);
  await assert.rejects(p2p.shareFile(path, { signal: AbortSignal.abort(new Error("enough")) }), /enough/);
});

test("fetchFile: a folder by its slash or by being there, else the file's path; all files of a folder", async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, "there"));
  const items = [
    { status: "completed", path: "/d/a" } as DownloadResult,
    { status: "completed", path: "/d/b" } as DownloadResult,
  ];
  const { p2p, asked } = fixture([{ status: "completed", items }]);
  const code = someCode();
  const typed = `snatch:${code.toLowerCase()}`;
  assert.deepEqual(await p2p.fetchFile(typed, `${folder.path}/new/`, { peers: ["h:1"], share: true }), [
    "/d/a",
    "/d/b",
  ]);
  await p2p.fetchFile(code, join(folder.path, "there"));
  await p2p.fetchFile(code, join(folder.path, "file.bin"));
  const url = `snatch:${code}`;
  assert.deepEqual(asked, [
    { urls: [url], options: { peers: ["h:1"], share: true, directory: join(folder.path, "new") } },
    { urls: [url], options: { directory: join(folder.path, "there") } },
    { urls: [url], options: { output: join(folder.path, "file.bin") } },
  ]);
});

test("what failed is thrown, and a wrong code before anything is asked for", async () => {
  const error = failure("PEERS_NOT_FOUND", "nobody was found");
  const failed = { status: "failed", error } as DownloadResult;
  const { p2p, asked } = fixture([{ status: "completed", items: [{ status: "completed" } as DownloadResult, failed] }]);
  await assert.rejects(p2p.fetchFile(someCode(), "x"), error);
  asked.length = 0;
  await assert.rejects(p2p.fetchFile("ABC123XYZ", "x"), { code: "CODE_INVALID" });
  assert.equal(asked.length, 0);
});

test("registerDiscoveryMethod adds a way, and its answer takes it out", () => {
  const { p2p, discoveries } = fixture();
  const leave = p2p.registerDiscoveryMethod({ name: "custom", discoverPeers: async () => [] });
  assert.equal(discoveries.size, 1);
  leave();
  assert.equal(discoveries.size, 0);
});
