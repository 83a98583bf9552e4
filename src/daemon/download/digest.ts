/** Digests, computed where they do not hold up the rest. */
import { hash, webcrypto } from "node:crypto";
import { setImmediate as breathe } from "node:timers/promises";
import type { FileStore } from "../core/ports/files.ts";
import type { Checksum, ChecksumAlgorithm, DigestAlgorithm } from "../core/session.ts";
import { Digester, type Digests } from "./digester.ts";
import { FileDigest } from "./file-digest.ts";

/** Below this many bytes a trip to the thread pool costs more than the digest itself (about 30 µs at 1.9 GB/s). */
const INLINE_BYTES = 64 * 1024;

/** Below this many bytes a thread of its own costs more than reading the file between other work (about 20 ms). */
export const THREAD_BYTES = 8 * 1024 * 1024;

/** SHA-256 of a chunk, lower-case hex; off the main thread unless the chunk is small. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (bytes.length <= INLINE_BYTES) return hash("sha256", bytes, "hex");
  return Buffer.from(await webcrypto.subtle.digest("SHA-256", bytes)).toString("hex");
}

/** A file whose digests are wanted. */
export interface DigestJob {
  readonly path: string;
  /** Bytes; decides where it is read. */
  readonly size: number;
  readonly algorithms: readonly DigestAlgorithm[];
  readonly files: Pick<FileStore, "readStream">;
  readonly signal: AbortSignal;
}

/** Several digests of a file in one reading of it. @throws FileSystemError; the signal's reason */
export async function fileDigests(job: DigestJob): Promise<Digests> {
  const { path, size, algorithms, signal } = job;
  signal.throwIfAborted();
  return size < THREAD_BYTES || FileDigest.busy ? inTurns(job) : new FileDigest(path, algorithms).finish(size, signal);
}

/** Lets other work in between the pieces. */
async function inTurns({ path, algorithms, files, signal }: DigestJob): Promise<Digests> {
  const digester = new Digester(algorithms);
  for await (const piece of files.readStream(path)) {
    signal.throwIfAborted();
    digester.update(piece);
    await breathe();
  }
  return digester.finish();
}

/** Hex digits of each algorithm's digest. */
const HEX_LENGTH: Readonly<Record<ChecksumAlgorithm, number>> = { "sha-256": 64, "sha-512": 128, "sha-1": 40, md5: 32 };

/** True if the value can be a digest of its algorithm at all. */
export function isDigest({ algorithm, value }: Checksum): boolean {
  return Object.hasOwn(HEX_LENGTH, algorithm) && value.length === HEX_LENGTH[algorithm] && /^[0-9a-f]+$/.test(value);
}
