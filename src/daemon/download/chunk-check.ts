/** What a verification reads: chunks on the disk, and receipts in files. */
import { asDownloadError, failure } from "../core/errors.ts";
import type { FileStore, ReadableFile } from "../core/ports/files.ts";
import type { DamagedChunk } from "../core/ports/receipts.ts";
import { sha256 } from "./digest.ts";

/** Bytes of a receipt in a file: a petabyte in chunks of 256 MiB, or a terabyte in chunks of 256 KiB. */
const LARGEST_RECEIPT = 320 * 1024 * 1024;

/** The text of an exported receipt. @throws DownloadError RECEIPT_INVALID, FileSystemError */
export async function readReceiptFile(files: FileStore, path: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of files.readStream(path)) {
    size += piece.length;
    if (size > LARGEST_RECEIPT) throw failure("RECEIPT_INVALID", `${path} is larger than any receipt`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

/** What is wrong with a chunk on the disk; undefined if nothing is. */
export async function problemOf(
  file: ReadableFile,
  { start, end }: { readonly start: number; readonly end: number },
  digest: string,
): Promise<DamagedChunk["problem"] | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await file.read(start, end - start);
  } catch (error) {
    if (asDownloadError(error).code === "IO_ERROR") return "unreadable";
    throw error;
  }
  if (bytes.length < end - start) return "missing";
  return (await sha256(bytes as Uint8Array<ArrayBuffer>)) === digest ? undefined : "changed";
}
