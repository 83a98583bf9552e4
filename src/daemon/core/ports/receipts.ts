/** Receipts of finished files, and their verification. */
import type { DownloadError } from "../errors.ts";
import type { Receipt, ReceiptChunk } from "../receipt.ts";
import type { StoredFile } from "../session.ts";

/** A receipt that was carried out of a daemon. */
export interface CarriedReceipt {
  readonly receipt: Receipt;
  readonly chunks: readonly ReceiptChunk[];
}

/**
 * The receipts of finished files. A receipt is there from the moment in which its session is completed, and stays when the
 * session is forgotten, until it is forgotten itself or another download has put a file in the same place.
 */
export interface ReceiptStore {
  /** The newest receipt of a file that was put at this absolute path. */
  byPath(path: string): Promise<Receipt | undefined>;
  /** The receipt of the one session whose id begins so. @throws DownloadError RECEIPT_NOT_FOUND, SESSION_AMBIGUOUS */
  bySession(idOrPrefix: string): Promise<Receipt>;
  /** Receipts of files that had this inode number and size, wherever they lay; the newest first. */
  byIdentity(identity: Pick<StoredFile, "ino" | "size">): Promise<Receipt[]>;
  /** All but those whose file was replaced by a later download. */
  all(): AsyncIterable<Receipt>;
  /** The chunks of the file in place, in their order. @throws DownloadError RECEIPT_NOT_FOUND if it was forgotten meanwhile */
  chunks(receipt: Receipt): AsyncIterable<ReceiptChunk>;
  /** The file is somewhere else now, or has another identity. @throws DownloadError RECEIPT_NOT_FOUND */
  refile(receipt: Receipt, file: StoredFile): Promise<void>;
  /** Forgets a receipt, and its session with it if that is still known. The file stays. */
  forget(sessionId: string): Promise<void>;
  /** A receipt as JSON, in pieces. Secrets are in it, unless it was redacted. */
  write(receipt: Receipt): AsyncIterable<string>;
  /** Reads what {@link ReceiptStore.write} wrote. @throws DownloadError RECEIPT_INVALID */
  read(json: string): CarriedReceipt;
}

/** A chunk of a file that is not what the receipt says. */
export interface DamagedChunk {
  readonly index: number;
  /** First byte. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** It has other bytes; the file is too short for it; the disk does not give it. */
  readonly problem: "changed" | "missing" | "unreadable";
}

/** What became of one file. `damaged` counts chunks, also those that were repaired. */
export interface VerifyOutcome {
  /** "failed": it could not be looked at to its end, or a repair did not succeed; `error` says why. */
  readonly status: "whole" | "damaged" | "repaired" | "missing" | "failed";
  readonly receipt: Receipt;
  /** Where it is now. */
  readonly path: string;
  /** Bytes that it had when it was looked at; absent if it is missing. */
  readonly size?: number;
  readonly damaged: number;
  readonly repaired: number;
  /** Its time of change is not that of the receipt. */
  readonly touched: boolean;
  readonly error?: DownloadError;
}

/** What a verification tells of one file, in this order: begun, then chunks and progress, then done. */
export type VerifyEvent =
  | { readonly type: "begun"; readonly receipt: Receipt; readonly path: string }
  | { readonly type: "progress"; readonly path: string; readonly bytes: number; readonly total: number }
  | { readonly type: "damaged"; readonly path: string; readonly chunk: DamagedChunk }
  | { readonly type: "repaired"; readonly path: string; readonly chunk: DamagedChunk; readonly source: string }
  | { readonly type: "done"; readonly outcome: VerifyOutcome };

/** Which files: one by its path, one by its session, one by a receipt in a file of this machine, or all with receipts. */
export type VerifyTarget =
  | { readonly path: string }
  | { readonly sessionId: string }
  | { readonly receiptFile: string; readonly path?: string }
  | { readonly all: true };

/** How to verify. */
export interface VerifyOptions {
  /** Fetch what is damaged again. */
  readonly repair: boolean;
  /** Look for a file that was moved, by its inode number, size and time. */
  readonly findMoved: boolean;
  /** Asked before a file is written to. @throws DownloadError if the caller may not */
  mayWrite(path: string): Promise<void>;
  readonly signal: AbortSignal;
}

/** Holds files against their receipts; implemented by the download room. */
export interface FileVerifier {
  /**
   * Verifies, a file at a time. What is wrong with a file is told, not thrown.
   * @throws DownloadError RECEIPT_NOT_FOUND, RECEIPT_INVALID, SESSION_AMBIGUOUS, INVALID_ARGUMENT for a repair by a receipt in
   *   a file without a path; the signal's reason
   */
  verify(target: VerifyTarget, options: VerifyOptions): AsyncIterable<VerifyEvent>;
}
