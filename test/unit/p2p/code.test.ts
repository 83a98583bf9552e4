/** Codes: what is made is read again however it is written, and what was mistyped is seen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { formatCode, makeCode, readCode } from "../../../src/daemon/p2p/code.ts";
import { deriveKeys } from "../../../src/daemon/p2p/keys.ts";

const ALPHABET = [..."0123456789ABCDEFGHJKMNPQRSTVWXYZ"];
const secrets = fc.uint8Array({ minLength: 15, maxLength: 15 });
const bare = (code: string) => code.replaceAll("-", "");
const rejects = (text: string, why?: RegExp) =>
  assert.throws(
    () => readCode(text),
    (error) => error instanceof DownloadError && error.code === "CODE_INVALID" && (why?.test(error.message) ?? true),
    text,
  );

test("a code has 120 random bits in five groups of five", () => {
  const codes = new Set(Array.from({ length: 1000 }, makeCode));
  assert.equal(codes.size, 1000);
  for (const code of codes) {
    assert.match(code, /^[0-9A-HJKMNP-TV-Z]{5}(-[0-9A-HJKMNP-TV-Z]{5}){4}$/);
    assert.equal(readCode(code).length * 8, 120);
  }
});

test("what is written is read again", () => {
  fc.assert(fc.property(secrets, (secret) => assert.deepEqual(readCode(formatCode(secret)), secret)));
});

test("case, hyphens, spaces, lookalikes and the scheme do not matter", () => {
  fc.assert(
    fc.property(secrets, fc.infiniteStream(fc.nat(3)), (secret, chance) => {
      const loose = [...bare(formatCode(secret))].map((character) => {
        const other = character === "0" ? "O" : character === "1" ? (chance.next().value === 0 ? "l" : "I") : character;
        const between = ["", "-", " ", "\u2013"][chance.next().value ?? 0] ?? "";
        return (chance.next().value === 0 ? other.toLowerCase() : other) + between;
      });
      const scheme = ["", "snatch:", " SNATCH:", "snatch://"][chance.next().value ?? 0] ?? "";
      assert.deepEqual(readCode(`${scheme}${loose.join("")}\n`), secret);
    }),
  );
});

test("any single wrong character and any two that changed places are seen", () => {
  for (let round = 0; round < 5; round++) {
    const code = [...bare(makeCode())];
    code.forEach((right, index) => {
      for (const wrong of ALPHABET) if (wrong !== right) rejects(code.with(index, wrong).join(""), /check character/);
      for (let other = index + 1; other < code.length; other++) {
        const swapped = code.with(index, code[other] ?? "").with(other, right);
        if (code[other] !== right) rejects(swapped.join(""), /check character/);
      }
    });
  }
});

test("says which character is none, and how many are missing; never repeats the code", () => {
  const code = makeCode();
  rejects(`${code.slice(0, 3)}U${code.slice(4)}`, /"U" cannot be in a code: character 4/);
  rejects(code.replaceAll("-", "").slice(1), /24 characters.* has 25/);
  rejects(`${code}7`, /more than 25/);
  rejects("");
  rejects("0".repeat(1_000_000), /more than 25/);
  rejects("ß".repeat(25), /character 1,/);
  rejects("ı".repeat(25), /character 1,/);
  try {
    readCode(`${code}-AAAA`);
  } catch (error) {
    assert.ok(!String(error).includes(code.slice(0, 5)));
  }
});

test("any text is read or refused by name", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
      try {
        readCode(text);
      } catch (error) {
        assert.ok(error instanceof DownloadError && error.code === "CODE_INVALID");
      }
    }),
  );
});

test("keys: each its own, the same from the same code, none like the secret", () => {
  const secret = readCode(makeCode());
  const [keys, again, other] = [deriveKeys(secret), deriveKeys(secret), deriveKeys(readCode(makeCode()))];
  assert.deepEqual(keys, again);
  assert.match(keys.publicId, /^[0-9a-f]{32}$/);
  assert.match(keys.lookupKey, /^[0-9a-f]{40}$/);
  const all = [keys, other].flatMap((each) =>
    Object.values(each).map((value) => Buffer.from(value).toString("latin1")),
  );
  assert.equal(new Set(all).size, all.length);
  for (const key of [keys.signalSeed, keys.signalKey, keys.proofKey]) assert.equal(key.length, 32);
});

test("keys: as RFC 5869 has them, so that other versions find the same share", () => {
  // Computed by OpenSSL: openssl kdf -keylen 16 -kdfopt digest:SHA256 -kdfopt hexkey:… -kdfopt salt:snatch-share-1 -kdfopt "info:snatch public id" HKDF
  const keys = deriveKeys(Uint8Array.from({ length: 15 }, (_, index) => index));
  assert.deepEqual(
    [keys.publicId, keys.lookupKey],
    ["dccace4a91b7d42e0d59b8276a9c2038", "6ca2b638b7e86635c368cc8b6be26bd16d286fe4"],
  );
});
