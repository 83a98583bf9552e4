/** Codes: there and back, what people do to them, and which slips are noticed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeShareCode, encodeShareCode, SHARE_CODE_BITS, SHARE_CODE_BYTES } from "../../../src/shared/share-code.ts";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const secrets = fc.uint8Array({ minLength: SHARE_CODE_BYTES, maxLength: SHARE_CODE_BYTES });

test("a code has 120 bits, and goes there and back", () => {
  assert.equal(SHARE_CODE_BITS, 120);
  fc.assert(
    fc.property(secrets, (secret) => {
      const code = encodeShareCode(secret);
      assert.match(code, /^([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{5}$/);
      assert.deepEqual(decodeShareCode(code), secret);
    }),
  );
});

test("each bit of the secret changes the code in two characters: its own, and the check", () => {
  const none = encodeShareCode(new Uint8Array(SHARE_CODE_BYTES));
  for (let bit = 0; bit < SHARE_CODE_BITS; bit++) {
    const secret = new Uint8Array(SHARE_CODE_BYTES);
    secret[bit >> 3] = 0x80 >> (bit & 7);
    const code = encodeShareCode(secret);
    assert.equal([...code].filter((character, at) => character !== none[at]).length, 2);
  }
});

test("case, hyphens, spaces, look-alikes and the link do not matter", () => {
  fc.assert(
    fc.property(
      secrets,
      fc.infiniteStream(fc.constantFrom("", "", "-", " ", "–", "\t", "\u00a0", "‑")),
      fc.infiniteStream(fc.boolean()),
      fc.constantFrom("", "snatch:", "SNATCH:", " Snatch: "),
      (secret, gaps, lower, front) => {
        const spelt = [...encodeShareCode(secret).replaceAll("-", "")].map((character) => {
          const other = character === "0" && lower.next().value === true ? "O" : character;
          const written = other === "1" ? (lower.next().value === true ? "I" : "L") : other;
          return `${gaps.next().value}${lower.next().value === true ? written.toLowerCase() : written}`;
        });
        assert.deepEqual(decodeShareCode(`${front}${spelt.join("")}\n`), secret);
      },
    ),
  );
});

test("every wrong character is noticed, and every two that are swapped", () => {
  fc.assert(
    fc.property(secrets, (secret) => {
      const code = [...encodeShareCode(secret).replaceAll("-", "")];
      for (let at = 0; at < code.length; at++) {
        for (const wrong of ALPHABET) {
          if (wrong === code[at]) continue;
          assert.throws(() => decodeShareCode(code.with(at, wrong).join("")), /check character/);
        }
        for (let other = at + 1; other < code.length; other++) {
          if (code[at] === code[other]) continue;
          const swapped = code.with(at, code[other] ?? "").with(other, code[at] ?? "");
          assert.throws(() => decodeShareCode(swapped.join("")), /swapped/);
        }
      }
    }),
    { numRuns: 5 },
  );
});

test("what is wrong is said, and nothing of the code but that", () => {
  const code = encodeShareCode(new Uint8Array(SHARE_CODE_BYTES).fill(0xa5));
  const message = (text: string): string => {
    try {
      decodeShareCode(text);
    } catch (error) {
      return error instanceof Error ? error.message : "";
    }
    return assert.fail(`${text} was taken`);
  };
  assert.equal(message(code.replace(/^.{6}/, "$&U")), '"U" cannot be in a code: character 6, hyphens not counted');
  assert.match(message(`${code.slice(0, 4)}\u0007`), /^U\+0007 cannot be in a code: character 5/);
  assert.equal(message(code.slice(0, -1)), "it has 24 characters, hyphens not counted, and a code has 25");
  assert.equal(message(`${code}0`), "it has more than 25 characters, hyphens not counted");
  assert.match(message("snatch:share/0123456789abcdef0123456789abcdef/0"), /cannot be in a code|more than/);
  assert.match(message(""), /it has 0 characters/);
  assert.doesNotMatch(message(code.replace(/..$/, "00")), /[0-9A-Z]{4}/);
});

test("what is no secret has no code", () => {
  assert.throws(() => encodeShareCode(new Uint8Array(14)), RangeError);
  assert.throws(() => encodeShareCode(new Uint8Array(16)), RangeError);
});
