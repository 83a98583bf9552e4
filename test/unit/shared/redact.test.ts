import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isSecretHeader, redactUrl } from "../../../src/shared/redact.ts";

describe("what is shown has no secrets", () => {
  for (const [url, shown] of [
    // Who asks.
    ["https://u:hunter2@example.org/a", "https://u:***@example.org/a"],
    ["https://ghp_abcdef0123456789@example.org/a", "https://***@example.org/a"],
    ["https://glpat-abcdefghijklmnopqrst:x-oauth-basic@h/a", "https://***:***@h/a"],
    ["https://abc:@h/a", "https://***@h/a"],
    ["https://:pw@h/a", "https://:***@h/a"],
    ["https:u:pw@h/a", "https://u:***@h/a"],
    ["ftp://u:p%40w@h/a", "ftp://u:***@h/a"],
    ["u:pw@h/a", "u:***@h/a"],
    // What is asked for.
    ["https://h/a?token=abc&x=1", "https://h/a?token=***&x=1"],
    ["https://h/a?X-Amz-Signature=abc&X-Amz-Credential=d", "https://h/a?X-Amz-Signature=***&X-Amz-Credential=***"],
    ["https://h/a?x-amz-security-token=abc", "https://h/a?x-amz-security-token=***"],
    ["https://h/a?X-Goog-Signature=abc&x=%20+a", "https://h/a?X-Goog-Signature=***&x=%20+a"],
    ["https://h/a?sig=1&sig=2", "https://h/a?sig=***&sig=***"],
    ["https://h/a?token=a;b&page=2", "https://h/a?token=***&page=2"],
    ["https://h/a?page=2;token=a;b=1", "https://h/a?page=2;token=***;b=1"],
    ["https://h/a?p%61ssword=a", "https://h/a?p%61ssword=***"],
    ["https://h/a?user[password]=a", "https://h/a?user[password]=***"],
    ["https://h/a#access_token=abc&state=1", "https://h/a#access_token=***&state=1"],
    ["https://h/a;jsessionid=ABC/b?x=1", "https://h/a;jsessionid=***/b?x=1"],
    [
      "https://h/?url=https%3A%2F%2Fu%3Apw%40h2%2F%3Fsig%3Dx",
      "https://h/?url=https%3A%2F%2Fu%3A***%40h2%2F%3Fsig%3D***",
    ],
    [
      "magnet:?xt=urn:btih:abc&tr=http%3A%2F%2Ft%2Fannounce%3Fpasskey%3Dx",
      "magnet:?xt=urn:btih:abc&tr=http%3A%2F%2Ft%2Fannounce%3Fpasskey%3D***",
    ],
    // No URL, and still not to be shown.
    ["https://u:p/w@h/a", "https://***@h/a"],
    ["https://u:p#w@h:x/a?token=1", "https://***@h:x/a?token=***"],
    ["http://[?token=1", "http://[?token=***"],
    ["no url?token=1", "no url?token=***"],
    ["/a/b?sig=x&c=1", "/a/b?sig=***&c=1"],
  ] as const)
    test(url, () => assert.equal(redactUrl(url), shown));

  for (const name of [
    "AWSAccessKeyId",
    "code",
    "verify",
    "Policy",
    "Key-Pair-Id",
    "access_key",
    "access-key-id",
    "X-Amz-Date",
    "Signature",
    "sig",
    "sign",
    "hmac",
    "pwd",
    "passwd",
    "password",
    "pass",
    "userPassword",
    "jwt",
    "token",
    "authToken",
    "accesstoken",
    "access_token",
    "__token__",
    "auth",
    "auth_key",
    "authorization",
    "apikey",
    "apiKey",
    "api-key",
    "APIKEY",
    "key",
    "client_secret",
    "clientsecret",
    "session",
    "sessionid",
    "session_id",
    "PHPSESSID",
    "sid",
    "credential",
    "cookie",
    "ticket",
    "passkey",
    "otp",
    "hdnts",
    "sas",
    "token2",
  ])
    test(`${name}= is hidden`, () => assert.equal(redactUrl(`https://h/a?${name}=abc`), `https://h/a?${name}=***`));

  for (const query of [
    "page=2",
    "monkey=1",
    "keyboard=qwertz",
    "keyword=a",
    "author=jane",
    "design=x",
    "compass=n",
    "passenger=2",
    "tokenizer=bpe",
    "assign=me",
    "sessions=5",
    "inside=1",
    "signed=yes",
    "expires=5",
    "X-Ambient=1",
    "v=1&w",
    "q=C%23+and+%26",
    "=5",
    "&&",
  ])
    test(`${query} is shown`, () => assert.equal(redactUrl(`https://h/a?${query}#part`), `https://h/a?${query}#part`));

  for (const text of [
    "https://example.org/a",
    "",
    "a@b",
    "/home/jane@work/a;b",
    "report (1).pdf",
    "https://h/@scope/a",
  ])
    test(`${text} stays as it is`, () => assert.equal(redactUrl(text), text));

  test("a password never comes through, wherever it stands", () => {
    const secret = "S3cretS3cret";
    const place = fc.constantFrom(
      (name: string) => `https://${name || "u"}:${secret}@h/p`,
      (name: string) => `https://${secret}@h/${name}`,
      (name: string) => `https://u:x${name}/${secret}@h/p`,
      (name: string) => `https://h/p?${name}&access_token=${secret}`,
      (name: string) => `https://h/p?a=${name};token=${secret}`,
      (name: string) => `https://u@h/?a=${name}&API_KEY=${secret}#x`,
      (name: string) => `https://h/${name}#id_token=${secret}`,
      (name: string) => `https://h/?u=${encodeURIComponent(`https://${name}:${secret}@h/`)}`,
    );
    fc.assert(
      fc.property(place, fc.stringMatching(/^[a-z0-9]{0,8}$/), (make, name) => {
        assert.ok(!redactUrl(make(name)).includes(secret));
      }),
    );
  });

  test("never throws, and does not hide twice", () => {
    const near = fc.tuple(fc.string(), fc.string(), fc.string()).map(([a, b, c]) => `https://${a}@h/${b}?token=${c}`);
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.webUrl({ withQueryParameters: true, withFragments: true }), near),
        (text) => {
          const shown = redactUrl(text);
          assert.equal(redactUrl(shown), shown);
        },
      ),
    );
  });

  const code = "7HKZM-4TQ2W-9XNPA-BCDEF-GH123";
  for (const [text, shown] of [
    [`snatch:${code}`, "snatch:***"],
    [`SNATCH:${code.toLowerCase()}`, "snatch:***"],
    [`snatch://${code}`, "snatch:***"],
    [` \t snatch: ${code.replaceAll("-", " ")} `, "snatch:***"],
    [`sn\na\ttch\r:${code}`, "snatch:***"],
    [`snatch:%37${code.slice(1)}`, "snatch:***"],
    [`snatch:${code}?x=1#y`, "snatch:***"],
    [`snatch:share/${code}`, "snatch:***"],
    [`snatch:share/${"0".repeat(32)}/${code}`, "snatch:***"],
    [`snatch:share/${"0".repeat(32)}?${code}`, "snatch:***"],
    [`https://h/?u=snatch:${code}`, "https://h/?u=snatch:***"],
    [`https://h/?u=snatch%3A${code}&x=1`, "https://h/?u=snatch%3A***&x=1"],
    [code, "***"],
    [code.replaceAll("-", ""), "***"],
    [` ${code.replaceAll("-", " \u2013 ")}`, " ***"],
    [`snacth:${code}`, "snacth:***"],
  ] as const)
    test(`the code in ${JSON.stringify(text)} is hidden`, () => assert.equal(redactUrl(text), shown));

  for (const text of [
    `snatch:share/${"0123456789abcdef".repeat(2)}`,
    `snatch:share/${"0123456789abcdef".repeat(2)}/12`,
    "https://example.org/snatch:latest",
    "https://abcdefghijklmnopqrstuvwxy",
    "7d3f2c1e-0000-4000-8000-000000000001",
  ])
    test(`${text} holds no code`, () => assert.equal(redactUrl(text), text));

  test("no spelling that is read as a code comes through", () => {
    const between = fc.constantFrom("", "", "-", " ", "\u2014", "\u00ad", "--");
    const spelt = fc
      .tuple(
        fc.constantFrom("snatch:", "Snatch:", "SNATCH://", " snatch:", "", "sna\ttch:", "http://h/?q=snatch:"),
        fc.array(fc.tuple(fc.constantFrom(..."0123456789ABCDEFGHJKMNPQRSTVWXYZabcdefghijklmnopqrstvwxyz"), between), {
          minLength: 25,
          maxLength: 25,
        }),
        fc.constantFrom("", " ", "\n"),
      )
      .map(([scheme, parts, end]) => ({ text: scheme + parts.flat().join("") + end, secret: parts.flat().join("") }));
    fc.assert(
      fc.property(spelt, ({ text, secret }) => assert.ok(!redactUrl(text).includes(secret.trim()), redactUrl(text))),
    );
  });

  test("header fields by their names", () => {
    for (const name of ["Authorization", "cookie", "Set-Cookie", "Proxy-Authorization", "X-Api-Key", "x-auth-token"])
      assert.ok(isSecretHeader(name), name);
    for (const name of ["Accept", "Referer", "User-Agent", "X-Cookies-Allowed"]) assert.ok(!isSecretHeader(name), name);
  });
});
