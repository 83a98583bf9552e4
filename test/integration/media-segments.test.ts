/** Tracks of segments from origins that break, lie and forget: right bytes, nothing twice, nothing skipped. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import type { ConfigInput } from "../../src/daemon/config/schema.ts";
import { type LibraryHome, libraryHome } from "../support/library.ts";
import { encipher, packets, playlistOf, type SegmentOrigin, segmentOrigin } from "../support/segment-origin.ts";
import { waitFor } from "../support/wait.ts";

/** No FFmpeg: what comes is joined, and every byte can be compared. */
const JOINED: ConfigInput = { ffmpeg: { path: "/nonexistent/ffmpeg" } };

const whole = (segments: readonly Buffer[]): Buffer => Buffer.concat(segments);

function serve(origin: SegmentOrigin, segments: readonly Buffer[]): void {
  for (const [index, bytes] of segments.entries()) origin.files.set(`/seg/${index}.ts`, bytes);
}

const someSegments = (count: number, size = 40): Buffer[] => Array.from({ length: count }, () => packets(size));

async function download(
  home: LibraryHome,
  url: string,
  options: Parameters<ReturnType<LibraryHome["manager"]>["download"]>[1] = {},
) {
  const [result] = await home.manager(JOINED).download([url], options);
  return result;
}

test("segments become one file, each asked for once; no part file is left", async () => {
  const segments = someSegments(30);
  await using origin = await segmentOrigin({ "/show.m3u8": playlistOf(30) });
  serve(origin, segments);
  await using home = await libraryHome();
  const manager = home.manager(JOINED);
  const [result] = await manager.download([`${origin.url}/show.m3u8`]);
  assert.equal(result?.status, "completed", result?.error?.message);
  assert.ok(whole(segments).equals(await readFile(result.path ?? "")));
  assert.match(result.path ?? "", /\.ts$/);
  assert.deepEqual(await home.files(), [result.path?.split("/").at(-1)]);
  const asked = origin.requests.filter((path) => path.startsWith("/seg/"));
  assert.equal(new Set(asked).size, 30);
  assert.equal(asked.length, 30);
  const session = await manager.sessions.get(result.sessionId);
  assert.deepEqual(session?.progress.segments, { done: 30, total: 30 });
});

test("AES-128: deciphered; the key is fetched once", async () => {
  const segments = someSegments(12);
  const key = randomBytes(16);
  const before = () => '#EXT-X-KEY:METHOD=AES-128,URI="key.bin"';
  await using origin = await segmentOrigin({ "/show.m3u8": playlistOf(12, { before }), "/key.bin": key });
  serve(
    origin,
    segments.map((bytes, index) => encipher(bytes, key, index)),
  );
  await using home = await libraryHome();
  const result = await download(home, `${origin.url}/show.m3u8`);
  assert.equal(result?.status, "completed", result?.error?.message);
  assert.ok(whole(segments).equals(await readFile(result.path ?? "")));
  assert.equal(origin.requests.filter((path) => path === "/key.bin").length, 1);
});

test("a wrong key is an error, and nothing is put in place", async () => {
  const before = () => '#EXT-X-KEY:METHOD=AES-128,URI="key.bin"';
  await using origin = await segmentOrigin({ "/show.m3u8": playlistOf(3, { before }), "/key.bin": randomBytes(16) });
  const right = randomBytes(16);
  serve(
    origin,
    someSegments(3).map((bytes, index) => encipher(bytes, right, index)),
  );
  await using home = await libraryHome();
  const result = await download(home, `${origin.url}/show.m3u8`);
  assert.equal(result?.error?.code, "MEDIA_INVALID");
  assert.match(result?.error?.message ?? "", /segment \d of 3/);
  assert.equal((await home.files()).filter((name) => !name.includes(".part")).length, 0);
});

/** A playlist of ranges of files: segment `index` is the next range of the file that `fileOf` names. */
function rangesOf(segments: readonly Buffer[], fileOf: (index: number) => string): string {
  const ends = new Map<string, number>();
  const before = (index: number): string => {
    const { length } = segments[index] as Buffer;
    const start = ends.get(fileOf(index)) ?? 0;
    ends.set(fileOf(index), start + length);
    return `#EXT-X-BYTERANGE:${length}@${start}`;
  };
  return playlistOf(segments.length, { before })
    .replaceAll(/seg\/(\d+)\.ts/g, (_all, index: string) => fileOf(Number(index)))
    .replace("VERSION:3", "VERSION:4");
}

test("byte ranges of one resource: in ranges, one version", async () => {
  const segments = someSegments(10);
  const list = rangesOf(segments, () => "all.ts");
  await using origin = await segmentOrigin({ "/show.m3u8": list, "/all.ts": whole(segments) });
  await using home = await libraryHome();
  const result = await download(home, `${origin.url}/show.m3u8`);
  assert.equal(result?.status, "completed", result?.error?.message);
  assert.ok(whole(segments).equals(await readFile(result.path ?? "")));
  assert.equal(origin.sent - list.length, whole(segments).length + 1, "a byte to learn the version");
});

for (const { title, files } of [
  { title: "one file", files: 1 },
  { title: "many files", files: 6 },
])
  test(`byte ranges of ${title}: another version after a retry is not put behind the first one`, async () => {
    const [first, second] = [someSegments(12), someSegments(12)];
    const name = (index: number): string => `part${index % files}.ts`;
    const list = rangesOf(first, name);
    await using origin = await segmentOrigin({ "/show.m3u8": list });
    const serveVersion = (segments: readonly Buffer[], more: Buffer): void => {
      for (let file = 0; file < files; file++)
        origin.files.set(`/part${file}.ts`, whole([...segments.filter((_, index) => index % files === file), more]));
    };
    serveVersion(first, Buffer.alloc(0));
    let ranges = 0;
    origin.misbehave = (path, _times, request, response) => {
      if (!path.startsWith("/part") || request.headers.range === "bytes=0-0" || ++ranges !== 9) return false;
      response.writeHead(404).end();
      return true;
    };
    await using home = await libraryHome();
    const manager = home.manager(JOINED);
    const [result] = await manager.download([`${origin.url}/show.m3u8`], { connections: 1 });
    assert.equal(result?.error?.code, "HTTP_NOT_FOUND");
    // Its length is part of the entity tag.
    serveVersion(second, packets(1));
    const retried = await manager.resumeDownload(result?.sessionId ?? "");
    assert.equal(retried.status, "completed", retried.error?.message);
    assert.ok(whole(second).equals(await readFile(retried.path ?? "")));
  });

test("byte ranges of a file that changes meanwhile: it begins again with the new version", async () => {
  const [first, second] = [someSegments(12), someSegments(12)];
  await using origin = await segmentOrigin({ "/show.m3u8": rangesOf(first, () => "all.ts"), "/all.ts": whole(first) });
  let asked = 0;
  origin.misbehave = (path) => {
    if (path === "/all.ts" && ++asked === 6) origin.files.set(path, whole([...second, packets(1)]));
    return false;
  };
  await using home = await libraryHome();
  const result = await download(home, `${origin.url}/show.m3u8`);
  assert.equal(result?.status, "completed", result?.error?.message);
  assert.ok(whole(second).equals(await readFile(result.path ?? "")));
});

test("connections that break in mid-segment are gone on with, those that close too early are noticed", async () => {
  const segments = someSegments(16, 2000);
  await using origin = await segmentOrigin({ "/show.m3u8": playlistOf(16) });
  serve(origin, segments);
  origin.misbehave = (path, times, _request, response) => {
    const index = Number(/^\/seg\/(\d+)/.exec(path)?.[1] ?? Number.NaN);
    const bytes = segments[index];
    if (!bytes || times > 0) return false;
    if (index % 4 === 1) {
      const head = { "Content-Length": bytes.length, ETag: `"${bytes.length}-${path}"`, "Accept-Ranges": "bytes" };
      response.writeHead(200, head);
      response.write(bytes.subarray(0, 100_000), () => response.destroy());
      return true;
    }
    if (index % 4 === 2) {
      response.writeHead(503).end();
      return true;
    }
    return false;
  };
  await using home = await libraryHome();
  const result = await download(home, `${origin.url}/show.m3u8`);
  assert.equal(result?.status, "completed", result?.error?.message);
  assert.ok(whole(segments).equals(await readFile(result.path ?? "")));
});

test("a segment that is not there is an error that names it; nothing is skipped, and a retry fetches the rest only", async () => {
  const segments = someSegments(20);
  await using origin = await segmentOrigin({ "/show.m3u8": playlistOf(20) });
  serve(origin, segments);
  origin.files.delete("/seg/11.ts");
  await using home = await libraryHome();
  const manager = home.manager(JOINED);
  const [result] = await manager.download([`${origin.url}/show.m3u8`], { connections: 1 });
  assert.equal(result?.error?.code, "HTTP_NOT_FOUND");
  assert.match(result?.error?.message ?? "", /segment 12 of 20 \(http:.*\/seg\/11\.ts\)/);
  origin.files.set("/seg/11.ts", segments[11] as Buffer);
  origin.requests.length = 0;
  const retried = await manager.resumeDownload(result?.sessionId ?? "");
  assert.equal(retried.status, "completed", retried.error?.message);
  assert.ok(whole(segments).equals(await readFile(retried.path ?? "")));
  const asked = origin.requests.filter((path) => path.startsWith("/seg/"));
  assert.deepEqual(
    asked,
    [11, 12, 13, 14, 15, 16, 17, 18, 19].map((index) => `/seg/${index}.ts`),
  );
});

test("a signature that runs out: the playlist is asked for a new one, what is here stays", async () => {
  const segments = someSegments(12);
  let valid = "a";
  await using origin = await segmentOrigin();
  serve(origin, segments);
  let served = 0;
  origin.misbehave = (path, _times, request, response) => {
    if (path === "/show.m3u8") {
      response.writeHead(200, { "Content-Type": "application/x-mpegurl" });
      response.end(playlistOf(12, { query: `?token=${valid}` }));
      return true;
    }
    if (!path.startsWith("/seg/")) return false;
    const right = request.url?.endsWith(`token=${valid}`) === true;
    if (right && ++served === 6) valid = "b";
    if (right) return false;
    response.writeHead(403).end();
    return true;
  };
  await using home = await libraryHome();
  const result = await download(home, `${origin.url}/show.m3u8`, { connections: 1 });
  assert.equal(result?.status, "completed", result?.error?.message);
  assert.ok(whole(segments).equals(await readFile(result.path ?? "")));
  const asked = origin.requests.filter((path) => path.startsWith("/seg/"));
  assert.ok(asked.length <= 14, `${asked.length} requests for 12 segments`);
});

test("a page in place of a segment is refused", async () => {
  await using origin = await segmentOrigin({ "/show.m3u8": playlistOf(3) });
  serve(origin, someSegments(3));
  origin.misbehave = (path, _times, _request, response) => {
    if (path !== "/seg/1.ts") return false;
    response.writeHead(200, { "Content-Type": "text/html" }).end("<html>Log in</html>");
    return true;
  };
  await using home = await libraryHome();
  const result = await download(home, `${origin.url}/show.m3u8`);
  assert.equal(result?.error?.code, "MEDIA_INVALID");
  assert.match(result?.error?.message ?? "", /segment 2 of 3.*page/);
});

test("later segments wait while the first missing one is slow: memory stays bounded", { timeout: 60_000 }, async () => {
  const big = Array.from({ length: 24 }, () => packets(22_310)); // 4 MiB each
  await using origin = await segmentOrigin({ "/show.m3u8": playlistOf(24) });
  serve(origin, big);
  const go = Promise.withResolvers<void>();
  origin.misbehave = (path, _times, _request, response) => {
    if (path !== "/seg/0.ts") return false;
    void go.promise.then(() => response.writeHead(200, { "Content-Length": big[0]?.length ?? 0 }).end(big[0]));
    return true;
  };
  await using home = await libraryHome();
  const manager = home.manager({ ...JOINED, timeout: 60, connections_per_download: 8, connections_per_host: 8 });
  await manager.start();
  const result = manager.download([`${origin.url}/show.m3u8`]);
  result.catch(() => undefined);
  const id = (await waitFor("a session", async () => (await manager.sessions.list({}, { size: 1 })).sessions[0])).id;
  await waitFor("a full look-ahead", async () => (manager.live(id)?.pendingBytes ?? 0) >= 28 * 1024 * 1024);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok((manager.live(id)?.pendingBytes ?? 0) < 40 * 1024 * 1024);
  assert.ok(origin.requests.length < 20, "the rest is not asked for");
  go.resolve();
  const [ended] = await result;
  assert.equal(ended?.status, "completed", ended?.error?.message);
  assert.ok(whole(big).equals(await readFile(ended.path ?? "")));
});

for (const { title, fail } of [
  { title: "is answered with 503", fail: (response: ServerResponse) => response.writeHead(503).end() },
  { title: "loses its connection", fail: (response: ServerResponse) => response.destroy() },
])
  test(`the first missing segment ${title} while those without room have all connections`, {
    timeout: 30_000,
  }, async () => {
    const [small, big] = [packets(100), packets(220_000)]; // 40 MiB, more than may wait
    const segments = [small, big, big, small];
    await using origin = await segmentOrigin({ "/show.m3u8": playlistOf(4) });
    serve(origin, segments);
    origin.misbehave = (path, times, _request, response) => {
      if (path === "/seg/0.ts" && times === 0) setTimeout(() => fail(response), 500);
      return path === "/seg/0.ts" && times === 0;
    };
    await using home = await libraryHome();
    const manager = home.manager({ ...JOINED, connections_per_download: 8, connections_per_host: 2 });
    const [result] = await manager.download([`${origin.url}/show.m3u8`]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.ok(whole(segments).equals(await readFile(result.path ?? "")));
  });

test("an origin that cannot tell its versions apart and breaks each time a little later is not asked for ever", {
  timeout: 30_000,
}, async () => {
  const bytes = packets(2000);
  await using origin = await segmentOrigin({ "/show.m3u8": playlistOf(2), "/seg/0.ts": packets(10) });
  origin.misbehave = (path, times, _request, response) => {
    if (path !== "/seg/1.ts") return false;
    response.writeHead(200, { "Content-Length": bytes.length });
    response.write(bytes.subarray(0, (times + 1) * 1000), () => setTimeout(() => response.destroy(), 20));
    return true;
  };
  await using home = await libraryHome();
  const result = await home.manager({ ...JOINED, max_retries: 0 }).download([`${origin.url}/show.m3u8`]);
  assert.equal(result[0]?.status, "failed");
  const asked = origin.requests.filter((path) => path === "/seg/1.ts").length;
  assert.ok(asked <= 16, `${asked} requests`);
});

test("a segment that ended with its connection: the session says that nobody vouches for the length", async () => {
  const segments = someSegments(3);
  await using origin = await segmentOrigin({ "/show.m3u8": playlistOf(3) });
  serve(origin, segments);
  origin.misbehave = (path, _times, _request, response) => {
    if (path !== "/seg/1.ts") return false;
    response.useChunkedEncodingByDefault = false;
    response.removeHeader("Transfer-Encoding");
    response.writeHead(200, { Connection: "close" }).end(segments[1]);
    return true;
  };
  await using home = await libraryHome();
  const manager = home.manager(JOINED);
  const [result] = await manager.download([`${origin.url}/show.m3u8`]);
  assert.equal(result?.status, "completed", result?.error?.message);
  assert.equal((await manager.sessions.get(result.sessionId))?.resource?.lengthUnverified, true);
});
