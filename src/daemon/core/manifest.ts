/**
 * The one description of bytes that the engine, receipts, caches and peers share: a size, a grid of chunks, the SHA-256
 * of each, and a root over all of it.
 */
import { createHash } from "node:crypto";
import { failure } from "./errors.ts";

/** A file's bytes, described. `chunks.length` is `ceil(size / chunkSize)`; the last chunk may be shorter. */
export interface Manifest {
  readonly version: 1;
  /** Bytes in all. */
  readonly size: number;
  /** Bytes of every chunk but the last. */
  readonly chunkSize: number;
  /** SHA-256 of each chunk, lower-case hex. */
  readonly chunks: readonly string[];
  /** SHA-256 over the rest, see {@link manifestRoot}. */
  readonly root: string;
}

/** The spec's chunk: a range of a source, with its bytes once they are here. `end` is exclusive. */
export interface DownloadChunk {
  start: number;
  end: number;
  url: string;
  data?: Uint8Array;
  retries: number;
}

/** Number of chunks of a grid. */
export function chunkCount(size: number, chunkSize: number): number {
  return Math.ceil(size / chunkSize);
}

/** The byte range of a chunk, `end` exclusive. */
export function chunkRange(index: number, size: number, chunkSize: number): { start: number; end: number } {
  const start = index * chunkSize;
  return { start, end: Math.min(start + chunkSize, size) };
}

/**
 * The root: SHA-256 over an unambiguous header and the raw chunk digests in order. Two manifests with the same root
 * describe the same bytes on the same grid.
 */
export function manifestRoot(size: number, chunkSize: number, chunks: readonly string[]): string {
  const hash = createHash("sha256").update(`snatch-manifest-1\n${size}\n${chunkSize}\n${chunks.length}\n`);
  for (const chunk of chunks) hash.update(chunk, "hex");
  return hash.digest("hex");
}

/** Builds a manifest from a complete list of chunk digests. @throws DownloadError INVALID_ARGUMENT if the count is wrong */
export function makeManifest(size: number, chunkSize: number, chunks: readonly string[]): Manifest {
  if (chunks.length !== chunkCount(size, chunkSize))
    throw failure(
      "INVALID_ARGUMENT",
      `a manifest of ${size} bytes has ${chunkCount(size, chunkSize)} chunks, not ${chunks.length}`,
    );
  return { version: 1, size, chunkSize, chunks, root: manifestRoot(size, chunkSize, chunks) };
}
