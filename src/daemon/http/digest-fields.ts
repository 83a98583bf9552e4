/**
 * Digests that an origin sends with its answer: Repr-Digest and Content-Digest (RFC 9530), the legacy Digest (RFC 3230),
 * Content-MD5 (RFC 2616 §14.15) and x-goog-hash. Only what is about the whole selected representation counts, and what
 * cannot be read says nothing: an origin that writes nonsense is no reason to refuse right bytes.
 */
import type { Digest, DigestAlgorithm } from "../core/session.ts";

/** What the fields' names of algorithms mean. The other ones of the registries find nothing that these do not. */
const ALGORITHMS: Readonly<Record<string, DigestAlgorithm>> = {
  "sha-512": "sha-512",
  "sha-256": "sha-256",
  sha: "sha-1",
  "sha-1": "sha-1",
  md5: "md5",
  crc32c: "crc32c",
};

/** Bytes of each algorithm's digest, the strongest first. */
const LENGTHS: Readonly<Record<DigestAlgorithm, number>> = {
  "sha-512": 64,
  "sha-256": 32,
  "sha-1": 20,
  md5: 16,
  crc32c: 4,
};

/** Strongest first. */
const ORDER = Object.keys(LENGTHS) as readonly DigestAlgorithm[];

/** A field's value as a list of algorithms and digests, both as they are written; undefined if it is malformed. */
type Reader = (value: string) => ReadonlyArray<readonly [algorithm: string, base64: string]> | undefined;

interface Field {
  readonly name: string;
  readonly read: Reader;
  /** It is about the bytes of the message, and not about the whole that they are a part of. */
  readonly ofContent?: boolean;
}

/** In order of trust: where two differ about the same algorithm, neither is believed. */
const FIELDS: readonly Field[] = [
  { name: "Repr-Digest", read: readDictionary },
  { name: "Content-Digest", read: readDictionary, ofContent: true },
  // An instance digest is one of the whole, also beside a part (RFC 3230 §4.3.2 and the definition of "instance").
  { name: "Digest", read: readList },
  // A 206 carried it for the part from some origins and for the whole from others: RFC 7231 took it away for that.
  { name: "Content-MD5", read: (value) => [["md5", value.trim()]], ofContent: true },
  { name: "x-goog-hash", read: readList },
];

/**
 * The digests of the whole, the strongest first; one for each algorithm.
 *
 * @param complete - the message's content is the whole representation, and not a part of it
 */
export function originDigests(headers: ReadonlyMap<string, string>, complete: boolean): readonly Digest[] {
  const found = new Map<DigestAlgorithm, Digest>();
  const doubtful = new Set<DigestAlgorithm>();
  for (const { name, read, ofContent } of FIELDS) {
    const value = headers.get(name.toLowerCase());
    if (value === undefined || (ofContent && !complete) || (name === "x-goog-hash" && isTranscoded(headers))) continue;
    for (const [written, base64] of read(value) ?? []) {
      const key = written.toLowerCase().replace(/^id-/, "");
      const algorithm = Object.hasOwn(ALGORITHMS, key) ? ALGORITHMS[key] : undefined;
      const digest = algorithm && decode(base64, LENGTHS[algorithm]);
      if (!algorithm || !digest) continue;
      const before = found.get(algorithm);
      if (before && before.value !== digest) doubtful.add(algorithm);
      if (!before) found.set(algorithm, { algorithm, value: digest, from: name });
    }
  }
  return ORDER.flatMap((algorithm) => (doubtful.has(algorithm) ? [] : (found.get(algorithm) ?? [])));
}

/** Google's storage decodes what it keeps coded, and sends the hash of what it keeps. */
function isTranscoded(headers: ReadonlyMap<string, string>): boolean {
  const stored = headers.get("x-goog-stored-content-encoding")?.trim().toLowerCase() ?? "identity";
  return stored !== "identity" && stored !== (headers.get("content-encoding")?.trim().toLowerCase() ?? "identity");
}

/** @returns lower-case hex; undefined if it is not base64 of so many bytes */
function decode(base64: string, length: number): string | undefined {
  if (!/^[A-Za-z0-9+/]{0,128}={0,2}$/.test(base64)) return undefined;
  const bytes = Buffer.from(base64, "base64");
  return bytes.length === length ? bytes.toString("hex") : undefined;
}

const KEY = "[a-z*][a-z0-9_.*-]*";
const BARE =
  ':[A-Za-z0-9+/=]*:|"(?:[ !#-\\[\\]-~]|\\\\["\\\\])*"|\\?[01]|-?\\d{1,15}(?:\\.\\d{1,3})?|[A-Za-z*][\\w!#$%&\'*+.^`|~:/-]*';
const MEMBER = new RegExp(`(${KEY})(?:=(${BARE}))?(?:; *${KEY}(?:=(?:${BARE}))?)*`, "y");

/** A dictionary of byte sequences (RFC 9651 §3.2, §3.3.5); members of other types are of no interest, inner lists no digest. */
function readDictionary(value: string): ReadonlyArray<readonly [string, string]> | undefined {
  const text = value.trim();
  const members = new Map<string, string>();
  for (let at = 0; at < text.length; ) {
    MEMBER.lastIndex = at;
    const match = MEMBER.exec(text);
    if (!match) return undefined;
    const [whole, key = "", bare] = match;
    at += whole.length;
    // The last one of a key is the one that counts (§4.2.2).
    members.delete(key);
    if (bare?.startsWith(":")) members.set(key, bare.slice(1, -1));
    const comma = /^[ \t]*,[ \t]*(?=.)/s.exec(text.slice(at, at + 64));
    if (!comma && at < text.length) return undefined;
    at += comma?.[0].length ?? 0;
  }
  return [...members];
}

/** `algorithm=base64`, separated by commas; what cannot be read is left out. */
function readList(value: string): ReadonlyArray<readonly [string, string]> {
  return value.split(",").flatMap((item) => {
    const equals = item.indexOf("=");
    return equals < 1 ? [] : [[item.slice(0, equals).trim(), item.slice(equals + 1).trim()] as const];
  });
}
