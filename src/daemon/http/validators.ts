/**
 * Which version of a resource an answer belongs to. A strong validator promises the same bytes; a weak one only much the
 * same content (RFC 9110 §8.8.1). Only strong ones may go into If-Range (§13.1.5).
 */

import { parseHttpDate } from "../core/http-date.ts";
import type { ResourceInfo } from "../core/session.ts";

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

/** True for a strong validator that is an entity tag, and not a date. */
export function isEntityTag(strongValidator: string | undefined): boolean {
  return strongValidator?.startsWith('"') === true;
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
  /** A part of the resource: a total that does not fit is then no other version, but a wrong Content-Range. */
  readonly part: boolean;
}

type Told = Omit<Version, "part">;

/**
 * What contradicts that `found` is the version that `expected` describes, in words; undefined if nothing does.
 *
 * With a strong validator that validator decides, and the size where both are known. Without one everything that was said
 * at first must be said again in the same way. A part that says nothing contradicts nothing: see {@link unproved}.
 */
export function contradiction(expected: ResourceInfo, found: Version): string | undefined {
  const strong = expected.strongValidator;
  const sizes = found.part ? undefined : sizeDiffers(expected, found);
  if (isEntityTag(strong)) {
    if (found.part && found.etag === undefined) return datesDiffer(expected, found);
    return differs("ETag", strong, found.etag) ?? sizes ?? (found.part ? undefined : datesDiffer(expected, found));
  }
  if (strong !== undefined) {
    const dates = differs("Last-Modified", strong, found.lastModified ?? (found.part ? strong : undefined));
    return dates ?? differs("ETag", undefined, found.etag) ?? sizes;
  }
  return (
    differs("ETag", expected.etag, found.etag) ??
    differs("Last-Modified", expected.lastModified, found.lastModified) ??
    sizeDiffers(expected, found)
  );
}

/**
 * What a part that contradicts nothing still lacks to be proved a part of `expected`, in words; undefined if it is proved.
 *
 * The answer has to name the strong validator itself. That If-Range was sent proves nothing, because an origin may ignore
 * it; one that heeds it repeats the ETag (RFC 9110 §15.3.7). Last-Modified may be left out beside an ETag, but where it is
 * there and differs, one of the two is wrong, and nobody can tell which.
 */
export function unproved(expected: ResourceInfo, found: Told): string | undefined {
  const strong = expected.strongValidator;
  if (strong === undefined) return undefined;
  if (!isEntityTag(strong))
    return found.lastModified === undefined ? "a part without the Last-Modified of before" : undefined;
  if (found.etag === undefined) return "a part without the ETag of before";
  const dates = datesDiffer(expected, found);
  return dates && `a part under the same ETag, but ${dates}`;
}

/** A size that is not told is no other size. */
function sizeDiffers({ size: before }: Told, { size: now }: Told): string | undefined {
  return before === undefined || now === undefined ? undefined : differs("size", `${before}`, `${now}`);
}

/** The same of Last-Modified beside an ETag. */
function datesDiffer({ lastModified: before }: Told, { lastModified: now }: Told): string | undefined {
  return before === undefined || now === undefined ? undefined : differs("Last-Modified", before, now);
}

function differs(what: string, before: string | undefined, now: string | undefined): string | undefined {
  return before === now ? undefined : `its ${what} was ${before ?? "absent"} and is now ${now ?? "absent"}`;
}
