import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import {
  type IceCandidate,
  packAddress,
  packSignal,
  readDescription,
  unpackAddress,
  unpackSignal,
  writeDescription,
} from "../../../../src/daemon/p2p/path/ice-signal.ts";
import { packMessage, unpackMessage } from "../../../../src/daemon/p2p/path/knock.ts";

const candidate: fc.Arbitrary<IceCandidate> = fc.record(
  {
    type: fc.constantFrom("host", "srflx", "relay"),
    priority: fc.nat(2 ** 32 - 1),
    address: fc.oneof(
      fc.ipV4().filter((address) => !address.startsWith("127.")),
      fc
        .ipV6()
        .map((text) => unpackAddress(packAddress(text), true) as string)
        .filter((address) => !/^(fe80|::1$)/.test(address)),
    ),
    port: fc.integer({ min: 1, max: 65_535 }),
  },
  { noNullPrototype: true },
);

test("a signal is the same when it was packed and unpacked, and when it was SDP", () => {
  fc.assert(
    fc.property(fc.array(candidate, { maxLength: 10 }), (candidates) => {
      const signal = {
        ...{ userFragment: "aB3/", password: "0123456789abcdefghij+/", fingerprint: randomBytes(32), candidates },
      };
      const unpacked = unpackSignal(packSignal(signal));
      assert.deepEqual(unpacked, signal);
      const { candidates: read, ...rest } = readDescription(writeDescription(signal, "actpass"));
      const { candidates: _, ...expected } = signal;
      assert.deepEqual(rest, expected);
      assert.equal(read.length, candidates.length);
    }),
  );
});

test("what strangers send is a signal or nothing, and never more than a line of SDP", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 800 }), (bytes) => {
      const signal = unpackSignal(bytes);
      if (signal) assert.equal(writeDescription(signal, "active").split("\r\n").length, 15 + signal.candidates.length);
    }),
  );
  const good = packSignal({
    ...{ userFragment: "abcd", password: "0123456789abcdefghijkl", fingerprint: randomBytes(32), candidates: [] },
  });
  assert.ok(unpackSignal(good));
  const evil = Buffer.from(good);
  evil.write("a\r\nb", 1);
  assert.equal(unpackSignal(evil), undefined);
  assert.equal(unpackSignal(good.subarray(0, -1)), undefined);
  assert.equal(unpackSignal(Buffer.concat([good, Buffer.of(0)])), undefined);
});

test("only the best candidates are told, some of each type, and none of TCP or link-local", () => {
  const lines = Array.from(
    { length: 30 },
    (_, n) => `a=candidate:1 1 udp ${2_000_000 + n} 10.0.0.${n + 1} 5000 typ host`,
  );
  const sdp = [
    ...lines,
    "a=candidate:1 1 tcp 1 10.0.0.9 9 typ host tcptype passive",
    "a=candidate:1 1 udp 9 fe80::1 5000 typ host",
    "a=candidate:1 1 udp 5 100.200.0.1 5001 typ srflx raddr 0.0.0.0 rport 0",
    "a=candidate:1 1 udp 1 100.200.0.2 5002 typ relay raddr 0.0.0.0 rport 0",
  ].join("\r\n");
  const { candidates } = readDescription(sdp);
  assert.equal(candidates.length, 10);
  assert.deepEqual([...new Set(candidates.map(({ type }) => type))].sort(), ["host", "relay", "srflx"]);
  assert.equal(candidates[0]?.address, "10.0.0.30");
});

test("knock and answer share a message of 700 bytes", () => {
  const candidates = Array.from({ length: 10 }, (_, n): IceCandidate => {
    return { type: "host", priority: n, address: `2001:4860::${n + 1}`, port: 4000 };
  });
  const ice = packSignal({
    ...{ userFragment: "abcd", password: "0123456789abcdefghijklmn", fingerprint: randomBytes(32), candidates },
  });
  const punch = [
    { host: "100.200.0.21", port: 40_000, kind: "direct" as const },
    { host: "2a00:db8:1::2", port: 40_000, kind: "ipv6" as const },
  ];
  const knock = { nonce: randomBytes(32), reverse: true, punch, ice };
  const answer = { to: randomBytes(8), punch, ice };
  const alone = packMessage({ knock });
  assert.ok(alone.length <= 450, String(alone.length));
  assert.deepEqual(unpackMessage(alone), { knock });
  const both = packMessage({ knock, answer });
  assert.ok(both.length <= 700, String(both.length));
  const read = unpackMessage(both);
  assert.deepEqual(read.knock, knock);
  assert.deepEqual(read.answer?.to, answer.to);
});

test("places to call are public and have high ports, whatever a stranger names", () => {
  const nonce = randomBytes(32);
  const punch = ["127.0.0.1", "10.1.2.3"].map((host) => ({ host, port: 22_222, kind: "direct" as const }));
  assert.deepEqual(unpackMessage(packMessage({ knock: { nonce, reverse: false, punch } })).knock?.punch, []);
  const low = [{ host: "100.200.0.1", port: 25, kind: "direct" as const }];
  assert.deepEqual(unpackMessage(packMessage({ knock: { nonce, reverse: false, punch: low } })).knock?.punch, []);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 720 }), (bytes) => {
      const { knock, answer } = unpackMessage(Buffer.concat([Buffer.of(1), bytes]));
      assert.ok((knock?.punch.length ?? 0) <= 2 && (answer?.punch.length ?? 0) <= 2);
    }),
  );
});
