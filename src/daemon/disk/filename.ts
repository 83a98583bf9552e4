/**
 * Names that came over the network, made safe: no path, no control characters, nothing that a shell, a terminal or another
 * system stumbles over, and not longer than a file system takes.
 */
import filenamify from "filenamify";

/** Bytes of a name on every common file system (NAME_MAX). */
const NAME_BYTES = 255;

/** Room that is left for what is added to a name: " (999)" and ".xxxxxxxx.part". */
const SUFFIX_BYTES = 20;

/** When nothing usable is left of a name. */
const FALLBACK = "download";

/** C0, DEL, C1; bidirectional controls and other characters that are not seen (Unicode UAX #9, UTS #39). */
const UNSEEN = /[\p{Cc}\p{Cs}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;

/** Endings that belong together with the one before. */
const DOUBLE = /(\.tar)?(\.[^.\s]{1,16})$/i;

/** A safe file name out of any text; never empty, never "." or "..", at most 235 bytes of UTF-8. */
export function safeName(text: string): string {
  const last = text.split(/[/\\]/).findLast((part) => part.trim() !== "") ?? "";
  const plain = filenamify(last.normalize("NFC").replace(UNSEEN, ""), { replacement: "_", maxLength: 1000 })
    // A leading dot hides, a leading dash is an option, trailing dots and spaces vanish on Windows.
    .replace(/^[.\s-]+/, "")
    .replace(/[.\s]+$/, "");
  return plain === "" ? FALLBACK : cut(plain, NAME_BYTES - SUFFIX_BYTES);
}

/** The stem and the extension with its dot: "archive" and ".tar.gz"; the extension may be empty. */
export function splitName(name: string): { stem: string; extension: string } {
  const extension = DOUBLE.exec(name)?.[0] ?? "";
  return extension.length < name.length
    ? { stem: name.slice(0, name.length - extension.length), extension }
    : { stem: name, extension: "" };
}

/** The name with a number: "name (1).tar.gz". */
export function numberedName(name: string, number: number): string {
  const { stem, extension } = splitName(name);
  return `${stem} (${number})${extension}`;
}

/** Cuts by bytes of UTF-8, keeps the extension, and never splits a character. */
function cut(name: string, bytes: number): string {
  if (Buffer.byteLength(name) <= bytes) return name;
  const { stem, extension } = splitName(name);
  const room = bytes - Buffer.byteLength(extension);
  let kept = "";
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(stem)) {
    used += Buffer.byteLength(segment);
    if (used > room) break;
    kept += segment;
  }
  return (kept.trimEnd() || FALLBACK) + extension;
}
