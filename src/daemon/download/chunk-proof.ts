/**
 * The chunks of a file whose manifest is known before its bytes come. One that is not what it must be does not count: whoever
 * sent it is told of, and its bytes are missing again. Nobody is asked for the same chunk for ever.
 */
import { type DownloadError, failure } from "../core/errors.ts";
import { chunkRange, type Manifest } from "../core/manifest.ts";
import type { Logger } from "../core/ports/runtime.ts";
import type { ByteRange } from "../core/ports/sources.ts";
import type { WrittenChunk } from "./assembly.ts";
import type { Sources } from "./sources.ts";

/** Wrong deliveries of the same chunk after which the attempt ends. */
const MOST_WRONG = 8;

/** Compares chunks with a manifest. */
export class ChunkProof {
  readonly #manifest: Manifest;
  readonly #sources: Sources;
  readonly #logger: Logger;
  /** Wrong deliveries, by chunk. */
  readonly #wrong = new Map<number, number>();

  constructor(manifest: Manifest, sources: Sources, logger: Logger) {
    this.#manifest = manifest;
    this.#sources = sources;
    this.#logger = logger;
  }

  /** What is done about a chunk that has to come again. Without ranges nothing can be done. */
  onWrong: (chunk: ByteRange, error: DownloadError) => void = (_chunk, error) => {
    throw error;
  };

  /**
   * @returns false if it is wrong
   * @throws DownloadError CHUNK_MISMATCH if it has been wrong too often
   */
  admits({ index, sha256, sources }: WrittenChunk): boolean {
    const { size, chunkSize, chunks } = this.#manifest;
    if (sha256 === chunks[index]) return true;
    const range = chunkRange(index, size, chunkSize);
    const count = (this.#wrong.get(index) ?? 0) + 1;
    this.#wrong.set(index, count);
    const error = failure(
      "CHUNK_MISMATCH",
      `bytes ${range.start}–${range.end - 1} came wrong (delivery ${count} of at most ${MOST_WRONG}): their SHA-256 is ${sha256}, and ${chunks[index] ?? "none"} in the manifest`,
      { metadata: { chunk: String(index), expected: chunks[index] ?? "", found: sha256 } },
    );
    this.#sources.reject(range, sources, error);
    if (count >= MOST_WRONG) throw error;
    this.#logger.warn({ code: error.code, chunk: index }, `${error.message}; they are fetched again`);
    this.onWrong(range, error);
    return false;
  }
}
