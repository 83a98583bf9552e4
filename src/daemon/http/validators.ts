/**
 * Which version of a resource an answer belongs to. A strong validator promises the same bytes; a weak one only much the
 * same content (RFC 9110 §8.8.1). Only strong ones may go into If-Range (§13.1.5).
 */
import type { ResourceInfo } from "../core/session.ts";
import { parseHttpDate } from "./http-date.ts";

/**
 * How much older than the answer's Date a Last-Modified must be before it counts as strong. One second is the least that
 * RFC 9110 §8.8.2.2 allows, for one clock behind both; a minute is enough difference for two clocks as well.
 */
const STRONG_AFTER_MS = 60_000;

const ENTITY_TAG = /^(W\/)?("[\x21\x23-\x7e\x80-\xff]*")$/;

/** Reads an ETag field (§8.8.3). @returns undefined if it is none */
export function parseEntityTag(value: string | undefined): { weak: boolean; tag: string } | undefined {
  const match = ENTITY_TAG.exec(value?.trim() ?? "");
  return match?.[2] === undefined ? undefined : { weak: match[1] !== undefined, tag: match[2] };
}

/**
 * The value for If-Range: a strong entity tag; or, only if there is no ETag field at all, a Last-Modified that is strong
 * by §8.8.2.2, measured against the origin's own Date and never the local clock.
 */
export function strongValidator(headers: ReadonlyMap<string, string>): string | undefined {
  const etag = headers.get("etag");
  if (etag !== undefined) {
    const parsed = parseEntityTag(etag);
    return parsed && !parsed.weak ? parsed.tag : undefined;
  }
  const lastModified = headers.get("last-modified");
  const modified = parseHttpDate(lastModified);
  const date = parseHttpDate(headers.get("date"));
  if (modified === undefined || date === undefined || date - modified < STRONG_AFTER_MS) return undefined;
  return lastModified?.trim();
}

/** What an answer says about its version. */
export interface Version extends Pick<ResourceInfo, "etag" | "lastModified" | "size"> {
  /** The answer is a 206 to If-Range: the origin has compared already, and need not repeat what it compared. */
  readonly vouched: boolean;
}

/**
 * What contradicts that `found` is the version that `expected` describes, in words; undefined if nothing does.
 *
 * With a strong validator that validator decides, and the size where both are known. Without one everything that was said
 * at first must be said again in the same way.
 */
export function contradiction(expected: ResourceInfo, found: Version): string | undefined {
  const strong = expected.strongValidator;
  if (strong !== undefined) {
    const unsaid = found.vouched ? strong : undefined;
    if (strong.startsWith('"')) return differs("ETag", strong, found.etag ?? unsaid) ?? sizeDiffers(expected, found);
    return (
      differs("Last-Modified", strong, found.lastModified ?? unsaid) ??
      differs("ETag", undefined, found.etag) ??
      sizeDiffers(expected, found)
    );
  }
  return (
    differs("ETag", expected.etag, found.etag) ??
    differs("Last-Modified", expected.lastModified, found.lastModified) ??
    sizeDiffers(expected, found)
  );
}

function sizeDiffers({ size: before }: ResourceInfo, { size: now, vouched }: Version): string | undefined {
  // A part's total that does not fit is no other version but a wrong Content-Range.
  if (before === undefined || now === undefined || vouched) return undefined;
  return differs("size", `${before}`, `${now}`);
}

function differs(what: string, before: string | undefined, now: string | undefined): string | undefined {
  return before === now ? undefined : `its ${what} was ${before ?? "absent"} and is now ${now ?? "absent"}`;
}
