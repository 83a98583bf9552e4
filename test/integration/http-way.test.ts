/**
 * The way to an origin without a proxy: two families of addresses, what redirects may lead to, and whose logins and cookies
 * are told to whom on the way.
 */
import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Lookup } from "../../src/daemon/http/address-race.ts";
import { type HttpClientOptions, UndiciClient } from "../../src/daemon/http/client.ts";
import { Dialer } from "../../src/daemon/http/dial.ts";
import { firstHop } from "../../src/daemon/http/hop.ts";
import { Identity, type IdentityOptions } from "../../src/daemon/http/identity.ts";
import { proxiesOf } from "../../src/daemon/http/proxy.ts";
import { HttpSourceFactory } from "../../src/daemon/http/source.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { type Call, type Origin, resourceOf, serve } from "../support/origins/origin.ts";
import { httpProxy } from "../support/proxies.ts";
import { RecordLogger } from "../support/record-logger.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const clock = new SystemClock();
const resource = resourceOf(Buffer.from("bytes"));
/** Every name leads to this machine. */
const here: Lookup = async () => [{ address: "127.0.0.1", family: 4 }];
const none = proxiesOf({ proxy: "direct", noProxy: [], environment: {} });

function make(options: Partial<HttpClientOptions> = {}, secrets: Partial<IdentityOptions> = {}) {
  const logger = new RecordLogger();
  const identity = new Identity({ netrc: "", netrcOptional: false, cookieFile: "", ...secrets }, { clock, logger });
  const client = new UndiciClient(
    { userAgent: "snatch-test", timeoutMs: 5000, lookup: here, ...options },
    { clock, logger, identity },
  );
  return Object.assign(client, { logger });
}

/** What is kept secret, for one chain of redirects. */
const secretsOf = (secrets: Partial<IdentityOptions>) =>
  new Identity(
    { netrc: "", netrcOptional: false, cookieFile: "", ...secrets },
    { clock, logger: new RecordLogger() },
  ).begin();

/** The origin under a name of its own. */
const named = (origin: Origin, host: string, path = "/file.bin") =>
  `http://${host}:${new URL(origin.base).port}${path}`;

/** Redirects along the map, and answers at the end of it. */
const redirecting =
  (map: Readonly<Record<string, string>>, fields: Record<string, string> = {}) =>
  (call: Call): void => {
    const to = map[`${call.seen.headers.host?.replace(/:.*/, "")}${call.seen.path}`];
    if (to === undefined) call.answer();
    else call.send(302, { location: to, ...fields });
  };

async function ask(client: UndiciClient, url: string, headers: [string, string][] = []) {
  const response = await client.request({ url, headers });
  response.cancel();
  return response;
}

describe("two families", () => {
  const both: Lookup = async () => [
    { address: "::1", family: 6 },
    { address: "127.0.0.1", family: 4 },
  ];
  test("nothing listens on the first address: the other one is used at once", async () => {
    await using origin = await serve(resource, (call) => call.answer());
    await using client = make({ lookup: both });
    const begun = performance.now();
    assert.equal((await ask(client, named(origin, "both.test"))).status, 200);
    assert.ok(performance.now() - begun < 1000);
  });

  test("nothing listens on any: what is told is what the host said", async () => {
    await using client = make({ lookup: both });
    await assert.rejects(ask(client, "http://both.test:1/"), { code: "CONNECT_REFUSED" });
  });

  test("a name without an address", async () => {
    await using client = make({ lookup: async () => [] });
    await assert.rejects(ask(client, "http://nothing.test/"), { code: "DNS_FAILED" });
  });

  test("an abort ends a connection that does not stand yet", async () => {
    const abort = new AbortController();
    const lookup: Lookup = async () => {
      abort.abort(new Error("not any more"));
      return [{ address: "127.0.0.1", family: 4 }];
    };
    const dialer = new Dialer({ timeoutMs: 5000, userAgent: "t", proxies: none, lookup });
    await assert.rejects(dialer.dial({ url: new URL("http://a.test:1/"), signal: abort.signal }), /not any more/);
  });

  test("a plain socket may receive into memory of the caller's", async () => {
    const server = createServer((socket) => socket.end("straight"));
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const dialer = new Dialer({ timeoutMs: 5000, userAgent: "t", proxies: none });
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    assert.equal(dialer.heedsOnread(url), true);
    const got = Promise.withResolvers<string>();
    const onread = {
      buffer: Buffer.alloc(64),
      callback: (count: number, buffer: Uint8Array) => {
        got.resolve(Buffer.from(buffer.subarray(0, count)).toString());
        return true;
      },
    };
    const { socket, kind } = await dialer.dial({ url, onread });
    assert.equal(await got.promise, "straight");
    assert.equal(kind, "loopback");
    socket.destroy();
    server.close();
  });
});

describe("a redirect from outside", () => {
  const refused = { code: "ADDRESS_NOT_ALLOWED", retryable: false };

  test("does not lead to loopback, whatever the name; what a person gave does", async () => {
    await using origin = await serve(resource, (call) => call.answer());
    await using client = make();
    for (const host of ["127.0.0.1", "[::1]", "rebound.test", "localhost"])
      await assert.rejects(client.request({ url: named(origin, host), namedBy: "http://public.test/list" }), refused);
    assert.equal(origin.requests.length, 0);
    for (const host of ["127.0.0.1", "rebound.test"])
      assert.equal((await ask(client, named(origin, host))).status, 200);
    // A connection that a person's URL has opened is not lent either.
    await assert.rejects(
      client.request({ url: named(origin, "rebound.test"), namedBy: "http://public.test/list" }),
      refused,
    );
    assert.equal(origin.requests.length, 2);
  });

  test("behind a proxy too, as far as the URL tells, and around the proxy", async () => {
    await using proxy = await httpProxy({ resolve: () => "127.0.0.1" });
    const location = { value: "" };
    await using origin = await serve(resource, (call) => call.send(302, { location: location.value }));
    const start = named(origin, "public.test", "/start");
    for (const noProxy of [["none.test"], ["127.0.0.0/8", "169.254.0.0/16"]]) {
      await using client = make({
        proxies: proxiesOf({ proxy: `127.0.0.1:${proxy.port}`, noProxy, environment: {} }),
      });
      for (const to of [
        `${origin.base}/inside`,
        "http://169.254.169.254/latest/",
        "http://localhost/",
        "http://[::ffff:a00:1]/",
      ]) {
        location.value = to;
        await assert.rejects(ask(client, start), refused, to);
      }
    }
    assert.ok(origin.requests.every(({ path }) => path === "/start"));
    location.value = `${origin.base}/inside`;
    await using brave = make({
      allowPrivateRedirects: true,
      proxies: proxiesOf({ proxy: `127.0.0.1:${proxy.port}`, noProxy: ["127.0.0.1"], environment: {} }),
    });
    await assert.rejects(ask(brave, start), { code: "TOO_MANY_REDIRECTS" });
  });

  test("from loopback to loopback is nobody's business, but not to a port of another protocol", async () => {
    await using there = await serve(resource, (call) => call.answer());
    await using origin = await serve(
      resource,
      redirecting({ "127.0.0.1/file.bin": there.url, "127.0.0.1/mail": "http://127.0.0.1:25/" }),
    );
    await using client = make();
    assert.equal((await ask(client, origin.url)).url, there.url);
    await assert.rejects(ask(client, `${origin.base}/mail`), refused);
  });
});

describe("a caller over TCP", () => {
  const refused = { code: "ADDRESS_NOT_ALLOWED", retryable: false };
  const remote = true;

  test("gets to public places only, unless the owner allows more", async () => {
    await using there = await serve(resource, (call) => call.answer());
    await using origin = await serve(resource, redirecting({ "a.test/out": there.url }));
    await using client = make();
    for (const host of ["127.0.0.1", "[::1]", "rebound.test"])
      await assert.rejects(client.request({ url: named(origin, host), remote }), refused);
    await assert.rejects(client.request({ url: "http://169.254.169.254/latest/", remote }), {
      ...refused,
      message: /a caller over TCP may not have 169\.254\.169\.254 asked, which is link-local/,
    });
    assert.equal(origin.requests.length, 0);
    for (const options of [{}, { allowPrivateRedirects: true }]) {
      await using generous = make({ allowRemoteHosts: ["a.test", "10.0.0.0/8"], ...options });
      const response = await generous.request({ url: named(origin, "a.test"), remote });
      response.cancel();
      await assert.rejects(generous.request({ url: named(origin, "b.test"), remote }), refused);
      await assert.rejects(generous.request({ url: named(origin, "a.test", "/out"), remote }), refused);
    }
    assert.equal(there.requests.length, 0);
  });

  test("and whoever names a place in a document get to no port of another protocol", async () => {
    await using client = make({ lookup: async () => [{ address: "8.8.8.8", family: 4 }] });
    for (const way of [{ remote }, { namedBy: "http://a.test/list" }] as const)
      await assert.rejects(client.request({ url: "http://a.test:6379/", ...way }), { ...refused, message: /port/ });
  });

  test("gets no logins and cookies of the owner, but for allowed hosts", async () => {
    await using folder = await temporaryFolder();
    const [netrc, cookieFile] = [join(folder.path, "netrc"), join(folder.path, "cookies.txt")];
    await writeFile(netrc, "default login d password d\n", { mode: 0o600 });
    await writeFile(cookieFile, "a.test\tTRUE\t/\tFALSE\t0\tname\tvalue\n");
    const { at } = secretsOf({ netrc, cookieFile });
    const hop = firstHop("http://a.test/");
    assert.deepEqual(await at(hop, hop, new Set(), { named: false, remote: true }), {});
    const { cookie, authorization } = await at(hop, hop, new Set(), { named: false, remote: false });
    assert.equal(cookie, "name=value");
    assert.match(authorization ?? "", /^Basic /);
  });
});

describe("a way that was outside", () => {
  test("does not lead in again, wherever it began", async () => {
    await using origin = await serve(resource, (call) => {
      const host = call.seen.headers.host?.replace(/:.*/, "");
      call.send(302, { location: host === "127.0.0.1" ? named(origin, "outside.test", "/") : `${origin.base}/inside` });
    });
    await using proxy = await httpProxy({ resolve: () => "127.0.0.1" });
    const proxies = proxiesOf({ proxy: `127.0.0.1:${proxy.port}`, noProxy: ["127.0.0.1"], environment: {} });
    await using client = make({ proxies });
    await assert.rejects(ask(client, `${origin.base}/start`), { code: "ADDRESS_NOT_ALLOWED" });
    assert.deepEqual(
      origin.requests.map(({ path }) => path),
      ["/start", "/"],
    );
  });
});

describe("a host that was outside", () => {
  test("is not asked inside by the source that found it there", async () => {
    await using origin = await serve(resource, (call) => call.answer());
    await using proxy = await httpProxy({ resolve: () => "127.0.0.1" });
    const proxies = proxiesOf({ proxy: `127.0.0.1:${proxy.port}`, noProxy: ["127.0.0.1"], environment: {} });
    await using client = make({ proxies });
    await using direct = make();
    let rebound = false;
    const sources = new HttpSourceFactory({
      client: { request: (request, signal) => (rebound ? direct : client).request(request, signal) },
      clock,
    });
    const { signal } = new AbortController();
    for (const [host, later] of [
      ["public.test", undefined],
      ["127.0.0.1", "allowed"],
    ] as const) {
      rebound = false;
      const source = sources.http(named(origin, host), {});
      (await source.open({ start: 0, signal })).cancel();
      rebound = true;
      const again = source.open({ start: 0, signal });
      if (later) (await again).cancel();
      else await assert.rejects(again, { code: "ADDRESS_NOT_ALLOWED" });
    }
  });
});

describe("netrc", () => {
  const file =
    "machine a.test login jane password s3cret\nmachine b.test login bob password b\ndefault login d password d\n";
  const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
  const sent = (origin: Origin) => origin.requests.map(({ headers }) => headers.authorization);

  test("each host gets its own login, where the caller gave none", async () => {
    await using folder = await temporaryFolder();
    const netrc = join(folder.path, "netrc");
    await writeFile(netrc, file, { mode: 0o600 });
    await using origin = await serve(resource, (call) => call.answer());
    await using client = make({}, { netrc });
    await ask(client, named(origin, "a.test"));
    await ask(client, named(origin, "c.test"));
    await ask(client, named(origin, "me:mine@a.test"));
    await ask(client, named(origin, "jane@a.test"));
    await ask(client, named(origin, "other@a.test"));
    await ask(client, named(origin, "a.test"), [["Authorization", "Bearer t"]]);
    assert.deepEqual(sent(origin), [
      basic("jane:s3cret"),
      basic("d:d"),
      basic("me:mine"),
      basic("jane:s3cret"),
      basic("other:"),
      "Bearer t",
    ]);
  });

  test("a redirect gets the login of the host that it leads to, and no default", async () => {
    await using folder = await temporaryFolder();
    const netrc = join(folder.path, "netrc");
    await writeFile(netrc, file, { mode: 0o600 });
    const map: Record<string, string> = {};
    await using origin = await serve(resource, redirecting(map));
    map["a.test/1"] = named(origin, "c.test", "/2");
    map["c.test/2"] = named(origin, "b.test", "/3");
    map["b.test/3"] = named(origin, "a.test", "/4");
    await using client = make({}, { netrc });
    await ask(client, named(origin, "a.test", "/1"));
    assert.deepEqual(sent(origin), [basic("jane:s3cret"), undefined, undefined, basic("jane:s3cret")]);
  });

  test("whoever names a host does not choose how its login goes there, and gets no default", async () => {
    await using folder = await temporaryFolder();
    const netrc = join(folder.path, "netrc");
    await writeFile(netrc, file, { mode: 0o600 });
    const { at } = secretsOf({ netrc });
    const given = new Set<string>();
    const first = firstHop("https://a.test/");
    const login = async (url: string, from = first, named = false) =>
      (await at(firstHop(url), from, given, { named, remote: false })).authorization;
    assert.equal(await login("https://b.test/"), basic("bob:b"));
    for (const url of ["http://b.test/", "https://b.test:8443/", "https://c.test/"])
      assert.equal(await login(url), undefined, url);
    assert.equal(await login("http://b.test:81/", firstHop("http://a.test/")), undefined);
    // Of a document's own places the URL is the first.
    for (const [url, authorization] of [
      ["https://a.test/", basic("jane:s3cret")],
      ["http://a.test/", undefined],
      ["https://c.test/", undefined],
    ] as const)
      assert.equal(await login(url, firstHop(url), true), authorization, url);
  });

  test("is left alone if others can read it, and read again once it is private", async () => {
    await using folder = await temporaryFolder();
    const netrc = join(folder.path, "netrc");
    await writeFile(netrc, file, { mode: 0o644 });
    await chmod(netrc, 0o644);
    await using origin = await serve(resource, (call) => call.answer());
    await using client = make({}, { netrc });
    await ask(client, named(origin, "a.test"));
    assert.deepEqual(sent(origin), [undefined]);
    const [warning] = client.logger.lines.filter(({ level }) => level === "warn");
    assert.match(warning?.message ?? "", /is not used: others can read it \(mode 644\); chmod 600/);
    assert.doesNotMatch(JSON.stringify(client.logger.lines), /s3cret/);
    await chmod(netrc, 0o600);
    await using later = make({}, { netrc });
    await ask(later, named(origin, "a.test"));
    assert.deepEqual(sent(origin), [undefined, basic("jane:s3cret")]);
  });
});

describe("cookies", () => {
  const sent = (origin: Origin) => origin.requests.map(({ headers }) => headers.cookie);

  test("of the file go to their hosts, hop by hop; the caller's own stay as they are", async () => {
    await using folder = await temporaryFolder();
    const cookieFile = join(folder.path, "cookies.txt");
    await writeFile(
      cookieFile,
      "a.test\tFALSE\t/\tFALSE\t0\tina\t1\n#HttpOnly_.b.test\tTRUE\t/\tFALSE\t0\tinb\t2\nb.test\tFALSE\t/\tTRUE\t0\tsafe\t3\n",
    );
    const map: Record<string, string> = {};
    await using origin = await serve(resource, redirecting(map));
    map["a.test/1"] = named(origin, "www.b.test", "/2");
    await using client = make({}, { cookieFile });
    await ask(client, named(origin, "a.test", "/1"));
    await ask(client, named(origin, "a.test", "/1"), [["Cookie", "own=1"]]);
    assert.deepEqual(sent(origin), ["ina=1", "inb=2", "own=1", "inb=2"]);
  });

  test("that a redirect sets last for its chain, also back to the same URL", async () => {
    await using origin = await serve(resource, (call) => {
      const seen = call.seen.headers.cookie ?? "";
      if (call.seen.path === "/gate" && !seen.includes("pass=1"))
        call.send(302, {
          location: "/gate",
          "set-cookie": ["pass=1; Path=/", "also=2; Expires=Wed, 21 Oct 2099 07:28:00 GMT"],
        });
      else if (call.seen.path === "/gate") call.send(302, { location: named(origin, "other.test", "/file") });
      else call.answer();
    });
    await using client = make();
    const url = named(origin, "a.test", "/gate");
    assert.equal((await ask(client, url)).status, 200);
    assert.deepEqual(sent(origin), [undefined, "pass=1; also=2", undefined]);
    await ask(client, url);
    assert.deepEqual(sent(origin).slice(3), [undefined, "pass=1; also=2", undefined], "nothing is kept");
  });

  test("an endless circle of cookies ends", async () => {
    await using origin = await serve(resource, (call) =>
      call.send(302, { location: "/gate", "set-cookie": `n=${call.seen.number}` }),
    );
    await using client = make();
    await assert.rejects(ask(client, `${origin.base}/gate`), { code: "TOO_MANY_REDIRECTS" });
    assert.equal(origin.requests.length, 11);
  });
});
