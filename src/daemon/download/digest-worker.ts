/**
 * The thread that reads a large file for its digests, so that the one with the connections does not stand still. It opens the
 * file by itself: none of the bytes cross over. Ended from outside when the download is stopped.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import type { DigestAlgorithm } from "../core/session.ts";
import { Digester } from "./digester.ts";

/** Bytes read at a time. */
const PIECE = 1024 * 1024;

const { path, algorithms } = workerData as { readonly path: string; readonly algorithms: readonly DigestAlgorithm[] };
try {
  const digester = new Digester(algorithms);
  const file = openSync(path, "r");
  const piece = Buffer.alloc(PIECE);
  for (let length = readSync(file, piece); length > 0; length = readSync(file, piece))
    digester.update(piece.subarray(0, length));
  closeSync(file);
  parentPort?.postMessage({ digests: digester.finish() });
} catch (error) {
  const { message, code } = error as NodeJS.ErrnoException;
  parentPort?.postMessage({ message, code });
}
