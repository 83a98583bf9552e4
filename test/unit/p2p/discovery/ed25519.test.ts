import assert from "node:assert/strict";
import { test } from "node:test";
import { isSigned, signingKey } from "../../../../src/daemon/p2p/discovery/ed25519.ts";

test("keys and signatures are those of RFC 8032, §7.1, test 3", () => {
  const key = signingKey(Buffer.from("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "hex"));
  assert.equal(key.publicKey.toString("hex"), "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
  const data = Buffer.from("af82", "hex");
  const signature = key.sign(data);
  assert.equal(
    signature.toString("hex"),
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  );
  assert.ok(isSigned(signature, data, key.publicKey));
  assert.ok(!isSigned(signature, Buffer.from("af83", "hex"), key.publicKey));
});

test("what is no key or no signature is not right, and does not throw", () => {
  const { publicKey, sign } = signingKey(new Uint8Array(32));
  const data = Buffer.from("x");
  assert.ok(isSigned(sign(data), data, publicKey));
  assert.ok(!isSigned(sign(data).subarray(1), data, publicKey));
  assert.ok(!isSigned(sign(data), data, publicKey.subarray(1)));
  assert.ok(!isSigned(sign(data), data, Buffer.alloc(32, 0xff)));
  assert.throws(() => signingKey(new Uint8Array(31)), /32 bytes, not 31/);
});
