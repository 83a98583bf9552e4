/** The client itself: redirects and secrets, backpressure, stalls, the cap per host, Retry-After, errors on the way. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { HttpResponse } from "../../src/daemon/core/ports/http.ts";
import { httpChecks } from "../../src/daemon/http/check.ts";
import { type HttpClientOptions, UndiciClient } from "../../src/daemon/http/client.ts";
import { Identity } from "../../src/daemon/http/identity.ts";
import { proxiesOf } from "../../src/daemon/http/proxy.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { ORIGIN_BYTES, startOrigin } from "../support/origins/catalogue.ts";
import { resourceOf, serve } from "../support/origins/origin.ts";
import { RecordLogger } from "../support/record-logger.ts";

const clock = new SystemClock();
const make = (options: Partial<HttpClientOptions> = {}) =>
  new UndiciClient({ userAgent: "snatch-test", ...options }, { clock, logger: new RecordLogger() });
const client = make();
after(() => client[Symbol.asyncDispose]());

const never = () => assert.fail("no byte was expected");
const resource = resourceOf(ORIGIN_BYTES);

async function body(response: HttpResponse): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await response.pipe((bytes) => void pieces.push(Buffer.from(bytes)));
  return Buffer.concat(pieces);
}

describe("redirects", () => {
  const secrets = [
    ["Authorization", "Bearer abc"],
    ["Cookie", "id=1"],
    ["X-Api-Token", "t"],
    ["X-Plain", "p"],
    ["Range", "bytes=0-9"],
    ["Accept-Language", "de"],
  ] as const;

  test("what the caller gave stays with the origin that it was given to", async () => {
    await using there = await startOrigin("well-behaved");
    await using here = await serve(resource, (call) => {
      if (call.seen.path === "/back") call.answer();
      else call.send(302, { location: call.seen.path === "/away" ? there.url : "/back" });
    });
    const away = await client.request({ url: `${here.base}/away`, headers: secrets });
    assert.equal((await body(away)).length, 10);
    assert.deepEqual(away.chain, [`${here.base}/away`, there.url]);
    assert.equal(away.url, there.url);
    const told = there.requests[0]?.headers ?? {};
    assert.equal(told.range, "bytes=0-9");
    assert.equal(told["accept-language"], "de");
    for (const name of ["authorization", "cookie", "x-api-token", "x-plain"]) assert.equal(told[name], undefined, name);
    assert.equal(here.requests[0]?.headers.authorization, "Bearer abc");

    const home = await client.request({ url: `${here.base}/home`, headers: secrets });
    assert.equal((await body(home)).length, 10);
    for (const name of ["authorization", "cookie", "x-api-token", "x-plain"])
      assert.notEqual(here.requests.at(-1)?.headers[name], undefined, name);
  });

  test("user information in the URL becomes Basic auth, for that origin only, and is not repeated", async () => {
    await using there = await startOrigin("well-behaved");
    await using here = await serve(resource, (call) => call.send(301, { location: `${there.base}/x#part` }));
    const url = here.base.replace("http://", "http://j%40ne:p%3Ass@");
    const response = await client.request({ url: `${url}/a?b=c#part` });
    response.cancel();
    const expected = `Basic ${Buffer.from("j@ne:p:ss").toString("base64")}`;
    assert.equal(here.requests[0]?.headers.authorization, expected);
    assert.equal(there.requests[0]?.headers.authorization, undefined);
    assert.deepEqual(response.chain, [`${here.base}/a?b=c`, `${there.base}/x`]);
  });

  test("are left to the caller who does not want them followed", async () => {
    await using origin = await startOrigin("redirect-once");
    const response = await client.request({ url: origin.url, follow: false });
    response.cancel();
    assert.equal(response.status, 307);
    assert.equal(response.headers.get("location"), "/real.bin");
  });

  test("end at the limit, and say where", async () => {
    await using origin = await startOrigin("redirect-endless");
    await using few = make({ maxRedirects: 3 });
    const message = new RegExp(`more than 3 redirects, the last to ${new URL(origin.base).host}`);
    await assert.rejects(few.request({ url: origin.url }), { code: "TOO_MANY_REDIRECTS", message });
    assert.equal(origin.requests.length, 4);
  });
});

describe("the body", () => {
  test("a sink's promise holds the sender back, and every byte comes once and in order", async () => {
    const bytes = Buffer.alloc(8 * 1024 * 1024, "0123456789abcdef\n");
    await using origin = await startOrigin("well-behaved", resourceOf(bytes));
    const response = await client.request({ url: origin.url, timeoutMs: 250 });
    let running = 0;
    let at = 0;
    await response.pipe(async (piece) => {
      assert.equal(++running, 1, "the sink was called while it was busy");
      assert.ok(bytes.subarray(at, at + piece.length).equals(piece));
      at += piece.length;
      // Longer than the timeout, once: time in which the sink holds the sender back does not count.
      await (at < 100_000 ? clock.sleep(400) : Promise.resolve());
      running--;
    });
    assert.equal(at, bytes.length);
  });

  test("a body that is not read does not pile up, nor does it time out", async () => {
    await using origin = await startOrigin("well-behaved", resourceOf(Buffer.alloc(64 * 1024 * 1024)));
    const response = await client.request({ url: origin.url, timeoutMs: 250 });
    const before = process.memoryUsage().arrayBuffers;
    await clock.sleep(400);
    assert.ok(process.memoryUsage().arrayBuffers - before < 8 * 1024 * 1024);
    let size = 0;
    await response.pipe((piece) => {
      size += piece.length;
    });
    assert.equal(size, 64 * 1024 * 1024);
  });

  for (const [how, sink] of [
    [
      "throws",
      () => {
        throw new Error("disk full");
      },
    ],
    ["rejects", () => Promise.reject(new Error("disk full"))],
  ] as const)
    test(`what the sink ${how} ends it, and closes the connection`, async () => {
      const closed = Promise.withResolvers<void>();
      await using origin = await serve(resource, (call) => {
        call.response.on("close", () => closed.resolve());
        call.response.writeHead(200);
        call.response.write("x");
      });
      const response = await client.request({ url: origin.url });
      await assert.rejects(response.pipe(sink), /disk full/);
      await closed.promise;
    });

  test("cancel closes the connection of an unfinished answer", async () => {
    const closed = Promise.withResolvers<void>();
    await using origin = await serve(resource, (call) => {
      call.response.on("close", () => closed.resolve());
      call.response.writeHead(200);
      call.response.write("x");
    });
    (await client.request({ url: origin.url })).cancel();
    await closed.promise;
  });

  test("text gives small documents and refuses long ones", async () => {
    await using origin = await startOrigin("well-behaved", resourceOf(Buffer.from("grüße")));
    assert.equal(await (await client.request({ url: origin.url })).text(100), "grüße");
    await assert.rejects((await client.request({ url: origin.url })).text(3), { code: "PROTOCOL_ERROR" });
  });

  test("text is what was coded unasked, and never more of it than is wanted", async () => {
    await using origin = await serve(resource, (call) => {
      const coding = call.seen.path.slice(1);
      const body = gzipSync(Buffer.alloc(10_000_000, "a"));
      call.send(200, { "content-encoding": coding }, coding === "gzip" ? gzipSync("grüße") : body);
    });
    const get = async (path: string) => (await client.request({ url: `${origin.base}/${path}` })).text(1000);
    assert.equal(await get("gzip"), "grüße");
    await assert.rejects(get("x-gzip"), { code: "PROTOCOL_ERROR", message: /more than 1000 bytes/ });
    // More often than there are connections: none is left behind.
    for (let i = 0; i < 20; i++) await assert.rejects(get("exi"), { code: "CONTENT_CODING_UNKNOWN" });
  });

  test("HEAD has none", async () => {
    await using origin = await startOrigin("well-behaved");
    const response = await client.request({ url: origin.url, method: "HEAD" });
    assert.equal(response.headers.get("content-length"), String(ORIGIN_BYTES.length));
    await response.pipe(never);
  });
});

describe("the way there", () => {
  test("a refused connection", async () => {
    const origin = await startOrigin("well-behaved");
    await origin[Symbol.asyncDispose]();
    const { host } = new URL(origin.base);
    await assert.rejects(client.request({ url: `${origin.url}?token=s3cret` }), (error: Error & { code: string }) => {
      assert.equal(error.code, "CONNECT_REFUSED");
      assert.equal(error.message, `${host} refused the connection`);
      return true;
    });
  });

  test("a name that does not exist", async () => {
    // "invalid" never resolves (RFC 6761 §6.4).
    await assert.rejects(client.request({ url: "http://snatch.invalid/" }), { code: "DNS_FAILED" });
  });

  test("TLS to a server that speaks none", async () => {
    await using origin = await startOrigin("well-behaved");
    await assert.rejects(client.request({ url: origin.url.replace("http:", "https:") }), { code: "TLS_FAILED" });
  });

  for (const [url, code] of [
    ["ftp://example.org/x", "UNSUPPORTED_SCHEME"],
    ["not a url", "INVALID_URL"],
  ] as const)
    test(`${url}: ${code}`, () => assert.rejects(client.request({ url }), { code }));

  test("no message tells a secret of a URL, whatever is wrong with it", async () => {
    const secret = "S3cretS3cret";
    await using origin = await serve(resource, (call) => call.send(302, { location: call.seen.path.slice(1) }));
    const wrong = [
      `https://jane:${secret}@h:port/x`,
      `https://jane:pa/${secret}@h/x`,
      `http://[?token=${secret}`,
      `ftp://${secret}@h/x`,
      `jane:${secret}@h/x`,
      `magnet:?xt=a&sig=${secret}`,
    ];
    const urls = [...wrong, ...wrong.map((url) => `${origin.base}/${url}`)];
    for (const url of urls) {
      const error = await client.request({ url }).then(
        (response) => assert.fail(`HTTP ${response.status}`),
        (thrown: Error & { code: string; metadata: object }) => thrown,
      );
      assert.match(error.code, /^(INVALID_URL|UNSUPPORTED_SCHEME|BAD_REDIRECT|TOO_MANY_REDIRECTS)$/, url);
      assert.ok(!error.message.includes(secret), error.message);
      assert.ok(!JSON.stringify(error.metadata).includes(secret), error.message);
    }
  });

  test("a field that cannot be sent is refused before anything is", async () => {
    await using origin = await startOrigin("well-behaved");
    const headers = [["X-Bad", "a\r\nX-Smuggled: b"]] as const;
    await assert.rejects(client.request({ url: origin.url, headers }), { code: "INVALID_ARGUMENT" });
    assert.equal(origin.requests.length, 0);
  });

  test("an abort before the answer rejects with its reason", async () => {
    await using origin = await startOrigin("stall-before-head");
    const controller = new AbortController();
    const asked = client.request({ url: origin.url }, controller.signal);
    await origin.seen(() => true);
    controller.abort(new Error("changed my mind"));
    await assert.rejects(asked, /^Error: changed my mind$/);
    await assert.rejects(client.request({ url: origin.url }, controller.signal), /^Error: changed my mind$/);
    assert.equal(origin.requests.length, 1);
  });

  test("a kept connection that the other side has closed costs nothing", async () => {
    // Closes after each answer without saying so, when the next request arrives on the same connection.
    let connections = 0;
    const server: Server = createTcpServer((socket: Socket) => {
      connections++;
      let asked = 0;
      socket.on("error", () => undefined);
      socket.on("data", () => {
        if (++asked === 1) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        else socket.end();
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}/`;
    await using own = make();
    try {
      assert.equal(await (await own.request({ url })).text(10), "ok");
      assert.equal(await (await own.request({ url })).text(10), "ok");
      assert.equal(connections, 2);
    } finally {
      server.close();
    }
  });

  test("connections are kept: ten requests in a row need one", async () => {
    const sockets = new Set<unknown>();
    await using origin = await serve(resource, (call) => {
      sockets.add(call.response.socket);
      call.answer();
    });
    await using own = make();
    for (let i = 0; i < 10; i++)
      assert.equal((await body(await own.request({ url: origin.url }))).length, resource.bytes.length);
    assert.equal(sockets.size, 1);
  });
});

describe("manners", () => {
  test("never more connections to a host at once than the cap, whoever asks", async () => {
    let open = 0;
    let most = 0;
    await using origin = await serve(resource, (call) => {
      most = Math.max(most, ++open);
      call.response.on("close", () => open--);
      setTimeout(() => call.answer(), 10);
    });
    await using own = make({ connectionsPerHost: 3 });
    const sizes = await Promise.all(
      Array.from({ length: 12 }, async () => (await body(await own.request({ url: origin.url }))).length),
    );
    assert.ok(sizes.every((size) => size === resource.bytes.length));
    assert.equal(most, 3);
  });

  test("a 503 with Retry-After keeps everyone from the host, until its time", async () => {
    await using origin = await startOrigin("busy-once");
    await using own = make();
    const busy = await own.request({ url: origin.url });
    busy.cancel();
    assert.equal(busy.status, 503);
    const refused = own.request({ url: `${origin.base}/other` });
    const error = await refused.then(
      () => assert.fail("it was asked again at once"),
      (thrown: Error & { code: string; retryAfterMs: number; metadata: object }) => thrown,
    );
    assert.equal(error.code, "HTTP_SERVER_ERROR");
    const { host } = new URL(origin.base);
    assert.deepEqual(error.metadata, { host, status: "503", held: "true" }, "nothing was asked: it can be told");
    assert.ok(error.retryAfterMs > 0 && error.retryAfterMs <= 1000);
    assert.equal(origin.requests.length, 1);
    await clock.sleep(error.retryAfterMs);
    const response = await own.request({ url: origin.url });
    response.cancel();
    assert.equal(response.status, 200);
  });

  test("says who it is, and does not ask for a coding", async () => {
    await using origin = await startOrigin("well-behaved");
    (await client.request({ url: origin.url })).cancel();
    const { headers } = origin.requests[0] ?? assert.fail("nothing was asked");
    assert.equal(headers["user-agent"], "snatch-test");
    assert.equal(headers["accept-encoding"], "identity");
    (
      await client.request({
        url: origin.url,
        headers: [
          ["Accept-Encoding", "gzip"],
          ["User-Agent", "me"],
        ],
      })
    ).cancel();
    assert.equal(origin.requests[1]?.headers["accept-encoding"], "gzip");
    assert.equal(origin.requests[1]?.headers["user-agent"], "me");
  });

  test("after disposal nothing more is asked, and what was under way ends", async () => {
    await using origin = await startOrigin("stall-in-body");
    const own = make();
    const response = await own.request({ url: origin.url });
    const piped = assert.rejects(
      response.pipe(() => undefined),
      { code: "SHUTTING_DOWN" },
    );
    await own[Symbol.asyncDispose]();
    await piped;
    await assert.rejects(own.request({ url: origin.url }), { code: "SHUTTING_DOWN" });
  });
});

describe("the network check", () => {
  const proxies = proxiesOf({ proxy: "direct", noProxy: [], environment: {} });
  const identity = new Identity(
    { netrc: "", netrcOptional: true, cookieFile: "" },
    { clock, logger: new RecordLogger() },
  );
  const network = (url: string | undefined) => {
    const check = httpChecks({ client, proxies, identity, url }).find(({ id }) => id === "network");
    return check?.run(AbortSignal.timeout(5000)) ?? assert.fail("there is no such check");
  };
  test("is off without a URL", async () => assert.equal((await network(undefined)).status, "skipped"));
  test("is content with any answer", async () => {
    await using origin = await startOrigin("not-found");
    assert.equal((await network(origin.url)).status, "ok");
  });
  test("tells what is wrong", async () => {
    const outcome = await network("http://snatch.invalid/?token=s3cret");
    assert.equal(outcome.status, "warning");
    assert.equal(outcome.details?.["code"], "DNS_FAILED");
    assert.doesNotMatch(outcome.message, /s3cret/);
  });
});
