import assert from "node:assert/strict";
import { SocketAddress } from "node:net";
import { suite, test } from "node:test";
import fc from "fast-check";
import { BINDING, decodeStun, encodeStun, type StunMessage } from "../../../../src/daemon/p2p/nat/stun-message.ts";
import { stunLength } from "../../../../src/daemon/p2p/nat/stun-wire.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

const ID = "b7e7a701bc34d686fa87dfae";

/** RFC 5769 §2.1 to §2.3: their checksums are over all of the bytes before. */
const REQUEST = hex(`00010058 2112a442 ${ID}
  80220010 5354554e207465737420636c69656e74 00240004 6e0001ff 80290008 932ff9b151263b36
  00060009 6576746a3a68367659202020 00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004 e57a3bcf`);
const ANSWER_4 = hex(`0101003c 2112a442 ${ID}
  8022000b 7465737420766563746f7220 00200008 0001a147e112a643
  00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004 c07d4c96`);
const ANSWER_6 = hex(`01010048 2112a442 ${ID}
  8022000b 7465737420766563746f7220 00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9
  00080014 a382954e4be67bf11784c97c8292c275bfe3ed41 80280004 c8fb0b4c`);

suite("messages of RFC 5769", () => {
  test("the request", () => {
    const message = decodeStun(REQUEST);
    assert.equal(message?.kind, "request");
    assert.equal(message.method, BINDING);
    assert.equal(message.fingerprint, true);
    assert.equal(Buffer.from(message.transactionId).toString("hex"), ID);
    assert.deepEqual(message.unknown, []);
  });

  test("the answer with an IPv4 address", () => {
    const message = decodeStun(ANSWER_4);
    assert.equal(message?.kind, "success");
    assert.deepEqual(message.mapped, { address: "192.0.2.1", port: 32853 });
    assert.equal(message.fingerprint, true);
  });

  test("the answer with an IPv6 address", () => {
    assert.deepEqual(decodeStun(ANSWER_6)?.mapped, { address: "2001:db8:1234:5678:11:2233:4455:6677", port: 32853 });
  });
});

const address = fc.record({
  address: fc.oneof(
    fc.ipV4(),
    fc.ipV6().map((text) => new SocketAddress({ address: text, family: "ipv6" }).address),
  ),
  port: fc.nat(65535),
});
const message: fc.Arbitrary<Omit<StunMessage, "unknown">> = fc
  .record(
    {
      kind: fc.constantFrom("request", "indication", "success", "error"),
      method: fc.nat(0xfff),
      transactionId: fc.uint8Array({ minLength: 12, maxLength: 12 }),
      fingerprint: fc.boolean(),
      mapped: address,
      origin: address,
      other: address,
      change: fc.record({ address: fc.boolean(), port: fc.boolean() }),
      errorCode: fc.integer({ min: 300, max: 699 }),
    },
    { requiredKeys: ["kind", "method", "transactionId", "fingerprint"] },
  )
  .map((value) => structuredClone(value) as Omit<StunMessage, "unknown">);

suite("any message", () => {
  test("comes back as it was", () => {
    fc.assert(
      fc.property(message, (value) => {
        const bytes = encodeStun(value);
        assert.equal(stunLength(bytes), bytes.length);
        assert.deepEqual({ ...decodeStun(bytes) }, { ...value, unknown: [] });
      }),
    );
  });

  test("with one bit that was turned is not believed, if it has a checksum", () => {
    fc.assert(
      fc.property(message, fc.nat(), (value, seed) => {
        const bytes = encodeStun({ ...value, fingerprint: true });
        const bit = seed % (bytes.length * 8);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const read = decodeStun(bytes);
        assert.ok(read === undefined || !read.fingerprint);
      }),
    );
  });

  test("that is cut off, or longer than it says, is none", () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 40 }), (value, seed, more) => {
        const bytes = encodeStun(value);
        assert.equal(decodeStun(bytes.subarray(0, seed % bytes.length)), undefined);
        assert.equal(decodeStun(Buffer.concat([bytes, more])), undefined);
      }),
    );
  });
});

suite("anything", () => {
  test("is a message or is not: nothing throws", () => {
    const attributes = fc.array(fc.tuple(fc.nat(0xffff), fc.nat(0x1ffff), fc.uint8Array({ maxLength: 30 })), {
      maxLength: 8,
    });
    const withHead = attributes.map((list) => {
      const body = Buffer.concat(
        list.flatMap(([type, length, value]) => {
          const head = Buffer.alloc(4);
          head.writeUInt16BE(type, 0);
          head.writeUInt16BE(length > 0xffff ? value.length : length, 2);
          return [head, value, Buffer.alloc(-value.length & 3)];
        }),
      );
      const head = hex(`01010000 2112a442 ${ID}`);
      head.writeUInt16BE(body.length, 2);
      return Buffer.concat([head, body]);
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), withHead), (bytes) => void decodeStun(bytes)),
      { numRuns: 1000 },
    );
  });

  test("that has to be understood, and is not, is told", () => {
    assert.deepEqual(decodeStun(hex(`01010004 2112a442 ${ID} 7ffe0000`))?.unknown, [0x7ffe]);
    assert.deepEqual(decodeStun(hex(`01010004 2112a442 ${ID} fffe0000`))?.unknown, []);
  });

  test("longer than a datagram is not read", () => {
    const bytes = Buffer.alloc(20 + 1600);
    hex(`01010640 2112a442 ${ID}`).copy(bytes);
    assert.equal(stunLength(bytes), bytes.length);
    assert.equal(decodeStun(bytes), undefined);
  });
});
