/**
 * Codes: the secret of a share as people read it out, type it and paste it. 120 random bits as 24 characters of Crockford's
 * base 32 and one that checks them, in five groups of five. A guess has to be made on the network, one handshake each; but
 * the key by which a share is looked up is public, so that the bits have to stand up to guessing without the network too.
 *
 * The check character makes the sum of all characters, each times a power of its own in GF(32), zero. The powers differ and
 * none is zero: so one wrong character is always seen, and so are any two that changed places.
 */
import { randomBytes } from "node:crypto";
import { type DownloadError, failure } from "../core/errors.ts";

/** Crockford's: without I, L, O, which are read as digits, and U. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Bytes of a secret: 120 bits. */
const SECRET_BYTES = 15;

/** Characters of a code: five bits each, and the one that checks. */
const CODE_LENGTH = (SECRET_BYTES * 8) / 5 + 1;

const GROUP = 5;

/** Longer texts are not looked at. */
const LONGEST_TEXT = 200;

/** What stands between characters where a person or a program put it: white space, and hyphens and dashes of all kinds. */
const BETWEEN = /[\s\u00AD\u200B-\u200D\u2060\uFEFF\p{Dash_Punctuation}]+/gu;

const LOOKALIKES: Readonly<Record<string, string>> = { O: "0", I: "1", L: "1" };

/** α⁰, α¹ … of GF(32), where α is a root of x⁵ + x² + 1: all 31 differ. */
const POWERS = powers();

/** Makes a new code: grouped, with its check character. */
export function makeCode(): string {
  return formatCode(randomBytes(SECRET_BYTES));
}

/**
 * Reads a code as people give it: in either case, with or without hyphens and spaces, O for 0, I and L for 1, with
 * `snatch:` in front.
 *
 * @returns the secret, 15 bytes
 * @throws DownloadError CODE_INVALID, which never repeats the code
 */
export function readCode(text: string): Uint8Array {
  if (text.length > LONGEST_TEXT) throw invalid(`a code has ${CODE_LENGTH} characters, this has ${text.length}`);
  const bare = text
    .trim()
    .replace(/^snatch:(\/\/)?/i, "")
    .replaceAll(BETWEEN, "");
  const values = [...bare].map((character, index) => {
    // Other alphabets have letters whose upper case is one of ours.
    const upper = /^[0-9A-Za-z]$/.test(character) ? character.toUpperCase() : undefined;
    const value = upper === undefined ? -1 : ALPHABET.indexOf(LOOKALIKES[upper] ?? upper);
    if (value >= 0) return value;
    throw invalid(`character ${index + 1} is ${JSON.stringify(character)}, which codes do not have`);
  });
  if (values.length !== CODE_LENGTH)
    throw invalid(`a code has ${CODE_LENGTH} characters without its hyphens, this has ${values.length}`);
  if (checksum(values) !== 0)
    throw invalid("its check character does not fit: a character is wrong, or two have changed places");
  return bytesOf(values.slice(0, -1));
}

/** Writes a secret as a code. @param secret - 15 bytes */
export function formatCode(secret: Uint8Array): string {
  if (secret.length !== SECRET_BYTES) throw new RangeError(`a secret has ${SECRET_BYTES} bytes, not ${secret.length}`);
  const values = valuesOf(secret);
  // The last power is α⁰ = 1: what is missing to zero is the sum of the others.
  values.push(checksum([...values, 0]));
  const characters = values.map((value) => ALPHABET[value]).join("");
  return (characters.match(new RegExp(`.{${GROUP}}`, "g")) ?? []).join("-");
}

/** Σ cᵢ·αⁿ⁻¹⁻ⁱ in GF(32). */
function checksum(values: readonly number[]): number {
  return values.reduce((sum, value, index) => sum ^ times(value, POWERS[values.length - 1 - index] ?? 0), 0);
}

function times(a: number, b: number): number {
  let product = 0;
  for (let bit = 0; bit < 5; bit++) if ((b >> bit) & 1) product ^= a << bit;
  for (let bit = 8; bit >= 5; bit--) if ((product >> bit) & 1) product ^= 0b100101 << (bit - 5);
  return product;
}

function powers(): readonly number[] {
  const found = [1];
  while (found.length < CODE_LENGTH) found.push(times(found.at(-1) ?? 0, 2));
  return found;
}

function valuesOf(bytes: Uint8Array): number[] {
  const values: number[] = [];
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) values.push((held >> (bits - 5)) & 31);
  }
  return values;
}

function bytesOf(values: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  let held = 0;
  let bits = 0;
  for (const value of values) {
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 0xff);
  }
  return Uint8Array.from(bytes);
}

function invalid(why: string): DownloadError {
  return failure("CODE_INVALID", `this is not a code: ${why}`);
}
