/**
 * The receipt of a finished file: where its bytes came from, when, under which validators, and what they are, chunk by
 * chunk. With it a file can be verified years later, and what has rotted can be fetched again.
 *
 * There are two manifests. `source` describes the bytes as they came, `file` those that were put in place; a step that
 * works on the file makes them differ. Only while they are the same can the origin mend the file.
 */
import { redactUrl } from "../../shared/redact.ts";
import { chunkCount, type Manifest } from "./manifest.ts";
import type { Digest, DownloadOptions, ResourceInfo, Session, StoredFile } from "./session.ts";

/** A manifest without its chunks, which may be many. */
export type ManifestHead = Omit<Manifest, "chunks">;

/** What is known of a finished file, but for its chunks. Times are milliseconds since the epoch. */
export interface Receipt {
  readonly sessionId: string;
  /** Order of creation of the session. */
  readonly seq: number;
  /** As asked for, with credentials if it had any: redact before showing. */
  readonly url: string;
  /** More places that the caller named. */
  readonly mirrors: readonly string[];
  /** Fields that were sent to the URL's own origin; secrets among them. */
  readonly headers: NonNullable<DownloadOptions["headers"]>;
  /** A caller over TCP asked for the file: whoever mends it reaches no more than that. */
  readonly remote?: true;
  /** Peers that the caller named: "host:port". */
  readonly peers?: readonly string[];
  /** The places that were asked, the first being the one whose version it is. Chunks name places in this list. */
  readonly sources: readonly string[];
  /** The version: validators, the way there, the server's certificate, digests that the origin gave. */
  readonly resource: ResourceInfo;
  /** Digests of the whole that were compared with it when it came, and right. */
  readonly digests: readonly Digest[];
  readonly requestedAt: number;
  readonly completedAt: number;
  /** The file as it was when it was put in place, or last mended or found moved. */
  readonly file: StoredFile;
  readonly manifests: { readonly source: ManifestHead; readonly file: ManifestHead };
}

/** One chunk of a receipt. */
export interface ReceiptChunk {
  readonly sha256: string;
  /** Where its bytes came from, as places in the receipt's list; empty if that is not known. */
  readonly sources: readonly number[];
}

/** The receipt of a session; undefined if it has not brought a file of known chunks to its place. */
export function receiptOf(session: Session): Receipt | undefined {
  const { status, file, part, resource, manifestRoot, options } = session;
  if (status !== "completed" || !file || !part || !resource || manifestRoot === undefined) return undefined;
  const manifest = { version: 1, size: file.size, chunkSize: part.chunkSize, root: manifestRoot } as const;
  return {
    sessionId: session.id,
    seq: session.seq,
    url: session.url,
    mirrors: session.mirrors,
    headers: options.headers ?? [],
    ...(options.remote && { remote: true }),
    ...(options.peers && { peers: options.peers }),
    sources: part.sources ?? [session.url],
    resource,
    digests: session.digests ?? [],
    requestedAt: session.createdAt,
    completedAt: session.completedAt ?? session.updatedAt,
    file,
    manifests: { source: session.sourceManifest ?? manifest, file: manifest },
  };
}

/** Chunks of the file that is in place. */
export function receiptChunkCount({ manifests: { file } }: Receipt): number {
  return chunkCount(file.size, file.chunkSize);
}

/** True if the file is what the origin gave, byte for byte. */
export function isUnprocessed({ manifests: { source, file } }: Receipt): boolean {
  return source.root === file.root;
}

/** The receipt as it can be shown: what is secret in its URLs, and the values of its header fields, are "***". */
export function redactReceipt(receipt: Receipt): Receipt {
  // Who is where in somebody's network is nobody else's business.
  const { resource, peers: _peers, ...rest } = receipt;
  const { answer, mirrors } = resource;
  return {
    ...rest,
    url: redactUrl(receipt.url),
    mirrors: receipt.mirrors.map(redactUrl),
    headers: receipt.headers.map(([name]) => [name, "***"]),
    sources: receipt.sources.map(redactUrl),
    resource: {
      ...resource,
      finalUrl: redactUrl(resource.finalUrl),
      ...(mirrors && { mirrors: mirrors.map(redactUrl) }),
      ...(answer?.redirects && { answer: { ...answer, redirects: answer.redirects.map(redactUrl) } }),
    },
  };
}
