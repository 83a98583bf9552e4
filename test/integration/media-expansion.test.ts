/** A URL that means several things: each is a session, whoever waits for the one waits for all. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { libraryHome } from "../support/library.ts";
import { type SegmentOrigin, segmentOrigin } from "../support/segment-origin.ts";

const AUDIO = Buffer.concat([Buffer.from("ID3"), Buffer.alloc(20_000, 7)]);

function feedOf(origin: SegmentOrigin, titles: readonly string[]): string {
  const items = titles.map(
    (title, at) =>
      `<item><title>${title}</title><guid>${at}</guid><pubDate>Mon, ${String(20 - at).padStart(2, "0")} Jan 2025 10:00:00 GMT</pubDate>` +
      `<enclosure url="${origin.url}/episode/${at}/media.mp3" length="20003" type="audio/mpeg"/></item>`,
  );
  return `<?xml version="1.0"?><rss version="2.0"><channel><title>The Show</title>${items.join("")}</channel></rss>`;
}

async function podcast(titles: readonly string[]) {
  const origin = await segmentOrigin();
  origin.files.set("/feed.rss", feedOf(origin, titles));
  for (const at of titles.keys()) origin.files.set(`/episode/${at}/media.mp3`, AUDIO);
  origin.misbehave = (path, _times, _request, response) => {
    if (path !== "/feed.rss") return false;
    response.writeHead(200, { "Content-Type": "application/rss+xml" }).end(origin.files.get(path));
    return true;
  };
  return origin;
}

test("a feed: every episode under its title, waited for, in one batch", async () => {
  await using origin = await podcast(["First: things", "Second/../thing", "Third"]);
  await using home = await libraryHome();
  const manager = home.manager();
  const [result] = await manager.download([`${origin.url}/feed.rss`], { media: true });
  assert.equal(result?.status, "completed", result?.error?.message);
  assert.equal(result.items?.length, 3);
  assert.ok(result.items?.every(({ status }) => status === "completed"));
  assert.equal((await home.files()).length, 3, (await home.files()).join());
  assert.ok((await home.files()).some((name) => name.startsWith("Third")));
  const session = await manager.sessions.get(result.sessionId);
  assert.deepEqual(session?.expansion, { batchId: result.sessionId, count: 3 });
});

test("polled again: what is here is not fetched again; a new episode is", async () => {
  await using origin = await podcast(["One", "Two"]);
  await using home = await libraryHome();
  const manager = home.manager();
  const url = `${origin.url}/feed.rss`;
  await manager.download([url], { media: true });
  await manager.download([url], { media: true });
  origin.files.set("/feed.rss", feedOf(origin, ["One", "Two", "Three"]));
  origin.files.set("/episode/2/media.mp3", AUDIO);
  const [third] = await manager.download([url], { media: true });
  assert.equal(third?.items?.length, 3);
  const gets = origin.requests.filter((path) => path.startsWith("/episode/"));
  assert.deepEqual(
    gets.toSorted(),
    [0, 1, 2].map((at) => `/episode/${at}/media.mp3`),
    "each once",
  );
});

test("one that fails fails the whole, and the others are there", async () => {
  await using origin = await podcast(["One", "Two"]);
  origin.files.delete("/episode/1/media.mp3");
  await using home = await libraryHome();
  const [result] = await home.manager({ max_retries: 0 }).download([`${origin.url}/feed.rss`], { media: true });
  assert.equal(result?.status, "failed");
  assert.equal(result?.error?.code, "HTTP_NOT_FOUND");
  assert.equal((await home.files()).length, 1);
});

test("--newest takes so many; header fields go to their own origin only", async () => {
  await using origin = await podcast(["One", "Two", "Three"]);
  await using elsewhere = await segmentOrigin({ "/media.mp3": AUDIO });
  const seen: (string | undefined)[] = [];
  elsewhere.misbehave = (_path, _times, request) => {
    seen.push(request.headers.authorization);
    return false;
  };
  const feed = feedOf(origin, ["One", "Two", "Three"]).replace(`${origin.url}/episode/0/`, `${elsewhere.url}/`);
  origin.files.set("/feed.rss", feed);
  await using home = await libraryHome();
  const headers = [["Authorization", "Bearer secret"]] as const;
  const [result] = await home.manager().download([`${origin.url}/feed.rss`], { newest: 1, headers });
  assert.equal(result?.items?.length, 1);
  assert.equal(result?.status, "completed", result?.error?.message);
  assert.ok(seen.length > 0);
  assert.ok(seen.every((value) => value === undefined));
});

test("a template makes folders below the directory, and never outside of it", async () => {
  await using origin = await podcast(["../../evil", "good"]);
  await using home = await libraryHome();
  const template = "%(playlist_title)s/%(title)s.%(ext)s";
  const [result] = await home.manager().download([`${origin.url}/feed.rss`], { media: true, template });
  assert.equal(result?.status, "completed", result?.error?.message);
  assert.deepEqual(await readdir(home.downloads), ["The Show"]);
  assert.equal((await readdir(join(home.downloads, "The Show"))).length, 2);
  assert.ok(AUDIO.equals(await readFile(join(home.downloads, "The Show", "good.mp3"))));
});

test("a folder that a link leads elsewhere is refused", async () => {
  await using origin = await podcast(["One"]);
  await using home = await libraryHome();
  await using outside = await libraryHome();
  await mkdir(home.downloads, { recursive: true });
  await symlink(outside.home, join(home.downloads, "The Show"));
  const template = "%(playlist_title)s/%(title)s.%(ext)s";
  const [result] = await home.manager().download([`${origin.url}/feed.rss`], { media: true, template });
  assert.equal(result?.error?.code, "TARGET_NOT_ALLOWED", `${result?.error?.message} ${tmpdir()}`);
  assert.deepEqual(await outside.files(), []);
});

test("the same URL in another format is another thing", async () => {
  await using home = await libraryHome();
  const manager = home.manager();
  await manager.start();
  const url = "http://127.0.0.1:9/a";
  const [plain] = await manager.enqueue([url]);
  const [audio] = await manager.enqueue([url], { format: "bestaudio" });
  const [again] = await manager.enqueue([url], { format: "bestaudio" });
  assert.notEqual(plain?.id, audio?.id);
  assert.equal(audio?.id, again?.id);
});

/** Playlists that name others. */
async function lists(named: Record<string, readonly string[]>) {
  const origin = await segmentOrigin();
  for (const [path, urls] of Object.entries(named))
    origin.files.set(path, `#EXTM3U\n${urls.map((url) => `#EXTINF:1,${url}\n${origin.url}${url}\n`).join("")}`);
  origin.misbehave = (path, _times, _request, response) => {
    const list = path in named && origin.files.get(path);
    if (list) response.writeHead(200, { "Content-Type": "audio/x-mpegurl" }).end(list);
    return Boolean(list);
  };
  return origin;
}

test("lists that lead to each other while both are under way: whoever waits gets an answer", {
  timeout: 30_000,
}, async () => {
  await using origin = await lists({ "/a.m3u": ["/b.m3u", "/one.mp3"], "/b.m3u": ["/a.m3u", "/two.mp3"] });
  for (const path of ["/one.mp3", "/two.mp3"]) origin.files.set(path, AUDIO);
  const answer = origin.misbehave;
  const both = Promise.withResolvers<void>();
  const asked = new Set<string>();
  origin.misbehave = (path, times, request, response) => {
    if (!path.endsWith(".m3u")) return false;
    if (asked.add(path).size === 2) both.resolve();
    void both.promise.then(() => answer(path, times, request, response));
    return true;
  };
  await using home = await libraryHome();
  const manager = home.manager();
  // Both are active at once, so that each finds the other's session.
  const results = await manager.download([`${origin.url}/a.m3u`, `${origin.url}/b.m3u`], { media: true });
  assert.ok(results.every(({ items }) => (items?.length ?? 0) > 0));
});

test("a list that names itself: left out; one that names nothing else is an error", { timeout: 30_000 }, async () => {
  await using origin = await lists({ "/a.m3u": ["/a.m3u", "/one.mp3"], "/only.m3u": ["/only.m3u"] });
  origin.files.set("/one.mp3", AUDIO);
  await using home = await libraryHome();
  const manager = home.manager({ max_retries: 0 });
  const [both] = await manager.download([`${origin.url}/a.m3u`], { media: true });
  assert.equal(both?.status, "completed", both?.error?.message);
  assert.equal(both.items?.length, 1);
  const [only] = await manager.download([`${origin.url}/only.m3u`], { media: true });
  assert.equal(only?.error?.code, "MEDIA_INVALID", only?.error?.message);
  assert.match(only?.error?.message ?? "", /names only itself/);
});
