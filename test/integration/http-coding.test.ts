/** Bodies under a Content-Encoding that nobody asked for, from a real server: decoded as one stream, or refused. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, describe, test } from "node:test";
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import type { RangeStream } from "../../src/daemon/core/ports/sources.ts";
import { UndiciClient } from "../../src/daemon/http/client.ts";
import { HttpSourceFactory } from "../../src/daemon/http/source.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { ORIGIN_BYTES } from "../support/origins/catalogue.ts";
import { type Call, type Origin, resourceOf, serve } from "../support/origins/origin.ts";
import { RecordLogger } from "../support/record-logger.ts";

const clock = new SystemClock();
const client = new UndiciClient({ userAgent: "snatch-test" }, { clock, logger: new RecordLogger() });
const factory = new HttpSourceFactory({ client, clock });
after(() => client[Symbol.asyncDispose]());

// Longer than a buffer of any decoder, and half of it does not shrink.
const BYTES = Buffer.concat([ORIGIN_BYTES, Buffer.alloc(300_000, "so much of the same "), randomBytes(200_000)]);

// Not its best: that takes a second.
const brotli = (bytes: Buffer): Buffer =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } });

const open = (origin: Origin, end?: number): Promise<RangeStream> =>
  factory
    .http(origin.url, { timeoutMs: 2000 })
    .open({ start: 0, signal: AbortSignal.timeout(10_000), ...(end !== undefined && { end }) });

async function collect(stream: RangeStream): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await stream.pipe((bytes) => void pieces.push(Buffer.from(bytes)));
  return Buffer.concat(pieces);
}

/** Serves `body` under a coding; to ranges, as bad servers do, parts of the coded bytes. */
const coded =
  (coding: string, body: Buffer, fields: Record<string, string> = {}) =>
  (call: Call): void => {
    const all = { "content-encoding": coding, etag: '"coded"', ...fields };
    const { range } = call.seen;
    const end = Math.min(range?.end ?? 0, body.length);
    const field = `bytes ${range?.start}-${end - 1}/${body.length}`;
    if (!range) call.send(200, all, body);
    else call.send(206, { ...all, "content-range": field }, body.subarray(range.start, end));
  };

const start = (coding: string, body: Buffer, path?: string, fields?: Record<string, string>): Promise<Origin> =>
  serve(resourceOf(BYTES), coded(coding, body, fields), path);

const CODED: ReadonlyArray<readonly [name: string, coding: string, body: Buffer]> = [
  ["gzip", "gzip", gzipSync(BYTES)],
  ["gzip of two members", "gzip", Buffer.concat([gzipSync(BYTES.subarray(0, 9)), gzipSync(BYTES.subarray(9))])],
  ["x-gzip, in capitals", "X-GZIP", gzipSync(BYTES)],
  ["deflate, in zlib's form", "deflate", deflateSync(BYTES)],
  ["deflate, raw", "deflate", deflateRawSync(BYTES)],
  ["br", "br", brotli(BYTES)],
  ["zstd", "zstd", zstdCompressSync(BYTES)],
  ["a list: gzip and then br", "gzip, br", brotli(gzipSync(BYTES))],
  ["a list with identity", "identity, deflate", deflateSync(BYTES)],
];

describe("a coding that nobody asked for", () => {
  for (const [name, coding, body] of CODED) {
    test(`${name}: decoded, as one stream, of a size that nobody knows`, async () => {
      await using origin = await start(coding, body);
      const stream = await open(origin, 10_000);
      assert.equal(stream.end, undefined);
      assert.equal(stream.resource.size, undefined);
      assert.equal(stream.resource.ranges, false);
      assert.equal(stream.resource.contentEncoding, coding.toLowerCase().replace("identity, ", ""));
      assert.ok((await collect(stream)).equals(BYTES), "a wrong byte");
      assert.deepEqual(
        origin.requests.map(({ headers }) => headers.range),
        ["bytes=0-9999", undefined],
      );
    });

    for (const cut of [1, 9, body.length >> 1, body.length])
      test(`${name}, ${cut} bytes short in good order: TRUNCATED`, async () => {
        await using origin = await serve(resourceOf(BYTES), (call) => {
          // Chunked, so that the framing has nothing to object to.
          const fields = { "content-encoding": coding, "content-length": undefined, "transfer-encoding": "chunked" };
          call.send(200, fields, body.subarray(0, body.length - cut));
        });
        await assert.rejects(collect(await open(origin)), { code: "TRUNCATED", message: /^127\.0\.0\.1/ });
      });

    test(`${name}, and more bytes behind its end: PROTOCOL_ERROR`, async () => {
      for (const more of [Buffer.alloc(20), Buffer.from("<!-- cached -->"), Buffer.alloc(100_000, 7)]) {
        await using origin = await start(coding, Buffer.concat([body, more]));
        await assert.rejects(collect(await open(origin)), { code: "PROTOCOL_ERROR", message: /^127\.0\.0\.1/ });
      }
    });
  }

  test("what is no such coding at all: PROTOCOL_ERROR", async () => {
    for (const coding of ["gzip", "br", "zstd", "deflate"]) {
      await using origin = await start(coding, Buffer.from("plain text, in fact. ".repeat(100)));
      await assert.rejects(collect(await open(origin)), { code: "PROTOCOL_ERROR", message: /coded in/ });
    }
  });

  test("much of nothing is refused: bytes that hold none, and little that unpacks to all of that", async () => {
    const nothing = (bytes: number): Buffer => {
      const head = Buffer.from("1f8b0800000000000003", "hex");
      return Buffer.concat([head, Buffer.alloc(bytes, Buffer.from("000000ffff", "hex"))]);
    };
    for (const [coding, body, message] of [
      ["gzip", nothing(17 * 1024 ** 2), /of which nothing comes/],
      ["gzip, gzip", gzipSync(nothing(17 * 1024 ** 2), { level: 1 }), /of which nothing comes/],
      ["gzip, zstd", zstdCompressSync(nothing(10 * 1024 ** 2)), /more than 1100 times/],
    ] as const) {
      await using origin = await start(coding, body);
      await assert.rejects(collect(await open(origin)), { code: "PROTOCOL_ERROR", message });
    }
  });

  test("zstd that wants a window of more than 8 MiB is refused", async () => {
    const params = { [constants.ZSTD_c_windowLog]: 24 };
    await using origin = await start("zstd", zstdCompressSync(Buffer.alloc(9 * 1024 ** 2), { params }));
    await assert.rejects(collect(await open(origin)), { code: "PROTOCOL_ERROR", message: /memory/ });
  });

  test("an empty body that says so is an empty file", async () => {
    await using origin = await serve(resourceOf(BYTES), (call) => call.send(200, { "content-encoding": "gzip" }));
    assert.equal((await collect(await open(origin))).length, 0);
  });

  test("one that breaks on the way ends with what broke it", async () => {
    const body = gzipSync(BYTES);
    await using origin = await serve(resourceOf(BYTES), (call) => {
      const head = `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`;
      call.raw(Buffer.concat([Buffer.from(head), body.subarray(0, 50_000)]), "reset");
    });
    await assert.rejects(collect(await open(origin)), { code: "CONNECTION_LOST" });
  });

  for (const coding of [
    "exi",
    "gzip, exi",
    "compress",
    "gzip, gzip, gzip",
    Array.from({ length: 9 }, () => "gzip").join(","),
  ])
    test(`${coding}: CONTENT_CODING_UNKNOWN, for good`, async () => {
      await using origin = await start(coding, BYTES);
      await assert.rejects(open(origin), {
        code: "CONTENT_CODING_UNKNOWN",
        retryable: false,
        metadata: { host: new URL(origin.url).host, content_encoding: coding },
      });
    });

  test("a range of what was not coded before is refused, coded or whole", async () => {
    const body = gzipSync(BYTES);
    await using origin = await start("gzip", body);
    const expected = { finalUrl: origin.url, ranges: true, size: body.length, etag: '"coded"' };
    const source = factory.http(origin.url, {});
    const signal = AbortSignal.timeout(5000);
    const opened = source.open({ start: 0, end: 10, expected: { ...expected, strongValidator: '"coded"' }, signal });
    await assert.rejects(opened, { code: "RANGE_INVALID", metadata: reason(origin) });
    await using whole = await serve(resourceOf(BYTES), (call) =>
      call.send(200, { "content-encoding": "gzip", etag: '"coded"' }, body),
    );
    const asked = factory.http(whole.url, {}).open({ start: 0, end: 10, expected, signal });
    await assert.rejects(asked, { code: "RANGE_INVALID", metadata: reason(whole) });
  });
});

const reason = (origin: Origin) => ({ host: new URL(origin.url).host, reason: "content_encoding" });

describe("a resource that is itself the coded file", () => {
  const body = gzipSync(BYTES);
  for (const [what, coding, path, fields] of [
    ["its media type says so", "gzip", "/download", { "content-type": "application/x-gzip" }],
    ["its name does", "x-gzip", "/logs.TAR.GZ", {}],
    ["its other name does", "gzip", "/d?id=1", { "content-disposition": 'attachment; filename="a.tgz"' }],
    ["old packs too", "x-compress", "/a.Z", {}],
  ] as const)
    test(`${what}: stored as it is, in one stream`, async () => {
      await using origin = await start(coding, body, path, fields);
      const stream = await open(origin, 1000);
      assert.deepEqual([stream.end, stream.resource.size, stream.resource.ranges], [body.length, body.length, false]);
      assert.ok((await collect(stream)).equals(body));
      assert.equal(origin.requests.at(-1)?.headers.range, undefined);
    });

  test("only if the coding is the one that the name tells", async () => {
    await using origin = await start("br", brotli(body), "/a.gz");
    assert.ok((await collect(await open(origin))).equals(body));
  });
});

describe("the sink of a decoded body", () => {
  test("holds the sender back: a little that unpacks to 64 MiB does not pile up", async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    await using origin = await start("gzip", bomb);
    const stream = await open(origin);
    let size = 0;
    let busy = 0;
    let held: number | undefined;
    const before = process.memoryUsage().arrayBuffers;
    await stream.pipe(async (bytes) => {
      assert.equal(++busy, 1, "the sink was called while it was busy");
      size += bytes.length;
      // Time enough to unpack all of it, if somebody did.
      if (held === undefined) {
        await clock.sleep(100);
        held = process.memoryUsage().arrayBuffers - before;
      }
      busy--;
    });
    assert.equal(size, 64 * 1024 * 1024);
    assert.ok(held !== undefined && held < 8 * 1024 * 1024, `${held} bytes in buffers`);
  });

  test("that throws ends it with that, and closes the connection", async () => {
    const closed = Promise.withResolvers<void>();
    await using origin = await serve(resourceOf(BYTES), (call) => {
      call.response.on("close", () => closed.resolve());
      call.response.writeHead(200, { "content-encoding": "gzip" });
      call.response.write(gzipSync(BYTES).subarray(0, 150_000));
    });
    const stream = await open(origin);
    const stolen = new Error("the disk is full");
    const piped = stream.pipe(() => Promise.reject(stolen));
    await assert.rejects(piped, (error) => error === stolen);
    await closed.promise;
  });

  test("the signal ends it with its own reason", async () => {
    await using origin = await serve(resourceOf(BYTES), (call) => {
      call.response.writeHead(200, { "content-encoding": "br" });
      call.response.write(brotli(BYTES).subarray(0, 100_000));
    });
    const controller = new AbortController();
    const stream = await factory.http(origin.url, {}).open({ start: 0, signal: controller.signal });
    const piped = stream.pipe(() => controller.abort("enough"));
    await assert.rejects(piped, (reason) => reason === "enough");
  });
});
