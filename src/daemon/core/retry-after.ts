/**
 * How long an origin asks to be left alone. Pure: the caller decides for whom the answer holds (see politeness.ts).
 */
import { parseHttpDate } from "./http-date.ts";

/** The longest wait that is read, in milliseconds; the client believes less of it, as it is configured. */
export const LONGEST_WAIT_MS = 30 * 86_400_000;

/**
 * Reads a Retry-After field: delay-seconds or an HTTP-date (RFC 9110 §10.2.3).
 *
 * @param value - the field as received, or undefined
 * @param date - the same answer's Date field. A date is counted from it, so that skew between the two machines neither
 *   shortens nor stretches the wait
 * @param now - milliseconds since the epoch, used where `date` is absent or no date
 * @returns milliseconds from 0 to {@link LONGEST_WAIT_MS}; undefined for an absent or malformed field
 */
export function retryAfterMs(value: string | undefined, date: string | undefined, now: number): number | undefined {
  const text = value?.trim() ?? "";
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, LONGEST_WAIT_MS);
  const until = parseHttpDate(text, now);
  if (until === undefined) return undefined;
  return Math.min(Math.max(until - (parseHttpDate(date, now) ?? now), 0), LONGEST_WAIT_MS);
}
