/**
 * What tells a segment from the others of its track, from one look at the playlist to the next: signatures and dates of
 * expiry, which change with every look, are left out.
 */
import { createHash } from "node:crypto";
import type { Segment, Track } from "../../core/resolved.ts";
import type { ResourceInfo } from "../../core/session.ts";

/** Parameters that say who may fetch, not what. */
const OF_SIGNATURES =
  /^(?:x-(?:amz|goog|oss|ms)-.*|key-pair-id|policy|signature|sig|sign|token|.*token|auth|authorization|jwt|hmac|hash|hdn[a-z]+|expires?|exp|expiry|e|st|verify|nonce|sessionid|session_id|sid)$/i;

/** A short name: it is kept with every segment that is here. */
export function segmentName({ url, range, durationSeconds }: Segment): string {
  const { pathname, searchParams } = new URL(url);
  const query = [...searchParams].filter(([name]) => !OF_SIGNATURES.test(name));
  return createHash("sha256")
    .update(JSON.stringify([pathname, query, range ? [range.start, range.end] : [], durationSeconds ?? 0]))
    .digest("hex")
    .slice(0, 16);
}

/**
 * What tells one track from another in the same place: with a different one it begins again.
 *
 * @param format - the id of the chosen one: others may have the same kind, container and language
 * @param versions - of the files whose ranges are its segments
 */
export function identityOf(
  { kind, container, language = "" }: Track,
  format: string,
  versions: ReadonlyMap<string, ResourceInfo> = new Map(),
): string {
  const file = [...versions.values()].flatMap(({ strongValidator, size }) => [strongValidator, size]);
  return createHash("sha256")
    .update(JSON.stringify([kind, container, language, format, ...file]))
    .digest("hex");
}
