import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TurnFrames } from "../../../../src/daemon/p2p/nat/turn-frames.ts";
import { decodeTurn, encodeTurn, TURN, turnKey, UDP } from "../../../../src/daemon/p2p/nat/turn-message.ts";
import { readTurnUrl } from "../../../../src/daemon/p2p/nat/turn-url.ts";

const transactionId = Buffer.from("78ad3433c6ad72c029da412e", "hex");

test("a long-term credential proves what RFC 5769, §2.4, says", () => {
  const sample = Buffer.from(
    [
      "00010060 2112a442 78ad3433 c6ad72c0 29da412e",
      "00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000",
      "0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341",
      "0014000b 6578616d 706c652e 6f726700",
      "00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666",
    ]
      .join("")
      .replaceAll(" ", ""),
    "hex",
  );
  const key = turnKey("マトリックス", "example.org", "TheMatrIX");
  const message = decodeTurn(sample, key);
  assert.equal(message?.proved, true);
  assert.equal(message.username, "マトリックス");
  assert.equal(message.realm, "example.org");
  assert.equal(message.nonce?.toString(), "f//499k954d6OL34oL9FSTvy64sA");
  assert.equal(decodeTurn(sample, turnKey("マトリックス", "example.org", "TheMatrix"))?.proved, false);
  assert.equal(decodeTurn(sample)?.proved, false);
});

test("what is written is read again, and what follows the proof is not", () => {
  const key = Buffer.alloc(16, 1);
  const value = {
    ...({ kind: "success", method: TURN.allocate, transactionId: Uint8Array.from(transactionId) } as const),
    ...{ lifetime: 600, transport: UDP, relayed: { address: "192.0.2.9", port: 50_000 }, realm: "r" },
    peers: [
      { address: "192.0.2.1", port: 80 },
      { address: "2001:db8::1", port: 81 },
    ],
    data: Buffer.from("some bytes"),
  };
  const bytes = encodeTurn(value, key);
  assert.deepEqual(decodeTurn(bytes, key), { ...value, proved: true });
  const more = Buffer.concat([bytes, Buffer.from("000d000400000001", "hex")]);
  more.writeUInt16BE(more.length - 20, 2);
  assert.deepEqual(decodeTurn(more, key), { ...value, proved: true });
});

test("any bytes are read or left, and a message that was changed is not proved", () => {
  const key = Buffer.alloc(16, 1);
  const head = { kind: "success", method: TURN.refresh, transactionId } as const;
  const bytes = encodeTurn({ ...head, lifetime: 600, nonce: Buffer.alloc(9, 7) }, key);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ mask;
      // The padding of the nonce is proved too; only what there is to be proved by may be anything.
      assert.notEqual(decodeTurn(changed, key)?.proved, true);
    }),
  );
  const withHead = fc
    .uint8Array({ maxLength: 120 })
    .map((body) => Buffer.concat([bytes.subarray(0, 20), body.subarray(0, body.length & ~3)]))
    .map((message) => {
      message.writeUInt16BE(message.length - 20, 2);
      return message;
    });
  fc.assert(
    fc.property(withHead, (message) => void decodeTurn(message, key)),
    { numRuns: 2000 },
  );
});

test("a stream is cut into messages wherever it was cut before; what is too long is passed over", () => {
  const head = { kind: "indication", method: TURN.data, transactionId } as const;
  const messages = ["", "a", "four", "x".repeat(1400)].map((text) => encodeTurn({ ...head, data: Buffer.from(text) }));
  const tooLong = Buffer.concat([messages[0] ?? Buffer.alloc(0), Buffer.alloc(60_000)]);
  tooLong.writeUInt16BE(tooLong.length - 20, 2);
  const stream = Buffer.concat(messages.flatMap((message) => [message, tooLong]));
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1 }), (sizes) => {
      const frames = new TurnFrames();
      const read: string[] = [];
      let at = 0;
      for (let turn = 0; at < stream.length; turn++) {
        const size = sizes[turn % sizes.length] ?? 1;
        for (const one of frames.push(stream.subarray(at, at + size)) ?? []) read.push(one.toString("hex"));
        at += size;
      }
      assert.deepEqual(
        read,
        messages.map((message) => message.toString("hex")),
      );
    }),
    { numRuns: 30 },
  );
  for (const bad of ["\x80", "\x40\x00\x00\x04abcd", "HTTP/1.1 200 OK", "\0".repeat(20)])
    assert.equal(new TurnFrames().push(Buffer.from(bad, "latin1")), undefined, bad);
});

test("URLs of TURN servers", () => {
  const read = (url: string) => readTurnUrl(url);
  assert.deepEqual(read("turn:relay.example"), { host: "relay.example", port: 3478, tls: false });
  assert.deepEqual(read("turn:relay.example:80?transport=tcp"), { host: "relay.example", port: 80, tls: false });
  assert.deepEqual(read("turns:relay.example"), { host: "relay.example", port: 5349, tls: true });
  assert.deepEqual(read("TURNS:[2001:db8::1]:443?transport=tcp"), { host: "2001:db8::1", port: 443, tls: true });
  for (const url of ["turn:relay.example?transport=udp", "stun:relay.example", "turn:", "turn:x:0", "turn:x:99999"])
    assert.equal(read(url), undefined, url);
});
