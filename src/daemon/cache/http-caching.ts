/**
 * The rules of RFC 9111 for a private cache, with RFC 5861 (stale-while-revalidate, stale-if-error) and RFC 8246
 * (immutable), as pure functions: may this answer be kept, how long is it fresh, may it answer this request. Where the RFC
 * leaves a choice, the answer that is surely right is taken over the fast one.
 */
import { parseHttpDate } from "../core/http-date.ts";
import { type CacheControl, deltaSeconds, LONGEST_SECONDS, parseCacheControl, secondsOf } from "./cache-control.ts";

/** Fields by lower-case name; repeated ones joined by ", ". */
export type Fields = ReadonlyMap<string, string>;

/** What was asked. */
export interface CacheRequest {
  readonly method: string;
  readonly headers: Fields;
}

/** An answer, and when it came. Times are milliseconds since the epoch, by the clock of this machine. */
export interface CachedAnswer {
  readonly status: number;
  readonly headers: Fields;
  readonly requestTime: number;
  readonly responseTime: number;
  /** The request's values of the fields that Vary names; undefined: it had none. */
  readonly varied: ReadonlyMap<string, string | undefined>;
}

/** How long answers are taken to be fresh that do not say it (§4.2.2). Seconds. */
export interface Heuristic {
  /** At most, for those with a Last-Modified: a tenth of their age then. */
  readonly longest: number;
  /** For successful ones without. */
  readonly without: number;
}

/** What to do with a kept answer. */
export type Reuse =
  /** Give it. */
  | "fresh"
  /** Give it, and ask the origin in the meantime (RFC 5861 §3). */
  | "stale-while-revalidate"
  /** Give it: the request takes stale ones (§5.2.1.2). */
  | "stale-accepted"
  /** Ask the origin whether it still holds. */
  | "validate"
  /** It answers another request (§4.1): only its entity tag may be of use. */
  | "other-variant"
  /** The request wants nothing from the origin, and this will not do: 504 (§5.2.1.7). */
  | "unavailable";

/** Statuses that may be kept without a word about it (RFC 9110 §15.1), save 206: parts of answers are not kept here. */
const HEURISTIC: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);

/** Statuses whose meaning for a cache is known here, for must-understand (§5.2.2.3). */
const UNDERSTOOD: ReadonlySet<number> = new Set([...HEURISTIC, 302, 307, 400, 401, 403, 421, 451, 500, 502, 503, 504]);

/** Statuses that RFC 5861 §4 counts as an error. */
const ERRORS: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/** The clock may be set back by so many milliseconds before an answer that came "later" is no longer believed to be fresh. */
const CLOCK_SLACK_MS = 1000;

/** True if the answer may be kept (§3). Authorization and `private` are no hindrance: what is kept is for one user. */
export function mayStore({ method, headers: asked }: CacheRequest, status: number, headers: Fields): boolean {
  if (method !== "GET" || status < 200 || status === 206 || status === 304) return false;
  const { directives } = parseCacheControl(headers.get("cache-control"));
  if (parseCacheControl(asked.get("cache-control")).directives.has("no-store")) return false;
  const mustUnderstand = directives.has("must-understand");
  if (mustUnderstand && !UNDERSTOOD.has(status)) return false;
  if (directives.has("no-store") && !mustUnderstand) return false;
  return (
    HEURISTIC.has(status) ||
    directives.has("public") ||
    directives.has("private") ||
    directives.has("max-age") ||
    headers.has("expires")
  );
}

/** How long the answer is fresh from when it was made (§4.2.1). @returns seconds, at least 0 */
export function freshnessLifetime(answer: CachedAnswer, heuristic: Heuristic): number {
  const { headers, status, responseTime } = answer;
  const control = parseCacheControl(headers.get("cache-control"));
  if (control.directives.has("max-age")) return secondsOf(control, "max-age") ?? 0;
  const date = parseHttpDate(headers.get("date"), responseTime) ?? responseTime;
  if (headers.has("expires")) {
    // Whatever is no date, "0" most of all, is in the past (§5.3).
    const expires = parseHttpDate(headers.get("expires"), responseTime);
    return expires === undefined ? 0 : bounded((expires - date) / 1000);
  }
  // A field that cannot be read may have said anything.
  if (control.malformed || !(HEURISTIC.has(status) || control.directives.has("public"))) return 0;
  const modified = parseHttpDate(headers.get("last-modified"), responseTime);
  if (modified !== undefined) return Math.min(bounded((date - modified) / 10_000), heuristic.longest);
  return status < 400 ? heuristic.without : 0;
}

/** How old the answer is (§4.2.3). @returns seconds; infinite if the clock was set back, so that it cannot be told */
export function currentAge(
  { headers, requestTime, responseTime }: Pick<CachedAnswer, "headers" | "requestTime" | "responseTime">,
  now: number,
): number {
  if (now < responseTime - CLOCK_SLACK_MS) return Number.POSITIVE_INFINITY;
  const date = parseHttpDate(headers.get("date"), responseTime);
  const apparent = date === undefined ? 0 : Math.max(0, (responseTime - date) / 1000);
  // Of a list the first counts, and what is no number is passed over (§5.1).
  const told = deltaSeconds(headers.get("age")?.split(",")[0]?.trim() ?? "") ?? 0;
  const corrected = told + Math.max(0, responseTime - requestTime) / 1000;
  return Math.max(apparent, corrected) + Math.max(0, now - responseTime) / 1000;
}

/** When the answer stops to be fresh, in milliseconds since the epoch; not before it came. */
export function freshUntil(answer: CachedAnswer, heuristic: Heuristic): number {
  const { responseTime } = answer;
  if (isNeverFresh(parseCacheControl(answer.headers.get("cache-control")))) return responseTime;
  const left = freshnessLifetime(answer, heuristic) - currentAge(answer, responseTime);
  return responseTime + Math.max(0, left) * 1000;
}

/** The request's values that the answer's Vary names (§4.1), to be kept with it. */
export function variedFields(headers: Fields, asked: Fields): Map<string, string | undefined> {
  return new Map(namesOf(headers.get("vary")).map((name) => [name, asked.get(name)]));
}

/** True if the request gets the same answer as the one that it was kept for (§4.1). */
export function matchesVary({ headers, varied }: Pick<CachedAnswer, "headers" | "varied">, asked: Fields): boolean {
  return namesOf(headers.get("vary")).every(
    (name) => name !== "*" && varied.has(name) && normal(name, varied.get(name)) === normal(name, asked.get(name)),
  );
}

/** What may be done with a kept answer of the same URL (§4). */
export function reuse(answer: CachedAnswer, request: CacheRequest, now: number, heuristic: Heuristic): Reuse {
  const wants = requestControl(request.headers);
  const instead = (otherwise: Reuse): Reuse => (wants.directives.has("only-if-cached") ? "unavailable" : otherwise);
  if (request.method !== "GET" || !matchesVary(answer, request.headers)) return instead("other-variant");
  const control = parseCacheControl(answer.headers.get("cache-control"));
  if (wants.directives.has("no-cache") || wants.directives.has("no-store") || isNeverFresh(control))
    return instead("validate");
  const age = currentAge(answer, now);
  const left = freshnessLifetime(answer, heuristic) - age;
  // What never changes while it is fresh is not asked about because of a reload (RFC 8246 §2).
  if (left > 0 && control.directives.has("immutable") && !wants.directives.has("min-fresh")) return "fresh";
  if (wants.directives.has("max-age") && age > (secondsOf(wants, "max-age") ?? 0)) return instead("validate");
  if (wants.directives.has("min-fresh") && left < (secondsOf(wants, "min-fresh") ?? LONGEST_SECONDS))
    return instead("validate");
  if (left > 0) return "fresh";
  if (mustValidate(control)) return instead("validate");
  if (wants.directives.has("max-stale") && -left <= (secondsOf(wants, "max-stale") ?? -1)) return "stale-accepted";
  if (-left <= (secondsOf(control, "stale-while-revalidate") ?? -1)) return "stale-while-revalidate";
  return instead("validate");
}

/**
 * True if a stale answer may stand in for an error (RFC 5861 §4).
 *
 * @param status - what the origin answered; undefined: it could not be reached
 */
export function mayServeOnError(
  answer: CachedAnswer,
  request: CacheRequest,
  status: number | undefined,
  now: number,
  heuristic: Heuristic,
): boolean {
  if (status !== undefined && !ERRORS.has(status)) return false;
  const control = parseCacheControl(answer.headers.get("cache-control"));
  const wants = requestControl(request.headers);
  if (mustValidate(control) || isNeverFresh(control) || !matchesVary(answer, request.headers)) return false;
  if (["no-cache", "no-store", "max-age", "min-fresh"].some((name) => wants.directives.has(name))) return false;
  const allowed = Math.max(secondsOf(control, "stale-if-error") ?? -1, secondsOf(wants, "stale-if-error") ?? -1);
  const stale = currentAge(answer, now) - freshnessLifetime(answer, heuristic);
  return stale <= allowed;
}

/** No answer without asking, fresh or not. With field names, no-cache is read as without (§5.2.2.4 allows it). */
function isNeverFresh({ directives }: CacheControl): boolean {
  return directives.has("no-cache");
}

/** Never stale, whoever asks (§4.2.4). proxy-revalidate and s-maxage are for shared caches. */
function mustValidate({ directives }: CacheControl): boolean {
  return directives.has("must-revalidate");
}

/** The request's Cache-Control; without one, `Pragma: no-cache` means the same (§5.4). */
function requestControl(headers: Fields): CacheControl {
  const field = headers.get("cache-control");
  if (field !== undefined || !/(^|,)\s*no-cache\s*(,|$)/i.test(headers.get("pragma") ?? ""))
    return parseCacheControl(field);
  return parseCacheControl("no-cache");
}

function namesOf(vary: string | undefined): string[] {
  return (vary ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
}

/** In the lists of negotiation, space around commas means nothing; of others that is not known. */
function normal(name: string, value: string | undefined): string | undefined {
  return name.startsWith("accept") ? value?.replace(/[ \t]*,[ \t]*/g, ",").trim() : value?.trim();
}

function bounded(seconds: number): number {
  return Math.min(Math.max(0, seconds), LONGEST_SECONDS);
}
