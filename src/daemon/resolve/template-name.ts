/**
 * Paths made of what a template was filled with. The folders are the template's own: nothing in a value makes one, leads out
 * of one, hides a file, reads backwards or is too long for a file system.
 */
import filenamify from "filenamify";
import { cutBytes } from "./template-format.ts";

/** A part of a name: what the template says itself, or a value. */
export interface NamePart {
  readonly text: string;
  readonly value: boolean;
}

/** Bytes of one name, with room for what is put behind it: " (123)", the suffix of a part file and of its tracks. */
const MOST_BYTES = 255 - 32;

/** Characters of a value that are looked at. */
const MOST_CHARACTERS = 4096;

/** For a name of which nothing is left. */
const FALLBACK = "_";

/** Longer than this it is no extension but a sentence with a dot in it. */
const EXTENSION = /\.[^. ]{1,16}$/;

/** Controls, and format characters (directions above all, UAX #9) but the joiners of scripts. */
const UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/gu;

/** A dot hides a file, a dash is an option, a tilde a home folder. */
const LEADING = /^[\s.~-]+/u;

/** What a value may bring into a name: one line, no separators, nothing that is not seen. */
export function safeValue(text: string): string {
  return text
    .slice(0, MOST_CHARACTERS)
    .toWellFormed()
    .normalize("NFC")
    .replace(/[\r\n\t\v\f]+/g, " ")
    .replace(UNSEEN, "")
    .replace(/[/\\]/g, "_");
}

/** A name of its parts, short enough: the longest values are cut first. */
export function safeName(parts: readonly NamePart[]): string {
  const name = filenamify(shortened(parts).replace(UNSEEN, "").replace(LEADING, ""), {
    replacement: "_",
    maxLength: Number.POSITIVE_INFINITY,
  }).replace(LEADING, "");
  const extension = EXTENSION.exec(name)?.[0] ?? "";
  const stem = cutBytes(name.slice(0, name.length - extension.length), MOST_BYTES - Buffer.byteLength(extension));
  return trimEnd(trimEnd(stem) + extension) || FALLBACK;
}

/** What Windows takes from the end of a name. From the end backwards: a pattern would begin anew at every space inside. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && /[\s.]/u.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

function shortened(parts: readonly NamePart[]): string {
  const texts = parts.map(({ text }) => text);
  const size = (text: string) => Buffer.byteLength(text);
  for (let over = size(texts.join("")) - MOST_BYTES; over > 0; over = size(texts.join("")) - MOST_BYTES) {
    const sizes = parts.map(({ value }, at) => (value ? size(texts[at] ?? "") : 0));
    const [first = 0, second = 0] = sizes.toSorted((a, b) => b - a);
    if (first === 0) break;
    const longest = sizes.indexOf(first);
    // Down to the next longest at most, so that several long values are cut alike; at least by one.
    const target = Math.min(first - 1, Math.max(second, first - over));
    texts[longest] = cutBytes(texts[longest] ?? "", target);
  }
  return texts.join("");
}
