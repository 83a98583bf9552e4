/**
 * The HTTP source against every origin of the catalogue: right bytes with a right description, or the right error. No
 * origin may be left out, and none may ever get a wrong byte through.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DownloadError } from "../../src/daemon/core/errors.ts";
import type { RangeStream } from "../../src/daemon/core/ports/sources.ts";
import type { ResourceInfo } from "../../src/daemon/core/session.ts";
import { UndiciClient } from "../../src/daemon/http/client.ts";
import { HttpSourceFactory } from "../../src/daemon/http/source.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { ORIGIN_BYTES, ORIGINS, type OriginName, startOrigin } from "../support/origins/catalogue.ts";
import { type Origin, resourceOf, serve } from "../support/origins/origin.ts";
import { RecordLogger } from "../support/record-logger.ts";

const SIZE = ORIGIN_BYTES.length;
const clock = new SystemClock();
const client = new UndiciClient({ userAgent: "snatch-test" }, { clock, logger: new RecordLogger() });
const factory = new HttpSourceFactory({ client, clock });
after(() => client[Symbol.asyncDispose]());

/** The two requests of a download: a first range, then one that goes on with what the first one told. */
const FIRST = { start: 0, end: 10_000 };
const SECOND = { start: 10_000, end: 30_000 };

async function collect(stream: RangeStream): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await stream.pipe((bytes) => void pieces.push(Buffer.from(bytes)));
  return Buffer.concat(pieces);
}

/** "10000+20000 of 100000, ranges", or the code (and reason) of the error. Bytes are compared on the way. */
async function outcome(origin: Origin, range: { start: number; end?: number }, expected?: ResourceInfo) {
  const source = factory.http(origin.url, { timeoutMs: 250 });
  let resource: ResourceInfo | undefined;
  try {
    const stream = await source.open({ ...range, signal: AbortSignal.timeout(5000), ...(expected && { expected }) });
    resource = stream.resource;
    const bytes = await collect(stream);
    const { size, ranges, contentEncoding } = resource;
    if (stream.end !== undefined) assert.equal(bytes.length, stream.end - stream.start, "the announced end");
    if (size === SIZE || size === undefined)
      assert.ok(bytes.equals(ORIGIN_BYTES.subarray(stream.start, stream.start + bytes.length)), "a wrong byte");
    const notes = [ranges && "ranges", contentEncoding].filter(Boolean).map((note) => `, ${note}`);
    return { resource, text: `${stream.start}+${bytes.length} of ${size ?? "?"}${notes.join("")}` };
  } catch (error) {
    assert.ok(error instanceof DownloadError, `not one of ours: ${error}`);
    assert.match(error.message, /127\.0\.0\.1/, "the message names the host");
    const reason = error.metadata["reason"];
    return { resource, text: reason ? `${error.code} ${reason}` : error.code };
  }
}

const GOOD = `0+10000 of ${SIZE}, ranges`;
const WHOLE = `0+${SIZE} of ${SIZE}`;
const NEXT = `10000+20000 of ${SIZE}, ranges`;

/** What the first request brings and, if it brought something, what the second does. */
const EXPECTED: Record<OriginName, readonly [first: string, second?: string]> = {
  "well-behaved": [GOOD, NEXT],
  "range-ignored": [WHOLE, "RANGE_INVALID range_ignored"],
  "range-ignored-on-resume": [GOOD, "RANGE_INVALID range_ignored"],
  "if-range-hostile": [GOOD, NEXT],
  "if-range-hostile-changes": [GOOD, "RESOURCE_CHANGED"],
  "if-range-hostile-denies": [GOOD, "RANGE_INVALID range_ignored"],
  "range-as-200": [WHOLE, "RANGE_INVALID content_range"],
  "accept-ranges-none-lie": [GOOD, NEXT],
  "accept-ranges-bytes-lie": [WHOLE, "RANGE_INVALID range_ignored"],
  "content-range-missing": [WHOLE, "RANGE_INVALID content_range"],
  "content-range-garbled": [WHOLE, "RANGE_INVALID content_range"],
  "content-range-start": [WHOLE, "RANGE_INVALID content_range"],
  "content-range-start-chunked": [WHOLE, "RANGE_INVALID content_range"],
  "content-range-end": [WHOLE, "RANGE_INVALID content_range"],
  "content-range-unit": [WHOLE, "RANGE_INVALID content_range"],
  "content-range-total": [`0+10000 of ${SIZE + 1}, ranges`, "RANGE_INVALID total"],
  "content-range-total-unknown": [WHOLE, NEXT],
  "content-range-total-unknown-capped": [WHOLE, `10000+4096 of ${SIZE}, ranges`],
  "range-shorter": [`0+5000 of ${SIZE}, ranges`, `10000+10000 of ${SIZE}, ranges`],
  "range-chunked": [GOOD, NEXT],
  "range-chunked-short": ["TRUNCATED", "TRUNCATED"],
  "range-chunked-long": ["PROTOCOL_ERROR", "PROTOCOL_ERROR"],
  "range-length-differs": ["RANGE_INVALID unasked"],
  multipart: [WHOLE, "RANGE_INVALID multipart"],
  "unsatisfiable-with-total": [WHOLE, "RANGE_INVALID unsatisfiable"],
  "unsatisfiable-without-total": [WHOLE, "RANGE_INVALID unsatisfiable"],
  "unsatisfiable-empty-lie": [WHOLE, "RESOURCE_CHANGED"],
  "unsatisfiable-on-resume": [GOOD, "RANGE_INVALID unsatisfiable"],
  "changes-after-first": [GOOD, "RESOURCE_CHANGED"],
  "changes-ignoring-if-range": [GOOD, "RESOURCE_CHANGED"],
  "changes-etag-omitted": [GOOD, "RANGE_INVALID validator"],
  "changes-date-omitted": [GOOD, "RANGE_INVALID validator"],
  "changes-etag-omitted-dated": [GOOD, "RESOURCE_CHANGED"],
  "changes-under-one-etag": [GOOD, "RANGE_INVALID validator"],
  "last-modified-omitted": [GOOD, NEXT],
  "changes-without-etag": [GOOD, "RESOURCE_CHANGED"],
  // The bytes differ and nothing tells: the description says that there is no strong validator, so nobody may combine.
  "weak-etag": [GOOD],
  "last-modified-fresh": [GOOD],
  "no-validator": [GOOD, NEXT],
  "login-page": [GOOD, "CONTENT_TYPE_CHANGED"],
  "login-page-elsewhere": [GOOD, "CONTENT_TYPE_CHANGED"],
  "page-changes": [GOOD, "RESOURCE_CHANGED"],
  "shrinks-under-range": [GOOD, "RESOURCE_CHANGED"],
  "close-early": ["TRUNCATED"],
  "close-early-no-keepalive": ["TRUNCATED"],
  "reset-early": ["CONNECTION_LOST"],
  "stall-in-body": ["TIMED_OUT"],
  "stall-before-head": ["TIMED_OUT"],
  "close-before-head": ["CONNECTION_LOST"],
  "reset-before-head": ["CONNECTION_LOST"],
  "no-length-chunked": [`0+${SIZE} of ?`],
  "no-length-close": [`0+${SIZE} of ?`],
  "chunked-cut": ["TRUNCATED"],
  "length-and-chunked": ["PROTOCOL_ERROR"],
  "transfer-coding": ["PROTOCOL_ERROR"],
  "transfer-coding-close": ["PROTOCOL_ERROR"],
  "two-lengths": ["PROTOCOL_ERROR"],
  "length-too-small": ["0+5 of 5"],
  "not-http": ["PROTOCOL_ERROR"],
  "huge-header": ["HEADERS_TOO_LARGE"],
  "early-hints": [GOOD, NEXT],
  "interim-endless": ["TIMED_OUT"],
  "gzip-unasked": [`0+${SIZE} of ?, gzip`],
  "gzip-cut": ["TRUNCATED"],
  "gzip-and-more": ["PROTOCOL_ERROR"],
  "coding-unknown": ["CONTENT_CODING_UNKNOWN"],
  drip: ["timeout"],
  unauthorized: ["HTTP_UNAUTHORIZED"],
  forbidden: ["HTTP_FORBIDDEN"],
  "not-found": ["HTTP_NOT_FOUND"],
  gone: ["HTTP_GONE"],
  "too-many-requests": ["HTTP_TOO_MANY_REQUESTS"],
  "busy-once": ["HTTP_SERVER_ERROR"],
  "retry-after-date": ["HTTP_SERVER_ERROR"],
  "fails-once": ["HTTP_SERVER_ERROR"],
  "always-fails": ["HTTP_SERVER_ERROR"],
  "no-content": ["PROTOCOL_ERROR"],
  "head-refused": [GOOD, NEXT],
  "redirect-loop": ["TOO_MANY_REDIRECTS"],
  "redirect-endless": ["TOO_MANY_REDIRECTS"],
  "redirect-nowhere": ["BAD_REDIRECT"],
  "redirect-bad": ["BAD_REDIRECT"],
  "redirect-file": ["BAD_REDIRECT"],
  "redirect-once": [GOOD, NEXT],
  empty: ["0+0 of 0"],
  "empty-200": ["0+0 of 0"],
  "name-with-folders": [GOOD, NEXT],
  "name-extended": [GOOD, NEXT],
  "name-long": [GOOD, NEXT],
};

describe("the catalogue", () => {
  for (const name of Object.keys(ORIGINS) as OriginName[]) {
    if (name === "drip") continue; // has its own test below
    const [first, second] = EXPECTED[name];
    test(`${name}: ${ORIGINS[name].about} → ${first}${second === undefined ? "" : ` → ${second}`}`, async () => {
      await using origin = await startOrigin(name);
      const one = await outcome(origin, FIRST);
      assert.equal(one.text, first);
      assert.ok(origin.requests.length > 0);
      if (second === undefined) return;
      if (!one.resource) assert.fail("nothing to go on with");
      assert.equal((await outcome(origin, SECOND, one.resource)).text, second);
    });
  }

  test("drip: a byte now and then is no stall; the signal ends it, with its own reason, and the connection", async () => {
    await using origin = await startOrigin("drip");
    const controller = new AbortController();
    const stream = await factory.http(origin.url, { timeoutMs: 100 }).open({ start: 0, signal: controller.signal });
    let bytes = 0;
    const piped = stream.pipe((piece) => {
      bytes += piece.length;
      if (bytes >= 10) controller.abort(new Error("enough")); // 200 ms and more: twice the timeout
    });
    await assert.rejects(piped, /^Error: enough$/);
  });
});

describe("the whole", () => {
  for (const name of ["content-range-total-unknown-capped", "range-shorter"] as const)
    test(`${name}: a part is never taken for it`, async () => {
      await using origin = await startOrigin(name);
      assert.equal((await outcome(origin, { start: 0 })).text, WHOLE);
      assert.deepEqual(
        origin.requests.map(({ headers }) => headers.range),
        [undefined],
      );
    });

  for (const [by, code] of [
    [-1, "TRUNCATED"],
    [1, "PROTOCOL_ERROR"],
  ] as const)
    test(`of a version that is known, without a length, ${by} byte: ${code}`, async () => {
      await using origin = await serve(resourceOf(ORIGIN_BYTES), (call) => {
        if (call.seen.number === 1) return call.answer();
        const body = by < 0 ? ORIGIN_BYTES.subarray(0, by) : Buffer.concat([ORIGIN_BYTES, Buffer.alloc(by)]);
        const fields = { etag: '"v1"', "content-length": undefined, "transfer-encoding": "chunked" };
        return call.send(200, fields, body);
      });
      const { resource } = await outcome(origin, FIRST);
      assert.ok(resource);
      assert.equal((await outcome(origin, { start: 0 }, resource)).text, code);
    });

  test("without a total, and without one that is known, a later range is of no use", async () => {
    await using origin = await startOrigin("content-range-total-unknown");
    assert.equal((await outcome(origin, SECOND)).text, "RANGE_INVALID total_unknown");
  });
});

describe("an origin hostile to If-Range", () => {
  const fields = ({ requests }: Origin) =>
    requests.map(({ headers }) => (headers["if-range"] && "If-Range") ?? (headers["if-match"] && "If-Match") ?? "-");

  test("is asked once without it, under If-Match, and from then on only so", async () => {
    await using origin = await startOrigin("if-range-hostile");
    const source = factory.http(origin.url, {});
    const signal = AbortSignal.timeout(5000);
    const first = await source.open({ ...FIRST, signal });
    await collect(first);
    for (const start of [10_000, 20_000]) {
      const stream = await source.open({ start, end: start + 10_000, expected: first.resource, signal });
      assert.ok((await collect(stream)).equals(ORIGIN_BYTES.subarray(start, start + 10_000)));
    }
    assert.deepEqual(fields(origin), ["-", "If-Range", "If-Match", "If-Match"]);
    assert.equal(origin.requests[2]?.headers["if-match"], '"v1"');
    assert.equal(origin.requests[2]?.headers.range, "bytes=10000-19999");
  });

  test("once it was liked, 412 to If-Match means another version", async () => {
    let changed = false;
    await using origin = await serve(resourceOf(ORIGIN_BYTES), (call) => {
      if (changed) call.send(412, {});
      else ORIGINS["if-range-hostile"].answer(call);
    });
    const source = factory.http(origin.url, {});
    const signal = AbortSignal.timeout(5000);
    const first = await source.open({ ...FIRST, signal });
    await collect(first);
    await collect(await source.open({ ...SECOND, expected: first.resource, signal }));
    changed = true;
    await assert.rejects(source.open({ ...SECOND, expected: first.resource, signal }), { code: "RESOURCE_CHANGED" });
  });

  test("without a strong ETag, or with another one in its 200, is not asked again", async () => {
    for (const name of ["changes-after-first", "changes-without-etag"] as const) {
      await using origin = await startOrigin(name);
      const one = await outcome(origin, FIRST);
      assert.ok(one.resource);
      assert.equal((await outcome(origin, SECOND, one.resource)).text, "RESOURCE_CHANGED");
      assert.deepEqual(fields(origin), ["-", "If-Range"]);
    }
  });
});

test("a page in place of the file says both types, and waits for a person", async () => {
  await using origin = await startOrigin("login-page-elsewhere");
  const { resource: expected } = await outcome(origin, FIRST);
  assert.ok(expected);
  const opened = factory.http(origin.url, {}).open({ ...SECOND, expected, signal: AbortSignal.timeout(5000) });
  await assert.rejects(opened, {
    code: "CONTENT_TYPE_CHANGED",
    retryable: false,
    message: `${new URL(origin.url).host} sent text/html in place of application/zip: a page, perhaps a login`,
    metadata: { host: new URL(origin.url).host, expected: "application/zip", found: "text/html" },
  });
});

describe("what an answer tells", () => {
  let origin: Origin;
  before(async () => {
    origin = await startOrigin("name-extended");
  });
  after(() => origin[Symbol.asyncDispose]());

  test("the resource is described in full, and If-Range carries the strong validator", async () => {
    const { resource } = await outcome(origin, FIRST);
    const { answer, ...described } = resource ?? assert.fail();
    assert.deepEqual(Object.keys(answer ?? {}), ["at"]);
    assert.deepEqual(described, {
      finalUrl: origin.url,
      size: SIZE,
      ranges: true,
      etag: '"v1"',
      lastModified: "Mon, 06 Jan 2020 10:00:00 GMT",
      strongValidator: '"v1"',
      filename: "über uns.txt",
    });
    await outcome(origin, SECOND, resource);
    assert.equal(origin.requests.at(-1)?.headers["if-range"], '"v1"');
    assert.equal(origin.requests.at(-1)?.headers.range, "bytes=10000-29999");
  });

  test("without an end the rest is asked for", async () => {
    const { text } = await outcome(origin, { start: SIZE - 7 });
    assert.equal(text, `${SIZE - 7}+7 of ${SIZE}, ranges`);
    assert.equal(origin.requests.at(-1)?.headers.range, `bytes=${SIZE - 7}-`);
  });

  test("the caller's own Range does not decide", async () => {
    const source = factory.http(origin.url, {
      headers: [
        ["range", "bytes=5-6"],
        ["X-Mine", "yes"],
      ],
    });
    const stream = await source.open({ ...FIRST, signal: AbortSignal.timeout(5000) });
    stream.cancel();
    assert.equal(origin.requests.at(-1)?.headers.range, "bytes=0-9999");
    assert.equal(origin.requests.at(-1)?.headers["x-mine"], "yes");
  });

  for (const [name, validator] of [
    ["weak-etag", undefined],
    ["last-modified-fresh", undefined],
    ["no-validator", undefined],
    ["changes-without-etag", "Mon, 06 Jan 2020 10:00:00 GMT"],
  ] as const)
    test(`${name}: strong validator ${validator}`, async () => {
      await using other = await startOrigin(name);
      assert.equal((await outcome(other, FIRST)).resource?.strongValidator, validator);
    });

  test("a changed resource is noticed without a strong validator, where anything tells", async () => {
    await using other = await startOrigin("well-behaved");
    const before: ResourceInfo = { finalUrl: other.url, ranges: true, etag: 'W/"v1"', size: SIZE };
    assert.equal((await outcome(other, SECOND, before)).text, "RESOURCE_CHANGED");
  });
});
