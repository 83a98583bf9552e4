/**
 * The rules of HTTP caching, case by case, each with the section that it comes from: RFC 9111 where nothing else is said.
 * The unit test and the acceptance run both go through them.
 */
import assert from "node:assert/strict";
import { LONGEST_SECONDS, parseCacheControl, secondsOf } from "../../src/daemon/cache/cache-control.ts";
import {
  type CachedAnswer,
  currentAge,
  type Fields,
  freshnessLifetime,
  freshUntil,
  matchesVary,
  mayServeOnError,
  mayStore,
  type Reuse,
  reuse,
  variedFields,
} from "../../src/daemon/cache/http-caching.ts";
import {
  conditionalFields,
  confirms,
  invalidated,
  keptFields,
  updatedFields,
} from "../../src/daemon/cache/validation.ts";

/** One rule, and the check of it. */
export interface CachingCase {
  /** The section first. */
  readonly name: string;
  /** Throws if the outcome is another. */
  readonly check: () => void;
}

const NOW = Date.parse("2026-11-22T12:00:00Z");
const DATE = new Date(NOW).toUTCString();
const HOUR = 3600;
const DAY = 86_400;
const HEURISTIC = { longest: DAY, without: 0 };
type Given = Readonly<Record<string, string>>;

const fields = (given: Given = {}): Fields => new Map(Object.entries(given));
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toUTCString();
const ask = (headers: Given = {}, method = "GET") => ({ method, headers: fields(headers) });

function kept(headers: Given, more: Partial<CachedAnswer> = {}, asked: Given = {}): CachedAnswer {
  const all = fields({ date: DATE, ...headers });
  const varied = variedFields(all, fields(asked));
  return { status: 200, requestTime: NOW, responseTime: NOW, headers: all, varied, ...more };
}

const stores = (name: string, expected: boolean, headers: Given, status = 200, request = ask()): CachingCase => ({
  name,
  check: () => assert.equal(mayStore(request, status, fields(headers)), expected),
});
const lives = (name: string, expected: number, headers: Given, more: Partial<CachedAnswer> = {}): CachingCase => ({
  name,
  check: () => assert.equal(freshnessLifetime(kept(headers, more), HEURISTIC), expected),
});
const ages = (
  name: string,
  expected: number,
  headers: Given,
  more: Partial<CachedAnswer>,
  later: number,
): CachingCase => ({
  name,
  check: () => assert.equal(currentAge(kept(headers, more), NOW + later * 1000), expected),
});
const reuses = (name: string, expected: Reuse, headers: Given, later: number, request: Given = {}): CachingCase => ({
  name,
  check: () => assert.equal(reuse(kept(headers), ask(request), NOW + later * 1000, HEURISTIC), expected),
});
const varies = (name: string, expected: boolean, vary: string, before: Given, now: Given): CachingCase => ({
  name,
  check: () => assert.equal(matchesVary(kept({ vary }, {}, before), fields(now)), expected),
});
const standsIn = (
  name: string,
  expected: boolean,
  headers: Given,
  status: number | undefined,
  later: number,
  request: Given = {},
): CachingCase => ({
  name,
  check: () =>
    assert.equal(mayServeOnError(kept(headers), ask(request), status, NOW + later * 1000, HEURISTIC), expected),
});
const same = (name: string, actual: () => unknown, expected: unknown): CachingCase => ({
  name,
  check: () => assert.deepEqual(actual(), expected),
});
const confirmed = (name: string, expected: boolean, before: Given, notModified: Given): CachingCase => ({
  name,
  check: () => assert.equal(confirms(fields(before), fields(notModified)), expected),
});
const seconds = (value: string, name = "max-age") => secondsOf(parseCacheControl(value), name);

/** All of them. */
export const cases: readonly CachingCase[] = [
  // May it be kept?
  stores("§3 a 200 to GET without a word about it is kept", true, {}),
  stores("§3 no-store is not kept", false, { "cache-control": "no-store, max-age=60" }),
  stores(
    "§5.2.1.5 a request with no-store leaves nothing behind",
    false,
    {},
    200,
    ask({ "cache-control": "no-store" }),
  ),
  stores("§3 an answer to POST is not kept", false, { "cache-control": "max-age=60" }, 200, ask({}, "POST")),
  stores(
    "§3 nor one to HEAD: it has no body to give to a GET",
    false,
    { "cache-control": "max-age=60" },
    200,
    ask({}, "HEAD"),
  ),
  stores("§3.3 a part of an answer is not kept", false, { "cache-control": "max-age=60" }, 206),
  stores("§3 an answer that is not final is not kept", false, { "cache-control": "max-age=60" }, 103),
  stores("§4.3.4 a 304 is not kept for itself", false, { "cache-control": "max-age=60" }, 304),
  stores("§3 a 302 without a word about it is not kept", false, {}, 302),
  stores("§3 a 302 with max-age is kept", true, { "cache-control": "max-age=60" }, 302),
  stores("§3 a 302 with Expires is kept", true, { expires: at(60) }, 302),
  stores("§5.2.2.9 public makes a status cacheable that is not by itself", true, { "cache-control": "public" }, 403),
  stores("§5.2.2.7 private is no hindrance for a private cache", true, { "cache-control": "private" }),
  stores("§5.2.2.7 private makes a status cacheable for a private cache", true, { "cache-control": "private" }, 403),
  stores("§4.2.2 a 404 is cacheable by itself (RFC 9110 §15.1)", true, {}, 404),
  stores("§4.2.2 a 500 is not", false, {}, 500),
  stores("§3 a 500 that says for how long is", true, { "cache-control": "max-age=5" }, 500),
  stores("§3.5 Authorization is no hindrance for a private cache", true, {}, 200, ask({ authorization: "Bearer x" })),
  stores("§5.2.2.3 must-understand with a status that is understood overrides no-store", true, {
    "cache-control": "must-understand, no-store",
  }),
  stores(
    "§5.2.2.3 must-understand with a status that is not understood is not kept",
    false,
    {
      "cache-control": "must-understand, max-age=60",
    },
    299,
  ),
  stores("§5.2.2.10 s-maxage says nothing to a private cache", false, { "cache-control": "s-maxage=60" }, 302),
  stores("§5.2.3 an unknown directive is passed over", true, { "cache-control": 'community="UCI", x=1' }),
  stores("§5.2 directives have no case", false, { "cache-control": "No-STORE" }),
  stores("§5.2 no-store is obeyed in a field that is otherwise broken", false, {
    "cache-control": "=;, max-age=60, no-store",
  }),
  stores("§5.2 a no-store inside of quotes is no directive", true, { "cache-control": 'x="a, no-store", max-age=60' }),

  // What is kept of it?
  same(
    "§3.1 fields of the connection, and those that it names, are not kept",
    () => [
      ...keptFields(
        fields({ connection: "close, X-Hop", "x-hop": "1", "keep-alive": "1", "transfer-encoding": "chunked", a: "b" }),
      ),
    ],
    [["a", "b"]],
  ),
  same(
    "RFC 9110 §7.6.1 naming Cache-Control in Connection does not take it away",
    () => [...keptFields(fields({ connection: "cache-control, vary", "cache-control": "no-cache", vary: "*" })).keys()],
    ["cache-control", "vary"],
  ),
  same(
    "§3.1 fields for a proxy are not kept",
    () => [...keptFields(fields({ "proxy-authenticate": "Basic", a: "b" }))],
    [["a", "b"]],
  ),
  same(
    "§7.3 Set-Cookie is not kept: it would be given out again",
    () => keptFields(fields({ "set-cookie": "id=1" })).size,
    0,
  ),

  // How long is it fresh?
  lives("§4.2.1 max-age", 60, { "cache-control": "max-age=60" }),
  lives("§4.2.1 max-age comes before Expires", 60, { "cache-control": "max-age=60", expires: at(HOUR) }),
  lives("§5.3 an Expires in the past does not shorten max-age", 60, { "cache-control": "max-age=60", expires: "0" }),
  lives("§4.2.1 Expires counts from Date", HOUR, { expires: at(HOUR) }),
  lives("§4.2.1 Expires counts from Date also where the origin's clock is a year off", HOUR, {
    date: at(-365 * DAY),
    expires: at(-365 * DAY + HOUR),
  }),
  lives("§5.3 Expires: 0 is in the past", 0, { expires: "0" }),
  lives("§5.3 an Expires that is no date is in the past", 0, { expires: "tomorrow" }),
  lives("§4.2.1 two Expires that differ are none", 0, { expires: `${at(60)}, ${at(HOUR)}` }),
  lives("§5.3 an Expires before Date is in the past", 0, { expires: at(-60) }),
  lives("§5.3 Expires in the form of RFC 850 is read", HOUR, { expires: "Sunday, 22-Nov-26 13:00:00 GMT" }),
  lives("§5.3 Expires in the form of asctime is read, as UTC", HOUR, { expires: "Sun Nov 22 13:00:00 2026" }),
  lives("RFC 9110 §6.6.1 without a Date the time of reception counts", HOUR, { date: "", expires: at(HOUR) }),
  lives("§5.2.2.10 s-maxage is not for a private cache", 0, { "cache-control": "s-maxage=600" }),
  lives("§5.2.2.1 a quoted argument means the same", 60, { "cache-control": 'max-age="60"' }),
  lives("§4.2.1 max-age without a number is stale", 0, { "cache-control": "max-age", expires: at(HOUR) }),
  lives("§4.2.1 max-age with a broken number is stale", 0, { "cache-control": "max-age=60s", expires: at(HOUR) }),
  lives("§4.2.1 a negative max-age is stale", 0, { "cache-control": "max-age=-60" }),
  lives("§1.2.2 max-age with a fraction is no number", 0, { "cache-control": "max-age=1.5" }),
  lives("§4.2.1 two max-age that differ are stale", 0, { "cache-control": "max-age=60, max-age=600" }),
  lives("§4.2.1 the same max-age twice is no contradiction", 60, { "cache-control": "max-age=60, max-age=60" }),
  lives("§1.2.2 a max-age that overflows is the longest", LONGEST_SECONDS, {
    "cache-control": "max-age=99999999999999999999",
  }),
  lives("§5.2 no space is allowed around the equals sign", 0, {
    "cache-control": "max-age = 60",
    "last-modified": at(-DAY),
  }),
  lives("§5.6.1 of RFC 9110: empty members of the list are passed over", 60, { "cache-control": ", ,max-age=60," }),
  lives("§4.2.2 a tenth of the age since Last-Modified", HOUR, { "last-modified": at(-10 * HOUR) }),
  lives("§4.2.2 the tenth has a limit", DAY, { "last-modified": at(-3650 * DAY) }),
  lives("§4.2.2 a Last-Modified in the future is none", 0, { "last-modified": at(DAY) }),
  lives(
    "§4.2.2 not for a status that is not cacheable by itself",
    0,
    { "last-modified": at(-10 * HOUR) },
    { status: 403 },
  ),
  lives(
    "§4.2.2 but for one that public makes so",
    HOUR,
    { "last-modified": at(-10 * HOUR), "cache-control": "public" },
    { status: 403 },
  ),
  same(
    "§4.2.2 a success that says nothing gets what the configuration says",
    () => freshnessLifetime(kept({}), { longest: DAY, without: 30 }),
    30,
  ),
  same(
    "§4.2.2 an error that says nothing gets nothing",
    () => freshnessLifetime(kept({}, { status: 404 }), { longest: DAY, without: 30 }),
    0,
  ),
  same(
    "§1.2.2 delta-seconds are digits",
    () => ["60", "060", "+60", "6e1", "0x3c", ""].map((text) => seconds(`max-age=${text}`)),
    [60, 60, undefined, undefined, undefined, undefined],
  ),
  same("§5.2.1.2 max-stale without a number is any", () => seconds("max-stale", "max-stale"), LONGEST_SECONDS),

  // How old is it?
  ages("§4.2.3 the time that it lay here", 90, {}, {}, 90),
  ages("§4.2.3 Age is added", 130, { age: "100" }, {}, 30),
  ages("§4.2.3 the apparent age counts where it is more than Age", 600, { date: at(-600), age: "10" }, {}, 0),
  ages("§4.2.3 a Date in the future makes nothing younger", 5, { date: at(HOUR) }, {}, 5),
  ages("§4.2.3 the delay of the answer is added to Age", 12, { age: "10" }, { requestTime: NOW - 2000 }, 0),
  ages("§5.1 of two Age the first counts", 7, { age: "7, 900" }, {}, 0),
  ages("§5.1 an Age that is no number is passed over", 0, { age: "-5" }, {}, 0),
  ages("§1.2.2 an Age that overflows is the longest", LONGEST_SECONDS, { age: "9".repeat(40) }, {}, 0),
  ages("§4.2.3 a clock that was set back makes the age unknown", Number.POSITIVE_INFINITY, {}, {}, -HOUR),
  same(
    "§4.2 fresh until the lifetime less the age at arrival",
    () => freshUntil(kept({ "cache-control": "max-age=60", age: "20" }), HEURISTIC) - NOW,
    40_000,
  ),
  same(
    "§5.2.2.4 what must be validated each time is fresh until it came",
    () => freshUntil(kept({ "cache-control": "max-age=60, no-cache" }), HEURISTIC) - NOW,
    0,
  ),

  // May it answer this request?
  reuses("§4.2 fresh to the last second", "fresh", { "cache-control": "max-age=60" }, 59),
  reuses("§4.2 stale as soon as it is as old as its lifetime", "validate", { "cache-control": "max-age=60" }, 60),
  reuses(
    "§4.2 fresh if the clock was set back? that cannot be told",
    "validate",
    { "cache-control": "max-age=60" },
    -HOUR,
  ),
  reuses("§5.2.2.4 no-cache: only after validation", "validate", { "cache-control": "max-age=60, no-cache" }, 1),
  reuses(
    "§5.2.2.4 no-cache with field names counts as without",
    "validate",
    { "cache-control": 'max-age=60, no-cache="set-cookie"' },
    1,
  ),
  reuses("§5.2.1.4 the request's no-cache", "validate", { "cache-control": "max-age=60" }, 1, {
    "cache-control": "no-cache",
  }),
  reuses("§5.4 Pragma: no-cache means the same", "validate", { "cache-control": "max-age=60" }, 1, {
    pragma: "no-cache",
  }),
  reuses("§5.4 but not beside a Cache-Control", "fresh", { "cache-control": "max-age=60" }, 1, {
    pragma: "no-cache",
    "cache-control": "max-age=30",
  }),
  reuses(
    "§5.4 a Pragma in the answer means nothing",
    "fresh",
    { "cache-control": "max-age=60", pragma: "no-cache" },
    1,
  ),
  reuses("§5.2.1.1 the request's max-age: too old", "validate", { "cache-control": "max-age=60" }, 31, {
    "cache-control": "max-age=30",
  }),
  reuses("§5.2.1.1 the request's max-age: young enough", "fresh", { "cache-control": "max-age=60" }, 30, {
    "cache-control": "max-age=30",
  }),
  reuses("§5.2.1.3 min-fresh: not fresh for long enough", "validate", { "cache-control": "max-age=60" }, 41, {
    "cache-control": "min-fresh=20",
  }),
  reuses("§5.2.1.3 min-fresh: fresh for long enough", "fresh", { "cache-control": "max-age=60" }, 40, {
    "cache-control": "min-fresh=20",
  }),
  reuses("§5.2.1.2 max-stale takes what is stale", "stale-accepted", { "cache-control": "max-age=60" }, 70, {
    "cache-control": "max-stale=10",
  }),
  reuses("§5.2.1.2 max-stale: not so stale", "validate", { "cache-control": "max-age=60" }, 71, {
    "cache-control": "max-stale=10",
  }),
  reuses(
    "§5.2.2.2 must-revalidate comes before max-stale",
    "validate",
    { "cache-control": "max-age=60, must-revalidate" },
    61,
    { "cache-control": "max-stale" },
  ),
  reuses(
    "§5.2.2.2 must-revalidate does not matter while it is fresh",
    "fresh",
    { "cache-control": "max-age=60, must-revalidate" },
    59,
  ),
  reuses(
    "§5.2.2.8 proxy-revalidate is not for a private cache",
    "stale-accepted",
    { "cache-control": "max-age=60, proxy-revalidate" },
    61,
    { "cache-control": "max-stale" },
  ),
  reuses("§5.2.1.7 only-if-cached: fresh", "fresh", { "cache-control": "max-age=60" }, 1, {
    "cache-control": "only-if-cached",
  }),
  reuses("§5.2.1.7 only-if-cached: stale is not available", "unavailable", { "cache-control": "max-age=60" }, 61, {
    "cache-control": "only-if-cached",
  }),
  reuses("§4.2.4 stale is not given without leave", "validate", { expires: at(60) }, 61),
  reuses(
    "RFC 8246 §2 immutable is not validated on reload",
    "fresh",
    { "cache-control": "max-age=60, immutable" },
    30,
    { "cache-control": "max-age=0" },
  ),
  reuses("RFC 8246 §2 but when it is stale", "validate", { "cache-control": "max-age=60, immutable" }, 60, {
    "cache-control": "max-age=0",
  }),
  reuses("RFC 8246 §2 and when the request forces it", "validate", { "cache-control": "max-age=60, immutable" }, 30, {
    "cache-control": "no-cache",
  }),
  reuses(
    "RFC 5861 §3 stale-while-revalidate inside of its time",
    "stale-while-revalidate",
    { "cache-control": "max-age=60, stale-while-revalidate=30" },
    90,
  ),
  reuses("RFC 5861 §3 and behind it", "validate", { "cache-control": "max-age=60, stale-while-revalidate=30" }, 91),
  reuses(
    "RFC 5861 §3 must-revalidate comes first",
    "validate",
    { "cache-control": "max-age=60, must-revalidate, stale-while-revalidate=30" },
    61,
  ),
  reuses(
    "RFC 5861 §3 with a number that is none it is not there",
    "validate",
    { "cache-control": "max-age=60, stale-while-revalidate=x" },
    61,
  ),

  // Does it answer the same request?
  varies("§4.1 without Vary every request matches", true, "", {}, { "accept-language": "de" }),
  varies(
    "§4.1 the same value matches",
    true,
    "Accept-Language",
    { "accept-language": "de" },
    { "accept-language": "de" },
  ),
  varies(
    "§4.1 another value does not",
    false,
    "Accept-Language",
    { "accept-language": "de" },
    { "accept-language": "en" },
  ),
  varies("§4.1 absent in both matches", true, "Accept-Language", {}, {}),
  varies("§4.1 absent in one does not", false, "Accept-Language", {}, { "accept-language": "de" }),
  varies("§4.1 absent is not the same as empty", false, "X-A", {}, { "x-a": "" }),
  varies(
    "§4.1 all of the fields have to match",
    false,
    "accept, accept-language",
    { accept: "a" },
    { accept: "a", "accept-language": "de" },
  ),
  varies(
    "§4.1 space around the commas of a list means nothing",
    true,
    "Accept-Language",
    { "accept-language": "de, en" },
    { "accept-language": "de,en" },
  ),
  varies("§4.1 Vary: * never matches", false, "*", {}, {}),
  varies("§4.1 nor does a * among names", false, "Accept, *", {}, {}),
  same(
    "§4.1 what does not match is another variant",
    () => reuse(kept({ vary: "*", "cache-control": "max-age=60" }), ask(), NOW, HEURISTIC),
    "other-variant",
  ),

  // Asking whether it still holds
  same(
    "§4.3.1 both validators are sent",
    () => conditionalFields(fields({ etag: '"a"', "last-modified": DATE }), true),
    [
      ["If-None-Match", '"a"'],
      ["If-Modified-Since", DATE],
    ],
  ),
  same("§4.3.1 a weak entity tag too", () => conditionalFields(fields({ etag: 'W/"a"' }), true), [
    ["If-None-Match", 'W/"a"'],
  ]),
  same(
    "§4.3.1 of another variant only the entity tag",
    () => conditionalFields(fields({ etag: '"a"', "last-modified": DATE }), false),
    [["If-None-Match", '"a"']],
  ),
  same("RFC 9110 §8.8.3 an ETag that is none is not sent", () => conditionalFields(fields({ etag: "abc" }), true), []),
  same(
    "RFC 9110 §8.8.3 nor one with a quotation mark inside",
    () => conditionalFields(fields({ etag: '"a", "b"' }), true),
    [],
  ),
  confirmed("§4.3.4 a 304 with the same strong entity tag confirms", true, { etag: '"a"' }, { etag: '"a"' }),
  confirmed("§4.3.4 with another it does not", false, { etag: '"a"' }, { etag: '"b"' }),
  confirmed("§4.3.4 a strong one does not confirm a weak one", false, { etag: 'W/"a"' }, { etag: '"a"' }),
  confirmed("§4.3.4 a weak one is compared weakly", true, { etag: '"a"' }, { etag: 'W/"a"' }),
  confirmed(
    "§4.3.4 by the date where there is no entity tag",
    false,
    { "last-modified": at(-60) },
    { "last-modified": at(-30) },
  ),
  confirmed("§4.3.3 one without any validator means the one that was sent", true, { etag: '"a"' }, {}),
  same(
    "§3.2 a 304 brings new fields and keeps the others",
    () => [...updatedFields(fields({ a: "1", b: "2", date: DATE }), fields({ b: "3", date: at(60) }))],
    [
      ["a", "1"],
      ["b", "3"],
      ["date", at(60)],
    ],
  ),
  same(
    "§3.2 but not Content-Length, nor what else describes the body",
    () => [
      ...updatedFields(
        fields({ "content-length": "5", "content-type": "text/plain" }),
        fields({
          "content-length": "0",
          "content-type": "text/html",
          "content-encoding": "gzip",
          "content-range": "bytes 0-1/2",
        }),
      ),
    ],
    [
      ["content-length", "5"],
      ["content-type", "text/plain"],
    ],
  ),
  same(
    "§4.3.4 the age of before is forgotten",
    () => updatedFields(fields({ age: "500" }), fields({ date: DATE })).has("age"),
    false,
  ),
  same(
    "§3.1 a Set-Cookie of a 304 is not kept either",
    () => updatedFields(fields(), fields({ "set-cookie": "a" })).size,
    0,
  ),

  // When the origin fails
  standsIn(
    "RFC 5861 §4 stale-if-error stands in for a 503",
    true,
    { "cache-control": "max-age=60, stale-if-error=600" },
    503,
    300,
  ),
  standsIn(
    "RFC 5861 §4 and for an origin out of reach",
    true,
    { "cache-control": "max-age=60, stale-if-error=600" },
    undefined,
    300,
  ),
  standsIn(
    "RFC 5861 §4 no longer than it says",
    false,
    { "cache-control": "max-age=60, stale-if-error=600" },
    503,
    661,
  ),
  standsIn(
    "RFC 5861 §4 a 404 is no such error",
    false,
    { "cache-control": "max-age=60, stale-if-error=600" },
    404,
    300,
  ),
  standsIn("RFC 5861 §4 a request may ask for it", true, { "cache-control": "max-age=60" }, 500, 61, {
    "cache-control": "stale-if-error=5",
  }),
  standsIn("§4.2.4 without leave nothing stale stands in", false, { "cache-control": "max-age=60" }, 503, 61),
  standsIn(
    "§5.2.2.2 must-revalidate forbids it",
    false,
    { "cache-control": "max-age=60, must-revalidate, stale-if-error=600" },
    undefined,
    300,
  ),
  standsIn("§5.2.2.4 no-cache forbids it", false, { "cache-control": "no-cache, stale-if-error=600" }, undefined, 300),

  // What others changed
  same(
    "§4.4 after a POST its URL, and what it names at the same origin, no longer hold",
    () =>
      invalidated(
        { method: "POST", url: "https://a.example/x" },
        201,
        fields({ location: "/y", "content-location": "https://a.example/z" }),
      ),
    ["https://a.example/x", "https://a.example/y", "https://a.example/z"],
  ),
  same(
    "§4.4 nothing of another origin",
    () => invalidated({ method: "PUT", url: "https://a.example/x" }, 204, fields({ location: "https://b.example/y" })),
    ["https://a.example/x"],
  ),
  same(
    "§4.4 nothing after an error",
    () => invalidated({ method: "DELETE", url: "https://a.example/x" }, 500, fields()),
    [],
  ),
  same(
    "§4.4 nothing after a safe method",
    () => invalidated({ method: "GET", url: "https://a.example/x" }, 200, fields()),
    [],
  ),
];
