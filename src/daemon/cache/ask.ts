/**
 * What a cache is asked for, and under which key the answer is kept. Whatever decides who may see an answer is part of the
 * key, as a digest: logins in the URL, fields that are not mere negotiation, callers from afar, and who named the URL. So
 * what was fetched with one login, or past the network policy of one caller, is never given to another.
 */
import { createHash } from "node:crypto";
import { isSecretHeader, redactUrl } from "../../shared/redact.ts";
import { failure } from "../core/errors.ts";
import type { HttpRequest } from "../core/ports/http.ts";

/** Bytes of the longest URL. */
export const LONGEST_URL = 64 * 1024;

/** Fields that choose between representations: the answer's Vary says which of them count (RFC 9110 §12.5). */
const NEGOTIATION: ReadonlySet<string> = new Set([
  "accept",
  "accept-charset",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "pragma",
  "user-agent",
]);

/** Fields of a request for a part, or on a condition: both are the cache's own business. */
const NOT_FOR_CALLERS = /^(range|if-(match|none-match|modified-since|unmodified-since|range))$/;

/** Who asks, and how: as in {@link HttpRequest}. */
export type AskOptions = Pick<HttpRequest, "headers" | "namedBy" | "remote">;

/** A request that was checked. */
export interface Ask {
  readonly url: string;
  /** For messages and logs: without secrets, and short. */
  readonly shown: string;
  readonly key: string;
  /** By lower-case name; a secret is there by its digest only. */
  readonly fields: ReadonlyMap<string, string>;
  readonly options: AskOptions;
}

/**
 * Checks a URL with who asks for it.
 *
 * @throws DownloadError INVALID_ARGUMENT if it is longer than {@link LONGEST_URL}, or a field may not be given; INVALID_URL
 */
export function askFor(text: string, options: AskOptions = {}): Ask {
  const bytes = Buffer.byteLength(text);
  if (bytes > LONGEST_URL)
    throw failure("INVALID_ARGUMENT", `the URL has ${bytes} bytes; at most ${LONGEST_URL} are taken`);
  const url = URL.parse(text);
  if (url === null) throw failure("INVALID_URL", `"${shorten(redactUrl(text))}" is not a URL`);
  const fields = new Map<string, string>();
  const apart: string[][] = [];
  for (const [given, value] of options.headers ?? []) {
    const name = given.toLowerCase();
    if (NOT_FOR_CALLERS.test(name))
      throw failure(
        "INVALID_ARGUMENT",
        `the field ${given} cannot be given: a cache asks for whole answers, and revalidates by itself`,
      );
    const kept = isSecretHeader(name) ? sha256(value) : value;
    const before = fields.get(name);
    fields.set(name, before === undefined ? kept : `${before}, ${kept}`);
    if (!NEGOTIATION.has(name)) apart.push([name, value]);
  }
  const user = [url.username, url.password];
  const namer = options.namedBy === undefined ? "" : (URL.parse(options.namedBy)?.origin ?? options.namedBy);
  url.username = "";
  url.password = "";
  url.hash = "";
  const plain = apart.length === 0 && user.join("") === "" && namer === "" && options.remote !== true;
  const key = plain
    ? url.href
    : `${url.href}\n${sha256(JSON.stringify([user, apart, namer, options.remote === true]))}`;
  return { url: text, shown: shorten(redactUrl(url.href)), key, fields, options };
}

/** What two callers must have in common to share one request: all of it. */
export function flightKey({ key, fields }: Ask): string {
  return fields.size === 0 ? key : `${key}\n${JSON.stringify([...fields])}`;
}

function shorten(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
