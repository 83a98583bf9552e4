/**
 * Reads Metalinks: version 4 (RFC 5854) and its forerunner 3. Of each file its name, size, strongest hash, and the places
 * that are reached by http and https, in order of preference. A name says nothing about where the user's files are: what
 * leads out of the folder is taken from it (RFC 5854 §4.1.2.1).
 */
import { failure } from "../core/errors.ts";
import type { DescribedFile } from "../core/ports/resolve.ts";
import type { ChecksumAlgorithm, Digest } from "../core/session.ts";
import { parseXml, type XmlElement, XmlError } from "./xml.ts";

/** How much a document may hold. */
export interface MetalinkLimits {
  readonly characters: number;
  readonly elements: number;
}

/** Of a list, which a person gave. */
const LIST: MetalinkLimits = { characters: 16 * 1024 * 1024, elements: 500_000 };

/** Places of one file that are of use. */
const MOST_URLS = 100;
const LONGEST_URL = 16_384;
const LONGEST_NAME = 4096;

/** RFC 5854 §4.2.16.1: what does not say how much it is preferred comes last. */
const LAST = 999_999;

const VERSION_4 = "urn:ietf:params:xml:ns:metalink";

/** Strongest first, with their names in both versions and the digits of their digests. */
const HASHES: ReadonlyArray<readonly [name: RegExp, ChecksumAlgorithm, digits: number]> = [
  [/^sha-?512$/i, "sha-512", 128],
  [/^sha-?256$/i, "sha-256", 64],
  [/^sha-?1$/i, "sha-1", 40],
  [/^md5$/i, "md5", 32],
];

/**
 * The files of a Metalink, in its order.
 *
 * @param safeSegment - makes each part of a name safe, for whoever puts files where the names say
 * @throws ResourceError METALINK_INVALID
 */
export function readMetalink(
  document: string,
  limits: MetalinkLimits = LIST,
  safeSegment: (part: string) => string = (part) => part,
): readonly DescribedFile[] {
  if (document.length > limits.characters) throw invalid(`it is longer than ${limits.characters} characters`);
  let root: XmlElement;
  try {
    root = parseXml(document, limits.elements);
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    throw invalid(error.message, error);
  }
  const [, prefix = ""] = /^([^:]+:)?metalink$/.exec(root.name) ?? [];
  if (!root.name.endsWith("metalink") || root.name.length !== prefix.length + 8)
    throw invalid(`its root is <${root.name.slice(0, 100)}>`);
  const namespace = root.attributes.get(prefix === "" ? "xmlns" : `xmlns:${prefix.slice(0, -1)}`);
  const under = (parent: XmlElement | undefined, name: string): XmlElement[] =>
    parent?.children.filter((child) => child.name === prefix + name) ?? [];
  const [list] = under(root, "files");
  const old = namespace !== VERSION_4 && list !== undefined;
  const files = under(old ? list : root, "file");
  if (files.length === 0) throw invalid("it describes no file");
  return files.map((file) => {
    const [size] = under(file, "size");
    const bytes = size?.text.trim() ?? "";
    const digest = strongest(under(old ? under(file, "verification")[0] : file, "hash"));
    return {
      name: innerPath(file.attributes.get("name") ?? "", safeSegment),
      urls: places(under(old ? under(file, "resources")[0] : file, "url"), old),
      ...(/^\d{1,15}$/.test(bytes) && { size: Number(bytes) }),
      ...(digest && { digest }),
    };
  });
}

function strongest(hashes: readonly XmlElement[]): Digest | undefined {
  for (const [name, algorithm, digits] of HASHES) {
    const found = hashes.find(({ attributes }) => name.test(attributes.get("type")?.trim() ?? ""));
    const value = found?.text.replace(/[ \t\r\n]/g, "").toLowerCase() ?? "";
    if (value.length === digits && /^[0-9a-f]+$/.test(value)) return { algorithm, value, from: "the Metalink" };
  }
  return undefined;
}

/** Version 4 counts from 1 (the best) upwards, version 3 from 100 downwards. */
function places(elements: readonly XmlElement[], old: boolean): readonly string[] {
  const ranked = elements.flatMap(({ text, attributes }) => {
    const url = text.trim();
    // Version 3 names what it is for: a torrent may lie at an http URL too.
    if (!/^https?$/i.test(attributes.get("type") ?? "http")) return [];
    if (url.length > LONGEST_URL || !/^https?:\/\//i.test(url) || !URL.canParse(url)) return [];
    const rank = Number(attributes.get(old ? "preference" : "priority") ?? (old ? 0 : LAST));
    return [{ url: new URL(url).href, order: Number.isNaN(rank) ? LAST : old ? -rank : rank }];
  });
  return [...new Set(ranked.toSorted((a, b) => a.order - b.order).map(({ url }) => url))].slice(0, MOST_URLS);
}

function innerPath(name: string, safeSegment: (part: string) => string): string {
  return name
    .slice(0, LONGEST_NAME)
    .replace(/\p{Cc}/gu, "")
    .split(/[\\/]/)
    .map((part) => part.trim())
    .filter((part) => part !== "" && part !== "." && part !== "..")
    .map(safeSegment)
    .join("/");
}

function invalid(why: string, cause?: unknown): Error {
  return failure("METALINK_INVALID", `the Metalink cannot be read: ${why}`, { cause });
}
