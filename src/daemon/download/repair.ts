/**
 * Fetches a damaged chunk of a finished file again: one range of the recorded version from the place that it came from, or
 * else from another. Whoever sends it, it counts only if its SHA-256 is the one that the receipt has.
 */
import { asDownloadError, type DownloadError, failure, NetworkError } from "../core/errors.ts";
import type { DamagedChunk } from "../core/ports/receipts.ts";
import type { Clock } from "../core/ports/runtime.ts";
import type { ChunkSource, SourceFactory } from "../core/ports/sources.ts";
import type { Receipt } from "../core/receipt.ts";
import type { ResourceInfo } from "../core/session.ts";
import { sha256 } from "./digest.ts";
import { isShare, noPeers, type PeerParts, peerSource } from "./repair-peers.ts";

/** How often a place whose connection breaks is asked. */
const ATTEMPTS = 3;

/** Milliseconds before a place is asked again; multiplied by the attempts made. */
const AGAIN_MS = 500;

/** A host that asks for more patience than this, in milliseconds, is not waited for. */
const LONGEST_WAIT_MS = 30_000;

/** In place of who named the URLs of a receipt that came from elsewhere: somebody outside. */
const STRANGER = "https://receipt.invalid/";

/** Thrown into a stream that has given enough. */
const ENOUGH = new Error("the chunk is here");

/** Wrong chunks after which peers are not asked for more. */
const MOST_WRONG = 8;

/** What a repair works with. */
export interface RepairParts extends PeerParts {
  readonly sources: SourceFactory;
  readonly clock: Clock;
  /** Milliseconds without a byte. */
  readonly timeoutMs: () => number;
}

/** Bytes that are proved, and who sent them (a URL without secrets). */
export interface FetchedChunk {
  readonly bytes: Uint8Array;
  readonly source: string;
}

/** Fetches the chunks of one receipt. What it learns of a place holds for the next chunk too. */
export class ChunkFetcher {
  readonly #parts: RepairParts;
  readonly #receipt: Receipt;
  readonly #places: Place[];
  /** Why nobody can be asked. */
  readonly #nobody: string;

  /** @param ours - the receipt is of this daemon; otherwise nobody knows who chose its URLs and header fields */
  constructor(receipt: Receipt, ours: boolean, parts: RepairParts) {
    this.#parts = parts;
    const { url, mirrors, sources, resource, headers, remote } = receipt;
    this.#receipt = receipt;
    this.#nobody = sources.some(isShare)
      ? "it came from peers, which are found by its code only: fetch it again by that"
      : "the receipt was exported without the secrets of its URLs, so that nobody can be asked";
    const named = new Set(ours ? [url, ...mirrors] : []);
    const { origin } = new URL(url);
    // What came from the cache may be had where it was asked for.
    this.#places = [
      ...new Set([
        ...sources,
        ...(sources.some((each) => isHttp(each) || isShare(each)) ? [] : [url]),
        ...(resource.mirrors ?? []),
      ]),
    ]
      // Shown once and carried out like that: it leads nowhere. And a stranger says nothing about shares.
      .filter((each) => (isHttp(each) && !each.includes("***")) || (ours && isShare(each)))
      .map((each) => ({
        url: each,
        source: isShare(each)
          ? undefined
          : parts.sources.http(each, {
              timeoutMs: parts.timeoutMs(),
              headers: ours && new URL(each).origin === origin ? headers : [],
              // A document or an answer named it, and no person.
              ...(!named.has(each) && { namedBy: ours ? resource.finalUrl : STRANGER }),
              ...(remote && { remote }),
            }),
        // The version is that of the first place; others have their own ways to name it.
        expected: each === sources[0] ? resource : undefined,
        wrong: 0,
      }));
  }

  /** @throws DownloadError REPAIR_IMPOSSIBLE, or why the last place could not be asked; the signal's reason */
  async fetch(chunk: DamagedChunk, digest: string, signal: AbortSignal): Promise<FetchedChunk> {
    let why: DownloadError | undefined;
    for (const place of [...this.#places]) {
      try {
        const source = await this.#sourceOf(place, signal);
        const bytes = await this.#fetchFrom({ place, source }, chunk, digest, signal);
        return { bytes, source: source.id };
      } catch (error) {
        signal.throwIfAborted();
        why ??= asDownloadError(error);
      }
    }
    throw why ?? impossible(this.#nobody);
  }

  async #sourceOf(place: Place, signal: AbortSignal): Promise<ChunkSource> {
    place.source ??= await peerSource(this.#parts, place.url, this.#receipt, signal);
    return place.source;
  }

  async #fetchFrom(
    { place, source }: Asked,
    chunk: DamagedChunk,
    digest: string,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    for (let attempt = 1; ; attempt++) {
      try {
        const bytes = await this.#read({ place, source }, chunk, signal);
        if (bytes.length === chunk.end - chunk.start && (await sha256(bytes)) === digest) return bytes;
        // Of many who hold it one was wrong: the others are asked.
        if (source.reject && ++place.wrong < MOST_WRONG) {
          source.reject(chunk);
          continue;
        }
        throw mismatch({ place, source }, chunk);
      } catch (error) {
        signal.throwIfAborted();
        const failed = asDownloadError(error);
        if (yields(place, failed)) continue;
        // It has waited for peers, and looked for others, by itself.
        if (isShare(place.url)) throw failed.code === "REPAIR_IMPOSSIBLE" ? failed : noPeers(failed);
        const wait = failed.retryAfterMs ?? AGAIN_MS * attempt;
        if (!mayPass(failed) || attempt >= ATTEMPTS || wait > LONGEST_WAIT_MS) throw failed;
        await this.#parts.clock.sleep(wait, signal);
      }
    }
  }

  /** The chunk's bytes; fewer if the place has no more. */
  async #read(
    { place: { expected, whole }, source }: Asked,
    { start, end }: DamagedChunk,
    signal: AbortSignal,
  ): Promise<Buffer<ArrayBuffer>> {
    const asked = whole ? { start: 0 } : { start, end };
    const stream = await source.open({ ...asked, ...(expected && { expected }), signal });
    const bytes = Buffer.from(new ArrayBuffer(end - start));
    let at = stream.start;
    if (at > start) {
      stream.cancel();
      throw failure("RANGE_INVALID", `${source.id} begins at byte ${at}, although ${start} was asked for`);
    }
    try {
      await stream.pipe((piece) => {
        const wanted = piece.subarray(Math.max(start - at, 0), Math.max(end - at, 0));
        bytes.set(wanted, Math.max(at - start, 0));
        at += piece.length;
        if (at >= end && stream.end !== end) throw ENOUGH;
      });
    } catch (error) {
      if (error !== ENOUGH) throw error;
    }
    return bytes.subarray(0, Math.max(Math.min(at, end) - start, 0));
  }
}

interface Place {
  readonly url: string;
  /** Absent until the peers of a share are found. */
  source: ChunkSource | undefined;
  expected: ResourceInfo | undefined;
  /** How it is known that it has another version by now. */
  changed?: DownloadError;
  /** It gives no ranges: a chunk is taken out of the whole. */
  whole?: boolean;
  /** Chunks that came wrong. */
  wrong: number;
}

/** A place, and its source. */
interface Asked {
  readonly place: Place;
  readonly source: ChunkSource;
}

function mismatch({ place: { changed }, source }: Asked, { start, end }: DamagedChunk): DownloadError {
  const bytes = `bytes ${start}–${end - 1}`;
  return impossible(
    changed
      ? `the origin has changed: ${changed.message}; its ${bytes} are not those of the receipt`
      : `${source.id} sent other ${bytes} than the receipt has`,
    changed,
  );
}

/** Asks less of a place that did not answer as was hoped: the digest of its bytes tells all that matters. */
function yields(place: Place, failed: DownloadError): boolean {
  if (failed.code !== "RESOURCE_CHANGED" && failed.code !== "RANGE_INVALID") return false;
  if (place.expected) {
    if (failed.code === "RESOURCE_CHANGED") place.changed = failed;
    place.expected = undefined;
    return true;
  }
  if (place.whole || failed.metadata["reason"] !== "range_ignored") return false;
  place.whole = true;
  return true;
}

const impossible = (message: string, cause?: unknown) => failure("REPAIR_IMPOSSIBLE", message, { cause });

const isHttp = (url: string): boolean => /^https?:/i.test(url);

/** True for what another try may mend, also at a host that asks for patience. */
function mayPass(error: DownloadError): boolean {
  return error.retryable && (error instanceof NetworkError || error.retryAfterMs !== undefined);
}
