import assert from "node:assert/strict";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import { ClientError } from "../../../src/client/failure.ts";
import { checkUrl, type OrderFlags, readChecksum, readHeader, readOrder } from "../../../src/client/order.ts";
import { resolveTarget } from "../../../src/client/target.ts";

const target = resolveTarget({ home: "/tmp/x" }, {});
const order = (flags: OrderFlags, urls = ["https://example.org/a"]) => readOrder(urls, flags, target);
const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof ClientError && error.exit === 2 && pattern.test(`${error.message} ${error.hint}`);

describe("an order", () => {
  test("becomes options with absolute paths", () => {
    const { options } = order({
      dir: "isos",
      limit: "5M",
      maxRetries: "0",
      retryDelay: "1.5s",
      timeout: "2m",
      ifExists: "skip",
    });
    assert.equal(options.directory, resolve("isos"));
    assert.equal(options.limitBytesPerSecond, 5 * 1024 * 1024);
    assert.equal(options.maxRetries, 0);
    assert.deepEqual(options.retryDelay, { seconds: 1, nanos: 500_000_000 });
    assert.deepEqual(options.timeout, { seconds: 120, nanos: 0 });
    assert.equal(options.ifExists, "IF_EXISTS_SKIP");
    assert.equal(options.connections, undefined);
  });

  test("a checksum file holds for several too; a Metalink is followed unless it is said", () => {
    const several = readOrder(["https://e.org/1", "https://e.org/2"], { checksumFile: "SHA256SUMS" }, target);
    assert.equal(several.options.checksumFile, "SHA256SUMS");
    assert.equal(several.options.followMetalink, undefined);
    assert.equal(order({ metalink: false }).options.followMetalink, false);
    assert.equal(order({ metalink: true }).options.followMetalink, undefined);
  });

  test("-o is literal and made absolute", () => {
    assert.equal(order({ output: "a b%20c" }).options.output, resolve("a b%20c"));
  });

  for (const [name, flags, urls, pattern] of [
    ["nothing", {}, [], /nothing to fetch/],
    ["URLs and a list", { input: "l.txt" }, ["https://e.org/"], /do not go together/],
    ["-o with several URLs", { output: "x" }, ["https://e.org/1", "https://e.org/2"], /-d/],
    ["-o with a list", { output: "x", input: "l.txt" }, [], /-d/],
    ["-o with a slash at the end", { output: "x/" }, ["https://e.org/"], /-d x\//],
    ["-o that is a folder", { output: "/tmp" }, ["https://e.org/"], /-d \/tmp/],
    ["--checksum with several URLs", { checksum: "md5=0" }, ["https://e.org/1", "https://e.org/2"], /one file/],
    ["a rate that is none", { limit: "fast" }, ["https://e.org/"], /--limit: "fast"/],
    ["a count that is none", { connections: "0" }, ["https://e.org/"], /--connections/],
    ["a duration that is none", { timeout: "soon" }, ["https://e.org/"], /--timeout: "soon"/],
  ] as const) {
    test(`${name} is refused as usage`, () => assert.throws(() => order(flags, [...urls]), refused(pattern)));
  }
});

describe("a URL", () => {
  for (const [text, hint] of [
    ["example.com/x", "Did you mean https://example.com/x?"],
    ["example.com:8080/x", "Did you mean https://example.com:8080/x?"],
    ["localhost:8080/x", "Did you mean http://localhost:8080/x?"],
    ["not a url", "Give a whole URL, such as https://example.org/file.iso."],
    ["", "Give a whole URL, such as https://example.org/file.iso."],
  ] as const) {
    test(`${JSON.stringify(text)} is none: ${hint}`, () => {
      const { refusal } = checkUrl(text);
      assert.equal(refusal?.code, "INVALID_URL");
      assert.equal(refusal?.hint, hint);
    });
  }

  test("a code is written as it should be, and a wrong one is not repeated", () => {
    assert.deepEqual(checkUrl(" SNATCH:edq62x33d0g6 ay31-dnr6rsbk6"), { text: "snatch:EDQ62-X33D0-G6AY3-1DNR6-RSBK6" });
    const wrong = checkUrl("snatch:EDQ62-X33D0-G6AY3-1DNR6-RSBK7");
    assert.deepEqual([wrong.text, wrong.refusal?.code], ["snatch:***", "CODE_INVALID"]);
    // All digits, it looks like a host and a port.
    assert.deepEqual(checkUrl(`snatch:${"0".repeat(25)}`), { text: "snatch:00000-00000-00000-00000-00000" });
  });

  for (const text of ["https://example.org/a", "ftp://example.org/a", "snatch:share/0123"]) {
    test(`${text} is one; its scheme is the daemon's to know`, () => assert.equal(checkUrl(text).refusal, undefined));
  }
});

describe("a checksum", () => {
  test("is read with or without the hyphen, in either case", () => {
    assert.deepEqual(readChecksum(`SHA256=${"AB".repeat(32)}`), { algorithm: "sha-256", value: "ab".repeat(32) });
    assert.deepEqual(readChecksum(`md5=${"0".repeat(32)}`), { algorithm: "md5", value: "0".repeat(32) });
  });

  for (const text of ["sha-256=abc", "crc32=00000000", "abc", `sha-1=${"x".repeat(40)}`]) {
    test(`${text} is refused`, () => assert.throws(() => readChecksum(text), refused(/--checksum/)));
  }
});

describe("a header field", () => {
  test("is split at the first colon", () => {
    assert.deepEqual(readHeader("Referer: https://example.org/"), { name: "Referer", value: "https://example.org/" });
    assert.deepEqual(readHeader("X-Empty:"), { name: "X-Empty", value: "" });
  });

  for (const text of ["no colon", "bad name: x", "X: a\r\nY: b", "X: \x00"]) {
    test(`${JSON.stringify(text)} is refused`, () => assert.throws(() => readHeader(text), refused(/--header/)));
  }
});

describe("the address", () => {
  test("is the user's own socket unless one is named", () => {
    assert.equal(target.text, "unix:/tmp/x/snatchd.sock");
    assert.ok(target.own);
    assert.equal(resolveTarget({}, { SNATCH_ADDRESS: "127.0.0.1:1" }).text, "127.0.0.1:1");
    assert.equal(resolveTarget({ address: "/s" }, { SNATCH_ADDRESS: "127.0.0.1:1" }).text, "unix:/s");
  });

  test("a socket's path that is too long is named as the reason", () => {
    assert.throws(() => resolveTarget({ home: `/tmp/${"x".repeat(120)}` }, {}), refused(/a Unix socket allows/));
  });

  test("a token file that cannot be read is named", () => {
    assert.throws(() => resolveTarget({ address: ":1", tokenFile: "/nowhere/token" }, {}), refused(/--token-file/));
  });
});
