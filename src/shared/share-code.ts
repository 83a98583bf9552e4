/**
 * Codes: the secret of a share as people read it out, type it and paste it. 120 random bits as 24 characters of Crockford's
 * base32 and one that checks them, in five groups of five. The key by which a share is looked up is public, so that the bits
 * have to stand up to guessing without the network. Both programs read codes by these rules, so that a mistyped one is told
 * before a daemon is asked.
 *
 * The check is a weighted sum in the field of 32 elements, with another weight at each place: one wrong character is always
 * noticed, and so are two that were swapped, wherever they stand. No message here repeats more of a code than the character
 * it is about.
 */

/** Random bits in a code. */
export const SHARE_CODE_BITS = 120;

/** Bytes of a secret. */
export const SHARE_CODE_BYTES = SHARE_CODE_BITS / 8;

/** Crockford's: without I, L and O, which are read as digits, and U. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LOOKALIKES: Readonly<Record<string, string>> = { O: "0", I: "1", L: "1" };

const DATA = SHARE_CODE_BITS / 5;
const LENGTH = DATA + 1;

/** Longer texts are not looked at. */
const LONGEST_TEXT = 200;

/** What stands between characters where a person or a program put it: white space, and hyphens and dashes of all kinds. */
const BETWEEN = /[\s\u00AD\u200B-\u200D\u2060\u2212\uFEFF\p{Dash_Punctuation}]+/gu;

/**
 * The code of a secret, in groups: `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`.
 *
 * @param secret - 15 bytes
 * @throws RangeError if it is not
 */
export function encodeShareCode(secret: Uint8Array): string {
  if (secret.length !== SHARE_CODE_BYTES) {
    throw new RangeError(`a secret has ${SHARE_CODE_BYTES} bytes, not ${secret.length}`);
  }
  const digits = Array.from({ length: DATA }, (_, place) => fiveBits(secret, place * 5));
  // The weight of the check character is 1, so it has to be what the others sum up to.
  digits.push(timesAlpha(weightedSum(digits)));
  const text = digits.map((digit) => ALPHABET.charAt(digit)).join("");
  return (text.match(/.{5}/g) ?? []).join("-");
}

/**
 * The secret of a code. Either case, spaces and hyphens anywhere, O for 0, I and L for 1, and `snatch:` in front do.
 *
 * @returns 15 bytes
 * @throws Error that says what is wrong, for people; of the code it has one character at most
 */
export function decodeShareCode(text: string): Uint8Array {
  if (text.length > LONGEST_TEXT) throw new Error(`a code has ${LENGTH} characters, this has ${text.length}`);
  const bare = text
    .trim()
    .replace(/^snatch:(\/\/)?/i, "")
    .replaceAll(BETWEEN, "");
  const digits = [...bare].map((character, index) => {
    const digit = digitOf(character);
    if (digit < 0) throw new Error(`character ${index + 1} is ${JSON.stringify(character)}, which codes do not have`);
    return digit;
  });
  if (digits.length !== LENGTH) {
    throw new Error(`a code has ${LENGTH} characters without its hyphens, this has ${digits.length}`);
  }
  if (weightedSum(digits) !== 0) {
    throw new Error("its check character does not fit: a character is wrong, or two have changed places");
  }
  const secret = new Uint8Array(SHARE_CODE_BYTES);
  for (let bit = 0; bit < SHARE_CODE_BITS; bit++) {
    const value = ((digits[Math.floor(bit / 5)] ?? 0) >> (4 - (bit % 5))) & 1;
    secret[bit >> 3] = (secret[bit >> 3] ?? 0) | (value << (7 - (bit & 7)));
  }
  return secret;
}

/** @returns -1 if it can be in no code */
function digitOf(character: string): number {
  // Other alphabets have letters whose upper case is one of ours.
  if (!/^[0-9A-Za-z]$/.test(character)) return -1;
  const upper = character.toUpperCase();
  return ALPHABET.indexOf(LOOKALIKES[upper] ?? upper);
}

/** Five bits from a place on, the first in the highest. */
function fiveBits(bytes: Uint8Array, at: number): number {
  const pair = ((bytes[at >> 3] ?? 0) << 8) | (bytes[(at >> 3) + 1] ?? 0);
  return (pair >> (11 - (at & 7))) & 31;
}

/** By Horner's rule: the weights are powers of alpha, the last digit's is 1. */
function weightedSum(digits: readonly number[]): number {
  return digits.reduce((sum, digit) => timesAlpha(sum) ^ digit, 0);
}

/** Multiplies by alpha in GF(32) = GF(2)[x] / (x⁵ + x² + 1), where alpha = x has order 31: more than a code has places. */
function timesAlpha(value: number): number {
  return ((value << 1) & 31) ^ ((value & 16) === 0 ? 0 : 0b00101);
}
