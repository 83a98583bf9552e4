/** Feeds that are followed: each episode once, whatever happens in between. A real server, a database in memory, time in hand. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { readFile, stat, utimes, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { FeedSettings } from "../../../src/daemon/core/ports/followed.ts";
import type { HttpClient, HttpResponse } from "../../../src/daemon/core/ports/http.ts";
import type { Accepted } from "../../../src/daemon/core/ports/intake.ts";
import type { KeyValue } from "../../../src/daemon/core/ports/key-value.ts";
import type { Session } from "../../../src/daemon/core/session.ts";
import { DiskFileStore } from "../../../src/daemon/disk/file-store.ts";
import { Feeds } from "../../../src/daemon/feeds/feeds.ts";
import { UndiciClient } from "../../../src/daemon/http/client.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { readFeed } from "../../../src/daemon/resolve/feed-read.ts";
import { temporaryFolder } from "../../support/files.ts";
import { ListSessions } from "../../support/list-sessions.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";

const HOUR = 3_600_000;
const control = new AbortController();

/** A podcast whose episodes, and whatever else, a test says. */
class Podcast implements AsyncDisposable {
  episodes: { readonly guid?: string; readonly url: string; readonly day: number }[] = [];
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  etag: string | undefined;
  readonly asked: { readonly etag: string | undefined; readonly since: string | undefined; readonly status: number }[] =
    [];
  readonly #server = createServer((request, response) => this.#serve(request, response));

  async listen(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/feed.xml`;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const etag = request.headers["if-none-match"];
    response.once("finish", () =>
      this.asked.push({ etag, since: request.headers["if-modified-since"], status: response.statusCode }),
    );
    if (this.answer) {
      this.answer(request, response);
      return;
    }
    if (this.etag !== undefined) response.setHeader("ETag", this.etag);
    if (this.etag !== undefined && etag === this.etag) {
      response.writeHead(304).end();
      return;
    }
    response.setHeader("Last-Modified", "Mon, 05 Jan 2026 06:00:00 GMT");
    response.end(
      `<rss version="2.0"><channel><title>Show</title>${this.episodes
        .map(
          ({ guid, url, day }) => `<item><title>E${day}</title>${guid === undefined ? "" : `<guid>${guid}</guid>`}
        <pubDate>${new Date(Date.UTC(2026, 0, day)).toUTCString()}</pubDate>
        <enclosure url="${url.replaceAll("&", "&amp;")}" length="5" type="audio/mpeg"/></item>`,
        )
        .join("")}</channel></rss>`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}

/** As far as feeds need a client. */
const client: HttpClient = {
  async request({ url, headers = [] }, signal): Promise<HttpResponse> {
    // What a URL names as its user is no part of the request line.
    const place = Object.assign(new URL(url), { username: "", password: "" });
    const response = await fetch(place, {
      headers: headers.map(([name, value]): [string, string] => [name, value]),
      signal: signal ?? null,
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    return {
      status: response.status,
      headers: new Map(response.headers),
      url: response.url,
      chain: [url],
      pipe: async (sink) => sink(bytes),
      text: () => Promise.resolve(Buffer.from(bytes).toString()),
      cancel: () => undefined,
    };
  },
};

/** Who asks for feeds. */
let asks: HttpClient = client;
let podcast: Podcast;
let url: string;
let store: KeyValue;
let clock: TestClock;
let sessions: ListSessions;
let feeds: Feeds;
let logger: RecordLogger;
let known: Map<string, Session>;
let batches: Map<string, readonly string[]>;

const files = new DiskFileStore();

async function open(): Promise<void> {
  sessions = new ListSessions(store);
  logger = new RecordLogger();
  const accept = sessions.accept.bind(sessions);
  sessions.accept = async (requests, options): Promise<readonly Accepted[]> => {
    const accepted = await accept(requests, options);
    for (const { session } of accepted) if (!known.has(session.id)) known.set(session.id, session);
    return accepted;
  };
  feeds = new Feeds({
    store,
    intake: sessions,
    sessions: {
      get: (id) => Promise.resolve(known.get(id)),
      batches: (id) => Promise.resolve(batches.get(id) ?? [known.get(id)?.batchId ?? ""]),
    },
    files,
    client: { request: (request, signal) => asks.request(request, signal) },
    reader: { read: readFeed },
    clock,
    logger,
    random: () => 0,
  });
  await feeds.start();
}

const urls = () => [...known.values()].map((session) => session.url);
const follow = (settings: Partial<FeedSettings> = {}) =>
  feeds.add(url, { everyMs: HOUR, deleteOld: false, options: { directory: "/d" }, ...settings });
const poll = async () => {
  const [polled] = await feeds.poll(url, control.signal);
  assert.ok(polled);
  return polled;
};
const episode = (day: number, query = "") => ({ guid: `g${day}`, url: `https://cdn.example/${day}.mp3${query}`, day });

beforeEach(async () => {
  podcast = new Podcast();
  url = await podcast.listen();
  store = new MemoryKeyValue();
  clock = new TestClock();
  asks = client;
  known = new Map();
  batches = new Map();
  await open();
});

afterEach(async () => {
  await feeds[Symbol.asyncDispose]();
  await podcast[Symbol.asyncDispose]();
});

describe("each episode once", () => {
  test("polled three times, with what is new in between", async () => {
    podcast.episodes = [episode(2), episode(1)];
    await follow();
    assert.equal((await poll()).newCount, 2);
    assert.equal((await poll()).newCount, 0);
    podcast.episodes = [episode(3), ...podcast.episodes];
    assert.equal((await poll()).newCount, 1);
    assert.deepEqual(
      urls(),
      [1, 2, 3].map((day) => `https://cdn.example/${day}.mp3`),
    );
    const [first] = known.values();
    const { namedBy, about } = first?.options ?? {};
    assert.equal(namedBy, url);
    assert.deepEqual([about?.title, about?.series, about?.type], ["E1", "Show", "audio/mpeg"]);
    assert.equal(first?.batchId, feeds.list()[0]?.id);
  });

  test("whatever its URL is signed with, with an identifier or without", async () => {
    const { guid: _guid, ...nameless } = episode(2, "?id=7&X-Amz-Signature=a&Expires=1");
    podcast.episodes = [episode(1, "?token=a"), nameless];
    await follow();
    await poll();
    podcast.episodes = [
      { ...episode(1), url: "https://other.example/moved.mp3" },
      { ...nameless, url: "https://cdn.example/2.mp3?Expires=2&id=7&X-Amz-Signature=b" },
    ];
    assert.equal((await poll()).newCount, 0);
    assert.equal(known.size, 2);
  });

  test("after a death between two batches nothing is lost and nothing doubled", async () => {
    podcast.episodes = Array.from({ length: 1200 }, (_, at) => ({
      guid: `g${at}`,
      url: `https://cdn.example/${at}.mp3`,
      day: 1,
    }));
    await follow();
    sessions.beforeAccept = (call) => {
      if (call === 1) throw new Error("the disk is full");
    };
    const failed = await poll();
    assert.match(failed.feed.problem ?? "", /the disk is full/);
    assert.equal(known.size, 500);
    await feeds[Symbol.asyncDispose]();
    podcast.etag = '"new"';
    await open();
    assert.equal((await poll()).newCount, 700);
    assert.equal(new Set(urls()).size, 1200);
    assert.equal(known.size, 1200);
  });

  test("the user that the feed's URL names goes to episodes of its origin only", async () => {
    const origin = new URL(url).origin;
    podcast.episodes = [episode(2), { guid: "own", url: `${origin}/1.mp3`, day: 1 }];
    const asked = url.replace("http://", "http://me:pw@");
    await feeds.add(asked, { everyMs: HOUR, deleteOld: false, options: { directory: "/d" } });
    await feeds.poll(asked, control.signal);
    const basic = [["Authorization", `Basic ${Buffer.from("me:pw").toString("base64")}`]];
    assert.deepEqual(
      [...known.values()].map(({ url: at, options }) => [new URL(at).origin, options.headers]),
      [
        [origin, basic],
        ["https://cdn.example", undefined],
      ],
    );
  });

  test("from a feed that is coded although it was asked for as it is", async () => {
    await using real = new UndiciClient({ userAgent: "snatch-test" }, { clock: new SystemClock(), logger });
    asks = real;
    const feed = `<?xml version="1.0" encoding="ISO-8859-1"?><rss version="2.0"><channel><title>Größe</title>
      <item><guid>g1</guid><enclosure url="https://cdn.example/1.mp3" type="audio/mpeg"/></item></channel></rss>`;
    podcast.answer = (_request, response) => {
      response.writeHead(200, { "Content-Encoding": "gzip" }).end(gzipSync(Buffer.from(feed, "latin1")));
    };
    await follow();
    const { newCount, feed: state } = await poll();
    assert.deepEqual([state.problem, newCount, state.title], [undefined, 1, "Größe"]);
    podcast.answer = (_request, response) => {
      response.writeHead(200, { "Content-Encoding": "gzip" }).end(gzipSync(feed).subarray(0, 60));
    };
    assert.match((await poll()).feed.problem ?? "", /^TRUNCATED/);
  });

  test("one that the daemon will not fetch holds up no other", async () => {
    podcast.episodes = [episode(2), { guid: "x", url: "https://cdn.example/%zz.mp3", day: 1 }];
    const check = sessions.check.bind(sessions);
    sessions.check = (all, options) => {
      if (all[0]?.includes("%zz")) throw new Error("no such URL");
      return check(all, options);
    };
    await follow();
    assert.equal((await poll()).newCount, 1);
  });
});

describe("how many", () => {
  const ten = () => Array.from({ length: 10 }, (_, at) => episode(10 - at));

  test("newest: of what is there at first; everything after that", async () => {
    podcast.episodes = ten();
    await follow({ newest: 2 });
    assert.equal((await poll()).newCount, 2);
    podcast.episodes = [episode(13), episode(12), episode(11), ...ten()];
    assert.equal((await poll()).newCount, 3);
    assert.deepEqual(
      urls(),
      [9, 10, 11, 12, 13].map((day) => `https://cdn.example/${day}.mp3`),
    );
  });

  test("keep: what is older than the newest so many does not count", async () => {
    podcast.episodes = ten();
    await follow({ keep: 3 });
    assert.equal((await poll()).newCount, 3);
    podcast.episodes = [...[15, 14, 13, 12, 11].map((day) => episode(day)), ...ten()];
    assert.equal((await poll()).newCount, 3);
    podcast.episodes = [episode(15), episode(8)];
    assert.equal((await poll()).newCount, 0);
  });
});

describe("old files", () => {
  /** As if the downloads had ended: each with a file. */
  async function complete(folder: string): Promise<void> {
    for (const [id, session] of known) {
      if (session.file) continue;
      const path = join(folder, session.url.split("/").at(-1) ?? "");
      writeFileSync(path, "audio");
      const { size, mtimeMs, ino } = await stat(path);
      known.set(id, { ...session, status: "completed", file: { path, size, mtimeMs, ino } });
    }
  }

  const there = async (folder: string) =>
    (
      await Promise.all(
        [1, 2, 3, 4].map((day) =>
          readFile(join(folder, `${day}.mp3`)).then(
            () => day,
            () => 0,
          ),
        ),
      )
    ).filter(Boolean);

  test("stay, unless it was asked for; then those go that nobody touched", async () => {
    await using folder = await temporaryFolder();
    podcast.episodes = [episode(3), episode(2), episode(1)];
    await follow({ keep: 3 });
    await poll();
    await complete(folder.path);
    await follow({ keep: 1 });
    assert.equal((await poll()).removedCount, 0);
    assert.deepEqual(await there(folder.path), [1, 2, 3]);
    await utimes(join(folder.path, "1.mp3"), new Date(), new Date(1000));
    await follow({ keep: 1, deleteOld: true });
    assert.equal((await poll()).removedCount, 1);
    assert.deepEqual(await there(folder.path), [1, 3]);
    await writeFile(join(folder.path, "2.mp3"), "mine");
    assert.equal((await poll()).removedCount, 0);
    assert.deepEqual(await there(folder.path), [1, 2, 3]);
  });

  test("stay until newer ones are here", async () => {
    await using folder = await temporaryFolder();
    podcast.episodes = [episode(2), episode(1)];
    await follow({ keep: 2, deleteOld: true });
    await poll();
    await complete(folder.path);
    podcast.episodes = [episode(4), episode(3), ...podcast.episodes];
    assert.deepEqual([(await poll()).newCount, await there(folder.path)], [2, [1, 2]]);
    assert.equal((await poll()).removedCount, 0);
    await complete(folder.path);
    const [newest] = [...known].findLast(([, session]) => session.url.endsWith("/4.mp3")) ?? [];
    const session = known.get(newest ?? "");
    assert.ok(session);
    known.set(session.id, { ...session, status: "failed" });
    assert.equal((await poll()).removedCount, 1);
    assert.deepEqual(await there(folder.path), [2, 3, 4]);
    known.set(session.id, session);
    assert.equal((await poll()).removedCount, 1);
    assert.deepEqual(await there(folder.path), [3, 4]);
  });

  test("that another batch asked for as well stay", async () => {
    await using folder = await temporaryFolder();
    podcast.episodes = [episode(3), episode(2), episode(1)];
    await follow({ keep: 3 });
    await poll();
    await complete(folder.path);
    const first = [...known.values()].find((session) => session.url.endsWith("/1.mp3"));
    batches.set(first?.id ?? "", [first?.batchId ?? "", "mine"]);
    await follow({ keep: 1, deleteOld: true });
    assert.equal((await poll()).removedCount, 1);
    assert.deepEqual(await there(folder.path), [1, 3]);
  });

  test("that cannot be removed undo nothing of what the poll learnt", async (t) => {
    await using folder = await temporaryFolder();
    podcast.episodes = [episode(2), episode(1)];
    podcast.etag = '"one"';
    await follow({ keep: 2 });
    await poll();
    await complete(folder.path);
    await follow({ keep: 1, deleteOld: true });
    t.mock.method(files, "remove", () => Promise.reject(new Error("read-only file system")));
    const { feed, removedCount } = await poll();
    assert.deepEqual([removedCount, feed.problem, feed.nextPollAt - clock.now()], [0, undefined, HOUR]);
    assert.equal(feeds.list()[0]?.problem, undefined);
    assert.match(logger.lines.at(-1)?.message ?? "", /read-only file system/);
    t.mock.restoreAll();
    assert.equal((await poll()).removedCount, 1);
  });

  test("that were here before are not the feed's", async () => {
    await using folder = await temporaryFolder();
    podcast.episodes = [episode(2), episode(1)];
    await sessions.accept([sessions.check(["https://cdn.example/1.mp3"], { directory: "/d" })]);
    await follow({ keep: 2 });
    await poll();
    await complete(folder.path);
    await follow({ keep: 1, deleteOld: true });
    assert.equal((await poll()).removedCount, 0);
    assert.deepEqual(await there(folder.path), [1, 2]);
  });
});

describe("when it is asked", () => {
  /** Until so many answers were given. */
  const answers = async (count: number) => {
    while (podcast.asked.length < count) await new Promise((resolve) => setTimeout(resolve, 2));
    await feeds.poll("no-such", control.signal).catch(() => undefined);
  };

  test("at once, then in its rhythm, and only for what has changed", async () => {
    podcast.episodes = [episode(1)];
    podcast.etag = '"one"';
    await follow();
    await clock.advance(1);
    await answers(1);
    while (feeds.list()[0]?.lastPollAt === undefined) await new Promise((resolve) => setTimeout(resolve, 2));
    await clock.advance(HOUR - 1000);
    assert.equal(podcast.asked.length, 1);
    await clock.advance(2000);
    await answers(2);
    assert.deepEqual(podcast.asked, [
      { etag: undefined, since: undefined, status: 200 },
      { etag: '"one"', since: "Mon, 05 Jan 2026 06:00:00 GMT", status: 304 },
    ]);
    assert.equal(known.size, 1);
  });

  test("less often while it fails; what failed is told, and forgotten when it is well again", async () => {
    await follow();
    podcast.answer = (_request, response) => void response.writeHead(503).end();
    const pauses: number[] = [];
    for (let turn = 0; turn < 4; turn++) {
      const { feed } = await poll();
      pauses.push((feed.nextPollAt - clock.now()) / HOUR);
      assert.match(feed.problem ?? "", /^HTTP_SERVER_ERROR: .* answers 503/);
    }
    assert.deepEqual(pauses, [1, 2, 4, 8]);
    podcast.answer = undefined;
    podcast.episodes = [episode(1)];
    const { feed, newCount } = await poll();
    assert.deepEqual([newCount, feed.problem, feed.nextPollAt - clock.now()], [1, undefined, HOUR]);
    podcast.answer = (_request, response) => void response.end("<html>");
    assert.match((await poll()).feed.problem ?? "", /^FEED_INVALID/);
  });

  test("what it knows survives, and is gone with the feed", async () => {
    podcast.episodes = [episode(1)];
    podcast.etag = '"one"';
    const { id } = await follow();
    await poll();
    await feeds[Symbol.asyncDispose]();
    await open();
    assert.deepEqual(
      feeds.list().map(({ title, episodeCount }) => [title, episodeCount]),
      [["Show", 1]],
    );
    assert.equal((await poll()).newCount, 0);
    assert.equal(podcast.asked.at(-1)?.status, 304);
    await feeds.remove(id.slice(0, 8));
    assert.deepEqual(feeds.list(), []);
    for await (const [key] of store.entries("feed-episode")) assert.fail(`${key} is left`);
    await assert.rejects(feeds.remove(id), { code: "FEED_NOT_FOUND" });
  });

  test("what makes no sense is refused at once", async () => {
    await assert.rejects(follow({ everyMs: 1000 }), { code: "INVALID_ARGUMENT", message: /every minute at most/ });
    await assert.rejects(follow({ deleteOld: true }), { code: "INVALID_ARGUMENT", message: /how many are kept/ });
    await assert.rejects(feeds.add("file:///etc/passwd", { everyMs: HOUR, deleteOld: false, options: {} }), {
      code: "UNSUPPORTED_SCHEME",
    });
  });
});
