/** Pages, feeds and lists on a real server, through the whole engine: what comes of them is files with names. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { DownloadOptions } from "../../src/daemon/core/session.ts";
import { type LibraryHome, libraryHome, sha256Of } from "../support/library.ts";
import { waitFor } from "../support/wait.ts";

interface Page {
  readonly type: string;
  readonly body: string;
}

/** Serves pages by their paths; `ORIGIN` in them is its own. */
async function site(pages: Readonly<Record<string, Page>>) {
  const asked: { readonly path: string; readonly headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.push({ path, headers: request.headers });
    const page = pages[path];
    if (!page) return void response.writeHead(404).end();
    response.setHeader("Content-Type", page.type);
    response.end(page.body.replaceAll("ORIGIN", origin));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    asked,
    times: (path: string) => asked.filter((each) => each.path === path).length,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** Fetches a URL, and waits for whatever it led to. */
async function get(home: LibraryHome, url: string, options: DownloadOptions) {
  // Where there is no FFmpeg the same comes out.
  const manager = home.manager({ ytdlp: { enabled: false } });
  const [result] = await manager.download([url], { tags: false, ...options });
  const session = await manager.sessions.get(result?.sessionId ?? "");
  const { batchId, count = 0 } = session?.expansion ?? {};
  if (batchId === undefined) return { result, sessions: [] };
  const sessions = await waitFor("the end of all", async () => {
    const page = await manager.sessions.list({ batchId }, { size: 100 });
    const made = page.sessions.filter(({ id }) => id !== session?.id);
    return made.length >= count && made.every(({ status }) => status === "completed" || status === "failed") && made;
  });
  return { result, sessions };
}

const AUDIO = { type: "audio/mpeg", body: "sound" };

const list = (...names: readonly string[]) => ({ type: "audio/x-mpegurl", body: `#EXTM3U\n${names.join("\n")}\n` });

const FEED = {
  type: "text/xml",
  body: `<?xml version="1.0"?><rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"><channel><title>Show</title>
    ${[1, 2, 3]
      .map(
        (day) => `<item><title>Part ${day}/3</title><guid>g${day}</guid><itunes:episode>${day}</itunes:episode>
      <pubDate>0${day} Jan 2026 06:00:00 GMT</pubDate><enclosure url="ORIGIN/audio.mp3?e=${day}" length="5" type="audio/mpeg"/></item>`,
      )
      .join("")}</channel></rss>`,
};

describe("a page", () => {
  const html = `<title>Head</title><script type="application/ld+json">{"@type":"AudioObject","name":"The talk","contentUrl":"/audio.mp3"}</script>`;
  const pages = { "/talk.html": { type: "text/html", body: html }, "/audio.mp3": AUDIO };

  test("means its medium if that is asked for, else itself", async () => {
    await using home = await libraryHome();
    await using server = await site(pages);
    const { result } = await get(home, `${server.origin}/talk.html`, { media: true, template: "%(title)s.%(ext)s" });
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(await home.files(), ["The talk.mp3"]);
    assert.equal(server.times("/audio.mp3"), 1);
    await using other = await libraryHome();
    await get(other, `${server.origin}/talk.html`, {});
    assert.equal(await readFile(join(other.downloads, "talk.html"), "utf8"), html);
  });

  test("that names nothing says so", async () => {
    await using home = await libraryHome();
    await using server = await site({ "/": { type: "text/html", body: "<p>words" } });
    const { result } = await get(home, server.origin, { media: true });
    assert.equal(result?.error?.code, "MEDIA_NOT_FOUND");
  });
});

describe("a feed", () => {
  const pages = Object.fromEntries([1, 2, 3].map((day) => [`/audio.mp3?e=${day}`, AUDIO]));

  test("its newest, named by what it says of them, each asked for once", async () => {
    await using home = await libraryHome();
    await using server = await site({ "/feed": FEED, ...pages });
    const headers = [["X-Key", "k"]] as const;
    const { sessions } = await get(home, `${server.origin}/feed`, {
      newest: 2,
      headers,
      template: "%(series)s/%(episode_number)02d %(title)s.%(ext)s",
    });
    assert.deepEqual(
      sessions.map(({ error }) => error?.message),
      [undefined, undefined],
    );
    assert.deepEqual(
      sessions.map(({ file }) => file?.path.slice(home.downloads.length + 1).replace(/[^\w/. ]/g, "_")).sort(),
      ["Show/02 Part 2_3.mp3", "Show/03 Part 3_3.mp3"],
    );
    assert.deepEqual(
      [1, 2, 3].map((day) => server.times(`/audio.mp3?e=${day}`)),
      [0, 1, 1],
    );
    assert.ok(sessions.every(({ options }) => options.namedBy === `${server.origin}/feed`));
    assert.ok(
      server.asked.every((each) => each.headers["x-key"] === "k"),
      "they are of one origin",
    );
  });

  test("is a file like any other if nobody asks for what is in it", async () => {
    await using home = await libraryHome();
    await using server = await site({ "/feed": FEED });
    const { result } = await get(home, `${server.origin}/feed`, {});
    assert.equal(result?.status, "completed");
    assert.match(await readFile(result?.path ?? "", "utf8"), /^<\?xml/);
  });
});

describe("a list", () => {
  test("of files is the files; a list in it is read too", async () => {
    await using home = await libraryHome();
    await using server = await site({
      "/a.m3u": { type: "audio/x-mpegurl", body: "#EXTM3U\n#EXTINF:5,One\naudio.mp3\nb.m3u\n" },
      "/b.m3u": { type: "audio/x-mpegurl", body: "#EXTM3U\n/a/two.mp3\n" },
      "/audio.mp3": AUDIO,
      "/a/two.mp3": AUDIO,
    });
    const { sessions } = await get(home, `${server.origin}/a.m3u`, {});
    assert.ok(sessions.length >= 2 && sessions.every(({ status }) => status === "completed"));
    await waitFor("both", async () => (await home.files()).filter((name) => name.endsWith(".mp3")).length === 2);
    assert.deepEqual([server.times("/audio.mp3"), server.times("/a/two.mp3")], [1, 1]);
  });

  test("that leads to itself by way of others is read once, and what else they name is there", async () => {
    await using home = await libraryHome();
    await using server = await site({
      "/a.m3u": list("a.m3u?x", "audio.mp3"),
      "/a.m3u?x": list("a.m3u?y"),
      "/a.m3u?y": list("a.m3u", "a.m3u?x", "a.m3u?y"),
      "/audio.mp3": AUDIO,
      "/alone.m3u": list("alone.m3u"),
    });
    await using other = await libraryHome();
    await get(other, `${server.origin}/alone.m3u`, {});
    const once = server.times("/alone.m3u");
    const { result } = await get(home, `${server.origin}/a.m3u`, {});
    assert.equal(result?.status, "failed");
    assert.match(result?.error?.message ?? "", /names only itself, or lists that led to it/);
    const lists = ["/a.m3u", "/a.m3u?x", "/a.m3u?y"].map((path) => server.times(path));
    assert.deepEqual(lists, [once, once, once]);
    assert.equal(server.times("/audio.mp3"), 1);
  });

  test("of lists of lists ends at some depth", async () => {
    await using home = await libraryHome();
    const pages = Array.from({ length: 10 }, (_, at) => [`/${at}.m3u`, list(`${at + 1}.m3u`)] as const);
    await using server = await site(Object.fromEntries(pages));
    const { result } = await get(home, `${server.origin}/0.m3u`, {});
    assert.match(result?.error?.message ?? "", /lists that name lists .* more than 6 deep/);
    assert.deepEqual(
      pages.map(([path]) => server.times(path) > 0),
      pages.map((_, at) => at <= 6),
    );
  });

  test("a Metalink of several files: each under its name, held against its digest", async () => {
    const file = (name: string, digest: string) =>
      `<file name="${name}"><hash type="sha-256">${digest}</hash><url>ORIGIN/audio.mp3?${name}</url></file>`;
    await using home = await libraryHome();
    await using server = await site({
      "/all.meta4": {
        type: "application/metalink4+xml",
        body: `<metalink xmlns="urn:ietf:params:xml:ns:metalink">${file("a/one.mp3", sha256Of(Buffer.from("sound")))}${file("../two.mp3", "0".repeat(64))}</metalink>`,
      },
      "/audio.mp3?a/one.mp3": AUDIO,
      "/audio.mp3?../two.mp3": AUDIO,
    });
    const { sessions } = await get(home, `${server.origin}/all.meta4`, {});
    assert.deepEqual(
      sessions
        .map(({ status, error, file: stored }) => [
          status,
          error?.code ?? stored?.path.slice(home.downloads.length + 1),
        ])
        .sort(),
      [
        ["completed", "a/one.mp3"],
        ["failed", "CHECKSUM_MISMATCH"],
      ],
    );
  });
});
