/** Metadata and thumbnails from real origins, through the real client, in a real vault. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { AnswerCacheParts } from "../../src/daemon/cache/answer-kind.ts";
import { LONGEST_URL } from "../../src/daemon/cache/ask.ts";
import { MetadataCache } from "../../src/daemon/cache/metadata-cache.ts";
import { ENTRIES, INDEX } from "../../src/daemon/cache/records.ts";
import { ThumbnailCache } from "../../src/daemon/cache/thumbnail-cache.ts";
import type { UrlMetadata } from "../../src/daemon/cache/url-metadata.ts";
import { UndiciClient } from "../../src/daemon/http/client.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { jpeg, png } from "../support/images.ts";
import { type Call, type Origin, resourceOf, serve } from "../support/origins/origin.ts";
import { RecordLogger } from "../support/record-logger.ts";
import { evenLimits, VaultFixture } from "../support/vault-fixture.ts";

const client = new UndiciClient({ userAgent: "snatch-test" }, { clock: new SystemClock(), logger: new RecordLogger() });
after(() => client[Symbol.asyncDispose]());

const MAX = 20_000;
const fetching = { fetchIfMissing: true } as const;

/** Both caches over a vault of their own. */
class Caches implements AsyncDisposable {
  readonly fixture: VaultFixture;
  readonly metadata: MetadataCache;
  readonly thumbnails: ThumbnailCache;

  private constructor(fixture: VaultFixture) {
    this.fixture = fixture;
    const { vault, clock, logger } = fixture;
    const limits = () => ({ maxBytes: MAX, ttlSeconds: 60 });
    const parts: AnswerCacheParts = { vault, client, clock, logger, limits };
    this.metadata = new MetadataCache(parts);
    this.thumbnails = new ThumbnailCache(parts);
  }

  static async start(): Promise<Caches> {
    return new Caches(await VaultFixture.start());
  }

  /** Lets seconds pass. */
  pass(seconds: number): Promise<void> {
    return this.fixture.clock.advance(seconds * 1000);
  }

  async fetch(url: string, options: Parameters<MetadataCache["getMetadata"]>[1] = {}): Promise<UrlMetadata> {
    return (await this.metadata.getMetadata(url, { ...fetching, ...options })) as unknown as UrlMetadata;
  }

  /** Answers as an origin whose clock is that of the test. */
  origin(answer: (call: Call, fields: Record<string, string>) => void): Promise<Origin> {
    return serve(resourceOf(Buffer.from("")), (call) => {
      answer(call, { date: new Date(this.fixture.clock.now()).toUTCString(), "content-type": "application/json" });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.metadata[Symbol.asyncDispose]();
    await this.thumbnails[Symbol.asyncDispose]();
    await this.fixture[Symbol.asyncDispose]();
  }
}

/** An origin that counts its versions up, and knows conditional requests. */
const versioned = (caches: Caches, more: Readonly<Record<string, string>>, version = { now: 1 }) =>
  caches.origin(({ seen, send }, fields) => {
    const etag = `"v${version.now}"`;
    const all = { ...fields, etag, "cache-control": "max-age=60", ...more };
    if (seen.headers["if-none-match"] === etag) send(304, { ...all, "content-length": undefined, "x-is": "304" });
    else send(200, all, JSON.stringify({ version: version.now }));
  });

describe("what callers store", () => {
  test("comes back as it was until its time is over", async () => {
    await using caches = await Caches.start();
    const data = { title: "A film", seconds: 61.5, tags: ["a", null, true], deep: { er: {} } };
    await caches.metadata.storeMetadata("https://example.org/film", data, { ttl: 3600 });
    assert.deepEqual(await caches.metadata.getMetadata("https://example.org/film"), data);
    await caches.pass(3599);
    assert.deepEqual(await caches.metadata.getMetadata("https://example.org/film#part"), data);
    await caches.pass(1);
    assert.equal(await caches.metadata.getMetadata("https://example.org/film"), undefined);
    assert.equal(await caches.metadata.getMetadata("https://example.org/other"), undefined);
  });

  test("for a time that is none is refused", async () => {
    await using caches = await Caches.start();
    for (const ttl of [-1, Number.NaN, Number.POSITIVE_INFINITY, -0.001, 2 ** 31 + 1, "60" as unknown as number])
      await assert.rejects(caches.metadata.storeMetadata("https://example.org/", 1, { ttl }), {
        code: "INVALID_ARGUMENT",
        message: new RegExp(`ttl is ${ttl};`),
      });
    await caches.metadata.storeMetadata("https://example.org/", 1, { ttl: 0 });
    assert.equal(await caches.metadata.getMetadata("https://example.org/"), undefined);
  });

  test("and that JSON would change is refused, with its place", async () => {
    await using caches = await Caches.start();
    const circle: { self?: unknown } = {};
    circle.self = circle;
    const bad: readonly (readonly [data: unknown, message: RegExp])[] = [
      [undefined, /data is undefined/],
      [{ a: [1, Number.NaN] }, /data\.a\[1\] is NaN/],
      [{ at: new Date(0) }, /data\.at is not a plain object/],
      [{ size: 10n }, /data\.size is a bigint/],
      [{ go() {} }, /data\.go is a function/],
      [circle, /circle/],
      [new Map(), /not a plain object/],
    ];
    for (const [data, message] of bad)
      await assert.rejects(caches.metadata.storeMetadata("https://example.org/", data), {
        code: "INVALID_ARGUMENT",
        message,
      });
  });

  test("under a URL of 64 KiB is kept, and under a longer one refused in a short message", async () => {
    await using caches = await Caches.start();
    const url = `https://example.org/${"a".repeat(LONGEST_URL - 20)}`;
    assert.equal(Buffer.byteLength(url), LONGEST_URL);
    await caches.metadata.storeMetadata(url, "long");
    assert.equal(await caches.metadata.getMetadata(url), "long");
    assert.equal(await caches.metadata.getMetadata(`${url.slice(0, -1)}b`), undefined);
    for (const call of [
      () => caches.metadata.storeMetadata(`${url}a`, 1),
      () => caches.metadata.getMetadata(`${url}a`, fetching),
      () => caches.thumbnails.getThumbnail(`${url}a`),
    ])
      await assert.rejects(call, { code: "INVALID_ARGUMENT", message: /^the URL has 65537 bytes; at most 65536/ });
  });
});

describe("what origins say", () => {
  test("is used while it is fresh, and then asked for on condition", async () => {
    await using caches = await Caches.start();
    const version = { now: 1 };
    await using origin = await versioned(caches, {}, version);
    const first = await caches.fetch(origin.url);
    assert.deepEqual(first.json, { version: 1 });
    assert.equal(first.size, 13);
    assert.equal(first.contentType, "application/json");
    assert.equal(first.etag, '"v1"');
    await caches.pass(59);
    assert.deepEqual(await caches.metadata.getMetadata(origin.url), first);
    assert.equal(origin.requests.length, 1);
    await caches.pass(1);
    assert.equal(await caches.metadata.getMetadata(origin.url), undefined, "stale is not given without asking");
    const again = await caches.fetch(origin.url);
    assert.equal(origin.requests[1]?.headers["if-none-match"], '"v1"');
    assert.deepEqual(again.json, { version: 1 });
    assert.equal(again.validatedAt - first.validatedAt, 60_000);
    await caches.pass(59);
    assert.deepEqual(await caches.fetch(origin.url), again, "the 304 made it fresh");
    assert.equal(origin.requests.length, 2);
    version.now = 2;
    await caches.pass(1);
    assert.deepEqual((await caches.fetch(origin.url)).json, { version: 2 });
    assert.equal(origin.requests.length, 3);
  });

  test("is not kept under no-store, and not believed without validation under no-cache", async () => {
    await using caches = await Caches.start();
    await using never = await versioned(caches, { "cache-control": "no-store" });
    await using always = await versioned(caches, { "cache-control": "no-cache" });
    for (const { url } of [never, never, always, always]) await caches.fetch(url);
    assert.deepEqual(
      never.requests.map(({ headers }) => headers["if-none-match"]),
      [undefined, undefined],
    );
    assert.deepEqual(
      always.requests.map(({ headers }) => headers["if-none-match"]),
      [undefined, '"v1"'],
    );
  });

  test("by Vary is for the request that it answered", async () => {
    await using caches = await Caches.start();
    await using origin = await caches.origin(({ seen, send }, fields) =>
      send(
        200,
        { ...fields, vary: "Accept-Language", "cache-control": "max-age=60" },
        `"${seen.headers["accept-language"]}"`,
      ),
    );
    const say = async (language: string) =>
      (await caches.fetch(origin.url, { headers: [["Accept-Language", language]] })).json;
    assert.deepEqual([await say("de"), await say("de"), await say("en"), await say("en")], ["de", "de", "en", "en"]);
    assert.equal(origin.requests.length, 2);
  });

  test("behind a redirect is asked for each time, by way of it", async () => {
    await using caches = await Caches.start();
    const where = { now: "/a" };
    await using origin = await caches.origin(({ seen, send }, fields) => {
      if (seen.path === "/file.bin") return send(302, { location: where.now });
      const all = { ...fields, etag: '"same"', "cache-control": "max-age=60" };
      if (seen.headers["if-none-match"] === '"same"') send(304, { ...all, "content-length": undefined });
      else send(200, all, JSON.stringify(seen.path));
    });
    assert.equal((await caches.fetch(origin.url)).json, "/a");
    assert.equal((await caches.fetch(origin.url)).json, "/a");
    assert.equal(origin.requests.length, 4);
    where.now = "/b";
    // The 304 there is under the same tag, but it speaks of another resource.
    const moved = await caches.fetch(origin.url);
    assert.deepEqual([moved.json, moved.url], ["/b", `${origin.base}/b`]);
  });

  test("a 304 with another entity tag confirms nothing", async () => {
    await using caches = await Caches.start();
    await using origin = await caches.origin(({ seen, send }, fields) => {
      if (seen.headers["if-none-match"]) send(304, { ...fields, etag: '"other"', "content-length": undefined });
      else send(200, { ...fields, etag: '"mine"', "cache-control": "max-age=1" }, String(seen.number));
    });
    assert.equal((await caches.fetch(origin.url)).json, 1);
    await caches.pass(5);
    assert.equal((await caches.fetch(origin.url)).json, 3);
  });

  test("stale-while-revalidate gives the old one at once, and has the new one then", async () => {
    await using caches = await Caches.start();
    const version = { now: 1 };
    await using origin = await versioned(caches, { "cache-control": "max-age=10, stale-while-revalidate=60" }, version);
    await caches.fetch(origin.url);
    version.now = 2;
    await caches.pass(20);
    assert.deepEqual((await caches.fetch(origin.url)).json, { version: 1 });
    await origin.seen(({ number }) => number === 2);
    // Whoever asks for what is under way waits for it.
    for (let tries = 0; ; tries++) {
      const { json } = await caches.fetch(origin.url);
      if (JSON.stringify(json) === '{"version":2}') break;
      assert.ok(tries < 5000, "the new version did not come");
      await new Promise((resolve) => void setImmediate(resolve));
    }
    assert.equal(origin.requests.length, 2);
  });

  test("stale-if-error stands in for an origin that fails, and only then", async () => {
    await using caches = await Caches.start();
    const mode = { now: "well" };
    await using origin = await caches.origin((call, fields) => {
      const errors = call.seen.path === "/with" ? ", stale-if-error=600" : "";
      if (mode.now === "well") call.send(200, { ...fields, "cache-control": `max-age=1${errors}` }, '"well"');
      else if (mode.now === "gone") call.raw("", "reset");
      else call.send(Number(mode.now), fields);
    });
    const ask = async (path: string) => (await caches.fetch(origin.base + path)).json;
    assert.deepEqual([await ask("/with"), await ask("/without")], ["well", "well"]);
    await caches.pass(5);
    for (mode.now of ["500", "gone"]) {
      assert.equal(await ask("/with"), "well", mode.now);
      await assert.rejects(ask("/without"), { code: mode.now === "500" ? "HTTP_SERVER_ERROR" : "CONNECTION_LOST" });
    }
    mode.now = "404";
    await assert.rejects(ask("/with"), { code: "HTTP_NOT_FOUND" });
    mode.now = "500";
    await assert.rejects(
      ask("/with"),
      { code: "HTTP_SERVER_ERROR" },
      "after a 404 there is nothing that could stand in",
    );
  });

  test("errors are kept only if the origin says for how long", async () => {
    await using caches = await Caches.start();
    await using origin = await caches.origin(({ seen, send }, fields) =>
      send(404, { ...fields, ...(seen.path === "/told" && { "cache-control": "max-age=60" }) }, "no"),
    );
    for (const [path, requests] of [
      ["/untold", 2],
      ["/told", 1],
    ] as const) {
      const before = origin.requests.length;
      for (const _ of [1, 2]) await assert.rejects(caches.fetch(origin.base + path), { code: "HTTP_NOT_FOUND" });
      assert.equal(origin.requests.length - before, requests, path);
    }
  });

  test("only-if-cached asks nobody", async () => {
    await using caches = await Caches.start();
    await using origin = await versioned(caches, {});
    const headers = [["Cache-Control", "only-if-cached"]] as const;
    await assert.rejects(caches.fetch(origin.url, { headers }), { code: "HTTP_SERVER_ERROR", message: /504/ });
    assert.equal(origin.requests.length, 0);
    await caches.fetch(origin.url);
    assert.deepEqual((await caches.fetch(origin.url, { headers })).json, { version: 1 });
    assert.equal(origin.requests.length, 1);
  });

  test("a page brings its title, text its charset, and of a film only the head is read", async () => {
    await using caches = await Caches.start();
    await using origin = await caches.origin(({ seen, send, response }, fields) => {
      const type = { "/page": "text/html", "/text": "text/plain; charset=iso-8859-1" }[seen.path] ?? "video/mp4";
      const all = { ...fields, "content-type": type, "cache-control": "max-age=60" };
      if (seen.path === "/page")
        send(200, all, "<html><head><title>\n Tom &amp; Jerry&#8217;s </title><title>no</title>");
      else if (seen.path === "/text") send(200, all, Buffer.from([0x66, 0xfc, 0x72]));
      else {
        // Never ends: it would take for ever if it were read.
        response.writeHead(200, { ...all, "content-length": 5_000_000_000, "accept-ranges": "bytes" });
        response.write("x");
      }
    });
    const page = await caches.fetch(`${origin.base}/page`);
    assert.equal(page.title, "Tom & Jerry’s");
    assert.equal((await caches.fetch(`${origin.base}/text`)).text, "für");
    const film = await caches.fetch(`${origin.base}/film`);
    assert.deepEqual([film.size, film.contentType, film.text], [5_000_000_000, "video/mp4", undefined]);
    assert.equal(film.headers["accept-ranges"], "bytes");
    assert.deepEqual(await caches.fetch(`${origin.base}/film`), film);
    assert.equal(origin.requests.length, 3);
  });

  test("a URL of 64 KiB is fetched once", async () => {
    await using caches = await Caches.start();
    let asked = 0;
    const server = createServer({ maxHeaderSize: 200_000 }, (request, response) => {
      asked++;
      response.setHeader("date", new Date(caches.fixture.clock.now()).toUTCString());
      response.writeHead(200, { "content-type": "application/json", "cache-control": "max-age=60" });
      response.end(String(request.url?.length));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const base = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/`;
    const url = base + "a".repeat(LONGEST_URL - base.length);
    for (const _ of [1, 2]) assert.equal((await caches.fetch(url)).json, LONGEST_URL - base.length + 1);
    assert.equal(asked, 1);
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  });
});

describe("many callers", () => {
  /** An origin that answers when it is told to. */
  async function held(caches: Caches): Promise<{ origin: Origin; release: () => void; closed: Promise<void> }> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const origin = await caches.origin(({ send, response }, fields) => {
      response.on("close", () => closed.resolve());
      void promise.then(() => send(200, { ...fields, "cache-control": "max-age=60" }, '"one"'));
    });
    return { origin, release: resolve, closed: closed.promise };
  }

  test("who ask for the same cause one request, and one that gives up disturbs nobody", async () => {
    await using caches = await Caches.start();
    const { origin, release } = await held(caches);
    await using _ = origin;
    const impatient = new AbortController();
    const gaveUp = caches.fetch(origin.url, { signal: impatient.signal });
    const others = Array.from({ length: 200 }, () => caches.fetch(origin.url));
    await origin.seen(() => true);
    impatient.abort(new Error("no time"));
    await assert.rejects(gaveUp, /no time/);
    release();
    for (const { json } of await Promise.all(others)) assert.equal(json, "one");
    assert.equal(origin.requests.length, 1);
  });

  test("what is stored while the origin is asked stays, whatever it answers", async () => {
    await using caches = await Caches.start();
    const held: (() => void)[] = [];
    await using origin = await caches.origin(({ seen, send }, fields) => {
      const all = { ...fields, etag: '"a"', "cache-control": "max-age=10" };
      if (seen.headers["if-none-match"]) held.push(() => send(304, { ...all, "content-length": undefined }));
      else send(200, all, '"of the origin"');
    });
    await caches.fetch(origin.url);
    await caches.pass(10);
    const fetched = caches.fetch(origin.url);
    await origin.seen(({ number }) => number === 2);
    await caches.metadata.storeMetadata(origin.url, "of a caller", { ttl: 60 });
    for (const release of held) release();
    assert.equal((await fetched).json, "of the origin");
    assert.equal(await caches.metadata.getMetadata(origin.url), "of a caller");
  });

  test("who all give up end the request", async () => {
    await using caches = await Caches.start();
    const { origin, closed } = await held(caches);
    await using _ = origin;
    const controller = new AbortController();
    const all = [1, 2, 3].map(() => caches.fetch(origin.url, { signal: controller.signal }));
    await origin.seen(() => true);
    controller.abort(new Error("enough"));
    for (const one of all) await assert.rejects(one, /enough/);
    await closed;
  });

  test("with different logins share nothing, and no login is kept, logged or told", async () => {
    await using caches = await Caches.start();
    await using origin = await caches.origin(({ seen, send }, fields) =>
      send(
        200,
        { ...fields, "cache-control": "max-age=60", "set-cookie": "session=s3cret", vary: "authorization" },
        JSON.stringify(seen.headers.authorization ?? "nobody"),
      ),
    );
    const as = (user: string) => origin.url.replace("http://", `http://${user}:s3cret@`);
    const basic = (user: string) => `Basic ${Buffer.from(`${user}:s3cret`).toString("base64")}`;
    const seen = [];
    for (const url of [as("ann"), as("bob"), origin.url]) seen.push((await caches.fetch(url)).json);
    const headers = [["Authorization", "Bearer s3cret-token"]] as const;
    seen.push((await caches.fetch(origin.url, { headers })).json, (await caches.fetch(origin.url, { headers })).json);
    assert.deepEqual(seen, [basic("ann"), basic("bob"), "nobody", "Bearer s3cret-token", "Bearer s3cret-token"]);
    assert.equal(origin.requests.length, 4);
    const kept = await caches.metadata.getMetadata(origin.url, { remote: true });
    assert.equal(kept, undefined, "what the owner fetched is not for callers from afar");
    const notes: string[] = [];
    for (const user of [as("ann"), origin.url]) await caches.fetch(user);
    for (const space of [ENTRIES, INDEX])
      for await (const [key, value] of caches.fixture.keyValue.entries(space)) notes.push(key, value);
    const told = JSON.stringify([notes, caches.fixture.logger.lines]);
    assert.ok(told.includes(new URL(origin.base).host), "it was looked for where URLs are");
    assert.ok(!told.includes("s3cret"));
    await assert.rejects(
      caches.fetch("ftp://ann:s3cret@example.org/"),
      (error: Error) => !String(error).includes("s3cret"),
    );
    await assert.rejects(caches.fetch("http://ann:s3cret@:bad/"), (error: Error) => !String(error).includes("s3cret"));
  });
});

describe("bad answers", () => {
  test("a body longer than its limit is read no further, however it comes", async () => {
    await using caches = await Caches.start();
    await using origin = await caches.origin(({ seen, send, response }, fields) => {
      if (seen.path === "/announced") send(200, fields, Buffer.alloc(MAX + 1, 0x20));
      else if (seen.path === "/bomb")
        send(200, { ...fields, "content-encoding": "gzip" }, gzipSync(Buffer.alloc(50_000_000)));
      else {
        response.writeHead(200, fields);
        const more = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(10_000, 0x20)));
          if (!response.destroyed) response.once("drain", more);
        };
        more();
      }
    });
    for (const path of ["/announced", "/endless", "/bomb"])
      await assert.rejects(
        caches.fetch(origin.base + path),
        { code: "CACHE_TOO_LARGE", message: /at most 20000 bytes/ },
        path,
      );
    assert.equal((await caches.fixture.totals()).entries, 0);
  });

  test("one that trickles for ever is given up", async () => {
    await using caches = await Caches.start();
    await using origin = await caches.origin(({ response }, fields) => {
      response.writeHead(200, fields);
      response.write('"');
    });
    const fetched = assert.rejects(caches.fetch(origin.url), { code: "TIMED_OUT" });
    await origin.seen(() => true);
    await caches.pass(121);
    await fetched;
  });

  test("one that is cut short is not kept", async () => {
    await using caches = await Caches.start();
    await using origin = await caches.origin(({ raw }) =>
      raw(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\nCache-Control: max-age=60\r\n\r\n[1",
      ),
    );
    await assert.rejects(caches.fetch(origin.url), { code: "TRUNCATED" });
    assert.equal((await caches.fixture.totals()).entries, 0);
  });

  test("a gzip body that nobody asked for is decoded", async () => {
    await using caches = await Caches.start();
    await using origin = await caches.origin(({ send }, fields) =>
      send(200, { ...fields, "content-encoding": "gzip", "cache-control": "max-age=60" }, gzipSync('{"a":1}')),
    );
    for (const _ of [1, 2]) assert.deepEqual((await caches.fetch(origin.url)).json, { a: 1 });
    assert.equal(origin.requests.length, 1);
  });
});

describe("a bad cache", () => {
  test("that takes nothing does not keep an answer from whoever asked for it", async () => {
    await using caches = await Caches.start();
    caches.fixture.limits = evenLimits(0);
    await using origin = await versioned(caches, {});
    for (const _ of [1, 2]) assert.deepEqual((await caches.fetch(origin.url)).json, { version: 1 });
    assert.equal(origin.requests.length, 2);
    assert.ok(
      caches.fixture.logger.lines.some(({ level, message }) => level === "warn" && /could not be kept/.test(message)),
    );
    await assert.rejects(caches.metadata.storeMetadata(origin.url, 1), { code: "CACHE_TOO_LARGE" });
  });

  test("whose body was damaged fetches it anew", async () => {
    await using caches = await Caches.start();
    await using origin = await versioned(caches, {});
    await caches.fetch(origin.url);
    const entry = await caches.fixture.vault.peek("metadata", origin.url);
    await writeFile(caches.fixture.file(entry?.digest ?? ""), '{"json":{"version":9}}');
    assert.deepEqual((await caches.fetch(origin.url)).json, { version: 1 });
    assert.equal(origin.requests.length, 2);
    assert.equal(origin.requests[1]?.headers["if-none-match"], undefined);
  });

  test("what was changed at the origin is dropped", async () => {
    await using caches = await Caches.start();
    await using origin = await versioned(caches, {});
    await caches.fetch(origin.url);
    await caches.metadata.invalidate(
      { method: "POST", url: `${origin.base}/form` },
      201,
      new Map([["location", "/file.bin"]]),
    );
    assert.equal(await caches.metadata.getMetadata(origin.url), undefined);
  });
});

describe("thumbnails", () => {
  test("are kept with their type and size, and asked for on condition", async () => {
    await using caches = await Caches.start();
    const bytes = png(64, 48);
    await using origin = await caches.origin(({ seen, send }, fields) => {
      const all = { ...fields, "content-type": "image/jpeg", etag: '"i"', "cache-control": "max-age=60" };
      if (seen.headers["if-none-match"]) send(304, { ...all, "content-length": undefined });
      else send(200, all, bytes);
    });
    const first = await caches.thumbnails.getThumbnail(origin.url);
    assert.deepEqual(
      { ...first, bytes: Buffer.from(first.bytes) },
      { contentType: "image/png", width: 64, height: 48, bytes, size: bytes.length },
    );
    await caches.pass(30);
    await caches.thumbnails.getThumbnail(origin.url);
    assert.equal(origin.requests.length, 1);
    await caches.pass(30);
    const many = await Promise.all([1, 2, 3].map(() => caches.thumbnails.getThumbnail(origin.url)));
    for (const one of many) assert.deepEqual(Buffer.from(one.bytes), bytes);
    assert.equal(origin.requests.length, 2);
  });

  test("that are none, or bombs, or endless, are refused and not kept", async () => {
    await using caches = await Caches.start();
    const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>';
    const answers: Readonly<Record<string, readonly [type: string | undefined, body: string | Buffer, code: string]>> =
      {
        "/page": ["text/html", "<html>", "NOT_AN_IMAGE"],
        "/svg": ["image/svg+xml", svg, "NOT_AN_IMAGE"],
        "/hidden-svg": ["image/png", svg, "NOT_AN_IMAGE"],
        "/page-as-image": ["image/jpeg", "<html>", "NOT_AN_IMAGE"],
        "/image-as-page": ["text/html", png(4, 4), "NOT_AN_IMAGE"],
        "/bomb": ["image/jpeg", jpeg(60_000, 60_000), "IMAGE_TOO_LARGE"],
        "/lie": [undefined, png(16_000, 4000, 9), "NOT_AN_IMAGE"],
        "/large": ["image/png", Buffer.alloc(MAX + 1), "CACHE_TOO_LARGE"],
        "/absent": ["image/png", "", "NOT_AN_IMAGE"],
      };
    await using origin = await caches.origin(({ seen, send }, { date }) => {
      const [type, body] = answers[seen.path] ?? [];
      send(200, { date, "content-type": type, "cache-control": "max-age=60" }, body);
    });
    for (const [path, [, , code]] of Object.entries(answers))
      await assert.rejects(caches.thumbnails.getThumbnail(origin.base + path), { code }, path);
    assert.equal((await caches.fixture.totals()).entries, 0);
  });

  test("are fetched under the network policy: a caller from afar does not reach this machine", async () => {
    await using caches = await Caches.start();
    await using origin = await caches.origin(({ send }, fields) =>
      send(200, { ...fields, "content-type": "image/png", "cache-control": "max-age=60" }, png(4, 4)),
    );
    await caches.thumbnails.getThumbnail(origin.url);
    await assert.rejects(caches.thumbnails.getThumbnail(origin.url, { remote: true }), { code: "ADDRESS_NOT_ALLOWED" });
    assert.equal(origin.requests.length, 1);
  });
});
