/**
 * The thread that reads a large file for its digests, so that the one with the connections does not stand still. It opens the
 * file by itself: none of the bytes cross over. It is told how far the file is whole, and reads up to there; ended from outside.
 */
import { openSync, readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import type { DigestAlgorithm } from "../core/session.ts";
import { Digester } from "./digester.ts";

/** Bytes read at a time. */
const PIECE = 1024 * 1024;

const { path, algorithms } = workerData as { readonly path: string; readonly algorithms: readonly DigestAlgorithm[] };
const digester = new Digester(algorithms);
const piece = Buffer.alloc(PIECE);
let file: number | undefined;
let position = 0;

parentPort?.on("message", ({ whole, last }: { readonly whole: number; readonly last: boolean }) => {
  try {
    file ??= openSync(path, "r");
    while (position < whole) {
      const length = readSync(file, piece, 0, Math.min(PIECE, whole - position), position);
      if (length === 0) throw Object.assign(new Error(`${path} ends at ${position}, not at ${whole}`), { code: "EIO" });
      digester.update(piece.subarray(0, length));
      position += length;
    }
    if (last) parentPort?.postMessage({ digests: digester.finish() });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    parentPort?.postMessage({ message, code });
  }
});
