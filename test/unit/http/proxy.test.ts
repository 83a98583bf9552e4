/** Which proxy a URL is asked through, by configuration and environment. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseProxy, proxiesOf, proxyAuthorization } from "../../../src/daemon/http/proxy.ts";
import { bypassOf } from "../../../src/daemon/http/proxy-bypass.ts";

const shown = (url: string, environment: Record<string, string>, proxy = "", noProxy: string[] = []) =>
  proxiesOf({ proxy, noProxy, environment }).forUrl(new URL(url))?.shown;

describe("the proxy for a URL", () => {
  const environment = {
    http_proxy: "http://plain:1",
    HTTP_PROXY: "http://httpoxy:1",
    HTTPS_PROXY: "http://secure:2",
    ALL_PROXY: "socks5h://all:3",
    NO_PROXY: "intern.test",
  };
  for (const [what, url, env, expected, proxy, noProxy] of [
    ["http_proxy", "http://a.test/", environment, "http://plain:1"],
    ["HTTPS_PROXY", "https://a.test/", environment, "http://secure:2"],
    ["small letters first", "https://a.test/", { ...environment, https_proxy: "http://small:4" }, "http://small:4"],
    ["HTTP_PROXY is anybody's to set", "http://a.test/", { HTTP_PROXY: "http://httpoxy:1" }, undefined],
    ["ALL_PROXY", "http://a.test/", { ALL_PROXY: "socks5h://all:3" }, "socks5h://all:3"],
    ["an empty variable is none", "http://a.test/", { http_proxy: "", ALL_PROXY: "all:3" }, "http://all:3"],
    ["NO_PROXY", "https://x.intern.test/", environment, undefined],
    ["loopback is no exception", "http://127.0.0.1/", environment, "http://plain:1"],
    ["the configuration first", "http://a.test/", environment, "https://own:443", "https://own"],
    ["with the environment's NO_PROXY", "http://intern.test/", environment, undefined, "https://own"],
    ["or its own", "http://intern.test/", environment, "https://own:443", "https://own", ["other.test"]],
    ["direct", "http://a.test/", environment, undefined, "direct"],
  ] as const)
    test(what, () => assert.equal(shown(url, env as Record<string, string>, proxy, [...(noProxy ?? [])]), expected));
});

describe("a proxy's URL", () => {
  for (const [text, expected] of [
    ["proxy", { kind: "http", hostname: "proxy", port: 1080 }],
    ["proxy:80", { kind: "http", hostname: "proxy", port: 80 }],
    ["HTTPS://Proxy", { kind: "https", hostname: "proxy", port: 443 }],
    ["socks5://u%3A:p%40@[::1]:9", { kind: "socks5", hostname: "[::1]", port: 9, user: "u:", password: "p@" }],
    ["socks5h://u@h/", { kind: "socks5h", hostname: "h", port: 1080, user: "u" }],
  ] as const)
    test(text, () => {
      const { shown: _, ...found } = parseProxy(text, "http.proxy");
      assert.deepEqual(found, expected);
    });
  for (const text of ["socks4://a", "ftp://a", "http://", "http://a:99999", `socks5://${"u".repeat(256)}@a`])
    test(`${text.slice(0, 20)} is none`, () =>
      assert.throws(() => parseProxy(text, "HTTPS_PROXY"), { code: "CONFIG_INVALID", message: /^HTTPS_PROXY: / }));

  test("is shown without its password, and keeps it for the proxy", () =>
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9!@:/?#%&=]{8,20}$/), (password) => {
        const proxy = parseProxy(`http://jane:${encodeURIComponent(password)}@proxy:3128`, "http.proxy");
        assert.equal(proxy.shown, "http://proxy:3128");
        const expected = Buffer.from(`jane:${password}`).toString("base64");
        assert.equal(proxyAuthorization(proxy), `Basic ${expected}`);
      }),
    ));
});

describe("NO_PROXY", () => {
  for (const [list, url, expected] of [
    ["*", "http://a.test/", true],
    ["", "http://a.test/", false],
    ["a.test", "http://a.test/", true],
    ["A.Test.", "http://x.a.test./", true],
    ["a.test", "http://ba.test/", false],
    [".a.test", "http://x.a.test/", true],
    ["*.a.test", "http://x.a.test/", true],
    ["b.test, a.test", "http://a.test/", true],
    ["b.test a.test", "http://a.test/", true],
    ["a.test:8080", "http://a.test:8080/", true],
    ["a.test:8080", "http://a.test/", false],
    ["a.test:443", "https://a.test/", true],
    ["10.0.0.0/8", "http://10.9.8.7/", true],
    ["10.0.0.0/8", "http://11.0.0.1/", false],
    ["10.0.0.0/8", "http://10.test/", false],
    ["192.168.1.1", "http://192.168.1.1/", true],
    ["192.168.1.1:81", "http://192.168.1.1/", false],
    ["::1", "http://[::1]/", true],
    ["[::1]", "http://[::1]:80/", true],
    ["[::1]:80", "http://[::1]/", true],
    ["[::1]:81", "http://[::1]/", false],
    ["fe80::/10", "http://[fe80::1]/", true],
    ["fe80::/10", "http://[2001:db8::1]/", false],
    ["10.0.0.0/99", "http://10.0.0.0/", false],
    ["bücher.test", "http://xn--bcher-kva.test/", true],
  ] as const)
    test(`${list} and ${url}`, () => assert.equal(bypassOf(list)(new URL(url)), expected));

  test("takes anything", () =>
    fc.assert(fc.property(fc.string(), fc.webUrl(), (list, url) => void bypassOf(list)(new URL(url)))));
});
