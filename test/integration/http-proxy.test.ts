/** Through proxies: each kind to each scheme, credentials, names resolved where they should be, and proxies that misbehave. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import type { HttpResponse } from "../../src/daemon/core/ports/http.ts";
import { httpChecks } from "../../src/daemon/http/check.ts";
import { type HttpClientOptions, UndiciClient } from "../../src/daemon/http/client.ts";
import { Identity } from "../../src/daemon/http/identity.ts";
import { proxiesOf } from "../../src/daemon/http/proxy.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { selfSigned } from "../support/certificate.ts";
import { resourceOf, serve } from "../support/origins/origin.ts";
import { hostileProxy, httpProxy, socksProxy } from "../support/proxies.ts";
import { RecordLogger } from "../support/record-logger.ts";

const clock = new SystemClock();
const resource = resourceOf(Buffer.from("what the origin has"));
const proxiesBy = (proxy: string) => proxiesOf({ proxy, noProxy: [], environment: {} });
const by = (proxy: string, options: Partial<HttpClientOptions> = {}) =>
  new UndiciClient(
    {
      userAgent: "snatch-test",
      timeoutMs: 5000,
      certificateAuthorities: selfSigned().cert,
      proxies: proxiesBy(proxy),
      ...options,
    },
    { clock, logger: new RecordLogger() },
  );

async function body(response: HttpResponse): Promise<string> {
  const pieces: Buffer[] = [];
  await response.pipe((bytes) => void pieces.push(Buffer.from(bytes)));
  return Buffer.concat(pieces).toString();
}

/** An origin with TLS. It keeps the fields that it was sent. */
async function tlsOrigin() {
  const seen: NodeJS.Dict<string | string[]>[] = [];
  const server = createHttpsServer(selfSigned(), (request, response) => {
    seen.push(request.headers);
    response.end(resource.bytes);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

describe("an HTTP proxy", () => {
  for (const tls of [false, true]) {
    const scheme = tls ? "https" : "http";
    test(`${scheme}: whole URLs for http, CONNECT for https; its credentials reach nobody else`, async () => {
      await using proxy = await httpProxy({ tls, credentials: "jane:p@ss" });
      await using plain = await serve(resource, (call) => call.answer());
      await using secure = await tlsOrigin();
      await using client = by(`${scheme}://jane:p%40ss@localhost:${proxy.port}`);
      const own = [["Proxy-Authorization", "Basic mine"]] as const;
      for (let i = 0; i < 2; i++)
        assert.equal(
          await body(await client.request({ url: `${plain.url}?a=b`, headers: own })),
          "what the origin has",
        );
      const answer = await client.request({ url: `https://localhost:${secure.port}/x`, headers: own });
      assert.equal(await body(answer), "what the origin has");
      assert.equal(answer.certificate?.length, 64);
      assert.deepEqual(proxy.asked, [
        `GET ${plain.url}?a=b`,
        `GET ${plain.url}?a=b`,
        `CONNECT localhost:${secure.port}`,
      ]);
      const basic = `Basic ${Buffer.from("jane:p@ss").toString("base64")}`;
      for (const fields of proxy.fields) assert.equal(fields["proxy-authorization"], basic);
      assert.equal(plain.requests[0]?.headers.host, new URL(plain.url).host);
      for (const headers of [plain.requests[0]?.headers, secure.seen[0]])
        assert.equal(headers?.["proxy-authorization"], undefined);
    });

    test(`${scheme}: one that does not accept us`, async () => {
      await using proxy = await httpProxy({ tls, credentials: "jane:right" });
      await using client = by(`${scheme}://jane:s3cret@localhost:${proxy.port}`);
      for (const url of ["http://origin.test/", "https://origin.test/"])
        await assert.rejects(client.request({ url }), (error: Error & { code: string }) => {
          assert.equal(error.code, "PROXY_UNAUTHORIZED");
          assert.match(error.message, new RegExp(`proxy ${scheme}://localhost:${proxy.port} does not accept`));
          assert.doesNotMatch(JSON.stringify(error) + error.message, /s3cret/);
          return true;
        });
    });
  }

  test("names are the proxy's to resolve, and what no_proxy names is asked directly", async () => {
    await using proxy = await httpProxy({ resolve: () => "127.0.0.1" });
    await using origin = await serve(resource, (call) => call.answer());
    const { port } = new URL(origin.url);
    const proxies = proxiesOf({ proxy: `localhost:${proxy.port}`, noProxy: ["127.0.0.0/8"], environment: {} });
    await using client = by("", { proxies });
    assert.equal(await body(await client.request({ url: `http://only-there.test:${port}/` })), "what the origin has");
    assert.equal(await body(await client.request({ url: origin.url })), "what the origin has");
    assert.deepEqual(proxy.asked, [`GET http://only-there.test:${port}/`]);
  });

  test("a certificate that is not the origin's is the origin's fault", async () => {
    await using proxy = await httpProxy({ resolve: () => "127.0.0.1" });
    await using secure = await tlsOrigin();
    await using client = by(`http://localhost:${proxy.port}`);
    await assert.rejects(client.request({ url: `https://other.test:${secure.port}/` }), { code: "TLS_FAILED" });
  });

  test("no variable of the environment has an unknown authority believed", async (context) => {
    await using secure = await tlsOrigin();
    await using client = new UndiciClient({ userAgent: "snatch-test" }, { clock, logger: new RecordLogger() });
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    context.after(() => delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"]);
    await assert.rejects(client.request({ url: `https://localhost:${secure.port}/` }), { code: "TLS_FAILED" });
  });
});

describe("a SOCKS5 proxy", () => {
  for (const credentials of [undefined, "jane:p@ss"]) {
    const how = credentials ? "with user and password" : "without authentication";
    test(`${how}: socks5h has it resolve the name, socks5 resolves it here`, async () => {
      await using proxy = await socksProxy({ ...(credentials && { credentials }), resolve: () => "127.0.0.1" });
      await using plain = await serve(resource, (call) => call.answer());
      await using secure = await tlsOrigin();
      const user = credentials ? "jane:p%40ss@" : "";
      const { port } = new URL(plain.url);
      const lookup = async () => [{ address: "127.0.0.1", family: 4 }];
      await using remote = by(`socks5h://${user}localhost:${proxy.port}`);
      await using local = by(`socks5://${user}127.0.0.1:${proxy.port}`, { lookup });
      assert.equal(await body(await remote.request({ url: `http://there.test:${port}/` })), "what the origin has");
      const url = `https://localhost:${secure.port}/`;
      assert.equal(await body(await remote.request({ url })), "what the origin has");
      assert.equal(await body(await local.request({ url: `http://here.test:${port}/` })), "what the origin has");
      assert.deepEqual(proxy.asked, [
        `name there.test:${port}`,
        `name localhost:${secure.port}`,
        `address 127.0.0.1:${port}`,
      ]);
    });
  }

  for (const [how, user] of [
    ["wants credentials", ""],
    ["does not accept the credentials", "jane:s3cret@"],
  ] as const)
    test(how, async () => {
      await using proxy = await socksProxy({ credentials: "jane:right" });
      await using client = by(`socks5h://${user}127.0.0.1:${proxy.port}`);
      const message = new RegExp(`^the proxy socks5h://127\\.0\\.0\\.1:${proxy.port} ${how}`);
      await assert.rejects(client.request({ url: "http://origin.test/" }), { code: "PROXY_UNAUTHORIZED", message });
    });

  test("an origin that refuses is not the proxy's fault", async () => {
    await using proxy = await socksProxy();
    await using client = by(`socks5h://127.0.0.1:${proxy.port}`);
    const message = /^127\.0\.0\.1:1 cannot be reached by way of the proxy/;
    await assert.rejects(client.request({ url: "http://127.0.0.1:1/" }), { code: "CONNECT_REFUSED", message });
  });
});

describe("a proxy that misbehaves", () => {
  const ways = [
    ["answers rubbish", (answer: (text: string) => void) => answer("\x00\x01rubbish\r\n\r\nrubbish".repeat(40))],
    ["never ends its head", (answer: (text: string) => void) => answer("HTTP/1.1 200 OK\r\n".repeat(2000))],
    ["closes", (_answer: (text: string) => void, socket: { end(): void }) => socket.end()],
    ["resets", (_answer: (text: string) => void, socket: { resetAndDestroy(): void }) => socket.resetAndDestroy()],
    ["refuses (HTTP 403)", (answer: (text: string) => void) => answer("HTTP/1.1 403 No\r\n\r\n")],
    ["has a bad day (HTTP 502)", (answer: (text: string) => void) => answer("HTTP/1.1 502 No\r\n\r\n")],
  ] as const;
  for (const [how, behave] of ways)
    for (const [scheme, url] of [
      ["http", "https://origin.test/"],
      ["socks5h", "http://origin.test/"],
      ["https", "http://origin.test/"],
    ] as const)
      test(`${how}, as ${scheme}`, async () => {
        await using proxy = await hostileProxy((socket) =>
          socket.once("data", () => behave((text) => void socket.write(text, "latin1"), socket)),
        );
        await using client = by(`${scheme}://user:s3cret@127.0.0.1:${proxy.port}`);
        await assert.rejects(client.request({ url }), (error: Error & { code: string; retryable: boolean }) => {
          assert.equal(error.code, "PROXY_FAILED", error.message);
          assert.match(error.message, new RegExp(`the proxy ${scheme}://127\\.0\\.0\\.1:${proxy.port} `));
          assert.doesNotMatch(error.message, /s3cret/);
          assert.equal(error.retryable, !(how.includes("403") && scheme === "http"));
          return true;
        });
      });

  for (const [scheme, url] of [
    ["http", "https://origin.test/"],
    ["https", "https://origin.test/"],
    ["socks5h", "http://origin.test/"],
  ] as const)
    test(`hangs, as ${scheme}`, async () => {
      const closed = Promise.withResolvers<void>();
      await using proxy = await hostileProxy((socket) => socket.resume().once("close", () => closed.resolve()));
      await using client = by(`${scheme}://127.0.0.1:${proxy.port}`, { timeoutMs: 150 });
      const message = new RegExp(`no connection to origin\\.test by way of the proxy ${scheme}://.* within 0.15 s`);
      await assert.rejects(client.request({ url }), { code: "PROXY_FAILED", message });
      await closed.promise;
    });

  test("is not there", async () => {
    await using client = by("http://user:s3cret@127.0.0.1:1");
    const message = "the proxy http://127.0.0.1:1 cannot be used: it refused the connection";
    await assert.rejects(client.request({ url: "http://origin.test/" }), { code: "PROXY_FAILED", message });
  });

  test("has a name that nobody knows, or a URL that is none", async () => {
    await using unknown = by("http://proxy.invalid:3128");
    await assert.rejects(unknown.request({ url: "http://origin.test/" }), {
      code: "PROXY_FAILED",
      message: /proxy\.invalid:3128 cannot be used: its name is unknown/,
    });
    await using wrong = by("gopher://user:s3cret@proxy");
    await assert.rejects(wrong.request({ url: "http://origin.test/" }), (error: Error & { code: string }) => {
      assert.equal(error.code, "CONFIG_INVALID");
      assert.doesNotMatch(error.message, /s3cret/);
      return true;
    });
  });
});

test("doctor tells which proxy is used, without its password", async () => {
  await using proxy = await httpProxy();
  await using origin = await serve(resource, (call) => call.answer());
  const proxies = proxiesBy(`http://jane:s3cret@127.0.0.1:${proxy.port}`);
  await using client = by("", { proxies });
  const identity = new Identity(
    { netrc: "/nowhere/netrc", netrcOptional: false, cookieFile: "" },
    { clock, logger: new RecordLogger() },
  );
  const checks = httpChecks({ client, proxies, identity, url: origin.url });
  const outcomes = await Promise.all(checks.map((check) => check.run(AbortSignal.timeout(5000))));
  assert.deepEqual(
    outcomes.map(({ status, message }) => [status, message]),
    [
      ["ok", `everything goes by http://127.0.0.1:${proxy.port}`],
      ["warning", "there is no netrc file /nowhere/netrc"],
      ["ok", `${origin.url} answers (HTTP 200), by way of the proxy http://127.0.0.1:${proxy.port}`],
    ],
  );
  assert.doesNotMatch(JSON.stringify(outcomes), /s3cret/);
});
