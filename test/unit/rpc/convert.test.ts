import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import {
  toConfigValues,
  toOptions,
  toPageSize,
  toPath,
  toPlace,
  toReverse,
  toSelection,
  toSessionId,
} from "../../../src/daemon/rpc/convert.ts";
import { AddDownloadsRequest } from "../../../src/gen/snatch/v1/download_service.ts";
import { DownloadOptions, IfExists } from "../../../src/gen/snatch/v1/session.ts";

type Wire = Partial<DownloadOptions>;
const options = (wire: Wire) => toOptions({ ...DownloadOptions.fromPartial({}), ...wire });

/** Asserts that a value is refused and that the error names the field. */
function refuses(work: () => unknown, field: string): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof DownloadError);
    assert.equal(error.code, "INVALID_ARGUMENT");
    assert.equal(error.metadata["field"], field);
    assert.ok(error.message.startsWith(`${field}: `), error.message);
    return true;
  });
}

describe("options from the wire", () => {
  test("nothing set means nothing asked for", () => {
    assert.deepEqual(options({}), {});
    assert.deepEqual(toOptions(undefined), {});
  });

  test("everything set arrives", () => {
    assert.deepEqual(
      options({
        directory: "/srv/files",
        output: "/srv/files/a.bin",
        checksum: { algorithm: "SHA-256", value: "AB".repeat(32) },
        headers: [{ name: "X-A", value: "b\tc" }],
        connections: 4,
        limitBytesPerSecond: 0,
        maxRetries: 0,
        retryDelay: { seconds: 1, nanos: 500_000_000 },
        timeout: { seconds: 30, nanos: 0 },
        ifExists: IfExists.SKIP,
        force: true,
        format: "bestaudio",
        quality: "320k",
        checksumFile: "../SHA256SUMS",
        followMetalink: false,
        peers: ["192.0.2.7:4000", "[2001:db8::1]:65535", "host.local:1"],
        share: true,
      }),
      {
        directory: "/srv/files",
        output: "/srv/files/a.bin",
        checksum: { algorithm: "sha-256", value: "ab".repeat(32) },
        headers: [["X-A", "b\tc"]],
        connections: 4,
        limit: 0,
        maxRetries: 0,
        retryDelay: 1.5,
        timeout: 30,
        ifExists: "skip",
        force: true,
        format: "bestaudio",
        quality: "320k",
        checksumFile: "../SHA256SUMS",
        followMetalink: false,
        peers: ["192.0.2.7:4000", "[2001:db8::1]:65535", "host.local:1"],
        share: true,
      },
    );
  });

  const refusals: ReadonlyArray<readonly [name: string, wire: Wire, field: string]> = [
    ["a relative folder", { directory: "files" }, "options.directory"],
    ["a checksum file with a line break", { checksumFile: "a\nb" }, "options.checksum_file"],
    ["a path with NUL", { directory: "/a\0b" }, "options.directory"],
    ["a path longer than any system takes", { directory: `/${"a".repeat(5000)}` }, "options.directory"],
    ["a peer without a port", { peers: ["a:1", "host"] }, "options.peers[1]"],
    ["a peer with a port that cannot be", { peers: ["host:65536"] }, "options.peers[0]"],
    ["a peer with port 0", { peers: ["host:0"] }, "options.peers[0]"],
    ["a peer that is a bare IPv6 address", { peers: ["2001:db8::1:4000"] }, "options.peers[0]"],
    ["a peer that is no IPv6 address", { peers: ["[::1::2]:4000"] }, "options.peers[0]"],
    ["a peer with a user", { peers: ["me@host:4000"] }, "options.peers[0]"],
    ["a peer with a line break", { peers: ["host:40\n00"] }, "options.peers[0]"],
    ["too many peers", { peers: Array.from({ length: 17 }, () => "host:1") }, "options.peers"],
    ["a relative output", { output: "a.bin" }, "options.output"],
    ["an output that is a folder", { output: "/srv/" }, "options.output"],
    ["an output that is the parent folder", { output: "/srv/.." }, "options.output"],
    ["an unknown algorithm", { checksum: { algorithm: "crc32", value: "00" } }, "options.checksum.algorithm"],
    [
      "an algorithm from the prototype",
      { checksum: { algorithm: "toString", value: "" } },
      "options.checksum.algorithm",
    ],
    ["a digest that is too short", { checksum: { algorithm: "sha-512", value: "ab" } }, "options.checksum.value"],
    ["a digest that is no hex", { checksum: { algorithm: "md5", value: "z".repeat(32) } }, "options.checksum.value"],
    ["a header name with a space", { headers: [{ name: "a b", value: "" }] }, "options.headers[0].name"],
    [
      "a second header",
      {
        headers: [
          { name: "a", value: "1" },
          { name: "b", value: "\r\nc: d" },
        ],
      },
      "options.headers[1].value",
    ],
    ["no connection", { connections: 0 }, "options.connections"],
    ["2,147,483,647 connections", { connections: 2147483647 }, "options.connections"],
    ["a negative limit", { limitBytesPerSecond: -1 }, "options.limit_bytes_per_second"],
    ["negative retries", { maxRetries: -1 }, "options.max_retries"],
    ["a negative delay", { retryDelay: { seconds: -1, nanos: 0 } }, "options.retry_delay"],
    ["a delay with negative nanoseconds", { retryDelay: { seconds: 1, nanos: -1 } }, "options.retry_delay"],
    ["a delay of a century", { retryDelay: { seconds: 3_155_760_000, nanos: 0 } }, "options.retry_delay"],
    ["a timeout of nothing", { timeout: { seconds: 0, nanos: 0 } }, "options.timeout"],
    ["an unknown policy", { ifExists: IfExists.UNRECOGNIZED }, "options.if_exists"],
    ["a format with a line break", { format: "a\nb" }, "options.format"],
  ];
  for (const [name, wire, field] of refusals)
    test(`${name} is refused and named`, () => refuses(() => options(wire), field));
});

describe("the rest from the wire", () => {
  test("a selection is exactly one of three", () => {
    const none = { sessionIds: [], all: false, batchId: "" };
    assert.deepEqual(toSelection({ ...none, all: true }), { all: true });
    assert.deepEqual(toSelection({ ...none, batchId: "b-1" }), { batchId: "b-1" });
    assert.deepEqual(toSelection({ ...none, sessionIds: ["ABCD", "abcd", "ef01"] }), { ids: ["abcd", "ef01"] });
    refuses(() => toSelection(undefined), "selection");
    refuses(() => toSelection(none), "selection");
    refuses(() => toSelection({ ...none, all: true, batchId: "b" }), "selection");
    refuses(() => toSelection({ ...none, sessionIds: ["abc"] }), "selection.session_ids[0]");
  });

  test("an id has at least four characters and no wildcard", () => {
    assert.equal(toSessionId("7D3f", "session_id"), "7d3f");
    for (const bad of ["", "7d", "../../etc", "7d3f*", "a".repeat(65)])
      refuses(() => toSessionId(bad, "session_id"), "session_id");
  });

  test("a place in the queue", () => {
    assert.equal(toPlace({ $case: "top", value: true }), "top");
    assert.deepEqual(toPlace({ $case: "by", value: -3 }), { by: -3 });
    assert.deepEqual(toPlace({ $case: "position", value: 1 }), { position: 1 });
    refuses(() => toPlace({ $case: "bottom", value: false }), "bottom");
    refuses(() => toPlace({ $case: "by", value: 0 }), "by");
    refuses(() => toPlace({ $case: "position", value: 0 }), "position");
    refuses(() => toPlace(undefined), "destination");
  });

  test("pages and their order", () => {
    assert.deepEqual([0, 1, 5000].map(toPageSize), [100, 1, 1000]);
    refuses(() => toPageSize(-1), "page_size");
    assert.deepEqual(["", "create_time", " create_time  desc "].map(toReverse), [false, false, true]);
    refuses(() => toReverse("url"), "order_by");
  });

  test("configuration values are JSON", () => {
    assert.deepEqual(toConfigValues({ a: "1", b: "null", c: '"x"' }), { a: 1, b: null, c: "x" });
    refuses(() => toConfigValues({ c: "x" }), 'values_json["c"]');
    refuses(() => toConfigValues({}), "values_json");
  });

  test("a path is absolute", () => refuses(() => toPath("", "path"), "path"));
});

describe("hostile input", () => {
  test("any bytes either decode to options of the domain or are refused; nothing else is thrown", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        let request: AddDownloadsRequest;
        try {
          request = AddDownloadsRequest.decode(bytes);
        } catch {
          return; // what cannot be decoded never reaches the conversion
        }
        for (const download of request.downloads) acceptable(() => toOptions(download.options));
      }),
      { numRuns: 500 },
    );
  });

  test("any values in the fields likewise", () => {
    const wire = fc.record({
      directory: fc.string({ unit: "binary" }),
      output: fc.string({ unit: "binary" }),
      checksum: fc.option(fc.record({ algorithm: fc.constantFrom("sha-256", "md5", "__proto__"), value: fc.string() })),
      headers: fc.array(fc.record({ name: fc.string(), value: fc.string({ unit: "binary" }) }), { maxLength: 3 }),
      connections: fc.option(fc.integer()),
      limitBytesPerSecond: fc.option(fc.maxSafeInteger()),
      maxRetries: fc.option(fc.integer()),
      retryDelay: fc.option(fc.record({ seconds: fc.maxSafeInteger(), nanos: fc.integer() })),
      timeout: fc.option(fc.record({ seconds: fc.maxSafeInteger(), nanos: fc.integer() })),
      ifExists: fc.constantFrom(...Object.values(IfExists)),
      force: fc.boolean(),
      format: fc.string({ unit: "binary" }),
      quality: fc.string({ unit: "binary" }),
      checksumFile: fc.string({ unit: "binary" }),
    });
    fc.assert(
      fc.property(wire, (value) => {
        const partial = Object.fromEntries(Object.entries(value).map(([key, field]) => [key, field ?? undefined]));
        acceptable(() => options(partial as Wire));
      }),
      { numRuns: 500 },
    );
  });
});

/** Runs a conversion: its result keeps the domain's promises, or its error is one of ours and names a field. */
function acceptable(work: () => ReturnType<typeof toOptions>): void {
  let result: ReturnType<typeof toOptions>;
  try {
    result = work();
  } catch (error) {
    assert.ok(error instanceof DownloadError, String(error));
    assert.equal(error.code, "INVALID_ARGUMENT");
    assert.ok(error.metadata["field"]?.startsWith("options."));
    return;
  }
  for (const path of [result.directory, result.output]) assert.ok(path === undefined || /^\/[^\0]*$/.test(path));
  for (const number of [result.limit, result.maxRetries, result.retryDelay, result.timeout])
    assert.ok(number === undefined || (number >= 0 && Number.isFinite(number)));
  assert.ok(result.connections === undefined || (result.connections >= 1 && result.connections <= 256));
  for (const [name, value] of result.headers ?? [])
    assert.doesNotThrow(() => new Headers([[name, encodeURI(value.toWellFormed())]]));
}
