/**
 * Asking an origin whether a kept answer still holds, and what to make of it (RFC 9111 §3.1, §3.2, §4.3, §4.4). Pure.
 */
import { isSecretHeader } from "../../shared/redact.ts";
import type { Fields } from "./http-caching.ts";

/** Fields that belong to the connection or to a proxy, not to the answer (§3.1, RFC 9110 §7.6.1). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Fields that describe the kept body, which a 304 does not bring (§3.2). */
const OF_THE_BODY: ReadonlySet<string> = new Set([
  "content-length",
  "content-encoding",
  "content-type",
  "content-range",
]);

/** Fields that decide how an answer may be used: naming them in Connection does not take them away (RFC 9110 §7.6.1). */
const FOR_ALL: ReadonlySet<string> = new Set(["age", "cache-control", "date", "expires", "vary"]);

/** Methods that change nothing (RFC 9110 §9.2.1). */
const SAFE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** An entity tag (RFC 9110 §8.8.3). */
const ETAG = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/;

/** The fields of an answer that are kept: none of the connection's, and nothing that is a secret, such as Set-Cookie. */
export function keptFields(headers: Fields): Map<string, string> {
  const named = (headers.get("connection") ?? "").split(",").map((name) => name.trim().toLowerCase());
  const dropped = new Set(named.filter((name) => !FOR_ALL.has(name)));
  return new Map([...headers].filter(([name]) => !HOP_BY_HOP.has(name) && !dropped.has(name) && !isSecretHeader(name)));
}

/** The kept fields after a 304 (§3.2, §4.3.4). */
export function updatedFields(kept: Fields, notModified: Fields): Map<string, string> {
  const news = [...keptFields(notModified)].filter(([name]) => !OF_THE_BODY.has(name));
  const updated = new Map([...kept, ...news]);
  // When the first answer was made, and how old it was, says nothing about this one.
  for (const name of ["age", "date"]) if (!notModified.has(name)) updated.delete(name);
  return updated;
}

/**
 * The fields that make a request conditional on the kept answer (§4.3.1); none: it can only be asked for whole.
 *
 * @param sameVariant - false if it was kept for a request with other fields: two variants may well be of one date
 */
export function conditionalFields(kept: Fields, sameVariant: boolean): [name: string, value: string][] {
  const fields: [string, string][] = [];
  const etag = kept.get("etag");
  if (etag !== undefined && ETAG.test(etag)) fields.push(["If-None-Match", etag]);
  const modified = kept.get("last-modified");
  if (sameVariant && modified !== undefined) fields.push(["If-Modified-Since", modified]);
  return fields;
}

/**
 * True if a 304 speaks of the kept answer (§4.3.4): by the same entity tag, else by the same date. One that names neither
 * can mean but the one answer whose validators were sent.
 */
export function confirms(kept: Fields, notModified: Fields): boolean {
  const etag = notModified.get("etag");
  if (etag !== undefined) {
    const mine = kept.get("etag");
    // A strong one identifies only its own; weak ones are compared weakly (RFC 9110 §8.8.3.2).
    return isWeak(etag) ? mine !== undefined && opaque(mine) === opaque(etag) : mine === etag;
  }
  const modified = notModified.get("last-modified");
  return modified === undefined || kept.get("last-modified") === undefined || modified === kept.get("last-modified");
}

/**
 * The URLs whose kept answers no longer hold after an answer to a request that may have changed something (§4.4).
 *
 * @returns nothing for a safe method, or an answer that is an error; else the request's URL, and those of Location and
 *   Content-Location of the same origin
 */
export function invalidated(
  request: { readonly method: string; readonly url: string },
  status: number,
  headers: Fields,
): string[] {
  if (SAFE.has(request.method) || status < 200 || status >= 400) return [];
  const target = new URL(request.url);
  const named = ["location", "content-location"].flatMap((name) => {
    const value = headers.get(name);
    const url = value === undefined ? null : URL.parse(value, target.href);
    return url !== null && url.origin === target.origin ? [url.href] : [];
  });
  return [...new Set([target.href, ...named])];
}

function isWeak(etag: string): boolean {
  return etag.startsWith("W/");
}

function opaque(etag: string): string {
  return etag.replace(/^W\//, "");
}
