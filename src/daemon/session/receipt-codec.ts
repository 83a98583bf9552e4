/**
 * Receipts as text. What is kept of a receipt whose session was forgotten and what is carried out of the daemon are the
 * same JSON; only that the first has its chunks in blocks of their own, because there may be hundreds of thousands, and
 * the second inside. Both carry the version of their schema.
 */
import * as z from "zod";
import { failure } from "../core/errors.ts";
import { makeManifest } from "../core/manifest.ts";
import type { CarriedReceipt } from "../core/ports/receipts.ts";
import type { ManifestHead, Receipt, ReceiptChunk } from "../core/receipt.ts";
import { plainResource, resourceOf } from "./codec.ts";
import { address, count, digests, file, headers, instant, type Plain, resource, sha256, uuid } from "./schema.ts";

const VERSION = 1;

/** The largest chunk that is believed; verifying takes as much memory. The configuration allows 256 MiB. */
const LARGEST_CHUNK = 1024 ** 3;

const manifest = z.strictObject({
  version: z.literal(1),
  size: count,
  chunk_size: z.int().min(1).max(LARGEST_CHUNK),
  root: sha256,
});

const receiptFields = {
  version: z.literal(VERSION),
  session_id: uuid,
  sequence: count,
  url: address,
  mirrors: z.array(address).max(100),
  headers,
  remote: z.literal(true).optional(),
  peers: z.array(z.string().max(300)).max(100).optional(),
  sources: z.array(address).min(1).max(200),
  resource,
  digests,
  requested_at: instant,
  completed_at: instant,
  file,
  manifests: z.strictObject({ source: manifest, file: manifest }),
};
const keptReceipt = z.strictObject(receiptFields);
type PlainReceipt = Plain<z.infer<typeof keptReceipt>>;

/** Runs of chunks that came from the same sources: how many, and from where. */
type Runs = readonly (readonly [count: number, sources: readonly number[]])[];

const carriedReceipt = z.strictObject({
  ...receiptFields,
  chunks: z.array(sha256),
  chunk_sources: z.array(z.tuple([z.int().min(1), z.array(z.int().min(0)).max(200)])),
});

function plainManifest({ version, size, chunkSize, root }: ManifestHead): PlainReceipt["manifests"]["file"] {
  return { version, size, chunk_size: chunkSize, root };
}

function manifestOf({ version, size, chunk_size, root }: PlainReceipt["manifests"]["file"]): ManifestHead {
  return { version, size, chunkSize: chunk_size, root };
}

function plainReceipt(receipt: Receipt): PlainReceipt {
  const { manifests } = receipt;
  return {
    version: VERSION,
    session_id: receipt.sessionId,
    sequence: receipt.seq,
    url: receipt.url,
    mirrors: receipt.mirrors,
    headers: receipt.headers,
    ...(receipt.remote && { remote: true }),
    ...(receipt.peers && { peers: [...receipt.peers] }),
    sources: receipt.sources,
    resource: plainResource(receipt.resource) as PlainReceipt["resource"],
    digests: receipt.digests,
    requested_at: new Date(receipt.requestedAt).toISOString(),
    completed_at: new Date(receipt.completedAt).toISOString(),
    file: {
      path: receipt.file.path,
      size: receipt.file.size,
      mtime_ms: receipt.file.mtimeMs,
      ino: receipt.file.ino,
    },
    manifests: { source: plainManifest(manifests.source), file: plainManifest(manifests.file) },
  };
}

function receiptOfPlain(plain: PlainReceipt): Receipt {
  const { manifests } = plain;
  return {
    sessionId: plain.session_id,
    seq: plain.sequence,
    url: plain.url,
    mirrors: plain.mirrors,
    headers: plain.headers,
    ...(plain.remote && { remote: true }),
    ...(plain.peers && { peers: plain.peers }),
    sources: plain.sources,
    resource: resourceOf(plain.resource),
    digests: plain.digests,
    requestedAt: Date.parse(plain.requested_at),
    completedAt: Date.parse(plain.completed_at),
    file: { path: plain.file.path, size: plain.file.size, mtimeMs: plain.file.mtime_ms, ino: plain.file.ino },
    manifests: { source: manifestOf(manifests.source), file: manifestOf(manifests.file) },
  };
}

/** A receipt as it is kept, without its chunks. */
export function encodeReceipt(receipt: Receipt): string {
  return JSON.stringify(plainReceipt(receipt));
}

/** @throws DownloadError STORE_CORRUPT, STORE_NEWER */
export function decodeReceipt(text: string): Receipt {
  let plain: { readonly version?: unknown };
  try {
    plain = JSON.parse(text) as typeof plain;
  } catch (error) {
    throw failure("STORE_CORRUPT", `a receipt is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof plain.version === "number" && plain.version > VERSION)
    throw failure("STORE_NEWER", `a receipt has version ${plain.version}; this Snatch knows versions up to ${VERSION}`);
  if (plain.version !== VERSION) throw failure("STORE_CORRUPT", "a receipt has no version");
  return receiptOfPlain(plain as PlainReceipt);
}

function runsOf(chunks: Iterable<ReceiptChunk>): Runs {
  const runs: [number, readonly number[]][] = [];
  for (const { sources } of chunks) addToRuns(runs, sources);
  return runs;
}

function addToRuns(runs: [number, readonly number[]][], sources: readonly number[]): void {
  const last = runs.at(-1);
  if (last && last[1].join() === sources.join()) last[0]++;
  else runs.push([1, sources]);
}

/** Chunks in one text: 43 characters each, and their sources in runs. */
export function encodeChunks(chunks: readonly ReceiptChunk[]): string {
  const digests = Buffer.concat(chunks.map(({ sha256 }) => Buffer.from(sha256, "hex"))).toString("base64");
  return `${digests} ${JSON.stringify(runsOf(chunks))}`;
}

/** @throws DownloadError STORE_CORRUPT */
export function decodeChunks(text: string): ReceiptChunk[] {
  const [digests = "", runs = "[]"] = text.split(" ");
  const bytes = Buffer.from(digests, "base64");
  const sources = (JSON.parse(runs) as Runs).flatMap(([times, from]) => Array.from({ length: times }, () => from));
  if (bytes.length !== sources.length * 32) throw failure("STORE_CORRUPT", "a block of a receipt's chunks is damaged");
  return sources.map((from, at) => ({ sha256: bytes.toString("hex", at * 32, at * 32 + 32), sources: from }));
}

/** A receipt with its chunks as one JSON object, in pieces. */
export async function* carryOut(receipt: Receipt, chunks: AsyncIterable<ReceiptChunk>): AsyncGenerator<string> {
  const runs: [number, readonly number[]][] = [];
  yield `${encodeReceipt(receipt).slice(0, -1)},"chunks":[`;
  let piece = "";
  for await (const chunk of chunks) {
    piece += `${runs.length > 0 ? "," : ""}"${chunk.sha256}"`;
    addToRuns(runs, chunk.sources);
    if (piece.length < 64 * 1024) continue;
    yield piece;
    piece = "";
  }
  yield `${piece}],"chunk_sources":${JSON.stringify(runs)}}`;
}

/** Reads what {@link carryOut} wrote. It is input from anywhere. @throws DownloadError RECEIPT_INVALID */
export function carryIn(json: string): CarriedReceipt {
  const plain = parse(json);
  const receipt = receiptOfPlain(plain);
  const { size, chunkSize, root } = receipt.manifests.file;
  const sources = (plain.chunk_sources as Runs).flatMap(([times, from]) =>
    Array.from({ length: Math.min(times, plain.chunks.length) }, () => from),
  );
  let whole: string | undefined;
  try {
    whole = makeManifest(size, chunkSize, plain.chunks).root;
  } catch {
    // Another number of chunks than the size has.
  }
  if (whole !== root || sources.length !== plain.chunks.length || receipt.file.size !== size)
    throw failure("RECEIPT_INVALID", "the chunks of the receipt do not belong to its manifest");
  return { receipt, chunks: plain.chunks.map((digest, at) => ({ sha256: digest, sources: sources[at] ?? [] })) };
}

function parse(json: string): Plain<z.infer<typeof carriedReceipt>> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw failure("RECEIPT_INVALID", `the receipt is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
  const read = carriedReceipt.safeParse(value);
  if (read.success) return read.data as Plain<z.infer<typeof carriedReceipt>>;
  const why = z
    .prettifyError(read.error)
    .replaceAll(/\s*\n\s*/g, " ")
    .slice(0, 500);
  throw failure("RECEIPT_INVALID", `the receipt is not as Snatch writes it: ${why}`);
}
