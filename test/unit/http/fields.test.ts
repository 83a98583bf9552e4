/** The parsers of header fields: right on what is right, and unmoved by anything else. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseHttpDate } from "../../../src/daemon/core/http-date.ts";
import { LONGEST_WAIT_MS, retryAfterMs } from "../../../src/daemon/core/retry-after.ts";
import type { ResourceInfo } from "../../../src/daemon/core/session.ts";
import { statusError } from "../../../src/daemon/core/status-error.ts";
import { dispositionName } from "../../../src/daemon/http/content-disposition.ts";
import { formatRange, parseContentRange } from "../../../src/daemon/http/range.ts";
import { contradiction, parseEntityTag, strongValidator, unproved } from "../../../src/daemon/http/validators.ts";

const NOON = Date.UTC(2026, 10, 22, 12);

describe("HTTP-date (RFC 9110 §5.6.7)", () => {
  for (const text of ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
    test(text, () => assert.equal(parseHttpDate(text, NOON), Date.UTC(1994, 10, 6, 8, 49, 37)));

  for (const text of [
    "",
    "-5",
    "2026",
    "Sun, 31 Feb 2026 00:00:00 GMT",
    "Sun, 06 Nov 1994 25:00:00 GMT",
    "Sun, 06 Nov 1994",
  ])
    test(`${JSON.stringify(text)} is none`, () => assert.equal(parseHttpDate(text, NOON), undefined));

  test("reads what Date writes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_000_000_000 }), (seconds) => {
        assert.equal(parseHttpDate(new Date(seconds * 1000).toUTCString(), NOON), seconds * 1000);
      }),
    );
  });
});

describe("Retry-After", () => {
  for (const [value, date, wait] of [
    ["120", undefined, 120_000],
    ["0", undefined, 0],
    ["Sun, 22 Nov 2026 12:00:30 GMT", undefined, 30_000],
    ["Sun, 22 Nov 2026 11:59:00 GMT", undefined, 0],
    ["Fri, 01 Jan 2027 00:00:30 GMT", "Fri, 01 Jan 2027 00:00:00 GMT", 30_000], // the origin's clock is weeks ahead
    ["99999999", undefined, LONGEST_WAIT_MS],
    ["9".repeat(400), undefined, LONGEST_WAIT_MS],
    ["-5", undefined, undefined],
    ["1.5", undefined, undefined],
    ["soon", undefined, undefined],
    ["", undefined, undefined],
    [undefined, undefined, undefined],
  ] as const)
    test(`${JSON.stringify(value)?.slice(0, 40)} means ${wait}`, () =>
      assert.equal(retryAfterMs(value, date, NOON), wait));

  test("is never negative and never too long", () => {
    fc.assert(
      fc.property(fc.string(), fc.option(fc.string(), { nil: undefined }), (value, date) => {
        const wait = retryAfterMs(value, date, NOON);
        assert.ok(wait === undefined || (wait >= 0 && wait <= LONGEST_WAIT_MS));
      }),
    );
  });
});

describe("Range and Content-Range (RFC 9110 §14)", () => {
  test("an exclusive end becomes an inclusive one", () => {
    assert.equal(formatRange(0, 1), "bytes=0-0");
    assert.equal(formatRange(5), "bytes=5-");
  });

  for (const [value, expected] of [
    ["bytes 0-0/1", { kind: "range", start: 0, end: 1, total: 1 }],
    ["Bytes 10-19/*", { kind: "range", start: 10, end: 20 }],
    ["bytes */47", { kind: "unsatisfied", total: 47 }],
    ["bytes 5-4/10", undefined],
    ["bytes 0-10/10", undefined],
    ["bytes 0-9/10, bytes 20-29/30", undefined],
    ["bytes=0-9/10", undefined],
    ["bytes  0-9/10", undefined],
    ["items 0-9/10", undefined],
    ["bytes 0x0-9/10", undefined],
    ["bytes -1-9/10", undefined],
    ["bytes */*", undefined],
    ["bytes 0-9999999999999999/*", undefined],
    ["", undefined],
  ] as const)
    test(`${JSON.stringify(value)}`, () => assert.deepEqual(parseContentRange(value), expected));

  test("whatever is read is a range that exists", () => {
    const near = fc.stringMatching(/^bytes [0-9*]{1,6}-?[0-9]{0,6}\/[0-9*]{1,6}$/);
    fc.assert(
      fc.property(fc.oneof(fc.string(), near), (value) => {
        const range = parseContentRange(value);
        if (range?.kind !== "range") return;
        assert.ok(range.start >= 0 && range.start < range.end && range.end <= (range.total ?? range.end));
        assert.equal(
          `bytes ${range.start}-${range.end - 1}/${range.total ?? "*"}`,
          value.replace(/(?<=\D)0+(?=\d)/g, ""),
        );
      }),
    );
  });
});

describe("validators", () => {
  const headers = (fields: Record<string, string>) => new Map(Object.entries(fields));
  const old = "Sun, 22 Nov 2026 10:00:00 GMT";
  const date = "Sun, 22 Nov 2026 12:00:00 GMT";

  test("entity tags: strong, weak, and what is none", () => {
    assert.deepEqual(parseEntityTag('"a b"'), undefined);
    assert.deepEqual(parseEntityTag('"ab"'), { weak: false, tag: '"ab"' });
    assert.deepEqual(parseEntityTag('W/"ab"'), { weak: true, tag: '"ab"' });
    for (const bad of ["ab", 'w/"ab"', '"ab', '"a"b"', ""]) assert.equal(parseEntityTag(bad), undefined);
  });

  test("a weak or broken ETag is no strong validator, and keeps Last-Modified from being one", () => {
    assert.equal(strongValidator(headers({ etag: '"x"', "last-modified": old, date })), '"x"');
    assert.equal(strongValidator(headers({ etag: 'W/"x"', "last-modified": old, date })), undefined);
    assert.equal(strongValidator(headers({ etag: "x", "last-modified": old, date })), undefined);
  });

  test("Last-Modified is strong only if it is clearly older than the origin's own Date (§8.8.2.2)", () => {
    assert.equal(strongValidator(headers({ "last-modified": old, date })), old);
    assert.equal(strongValidator(headers({ "last-modified": date, date })), undefined);
    assert.equal(strongValidator(headers({ "last-modified": "Sun, 22 Nov 2026 11:59:59 GMT", date })), undefined);
    assert.equal(strongValidator(headers({ "last-modified": old })), undefined);
    assert.equal(strongValidator(headers({ "last-modified": "yesterday", date })), undefined);
    assert.equal(strongValidator(headers({ "last-modified": date, date: old })), undefined);
  });

  test("what contradicts the expected version", () => {
    const info = (fields: Partial<ResourceInfo>): ResourceInfo => ({ finalUrl: "http://x/", ranges: true, ...fields });
    const strong = info({ etag: '"a"', strongValidator: '"a"', size: 10, lastModified: old });
    const part = (fields: object) => ({ part: true, ...fields });
    const whole = (fields: object) => ({ part: false, ...fields });
    assert.equal(contradiction(strong, part({ etag: '"a"', lastModified: old })), undefined);
    assert.match(contradiction(strong, part({ etag: '"b"' })) ?? "", /ETag was "a" and is now "b"/);
    assert.match(contradiction(strong, part({ etag: 'W/"a"' })) ?? "", /ETag/);
    assert.equal(contradiction(strong, whole({ etag: '"a"' })), undefined);
    assert.match(contradiction(strong, whole({})) ?? "", /ETag was "a" and is now absent/);
    assert.match(contradiction(strong, whole({ etag: '"a"', size: 11 })) ?? "", /size was 10 and is now 11/);
    assert.match(contradiction(strong, whole({ etag: '"a"', lastModified: date })) ?? "", /Last-Modified was/);
    const dated = info({ lastModified: old, strongValidator: old });
    assert.equal(contradiction(dated, part({ lastModified: old })), undefined);
    assert.match(contradiction(dated, part({ lastModified: date })) ?? "", /Last-Modified/);
    assert.match(contradiction(dated, whole({})) ?? "", /Last-Modified/);
    assert.match(contradiction(dated, part({ lastModified: old, etag: '"new"' })) ?? "", /ETag was absent/);
    const weak = info({ etag: 'W/"a"', size: 10 });
    assert.equal(contradiction(weak, whole({ etag: 'W/"a"', size: 10 })), undefined);
    assert.equal(contradiction(weak, whole({ etag: 'W/"a"' })), undefined);
    assert.match(contradiction(weak, whole({ etag: 'W/"a"', size: 11 })) ?? "", /size was 10 and is now 11/);
    assert.match(contradiction(weak, whole({ size: 10 })) ?? "", /ETag/);
  });

  test("a part that does not prove its version is neither the same nor another one", () => {
    const info = (fields: Partial<ResourceInfo>): ResourceInfo => ({ finalUrl: "http://x/", ranges: true, ...fields });
    const strong = info({ etag: '"a"', strongValidator: '"a"', lastModified: old });
    assert.equal(unproved(strong, { etag: '"a"', lastModified: old }), undefined);
    assert.equal(unproved(strong, { etag: '"a"' }), undefined);
    assert.match(unproved(strong, { lastModified: old }) ?? "", /without the ETag/);
    assert.match(unproved(strong, { etag: '"a"', lastModified: date }) ?? "", /Last-Modified was .* and is now/);
    const dated = info({ lastModified: old, strongValidator: old });
    assert.equal(unproved(dated, { lastModified: old }), undefined);
    assert.match(unproved(dated, {}) ?? "", /without the Last-Modified/);
    assert.equal(unproved(info({}), {}), undefined);
    // Nothing is called a contradiction that only is not there.
    assert.equal(contradiction(strong, { part: true, lastModified: old }), undefined);
    assert.match(contradiction(strong, { part: true, lastModified: date }) ?? "", /Last-Modified/);
    assert.equal(contradiction(dated, { part: true }), undefined);
  });
});

describe("Content-Disposition", () => {
  for (const [value, name] of [
    ['attachment; filename="a.txt"', "a.txt"],
    ["attachment; filename=a.txt", "a.txt"],
    ["attachment; filename=\"p.txt\"; filename*=UTF-8''%C3%BC.txt", "ü.txt"],
    ["attachment; filename*=UTF-8''%C3%BC.txt; filename=\"p.txt\"", "ü.txt"],
    ["attachment; filename*=iso-8859-1'en'%FC.txt", "ü.txt"],
    ["attachment; filename=\"p.txt\"; filename*=UTF-8''%ZZ.txt", "p.txt"],
    ["attachment; filename*=UTF-8''100%2525.txt", "100%25.txt"], // decoded once, not twice
    ['attachment; filename="a%20b.txt"', "a b.txt"],
    ['attachment; filename="100%.txt"', "100%.txt"],
    ['attachment; filename="\u00c3\u00bc.txt"', "ü.txt"], // raw UTF-8
    ['attachment; filename="\u00fc.txt"', "ü.txt"], // raw Latin-1
    ['attachment; filename="../../etc/passwd"', "passwd"],
    ["attachment; filename*=UTF-8''..%2F..%5Cevil", "evil"],
    ['attachment; filename="dir/"', undefined],
    ["attachment", undefined],
    ["", undefined],
    [undefined, undefined],
  ] as const)
    test(`${JSON.stringify(value)}`, () => assert.equal(dispositionName(value), name));

  test("never throws, never gives a path", () => {
    const near = fc.string().map((text) => `attachment; filename="${text}"; filename*=UTF-8''${text}`);
    fc.assert(
      fc.property(fc.oneof(fc.string(), near), (value) => {
        const name = dispositionName(value);
        assert.ok(name === undefined || (name !== "" && !/[/\\]/.test(name)));
      }),
    );
  });
});

describe("statuses", () => {
  const error = (status: number, fields: Record<string, string> = {}) =>
    statusError(
      { status, headers: new Map(Object.entries(fields)), url: "http://user:pw@example.org/x?token=1" },
      NOON,
    );

  for (const [status, code, retryable] of [
    [401, "HTTP_UNAUTHORIZED", false],
    [403, "HTTP_FORBIDDEN", false],
    [404, "HTTP_NOT_FOUND", false],
    [408, "HTTP_CLIENT_ERROR", true],
    [410, "HTTP_GONE", false],
    [418, "HTTP_CLIENT_ERROR", false],
    [425, "HTTP_CLIENT_ERROR", true],
    [429, "HTTP_TOO_MANY_REQUESTS", true],
    [500, "HTTP_SERVER_ERROR", true],
    [503, "HTTP_SERVER_ERROR", true],
    [204, "PROTOCOL_ERROR", true],
    [304, "PROTOCOL_ERROR", true],
  ] as const)
    test(`${status} is ${code}`, () => {
      const found = error(status);
      assert.equal(found.code, code);
      assert.equal(found.retryable, retryable);
      assert.equal(found.metadata["status"], String(status));
      assert.match(found.message, /^example\.org /);
      assert.doesNotMatch(found.message, /pw|token/);
    });

  test("carries Retry-After", () => assert.equal(error(503, { "retry-after": "3" }).retryAfterMs, 3000));
});
