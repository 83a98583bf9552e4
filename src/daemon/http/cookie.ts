/** Cookies (RFC 6265bis): to whom one belongs, when it is over, and how a Set-Cookie field is read. */
import { isIP } from "node:net";
import { isPublicSuffix } from "./public-suffix.ts";

/** A cookie. */
export interface Cookie {
  readonly name: string;
  readonly value: string;
  /** Lower case, without a dot in front. */
  readonly domain: string;
  /** Only the very host, not those below it. */
  readonly hostOnly: boolean;
  readonly path: string;
  /** Only over TLS. */
  readonly secure: boolean;
  /** Milliseconds since the epoch; absent: as long as the process, or the chain, lasts. */
  readonly expires?: number;
}

/** What a field value may hold: anything else could end the field and begin another one. */
export const COOKIE_TEXT = /^[\t\x20-\x7e\x80-\xff]*$/;

/** True if the cookie is meant for this URL, now. */
export function belongsTo(cookie: Cookie, url: URL, now: number): boolean {
  const host = hostOf(url);
  const sameSite = host === cookie.domain || (!cookie.hostOnly && below(host, cookie.domain));
  if (!sameSite || (cookie.expires !== undefined && cookie.expires <= now)) return false;
  if (cookie.secure && url.protocol !== "https:") return false;
  const { pathname } = url;
  return (
    pathname === cookie.path ||
    (pathname.startsWith(cookie.path) && (cookie.path.endsWith("/") || pathname[cookie.path.length] === "/"))
  );
}

/** The Cookie field for a URL: longer paths first (§5.8.3). @returns undefined if none belongs to it */
export function cookieField(cookies: readonly Cookie[], url: URL, now: number): string | undefined {
  const found = cookies.filter((cookie) => belongsTo(cookie, url, now));
  if (found.length === 0) return undefined;
  return found
    .toSorted((a, b) => b.path.length - a.path.length)
    .map(({ name, value }) => (name === "" ? value : `${name}=${value}`))
    .join("; ");
}

/** Takes a cookie in the place of one of the same name, domain and path. */
export function withCookie(cookies: readonly Cookie[], cookie: Cookie): readonly Cookie[] {
  const same = (other: Cookie): boolean =>
    other.name === cookie.name && other.domain === cookie.domain && other.path === cookie.path;
  return [...cookies.filter((other) => !same(other)), cookie];
}

/**
 * Reads one Set-Cookie field (§5.6) that came from a URL.
 *
 * @returns undefined if it is none, or if it claims more than its host may have
 */
export function parseSetCookie(field: string, url: URL, now: number): Cookie | undefined {
  const [pair = "", ...attributes] = field.split(";");
  const at = pair.indexOf("=");
  const name = at < 0 ? "" : pair.slice(0, at).trim();
  const value = pair.slice(at + 1).trim();
  if ((name === "" && value === "") || !COOKIE_TEXT.test(name + value)) return undefined;
  const given = new Map<string, string>();
  for (const attribute of attributes) {
    const equals = attribute.indexOf("=");
    const key = (equals < 0 ? attribute : attribute.slice(0, equals)).trim().toLowerCase();
    given.set(key, equals < 0 ? "" : attribute.slice(equals + 1).trim());
  }
  const host = hostOf(url);
  const scope = scopeOf(host, given.get("domain") ?? "");
  const secure = given.has("secure");
  const path = given.get("path")?.startsWith("/") ? (given.get("path") ?? "/") : defaultPath(url);
  if (scope === undefined || (secure && url.protocol !== "https:")) return undefined;
  const prefix = name.toLowerCase();
  if (prefix.startsWith("__secure-") && !secure) return undefined;
  if (prefix.startsWith("__host-") && !(secure && scope.hostOnly && given.get("path") === "/")) return undefined;
  const expires = expiryOf(given, now);
  return { name, value, ...scope, path, secure, ...(expires !== undefined && { expires }) };
}

/** The host of a URL, as cookies name it. */
function hostOf(url: URL): string {
  return url.hostname.replace(/\.$/, "");
}

/** True for a name below a domain; addresses have none below them. */
function below(host: string, domain: string): boolean {
  return host.endsWith(`.${domain}`) && isIP(host) === 0 && !host.startsWith("[");
}

/** The domain that a host may claim; what belongs to many sites at once is nobody's. */
function scopeOf(host: string, claimed: string): Pick<Cookie, "domain" | "hostOnly"> | undefined {
  const domain = claimed.replace(/^\./, "").toLowerCase();
  if (domain === "") return { domain: host, hostOnly: true };
  if (domain !== host && !below(host, domain)) return undefined;
  if (isPublicSuffix(domain)) return domain === host ? { domain: host, hostOnly: true } : undefined;
  return { domain, hostOnly: domain === host && (isIP(host) !== 0 || host.startsWith("[")) };
}

/** The folder of the URL's path (§5.1.4). */
function defaultPath({ pathname }: URL): string {
  const at = pathname.lastIndexOf("/");
  return at <= 0 ? "/" : pathname.slice(0, at);
}

/** Max-Age comes before Expires. */
function expiryOf(given: ReadonlyMap<string, string>, now: number): number | undefined {
  const age = given.get("max-age");
  if (age !== undefined && /^-?\d+$/.test(age)) return now + Number(age) * 1000;
  const date = given.get("expires");
  const time = date === undefined ? Number.NaN : Date.parse(date.replaceAll("-", " "));
  return Number.isNaN(time) ? undefined : time;
}
