/** Cookies: cookies.txt, Set-Cookie, and that none goes where it does not belong. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { belongsTo, type Cookie, cookieField, parseSetCookie, withCookie } from "../../../src/daemon/http/cookie.ts";
import { parseCookieFile } from "../../../src/daemon/http/cookie-file.ts";

const NOW = Date.parse("2026-11-22T12:00:00Z");
const url = (text: string) => new URL(text);
const set = (field: string, from: string) => parseSetCookie(field, url(from), NOW);

describe("cookies.txt", () => {
  const { value, problems } = parseCookieFile(
    [
      "# Netscape HTTP Cookie File",
      "",
      ".example.org\tTRUE\t/\tFALSE\t0\tall\t1",
      "www.example.org\tFALSE\t/down\tTRUE\t4000000000\tone\ta=b",
      "#HttpOnly_.example.org\tTRUE\t/\tFALSE\t4000000000\thidden\t2",
      "example.org\tFALSE\t/\tFALSE\t1000000000\told\tgone",
      "example.org\tFALSE\t/\tFALSE\t4000000000\tempty\t",
      "example.org FALSE / FALSE 0 spaces x",
      "example.org\tmaybe\t/\tFALSE\t0\ta\tb",
      ".co.uk\tTRUE\t/\tFALSE\t0\twide\tx",
      "example.org\tFALSE\t/\tFALSE\t0\tinjected\tx\r; y",
    ].join("\n"),
  );
  const sent = (text: string) => cookieField(value, url(text), NOW);

  test("is read, and what is wrong is told by its line", () => {
    assert.equal(value.length, 5);
    assert.deepEqual(
      problems.map((problem) => /^line (\d+)/.exec(problem)?.[1]),
      ["8", "9", "10", "11"],
    );
    assert.doesNotMatch(problems.join(), /spaces|injected/);
  });
  for (const [to, expected] of [
    ["http://example.org/", "all=1; hidden=2; empty="],
    ["http://deep.www.example.org/", "all=1; hidden=2"],
    ["https://www.example.org/down/x", "one=a=b; all=1; hidden=2"],
    ["https://www.example.org/downward", "all=1; hidden=2"],
    ["http://www.example.org/down/x", "all=1; hidden=2"],
    ["http://badexample.org/", undefined],
    ["http://example.org.evil.test/", undefined],
  ] as const)
    test(`at ${to}`, () => assert.equal(sent(to), expected));
});

describe("Set-Cookie", () => {
  for (const [field, from, expected] of [
    [
      "a=b",
      "http://h.test/x/y",
      { name: "a", value: "b", domain: "h.test", hostOnly: true, path: "/x", secure: false },
    ],
    [
      "a=b; Domain=.H.test; Path=/p; Secure; HttpOnly; Max-Age=10",
      "https://www.h.test/",
      { name: "a", value: "b", domain: "h.test", hostOnly: false, path: "/p", secure: true, expires: NOW + 10_000 },
    ],
    [
      "a=b; Expires=Wed, 21-Oct-2026 07:28:00 GMT",
      "http://h.test/",
      {
        name: "a",
        value: "b",
        domain: "h.test",
        hostOnly: true,
        path: "/",
        secure: false,
        expires: Date.parse("2026-10-21T07:28:00Z"),
      },
    ],
    ["a=b; Domain=other.test", "http://h.test/", undefined],
    ["a=b; Domain=test", "http://h.test/", undefined],
    ["a=b; Domain=co.uk", "http://h.co.uk/", undefined],
    ["a=b; Domain=github.io", "http://jane.github.io/", undefined],
    ["a=b; Domain=s3.eu-west-1.amazonaws.com", "http://bucket.s3.eu-west-1.amazonaws.com/", undefined],
    ["a=b; Domain=0.0.1", "http://127.0.0.1/", undefined],
    ["a=b; Secure", "http://h.test/", undefined],
    ["__Secure-a=b", "https://h.test/", undefined],
    ["__Host-a=b; Secure; Path=/; Domain=h.test", "https://h.test/", undefined],
    ["a=b\u0001c", "http://h.test/", undefined],
    ["", "http://h.test/", undefined],
  ] as const)
    test(`${field} from ${from}`, () => assert.deepEqual(set(field, from), expected));

  test("one that is over takes the place of the former, and is not sent", () => {
    const first = set("a=b", "http://h.test/") ?? assert.fail();
    const over = set("a=; Max-Age=0", "http://h.test/") ?? assert.fail();
    const jar = withCookie(withCookie([], first), over);
    assert.equal(jar.length, 1);
    assert.equal(cookieField(jar, url("http://h.test/"), NOW), undefined);
  });
});

describe("whatever a host sets", () => {
  const label = fc.constantFrom("a", "b", "shop", "evil", "co", "com", "uk", "org", "github", "io", "test");
  const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
  const attribute = fc.oneof(
    host.map((domain) => `Domain=${domain}`),
    host.map((domain) => `domain=.${domain}`),
    fc.constantFrom("Secure", "Path=/", "Path=/x", "HttpOnly", "Max-Age=100", "Domain=", "Domain=..", "garbage;=;"),
  );
  const field = fc.array(attribute, { maxLength: 4 }).map((attributes) => ["n=v", ...attributes].join("; "));
  const siteOf = (name: string) => name.split(".").slice(-2).join(".");

  test("never reaches another site, nor a host beside it that is not below the same domain", () =>
    fc.assert(
      fc.property(field, host, host, fc.boolean(), fc.boolean(), (text, from, to, sentBy, readBy) => {
        const source = url(`${sentBy ? "https" : "http"}://${from}/x/y`);
        const target = url(`${readBy ? "https" : "http"}://${to}/x/y`);
        const cookie: Cookie | undefined = parseSetCookie(text, source, NOW);
        if (!cookie || !belongsTo(cookie, target, NOW)) return;
        if (from === to) return;
        assert.equal(cookie.hostOnly, false);
        assert.equal(siteOf(from), siteOf(to));
        assert.ok(from === cookie.domain || from.endsWith(`.${cookie.domain}`));
        assert.ok(to === cookie.domain || to.endsWith(`.${cookie.domain}`));
        assert.ok(!["co.uk", "com", "org", "github.io"].includes(cookie.domain));
        if (cookie.secure) assert.ok(readBy);
      }),
      { numRuns: 2000 },
    ));

  test("can be sent in a field", () =>
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const cookie = parseSetCookie(text, url("http://h.test/"), NOW);
        const sent = cookie && cookieField([cookie], url("http://h.test/"), NOW);
        assert.doesNotMatch(sent ?? "", /[\r\n\0;]/);
      }),
    ));
});
