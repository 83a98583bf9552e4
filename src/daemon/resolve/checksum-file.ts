/**
 * Checksum files: what sha256sum and its like write (GNU coreutils, "md5sum invocation"), text and binary mode, with escaped
 * names; the BSD style of `sha256 file` and `--tag`; and a digest that stands alone. What is none of it is stepped over:
 * such files carry signatures and remarks.
 */
import type { ChecksumAlgorithm } from "../core/session.ts";

/** One line of a checksum file. */
export interface ChecksumEntry {
  readonly algorithm: ChecksumAlgorithm;
  /** Lower-case hex. */
  readonly value: string;
  /** As it stands there, perhaps with folders before it; absent for a digest that stands alone. */
  readonly name?: string;
}

/** Longer lines are no lines of such a file. */
const LONGEST_LINE = 8192;

/** GNU does not name the algorithm; its digest has the length of one. */
const BY_LENGTH: Readonly<Record<number, ChecksumAlgorithm>> = {
  32: "md5",
  40: "sha-1",
  64: "sha-256",
  128: "sha-512",
};

const BY_TAG: Readonly<Record<string, ChecksumAlgorithm>> = {
  MD5: "md5",
  SHA1: "sha-1",
  SHA256: "sha-256",
  "SHA2-256": "sha-256",
  SHA512: "sha-512",
  "SHA2-512": "sha-512",
};

/** The entries, in their order. Reads any text. */
export function parseChecksumFile(text: string): ChecksumEntry[] {
  return text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n|\r$/)
    .flatMap((line) => (line.length > LONGEST_LINE ? [] : (tagged(line) ?? plain(line) ?? [])));
}

/** `SHA256 (name) = digest` */
function tagged(line: string): ChecksumEntry | undefined {
  const [, escaped, tag = "", name = "", digest = ""] =
    /^(\\?)([A-Z][A-Z0-9-]{2,15}) ?\((.+)\) = ([0-9A-Fa-f]{32,128})\s*$/.exec(line) ?? [];
  const algorithm = Object.hasOwn(BY_TAG, tag) ? BY_TAG[tag] : undefined;
  if (!algorithm || BY_LENGTH[digest.length] !== algorithm) return undefined;
  return { algorithm, value: digest.toLowerCase(), name: escaped ? unescaped(name) : name };
}

/** `digest  name`, `digest *name`, `digest`; less strictly, with any one blank between. */
function plain(line: string): ChecksumEntry | undefined {
  const [, escaped, digest = "", rest = ""] = /^(\\?)([0-9A-Fa-f]{32,128})((?:[ \t].*)?)$/.exec(line) ?? [];
  const algorithm = BY_LENGTH[digest.length];
  if (!algorithm) return undefined;
  const value = digest.toLowerCase();
  const name = /^ [ *]./.test(rest) ? rest.slice(2) : rest.trim();
  return name === "" ? { algorithm, value } : { algorithm, value, name: escaped ? unescaped(name) : name };
}

function unescaped(name: string): string {
  const meaning: Readonly<Record<string, string>> = { n: "\n", r: "\r", "\\": "\\" };
  return name.replace(/\\([nr\\])/g, (_, letter: string) => meaning[letter] ?? letter);
}
