/**
 * The digest of a file from a checksum file: one that was named, or one beside it. `auto` asks for URL.sha256 and
 * URL.sha512, then in the same folder for SHA256SUMS, SHA512SUMS and sha256sum.txt; the first that names the file counts.
 */
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError, failure, ResourceError } from "../core/errors.ts";
import type { Digest, DownloadRequest } from "../core/session.ts";
import { type ChecksumEntry, parseChecksumFile } from "./checksum-file.ts";
import type { Documents } from "./document.ts";

/** Bytes of a checksum file. */
const MOST_BYTES = 1024 * 1024;

const BESIDE_FILE = [".sha256", ".sha512"];
const IN_FOLDER = ["SHA256SUMS", "SHA512SUMS", "sha256sum.txt"];

/** The strongest first. */
const ORDER: readonly ChecksumEntry["algorithm"][] = ["sha-512", "sha-256", "sha-1", "md5"];

/**
 * What the checksum file that a request wants says of a file.
 *
 * @param url - where the file is
 * @param namedBy - what named that URL, if no person did: then it named what lies beside it as well
 * @returns undefined if no checksum file is wanted
 * @throws ResourceError CHECKSUM_NOT_FOUND; what fetching throws, but for a refusal
 */
export async function sidecarDigest(
  documents: Documents,
  request: DownloadRequest,
  url: string,
  signal: AbortSignal,
  namedBy?: string,
): Promise<Digest | undefined> {
  const wanted = request.options.checksumFile;
  if (wanted === undefined) return undefined;
  const name = fileName(url);
  const seen: string[] = [];
  for (const place of wanted === "auto" ? placesBeside(url) : [wanted]) {
    const text = await read(documents, place, request, signal, wanted === "auto" ? namedBy : undefined);
    const shown = redactUrl(place);
    if (typeof text !== "string") {
      seen.push(`${shown} (${text.code})`);
      continue;
    }
    const entry = choose(parseChecksumFile(text), name, place.startsWith(url.split(/[?#]/, 1)[0] ?? url));
    if (entry) return { algorithm: entry.algorithm, value: entry.value, from: shown };
    seen.push(`${shown} (does not name it)`);
  }
  throw failure("CHECKSUM_NOT_FOUND", `no checksum of ${name} was found in: ${seen.join(", ")}`, {
    metadata: { name },
  });
}

/** The text, or why the origin refuses it. */
async function read(
  documents: Documents,
  place: string,
  request: DownloadRequest,
  signal: AbortSignal,
  namedBy: string | undefined,
): Promise<string | { readonly code: string }> {
  try {
    const { bytes } = await documents.fetch(place, request, MOST_BYTES, signal, namedBy);
    return bytes.toString("utf8");
  } catch (error) {
    signal.throwIfAborted();
    const failed = asDownloadError(error);
    // Other paths may be there; what may pass is asked for again with the whole.
    if (failed instanceof ResourceError && !failed.retryable) return failed;
    throw failed;
  }
}

/** @param own - the checksum file is that of this file alone: a digest needs no name in it */
function choose(entries: readonly ChecksumEntry[], name: string, own: boolean): ChecksumEntry | undefined {
  const named = entries.filter((entry) => entry.name !== undefined && lastSegment(entry.name) === name);
  const [first] = entries;
  const alone = own && entries.length === 1 && first?.name === undefined ? entries : [];
  return [...named, ...alone].toSorted((a, b) => ORDER.indexOf(a.algorithm) - ORDER.indexOf(b.algorithm))[0];
}

/** A query belongs to the file's URL: it may be what opens the door to its folder too. */
function placesBeside(url: string): string[] {
  const at = (path: (pathname: string) => string): string => {
    const place = new URL(url);
    place.pathname = path(place.pathname);
    return place.href;
  };
  return [
    ...BESIDE_FILE.map((suffix) => at((pathname) => pathname + suffix)),
    ...IN_FOLDER.map((name) => at((pathname) => pathname.slice(0, pathname.lastIndexOf("/") + 1) + name)),
  ];
}

/** The last segment of a URL's path, decoded. */
export function fileName(url: string): string {
  const segment = lastSegment(new URL(url).pathname);
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

const lastSegment = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
