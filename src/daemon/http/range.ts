/**
 * Byte ranges on the wire (RFC 9110 §14). Inside Snatch the end of a range is exclusive; only here is it inclusive, as
 * HTTP writes it. What is not exactly of the grammar is not read at all: bytes at a guessed place are wrong bytes.
 */

/** What a Content-Range field says: a range of bytes, or that none of what was asked for exists (416). */
export type ContentRange =
  | {
      readonly kind: "range";
      readonly start: number;
      /** Exclusive. */
      readonly end: number;
      /** Bytes of the whole; absent if the origin does not know ("*"). */
      readonly total?: number;
    }
  | { readonly kind: "unsatisfied"; readonly total: number };

// Units are case-insensitive (§14.1); one space parts the unit from the rest (§14.4).
const RANGE = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i;
const UNSATISFIED = /^bytes \*\/(\d{1,16})$/i;

/** The Range field for `start` up to, not including, `end`; without `end`, to the end of the resource. */
export function formatRange(start: number, end?: number): string {
  return `bytes=${start}-${end === undefined ? "" : end - 1}`;
}

/** Reads a Content-Range field (§14.4). @returns undefined for another unit, and for every invalid value */
export function parseContentRange(value: string): ContentRange | undefined {
  const text = value.trim();
  const range = RANGE.exec(text);
  if (range) {
    const start = Number(range[1]);
    const last = Number(range[2]);
    const total = range[3] === "*" ? undefined : Number(range[3]);
    if (![start, last + 1, total ?? 0].every(Number.isSafeInteger)) return undefined;
    // Such a field is invalid, and its content must not be put together with other content (§14.4).
    if (last < start || (total !== undefined && total <= last)) return undefined;
    return { kind: "range", start, end: last + 1, ...(total !== undefined && { total }) };
  }
  const total = Number(UNSATISFIED.exec(text)?.[1] ?? Number.NaN);
  return Number.isSafeInteger(total) ? { kind: "unsatisfied", total } : undefined;
}
