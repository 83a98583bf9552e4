/** yt-dlp as a reader of pages: a stand-in that says what a test wants, and the real one where it is installed. */
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Media } from "../../../src/daemon/core/resolved.ts";
import type { DownloadOptions, DownloadRequest } from "../../../src/daemon/core/session.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { YtDlpResolver } from "../../../src/daemon/resolve/yt-dlp.ts";
import { aboutOf } from "../../../src/daemon/resolve/yt-dlp-info.ts";
import { locateProgram } from "../../../src/daemon/resolve/yt-dlp-process.ts";
import { temporaryFolder } from "../../support/files.ts";
import { waitFor } from "../../support/wait.ts";

const PAGE = "https://films.example/watch?v=1";
const { signal } = new AbortController();

/** A program in place of yt-dlp: a shell script that finds its answer beside itself. */
async function standIn(script: string, answer: unknown = {}, timeoutMs = 20_000) {
  const folder = await temporaryFolder();
  const path = join(folder.path, "yt-dlp");
  await writeFile(join(folder.path, "answer"), typeof answer === "string" ? answer : JSON.stringify(answer));
  await writeFile(path, `#!/bin/sh\ncd '${folder.path}'\n${script}\n`);
  await chmod(path, 0o755);
  const opened: DownloadRequest[] = [];
  const hls = {
    open: (_url: string, request: DownloadRequest): Promise<Media> => {
      opened.push(request);
      return Promise.reject(new Error("opened"));
    },
  };
  const resolver = new YtDlpResolver({
    manifests: { hls, dash: hls },
    options: () => ({ enabled: true, path, timeoutMs, proxy: "socks5://127.0.0.1:1" }),
    environment: { PATH: process.env["PATH"], SECRET: "s", HOME: "/home/somebody", https_proxy: "http://p:1" },
    clock: new SystemClock(),
  });
  return {
    resolver,
    opened,
    folder: folder.path,
    resolve: (options: DownloadOptions = { media: true }, until = signal) =>
      resolver.resolve({ url: PAGE, mirrors: [], options }, until),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

test("a time beyond all dates is none", () => {
  assert.equal(aboutOf({ timestamp: 1_767_312_000 }).publishedAt, 1_767_312_000_000);
  assert.equal(aboutOf({ timestamp: 8.64e12 + 1 }).publishedAt, undefined);
  assert.equal(aboutOf({ timestamp: 1e300, upload_date: "20260102" }).publishedAt, Date.UTC(2026, 0, 2));
});

const ANSWER = {
  id: "abc",
  title: "A film",
  extractor: "films",
  uploader: "Ada",
  upload_date: "20260102",
  duration: 90.5,
  thumbnail: "https://films.example/t.jpg",
  chapters: [{ title: "One", start_time: 0, end_time: 30 }],
  cookies: "secret=1",
  formats: [
    {
      format_id: "18",
      url: "https://cdn.example/18.mp4",
      ext: "mp4",
      protocol: "https",
      vcodec: "avc1.42001E",
      acodec: "mp4a.40.2",
      height: 360,
      tbr: 500.5,
      http_headers: {
        "User-Agent": "UA",
        Referer: "https://films.example/",
        Cookie: "a=b",
        Authorization: "x",
        Accept: "a\nb",
      },
    },
    {
      format_id: "hls",
      url: "https://cdn.example/a.m3u8",
      ext: "mp4",
      protocol: "m3u8_native",
      height: 720,
      http_headers: { Referer: "r" },
    },
    {
      format_id: "140",
      ext: "m4a",
      protocol: "http_dash_segments",
      url: "https://cdn.example/manifest.mpd",
      vcodec: "none",
      acodec: "mp4a.40.2",
      fragment_base_url: "https://cdn.example/dash/",
      fragments: [{ path: "init.mp4" }, { path: "1.m4s", duration: 5 }, { url: "https://cdn2.example/2.m4s" }],
    },
    { format_id: "locked", url: "https://cdn.example/l.mp4", protocol: "https", has_drm: true },
    { format_id: "f", url: "file:///etc/passwd", protocol: "https" },
    { format_id: "rtmp", url: "rtmp://h/x", protocol: "rtmp" },
    { format_id: "story", url: "https://cdn.example/s", protocol: "mhtml" },
    { format_id: "18", url: "https://cdn.example/18b.mp4", protocol: "https", height: "tall", width: -1 },
  ],
  subtitles: {
    en: [
      { url: "https://cdn.example/en.json3", ext: "json3" },
      { url: "https://cdn.example/en.vtt", ext: "vtt" },
    ],
  },
  automatic_captions: { de: [{ url: "https://cdn.example/de.vtt", ext: "vtt" }] },
};

describe("what it says", () => {
  test("becomes formats that are fetched here, with harmless headers only", async () => {
    await using program = await standIn("cat answer", ANSWER);
    const media = await program.resolve();
    assert.ok(media.kind === "media");
    assert.deepEqual(
      media.formats.map(({ id, protocol, ext, height, locked }) => [id, protocol, ext, height, locked]),
      [
        ["18", "http", "mp4", 360, undefined],
        ["hls", "hls", "mp4", 720, undefined],
        ["140", "dash", "m4a", undefined, undefined],
        ["locked", "http", "mp4", undefined, "DRM"],
        ["18-8", "http", "mp4", undefined, undefined],
      ],
    );
    const [first, playlist, dash] = media.formats;
    assert.deepEqual(first?.file?.[0], {
      url: "https://cdn.example/18.mp4",
      headers: [
        ["User-Agent", "UA"],
        ["Referer", "https://films.example/"],
      ],
      namedBy: PAGE,
    });
    await assert.rejects(playlist?.track(signal) ?? Promise.resolve(), /opened/);
    assert.deepEqual(program.opened[0]?.options.headers, [["Referer", "r"]]);
    const track = await dash?.track(signal);
    assert.deepEqual(
      track?.segments.map(({ url }) => url),
      ["https://cdn.example/dash/init.mp4", "https://cdn.example/dash/1.m4s", "https://cdn2.example/2.m4s"],
    );
    assert.deepEqual(
      media.subtitles.map(({ language, ext, automatic }) => [language, ext, automatic]),
      [
        ["en", "vtt", undefined],
        ["de", "vtt", true],
      ],
    );
    assert.deepEqual(media.details, {
      id: "abc",
      title: "A film",
      uploader: "Ada",
      publishedAt: Date.UTC(2026, 0, 2),
      durationSeconds: 90.5,
      thumbnail: "https://films.example/t.jpg",
      chapters: [{ title: "One", start: 0, end: 30 }],
      extractor: "films",
      webpageUrl: PAGE,
    });
  });

  test("of a playlist becomes requests; one entry alone is the medium itself", async () => {
    const entries = [
      { url: "https://films.example/watch?v=2", title: "Two", duration: 5 },
      { url: "file:///etc/passwd" },
      { webpage_url: PAGE, title: "Here", formats: [{ url: "https://cdn.example/3.mp4", protocol: "https" }] },
    ];
    await using program = await standIn("cat answer", { _type: "playlist", title: "All", entries });
    const expansion = await program.resolve({ newest: 3 });
    assert.ok(expansion.kind === "expansion");
    assert.deepEqual(
      expansion.items.map(({ url, title, options }) => [url, title, options?.about?.playlist]),
      [
        ["https://films.example/watch?v=2", "Two", { index: 1, count: 2, title: "All" }],
        ["https://cdn.example/3.mp4", "Here", { index: 2, count: 2, title: "All" }],
      ],
    );
    await using single = await standIn("cat answer", { _type: "playlist", entries: entries.slice(2) });
    assert.equal((await single.resolve()).kind, "media");
  });

  for (const [what, answer] of [
    ["is not JSON", "<html>"],
    ["is a number", "1"],
    ["has no format that is fetched here", { formats: [{ url: "rtmp://h/x", protocol: "rtmp" }] }],
    ["has formats of nothing", { formats: [null, 1, [], { url: 7, protocol: {} }] }],
    ["is an empty list", { _type: "playlist", entries: [] }],
  ] as const)
    test(`that ${what} is refused`, async () => {
      await using program = await standIn("cat answer", answer);
      await assert.rejects(program.resolve(), { code: "MEDIA_NOT_FOUND" });
    });
});

describe("how it is run", () => {
  test("the URL behind the options, nothing of the user's, the proxy as configured", async () => {
    await using program = await standIn('printf "%s\\n" "$@" >args; env >env; cat answer', ANSWER);
    await program.resolve();
    const args = (await readFile(join(program.folder, "args"), "utf8")).trimEnd().split("\n");
    assert.deepEqual(args.slice(-2), ["--", PAGE]);
    for (const option of ["--ignore-config", "--no-cookies", "--no-exec", "--no-cache-dir", "--no-playlist"])
      assert.ok(args.includes(option), option);
    assert.equal(args[args.indexOf("--proxy") + 1], "socks5://127.0.0.1:1");
    const env = await readFile(join(program.folder, "env"), "utf8");
    assert.doesNotMatch(env, /SECRET|somebody/);
    assert.match(env, /https_proxy=http:\/\/p:1/);
  });

  test("its error is told", async () => {
    await using program = await standIn(
      'echo "WARNING: x" >&2; echo "ERROR: [generic] Unsupported URL: u; please report this issue on" >&2; exit 1',
    );
    await assert.rejects(program.resolve(), {
      code: "MEDIA_NOT_FOUND",
      message: "yt-dlp cannot read it: [generic] Unsupported URL: u",
    });
  });

  test("it ends with the request, and with it all that it started", async () => {
    await using program = await standIn(
      "sleep 1000 & echo $! >child; echo $$ >self; trap '' TERM; wait; wait; sleep 1000",
    );
    const control = new AbortController();
    const resolved = program.resolve({ media: true }, control.signal);
    const pidIn = async (name: string) => Number(await readFile(join(program.folder, name), "utf8").catch(() => ""));
    await waitFor("the program runs", async () => (await pidIn("self")) > 0);
    control.abort(new Error("called off"));
    await assert.rejects(resolved, /called off/);
    for (const name of ["child", "self"]) {
      const pid = await pidIn(name);
      await waitFor(`${name} has ended`, () => {
        try {
          process.kill(pid, 0);
          return false;
        } catch {
          return true;
        }
      });
    }
  });

  test("it may not take for ever, nor print without end", async () => {
    await using slow = await standIn("exec sleep 1000", {}, 200);
    await assert.rejects(slow.resolve(), { code: "TIMED_OUT", message: /longer than 0.2 s/ });
    await using loud = await standIn("exec cat /dev/zero");
    await assert.rejects(loud.resolve(), { code: "MEDIA_NOT_FOUND", message: /printed more than/ });
  });

  test("who may have it asked", async () => {
    await using program = await standIn("cat answer");
    const claims = (options: DownloadOptions, url = PAGE) => program.resolver.claims(url, options);
    assert.equal(claims({ media: true }), true);
    assert.equal(claims({}), false);
    assert.equal(claims({ media: true, remote: true }), false);
    assert.equal(claims({ media: true, namedBy: "https://other.example/" }), false);
    assert.equal(claims({ media: true, namedBy: "https://films.example/list" }), true);
    assert.equal(claims({ media: true }, "ftp://h/x"), false);
    assert.equal(locateProgram("/nowhere/yt-dlp", "/usr/bin"), undefined);
  });
});

const real = locateProgram("", process.env["PATH"]);

test("the real one reads a local page", { skip: real === undefined && "yt-dlp is not installed" }, async () => {
  await using server = createServer((request, response) => {
    if (request.url !== "/page.html") return void response.setHeader("Content-Type", "video/mp4").end("video");
    response.setHeader("Content-Type", "text/html");
    response.end(
      "<title>Local film</title><script>jwplayer('x').setup({file: '/film.mp4', title: 'Local film'});</script>",
    );
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const never = { open: () => Promise.reject(new Error("no manifest is named")) };
  const resolver = new YtDlpResolver({
    manifests: { hls: never, dash: never },
    options: () => ({ enabled: true, path: "", timeoutMs: 60_000, proxy: "" }),
    environment: process.env,
    clock: new SystemClock(),
  });
  const media = await resolver.resolve({ url: `${base}/page.html`, mirrors: [], options: { media: true } }, signal);
  assert.ok(media.kind === "media");
  assert.equal(media.formats.at(-1)?.file?.[0].url, `${base}/film.mp4`);
  assert.match(media.details.title, /Local film|page/);
});
