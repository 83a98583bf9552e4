/**
 * One step of a request's way: which URL, with which fields. Redirects are followed here and not by undici, so that every
 * hop is checked, and that what was meant for one origin is not told to another.
 */
import { isSecretHeader, redactUrl } from "../../shared/redact.ts";
import { basic, decoded } from "../core/basic-auth.ts";
import { failure } from "../core/errors.ts";
import type { HttpRequest } from "../core/ports/http.ts";

/** Statuses whose Location is followed (RFC 9110 §15.4). */
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/**
 * Fields that say what is wanted and nothing about who wants it: they go along to another origin. Whatever else a caller
 * gives was meant for the URL that it came with.
 */
const HARMLESS = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "if-match",
  "if-none-match",
  "if-range",
  "range",
  "user-agent",
]);

/** A place to ask. */
export interface Hop {
  /** Without user information and fragment. */
  readonly url: URL;
  /** The Basic credentials of the URL's user information, for this hop's origin only (RFC 7617). */
  readonly credentials: string | undefined;
  /** The user of the URL's user information, where it has no password: that may be known elsewhere. */
  readonly login?: string | undefined;
}

/** The fields of a request at one hop. */
export interface HopFields {
  /** Names and values in turn, as undici takes them. */
  readonly fields: string[];
  /** Names of those that say who we are or what we want, lower case: nothing is put in their place. */
  readonly given: ReadonlySet<string>;
}

/** True for an answer that sends elsewhere. */
export function isRedirect(status: number): boolean {
  return REDIRECTS.has(status);
}

/** The first hop. @throws DownloadError INVALID_URL, UNSUPPORTED_SCHEME */
export function firstHop(text: string): Hop {
  if (!URL.canParse(text)) throw failure("INVALID_URL", `"${redactUrl(text)}" is not a URL`);
  const url = new URL(text);
  if (!isHttp(url)) throw failure("UNSUPPORTED_SCHEME", `${redactUrl(text)}: "${url.protocol}" is not fetched by HTTP`);
  return hopOf(url, undefined);
}

/**
 * The hop that a Location leads to.
 *
 * @throws NetworkError BAD_REDIRECT if it is absent, no URL or not of HTTP
 */
export function nextHop(from: Hop, status: number, location: string | undefined): Hop {
  const { host } = from.url;
  const metadata = { host, status: String(status) };
  if (!location) throw failure("BAD_REDIRECT", `${host} redirects (HTTP ${status}) without saying where`, { metadata });
  const text = Buffer.from(location, "latin1").toString();
  if (!URL.canParse(text, from.url.href))
    throw failure("BAD_REDIRECT", `${host} redirects to "${redactUrl(text)}", which is not a URL`, { metadata });
  const url = new URL(text, from.url);
  if (!isHttp(url))
    throw failure("BAD_REDIRECT", `${host} redirects to a "${url.protocol}" URL, which is not followed`, { metadata });
  return hopOf(url, from.url.origin === url.origin ? from : undefined);
}

/**
 * The fields to send at a hop.
 *
 * @param first - where the request began: the only origin that gets all of the caller's fields
 */
export function fieldsFor(hop: Hop, first: Hop, request: HttpRequest, userAgent: string): HopFields {
  const fields: string[] = [];
  const given = new Set<string>();
  const atHome = hop.url.origin === first.url.origin;
  for (const [name, value] of request.headers ?? []) {
    const key = name.toLowerCase();
    // What is for a proxy stands in the proxy's URL: here it would reach the origin.
    if (key === "proxy-authorization") continue;
    if (!atHome && (!HARMLESS.has(key) || isSecretHeader(key))) continue;
    given.add(key);
    fields.push(name, value);
  }
  if (!given.has("user-agent")) fields.push("user-agent", userAgent);
  if (!given.has("accept")) fields.push("accept", "*/*");
  // A coded body cannot be put together from ranges, nor compared with a digest of the file.
  if (!given.has("accept-encoding")) fields.push("accept-encoding", "identity");
  const { credentials, login } = userOf(hop, first);
  if (credentials !== undefined && login === undefined && !given.has("authorization")) {
    given.add("authorization");
    fields.push("authorization", credentials);
  }
  return { fields, given };
}

/** What the user information of the URLs so far means for a hop. */
export function userOf(hop: Hop, first: Hop): Pick<Hop, "credentials" | "login"> {
  return hop.credentials === undefined && hop.url.origin === first.url.origin ? first : hop;
}

function isHttp(url: URL): boolean {
  return url.protocol === "http:" || url.protocol === "https:";
}

function hopOf(url: URL, inherited: Hop | undefined): Hop {
  const [user, password] = [decoded(url.username), decoded(url.password)];
  const own = user !== "" || password !== "";
  const credentials = own ? basic(user, password) : inherited?.credentials;
  const login = own ? (password === "" ? user : undefined) : inherited?.login;
  url.username = "";
  url.password = "";
  url.hash = "";
  return { url, credentials, login };
}
