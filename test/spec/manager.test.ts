/** The examples of the specification's manager section, in TypeScript, against the package by its name. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { describe, test } from "node:test";
import {
  type DownloadChunk,
  DownloadError,
  type DownloadHooks,
  DownloadManager,
  FileSystemError,
  type HookMetadata,
  NetworkError,
  ResourceError,
  SessionManager,
  SystemResourceError,
} from "snatch";
import { libraryHome, sha256Of } from "../support/library.ts";
import { resourceOf, serve } from "../support/origins/origin.ts";

const video = Buffer.alloc(1_500_000, "a video, as far as this test goes. ");
const config = {
  max_concurrent_downloads: 3,
  chunk_size: 8388608,
  max_retries: 5,
  retry_delay: 2.0,
  memory_limit_percent: 80,
  enable_resume: true,
  verify_chunks: true,
};

/** The spec's TelemetryHooks. */
class TelemetryHooks implements DownloadHooks {
  readonly log: string[] = [];
  bytes = 0;
  #startTime = 0;

  async preDownload(url: string, metadata: HookMetadata): Promise<void> {
    this.#startTime = performance.now();
    this.log.push(`start ${basename(url)} ${metadata.format} ${metadata.quality} ${metadata.size}`);
  }

  async postChunk(chunk: DownloadChunk, sha256: string): Promise<void> {
    assert.equal(sha256, sha256Of(video.subarray(chunk.start, chunk.end)));
    this.bytes += chunk.end - chunk.start;
  }

  async postDownload(url: string, filePath: string): Promise<void> {
    assert.ok(performance.now() >= this.#startTime);
    this.log.push(`end ${basename(url)} ${basename(filePath)}`);
  }
}

describe("spec: manager", () => {
  test("AsyncDownloadManager: hooks registered, download awaited", async () => {
    await using origin = await serve(resourceOf(video), (call) => call.answer(), "/video");
    await using home = await libraryHome();
    await using sessionManager = new SessionManager(config, { home: home.home });
    const analytics = new TelemetryHooks();
    {
      await using manager = new DownloadManager(config, { sessionManager, home: home.home });
      manager.registerHooks("analytics", analytics);
      const results = await manager.download([origin.url], { format: "bestaudio", quality: "320k" });
      const [result] = results;
      assert.equal(result?.status, "completed", result?.error?.message);
      assert.deepEqual(await readFile(result.path ?? ""), video);
    }
    assert.deepEqual(analytics.log, ["start video bestaudio 320k 1500000", "end video video"]);
    assert.equal(analytics.bytes, video.length);
  });

  test("batchDownload: several URLs at once, one batch", async () => {
    await using origin = await serve(resourceOf(video), (call) => call.answer());
    await using home = await libraryHome();
    await using manager = new DownloadManager(config, { home: home.home });
    const urls = ["/a", "/b", "/c", "/d"].map((path) => origin.base + path);
    const { batchId, results } = await manager.batchDownload(urls);
    assert.deepEqual(
      results.map(({ url, status }) => [url, status]),
      urls.map((url) => [url, "completed"]),
    );
    const { sessions } = await manager.sessions.list({ batchId }, { size: 10 });
    assert.equal(sessions.length, urls.length);
  });

  test("enqueue does not wait, resumeDownload waits for the session's end", async () => {
    await using origin = await serve(resourceOf(video), (call) => call.answer());
    await using home = await libraryHome();
    await using manager = new DownloadManager(config, { home: home.home });
    const [session] = await manager.enqueue([origin.url]);
    const result = await manager.resumeDownload(session?.id ?? "");
    assert.equal(result.status, "completed");
    assert.deepEqual(await readFile(result.path ?? ""), video);
  });

  test("validateChunk(chunk, expectedHash)", async () => {
    await using home = await libraryHome();
    await using manager = new DownloadManager(config, { home: home.home });
    const data = video.subarray(10, 5000);
    const chunk: DownloadChunk = { start: 10, end: 5000, url: "https://example.com/video", data, retries: 0 };
    assert.equal(await manager.validateChunk(chunk, sha256Of(data)), true);
    assert.equal(await manager.validateChunk(chunk, sha256Of(video)), false);
    assert.equal(await manager.validateChunk({ ...chunk, end: 5001 }, sha256Of(data)), false);
  });

  test("the error hierarchy, and the errors that callers meet", async () => {
    for (const type of [NetworkError, ResourceError, FileSystemError, SystemResourceError])
      assert.ok(Object.create(type.prototype) instanceof DownloadError);
    await using origin = await serve(resourceOf(video), (call) => call.send(404, {}));
    await using home = await libraryHome();
    await using manager = new DownloadManager({ ...config, max_retries: 0 }, { home: home.home });
    const [missing, refused] = await manager.download([origin.url, "http://127.0.0.1:9/"]);
    assert.ok(missing?.error instanceof ResourceError);
    assert.ok(refused?.error instanceof NetworkError);
    await assert.rejects(manager.download(["not a url"]), DownloadError);
    await assert.rejects(async () => new DownloadManager({ chunk_size: "a lot" }, { home: home.home }), DownloadError);
  });

  test("an HTTP client that is brought along is the one that is used", async () => {
    await using home = await libraryHome();
    const asked: string[] = [];
    await using manager = new DownloadManager(config, {
      home: home.home,
      httpClient: {
        async request({ url }) {
          asked.push(url);
          return {
            status: 200,
            headers: new Map([["content-length", "5"]]),
            url,
            chain: [url],
            pipe: async (sink) => void (await sink(Buffer.from("hello"))),
            text: async () => "hello",
            cancel: () => undefined,
          };
        },
      },
    });
    const [result] = await manager.download(["https://example.com/hello.txt"]);
    assert.equal(await readFile(result?.path ?? "", "utf8"), "hello");
    assert.deepEqual(asked, ["https://example.com/hello.txt"]);
  });

  test("a cache that holds the digest is asked before the origin", async () => {
    await using origin = await serve(resourceOf(video), (call) => call.answer());
    await using home = await libraryHome();
    const resource = { finalUrl: origin.url, size: video.length, ranges: false };
    await using manager = new DownloadManager(config, {
      home: home.home,
      downloadCache: {
        sourceFor: async ({ value }) =>
          value !== sha256Of(video)
            ? undefined
            : {
                id: "cache",
                open: async () => ({
                  start: 0,
                  end: video.length,
                  resource,
                  pipe: async (sink) => void (await sink(video)),
                  cancel: () => undefined,
                }),
              },
      },
    });
    const checksum = { algorithm: "sha-256", value: sha256Of(video) } as const;
    const [result] = await manager.download([origin.url], { checksum });
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(await readFile(result.path ?? ""), video);
    assert.equal(origin.requests.length, 0);
  });
});
