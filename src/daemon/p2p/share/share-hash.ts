/**
 * Hashes files that are to be shared, in a thread that lives as long as that takes. A file has to be the same before and
 * after it was read, or what was hashed is no state that it ever had.
 */
import { existsSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { failure } from "../../core/errors.ts";
import type { FileIdentity } from "./walk.ts";

/** A file to hash, for the thread. */
export interface HashOrder extends FileIdentity {
  readonly path: string;
  readonly chunkSize: number;
}

/** What came of it: the SHA-256 of each chunk in a row, or why there is none. */
export type HashAnswer =
  | { readonly digests: Uint8Array }
  | { readonly changed: true }
  /** It has bytes although its size is 0: they are made when it is read. */
  | { readonly endless: true }
  /** The operating system's word. */
  | { readonly errno: string };

interface Report {
  /** That were read since the last report. */
  readonly bytes: number;
  /** The lot is done. */
  readonly answers?: readonly HashAnswer[];
}

const MIB = 1024 * 1024;

/** Most chunks of a file, where chunks of the longest size do. */
const MOST_CHUNKS = 4096;
const LEAST_CHUNK = MIB;
const LONGEST_CHUNK = 16 * MIB;

/** Files and bytes that are handed to the thread at once. */
const LOT = 256;
const LOT_BYTES = 64 * MIB;

/** Bytes of a chunk of a file that is hashed for sharing: a power of two. */
export function chunkSizeFor(size: number): number {
  let chunkSize = LEAST_CHUNK;
  while (chunkSize < LONGEST_CHUNK && Math.ceil(size / chunkSize) > MOST_CHUNKS) chunkSize *= 2;
  return chunkSize;
}

/**
 * Hashes files, in their order.
 *
 * @param onProgress - called now and then with what was read since the last call
 * @throws the signal's reason; DownloadError INTERNAL
 */
export async function hashFiles(
  orders: readonly HashOrder[],
  signal: AbortSignal,
  onProgress: (bytes: number, files: number) => void,
): Promise<readonly HashAnswer[]> {
  signal.throwIfAborted();
  if (orders.length === 0) return [];
  const worker = new Worker(workerUrl());
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined);
  const onAbort = (): void => broken.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  worker.on("error", broken.reject);
  worker.on("exit", (code) => broken.reject(failure("INTERNAL", `the thread that hashes files ended with ${code}`)));
  try {
    const answers: HashAnswer[] = [];
    for (const lot of lots(orders)) {
      const done = Promise.withResolvers<readonly HashAnswer[]>();
      const onReport = (report: Report): void => {
        onProgress(report.bytes, report.answers?.length ?? 0);
        if (report.answers) done.resolve(report.answers);
      };
      worker.on("message", onReport);
      worker.postMessage(lot);
      answers.push(...(await Promise.race([done.promise, broken.promise])));
      worker.off("message", onReport);
    }
    return answers;
  } finally {
    signal.removeEventListener("abort", onAbort);
    await worker.terminate();
  }
}

function* lots(orders: readonly HashOrder[]): Generator<readonly HashOrder[]> {
  let lot: HashOrder[] = [];
  let bytes = 0;
  for (const order of orders) {
    lot.push(order);
    bytes += order.size;
    if (lot.length < LOT && bytes < LOT_BYTES) continue;
    yield lot;
    lot = [];
    bytes = 0;
  }
  if (lot.length > 0) yield lot;
}

/** Beside this file as source, and below the program when it is built. */
function workerUrl(): URL {
  const places = ["./share-hash-worker.ts", "./share-hash-worker.js", "./daemon/share-hash-worker.js"];
  const found = places.map((place) => new URL(place, import.meta.url)).find((url) => existsSync(url));
  if (!found) throw failure("INTERNAL", "the program is not whole: share-hash-worker.js is missing");
  return found;
}
