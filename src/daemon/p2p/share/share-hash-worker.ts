/** The thread that reads and hashes files which are to be shared. It opens them by itself: none of the bytes cross over. */
import { hash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import type { HashAnswer, HashOrder } from "./share-hash.ts";

/** Bytes between two reports. */
const REPORT = 16 * 1024 * 1024;

/** Not through a symbolic link, and without waiting for the other end of a pipe. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

const oneByte = Buffer.alloc(1);
let memory = Buffer.alloc(0);
let unreported = 0;

parentPort?.on("message", (orders: readonly HashOrder[]) => {
  const answers = orders.map(answer);
  const bytes = unreported;
  unreported = 0;
  parentPort?.postMessage({ bytes, answers });
});

function answer(order: HashOrder): HashAnswer {
  let file: number | undefined;
  try {
    file = openSync(order.path, FLAGS);
    if (!isSame(file, order)) return { changed: true };
    // Its size says nothing, and it would arrive empty.
    if (order.size === 0 && readSync(file, oneByte) > 0)
      return isSame(file, order) ? { endless: true } : { changed: true };
    const digests = digest(file, order);
    return digests && isSame(file, order) ? { digests } : { changed: true };
  } catch (error) {
    const { code = "EIO" } = error as NodeJS.ErrnoException;
    // It was there a moment ago, and no link.
    return code === "ENOENT" || code === "ELOOP" || code === "ENOTDIR" ? { changed: true } : { errno: code };
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** @returns the digests in a row; undefined if the file is shorter than it was */
function digest(file: number, { size, chunkSize }: HashOrder): Uint8Array | undefined {
  const digests = new Uint8Array(Math.ceil(size / chunkSize) * 32);
  if (memory.length < Math.min(size, chunkSize)) memory = Buffer.alloc(Math.min(size, chunkSize));
  for (let start = 0, at = 0; start < size; start += chunkSize, at += 32) {
    const length = Math.min(chunkSize, size - start);
    for (let filled = 0; filled < length; ) {
      const count = readSync(file, memory, filled, length - filled, start + filled);
      if (count === 0) return undefined;
      filled += count;
    }
    digests.set(hash("sha256", memory.subarray(0, length), "buffer"), at);
    unreported += length;
    if (unreported < REPORT) continue;
    parentPort?.postMessage({ bytes: unreported });
    unreported = 0;
  }
  return digests;
}

function isSame(file: number, { size, mtimeMs, ino }: HashOrder): boolean {
  const found = fstatSync(file);
  return found.isFile() && found.size === size && found.mtimeMs === mtimeMs && found.ino === ino;
}
