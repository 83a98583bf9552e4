/**
 * Names that every file system takes and no shell trips over. A name comes from a stranger (a header, a URL), so nothing
 * of it is trusted: not its length, not its characters, not the direction in which it reads.
 */
import filenamify from "filenamify";

/** Bytes that a file system takes for one name (NAME_MAX of Linux, and of macOS in UTF-8). */
const NAME_MAX = 255;

/** Left free in a name for what is put behind it: " (123)", and the suffix of a part file. */
const SUFFIX_ROOM = 32;

/** The longest name that {@link safeName} gives, in bytes of UTF-8. */
export const MAX_NAME_BYTES = NAME_MAX - SUFFIX_ROOM;

/** For a name of which nothing is left. */
const FALLBACK = "download";

/** Longer than this it is no extension but a sentence with a dot in it. */
const MAX_EXTENSION_BYTES = 20;

/** Extensions that belong together: `.tar.gz` and its like. */
const COMPOUND = /\.tar\.[a-z0-9]{1,5}$/i;
const SIMPLE = /\.[^. ]+$/;

/** Characters that are not seen: controls, directions (UAX #9), other format characters but the joiners of scripts. */
const UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/gu;

/**
 * A leading dot hides a file, a leading dash is an option to every program, a leading tilde a home folder, and dots with
 * separators climb out of the folder.
 */
const LEADING = /^[\s.~\-/\\]+/u;

/** What Windows takes from the end of a name. */
const ENDING = /[\s.]/u;

/** Characters of a text that are looked at: more than a name has room for. Patterns below are slow on very long ones. */
const MOST_CHARACTERS = 1024;

/** Makes a name safe: see the head of this file. Never empty, never more than {@link MAX_NAME_BYTES} bytes. */
export function safeName(text: string): string {
  const seen = trimEnd(shorten(text).toWellFormed().normalize("NFC").replace(UNSEEN, "").replace(LEADING, ""));
  if (seen === "") return FALLBACK;
  // Separators, and what Windows reserves: characters, and names such as CON.
  const name = filenamify(seen, { replacement: "_", maxLength: Number.POSITIVE_INFINITY });
  const cut = cutName(name.replace(LEADING, ""), MAX_NAME_BYTES);
  return cut === "" ? FALLBACK : cut;
}

/** The beginning and, since the extension is there, the end of a text that is too long to be looked at. */
function shorten(text: string): string {
  if (text.length <= MOST_CHARACTERS) return text;
  // What is left out at the end would have been: the extension is in front of it.
  const end = trimEnd(text);
  return end.length <= MOST_CHARACTERS ? end : end.slice(0, MOST_CHARACTERS - 64) + end.slice(-64);
}

/** From the end backwards: a pattern would begin anew at every space inside. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && ENDING.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** Splits "a.tar.gz" into "a" and ".tar.gz". A name that is only an extension has none. */
function splitName(name: string): [stem: string, extension: string] {
  const extension = (COMPOUND.exec(name) ?? SIMPLE.exec(name))?.[0] ?? "";
  if (extension.length === name.length || Buffer.byteLength(extension) > MAX_EXTENSION_BYTES) return [name, ""];
  return [name.slice(0, name.length - extension.length), extension];
}

/** "a (2).tar.gz": the same name, told apart by a number. */
export function numberedName(name: string, number: number): string {
  const [stem, extension] = splitName(name);
  const suffix = ` (${number})${extension}`;
  return cutText(stem, NAME_MAX - Buffer.byteLength(suffix)) + suffix;
}

/** True if the file system takes the name as it is. */
export function fits(name: string): boolean {
  return Buffer.byteLength(name) <= NAME_MAX && !name.includes("\0");
}

/** Embeddings, overrides and isolates: with them a name reads as another one (Unicode TR36 §3.3). */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/;

/** True if a name of a stranger may be kept as it is, beside others that name it: the file system takes it, and it reads as it is. */
export function mayStay(name: string): boolean {
  return fits(name) && !TURNING.test(name);
}

function cutName(name: string, bytes: number): string {
  if (Buffer.byteLength(name) <= bytes) return name;
  const [stem, extension] = splitName(name);
  return trimEnd(cutText(stem, bytes - Buffer.byteLength(extension))) + extension;
}

/** The longest beginning of at most `bytes` bytes that does not split a code point. */
function cutText(text: string, bytes: number): string {
  const encoded = Buffer.from(text);
  if (encoded.length <= bytes) return text;
  let end = bytes;
  // 10xxxxxx continues a code point.
  while (end > 0 && ((encoded[end] ?? 0) & 0xc0) === 0x80) end--;
  return encoded.toString("utf8", 0, end);
}
