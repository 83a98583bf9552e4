/**
 * Codes of shares as people write them: 120 random bits as 24 characters of Crockford's base32, and a check character.
 * The check is a weighted sum in the field of 32 elements, with another weight at each place: one wrong character is
 * always noticed, and so are two that were swapped, wherever they stand. Both programs read codes by these rules, so that
 * a mistyped one is told before a daemon is asked. No message here repeats more of a code than the character it is about.
 */

/** Random bits in a code. */
export const SHARE_CODE_BITS = 120;

/** Bytes of a secret. */
export const SHARE_CODE_BYTES = SHARE_CODE_BITS / 8;

/** Crockford's base32: without I, L, O and U. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const DIGITS: ReadonlyMap<string, number> = new Map([...ALPHABET].map((character, digit) => [character, digit]));
const DATA = SHARE_CODE_BITS / 5;
const LENGTH = DATA + 1;

/**
 * The code of a secret, in groups: `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`.
 *
 * @param secret - 15 bytes
 * @throws RangeError if it has another length
 */
export function encodeShareCode(secret: Uint8Array): string {
  if (secret.length !== SHARE_CODE_BYTES)
    throw new RangeError(`a secret has ${SHARE_CODE_BYTES} bytes, not ${secret.length}`);
  const digits = Array.from({ length: DATA }, (_, place) => fiveBits(secret, place * 5));
  // The weight of the check character is 1, so the sum of the others is what it has to be.
  digits.push(timesAlpha(weightedSum(digits)));
  const text = digits.map((digit) => ALPHABET.charAt(digit)).join("");
  return (text.match(/.{1,5}/g) ?? []).join("-");
}

/**
 * The secret of a code. Either case, spaces and hyphens anywhere, O for 0, I and L for 1, and `snatch:` in front do.
 *
 * @returns 15 bytes, as {@link encodeShareCode} takes them
 * @throws Error that says what is wrong, for people; of the code it has one character at most
 */
export function decodeShareCode(text: string): Uint8Array {
  const digits: number[] = [];
  // Dashes of every kind: programs that people write in make long ones of short ones.
  for (const character of text
    .trim()
    .replace(/^snatch:(\/\/)?/i, "")
    .replace(/[\s\p{Pd}\u2212\u00ad\u200b-\u200d\u2060\ufeff]/gu, "")) {
    const digit = DIGITS.get(canonical(character)) ?? -1;
    if (digit < 0) {
      throw new Error(`${name(character)} cannot be in a code: character ${digits.length + 1}, hyphens not counted`);
    }
    digits.push(digit);
    // It could be a whole file: nobody has to count it.
    if (digits.length > LENGTH) throw new Error(`it has more than ${LENGTH} characters, hyphens not counted`);
  }
  if (digits.length < LENGTH) {
    throw new Error(`it has ${digits.length} characters, hyphens not counted, and a code has ${LENGTH}`);
  }
  if (weightedSum(digits) !== 0)
    throw new Error("a character is wrong, or two are swapped: its check character does not fit");
  const secret = new Uint8Array(SHARE_CODE_BYTES);
  for (let bit = 0; bit < SHARE_CODE_BITS; bit++) {
    const value = ((digits[Math.floor(bit / 5)] ?? 0) >> (4 - (bit % 5))) & 1;
    secret[bit >> 3] = (secret[bit >> 3] ?? 0) | (value << (7 - (bit & 7)));
  }
  return secret;
}

/** More characters than a code has with all that may be in between. */
const LONGEST_TEXT = 200;

/** What stands between the groups of a code. */
const BETWEEN = "[\\s\\p{Pd}\\u2212\\u00ad\\u200b-\\u200d\\u2060\\ufeff]";

/** A code by its looks, also one with a slip: five groups, or as many characters in one. */
const LIKE_CODE = new RegExp(
  `(?<![0-9a-z])(?:(?:[0-9a-z]{3,7}${BETWEEN}+){4,}[0-9a-z]{1,7}|[0-9a-z]{22,28})(?![0-9a-z])`,
  "giu",
);

/** @returns `snatch:CODE` of a code that stands alone and is right; undefined for anything else */
export function linkOfBareCode(text: string): string | undefined {
  if (text.length > LONGEST_TEXT || text.includes(":")) return undefined;
  try {
    return `snatch:${encodeShareCode(decodeShareCode(text))}`;
  } catch {
    return undefined;
  }
}

/**
 * Text that is to be kept without what is a code, or was to be one: `snatch:` with all that follows it on its line, and what
 * looks like a code. A URL of another scheme stays as it is.
 */
export function hideShareCodes(text: string): string {
  const hide = (field: string): string => {
    if (/^\s*(?!snatch:)[a-z][a-z0-9+.-]*:\/\//i.test(field)) return field;
    return field.replace(/(snatch:)(?!share\/[0-9a-f]{32}).*/is, "$1***").replace(LIKE_CODE, "***");
  };
  return text.replace(/[^\t\n]+/g, hide);
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

function canonical(character: string): string {
  // Other alphabets have letters whose upper case is one of ours.
  if (!/^[0-9a-z]$/i.test(character) || character > "z") return "";
  const upper = character.toUpperCase();
  if (upper === "O") return "0";
  return upper === "I" || upper === "L" ? "1" : upper;
}

/** What prints as itself, else its number. */
function name(character: string): string {
  return /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(character)
    ? `"${character}"`
    : `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
