/** What becomes of a failed attempt: which errors are tried again, when, and how often. */
import type { DownloadError } from "../core/errors.ts";
import type { Recovery } from "../core/hooks.ts";

/** What to do next. `delayMs` counts from now. `free`: the attempt does not count. */
export type Verdict =
  | { readonly action: "wait"; readonly delayMs: number; readonly free: boolean }
  | { readonly action: "fail" };

/** What the policy looks at. */
export interface Failure {
  readonly error: DownloadError;
  /** Attempts begun, this one included. */
  readonly attempt: number;
  /** More bytes are on disk and proved than ever before. */
  readonly advanced: boolean;
  readonly maxRetries: number;
  /** Seconds. */
  readonly retryDelay: number;
  /** 0 up to 1. */
  readonly random: number;
  readonly recovery?: Recovery;
}

/** The longest wait of the back-off, in milliseconds. */
export const LONGEST_BACKOFF_MS = 10 * 60_000;

/** How often a full, read-only or failing disk, or a target that another download has, is looked at again, in milliseconds. */
export const DISK_POLL_MS = 5000;

/** Waiting for these costs no attempt: nobody's fault, and it may take days. */
const PATIENT = new Set(["DISK_FULL", "READ_ONLY", "MEMORY_SHORT", "TOO_MANY_OPEN_FILES", "TARGET_BUSY"]);

/**
 * Decides. The origin's Retry-After comes first, else full jitter over an exponentially growing span
 * (Exponential Backoff And Jitter, AWS Architecture Blog 2015): `random × min(longest, retryDelay × 2^(attempt-1))`,
 * but at least a tenth of the delay, so that a zero does not hammer.
 */
export function judge(failed: Failure): Verdict {
  const { error, attempt, recovery } = failed;
  if (recovery?.action === "fail") return { action: "fail" };
  if (recovery?.action === "wait") return { action: "wait", delayMs: recovery.seconds * 1000, free: false };
  if (recovery?.action === "retry")
    return attempt > failed.maxRetries ? { action: "fail" } : { action: "wait", delayMs: 0, free: false };
  if (!error.retryable) return { action: "fail" };
  if (PATIENT.has(error.code) || error.metadata["errno"] === "EIO")
    return { action: "wait", delayMs: DISK_POLL_MS, free: true };
  // The host asked everybody to wait: this session was not even tried. Or peers who gave are away, and may come back.
  const away = error.metadata["away"] !== undefined && failed.maxRetries > 0;
  if (error.metadata["held"] !== undefined || away)
    return { action: "wait", delayMs: error.retryAfterMs ?? backoff(failed, 1), free: true };
  if (failed.advanced) return { action: "wait", delayMs: error.retryAfterMs ?? backoff(failed, 1), free: true };
  if (attempt > failed.maxRetries) return { action: "fail" };
  return { action: "wait", delayMs: error.retryAfterMs ?? backoff(failed, attempt), free: false };
}

function backoff({ retryDelay, random }: Failure, attempt: number): number {
  const first = retryDelay * 1000;
  const span = Math.min(first * 2 ** (attempt - 1), LONGEST_BACKOFF_MS);
  return Math.max(random * span, first / 10);
}
