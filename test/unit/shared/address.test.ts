import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DEFAULT_PORT, formatAddress, isLoopback, parseAddress, parseHostPort } from "../../../src/shared/address.ts";

const unix = (path: string) => ({ kind: "unix", path }) as const;
const tcp = (host: string, port: number, loopback: boolean) => ({ kind: "tcp", host, port, loopback }) as const;

describe("addresses", () => {
  for (const [text, address] of [
    ["unix:/run/snatch.sock", unix("/run/snatch.sock")],
    ["unix:///run/snatch.sock", unix("/run/snatch.sock")],
    ["/run/a b:c", unix("/run/a b:c")],
    [" /run/x ", unix("/run/x")],
    [":7000", tcp("127.0.0.1", 7000, true)],
    ["localhost", tcp("localhost", DEFAULT_PORT, true)],
    ["127.8.9.1:1", tcp("127.8.9.1", 1, true)],
    ["[::1]:7000", tcp("::1", 7000, true)],
    ["[fe80::1]", tcp("fe80::1", DEFAULT_PORT, false)],
    ["example.org:65535", tcp("example.org", 65_535, false)],
    ["0.0.0.0:7633", tcp("0.0.0.0", 7633, false)],
  ] as const) {
    test(text, () => {
      assert.deepEqual(parseAddress(text), address);
      assert.deepEqual(parseAddress(formatAddress(address)), address, "written and read again");
    });
  }

  for (const text of [
    "",
    " ",
    "unix:",
    "unix:relative",
    "host:65536",
    "host:port",
    "::1",
    "[::1",
    "a b",
    "http://h/",
    "h/x",
  ])
    test(`${JSON.stringify(text)} is refused, by name`, () => {
      assert.throws(
        () => parseAddress(text),
        (error) => error instanceof TypeError && error.message.includes(text),
      );
    });

  test("whatever is accepted can be written and read again", () => {
    const part = fc.constantFrom("unix:", "/", "a", "[", "]", ":", "::", "1", "65535", ".", " ", "//");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part).map((parts) => parts.join("")),
        ),
        (text) => {
          try {
            const address = parseAddress(text);
            assert.deepEqual(parseAddress(formatAddress(address)), address);
          } catch (error) {
            assert.ok(error instanceof TypeError, String(error));
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("what only looks like loopback is not", () => {
    for (const host of ["127.0.0.1.evil.test", "localhost.evil.test", "0.0.0.0", "::", "128.0.0.1", "1127.0.0.1"])
      assert.equal(isLoopback(host), false, host);
  });
});

describe("places on the network", () => {
  for (const [text, host, port] of [
    ["stun.example.org:3478", "stun.example.org", 3478],
    [" 192.0.2.7:65535 ", "192.0.2.7", 65_535],
    ["[2001:db8::1]:1", "2001:db8::1", 1],
  ] as const) {
    test(text, () => assert.deepEqual(parseHostPort(text), { host, port }));
  }

  for (const text of [
    "",
    "host",
    ":7000",
    "host:",
    "host:0",
    "host:65536",
    "::1:7000",
    "[host]:1",
    "[]:1",
    "a b:1",
    "h:1/x",
  ]) {
    test(`not one: "${text}"`, () => assert.throws(() => parseHostPort(text), TypeError));
  }
});
