/**
 * Reads the head of an answer, if it is one that leaves no doubt: HTTP/1.1, fields as RFC 9112 writes them, a body of
 * exactly Content-Length bytes. Whatever else a head may be is "odd", and undici's business: this reader never interprets,
 * tolerates or repairs anything, so that it cannot differ from a full parser about where a body begins or ends.
 */
import type { Head } from "./exchange.ts";

/** A head that leaves no doubt. */
export interface PlainHead extends Head {
  /** Bytes of the head, with the empty line behind it. */
  readonly size: number;
  /** Bytes of the body. */
  readonly length: number;
  /** Milliseconds that the connection may be kept unused afterwards; 0: not at all; absent if the origin does not say. */
  readonly keepMs?: number;
}

/** Fields that decide about framing or about the version: said twice, they could be read in two ways. */
const ONCE: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "etag",
  "last-modified",
  "location",
]);

const VERSION = "HTTP/1.1 ";

const STATUS_LINE = /^HTTP\/1\.1 ([1-5]\d\d) [\t\x20-\x7e\x80-\xff]*$/;

/** Without white space around the value where others might strip it, or might not (RFC 9112 §5.1). */
const FIELD =
  /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)$/;

/** Statuses whose answers have no body, whatever Content-Length says (RFC 9112 §6.3). */
const BODILESS: ReadonlySet<number> = new Set([204, 304]);

/** The longest that an origin is believed to keep a connection. */
const LONGEST_KEEP_MS = 60_000;

/** Milliseconds before the time that the origin names: it counts from when it answered. */
const EARLIER_MS = 2000;

/**
 * Reads the first head of what was received. Early hints before it (RFC 8297) are passed over.
 *
 * @returns "more" if its end is not here yet
 */
export function readHead(received: Buffer): PlainHead | "more" | "odd" {
  for (let start = 0; ; ) {
    const end = received.indexOf("\r\n\r\n", start, "latin1");
    if (end < 0) return couldBegin(received, start) ? "more" : "odd";
    const [statusLine = "", ...lines] = received.toString("latin1", start, end).split("\r\n");
    const status = Number(STATUS_LINE.exec(statusLine)?.[1]);
    const size = end + 4;
    if (status !== 103) return status >= 200 && !BODILESS.has(status) ? readFields(status, lines, size) : "odd";
    start = size;
  }
}

/** What cannot become a plain head need not be waited for. */
function couldBegin(received: Buffer, start: number): boolean {
  const begin = received.toString("latin1", start, start + VERSION.length);
  return VERSION.startsWith(begin);
}

function readFields(status: number, lines: readonly string[], size: number): PlainHead | "odd" {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const match = FIELD.exec(line);
    if (!match) return "odd";
    const [, written = "", value = ""] = match;
    const name = written.toLowerCase();
    const before = headers.get(name);
    if (before !== undefined && ONCE.has(name)) return "odd";
    headers.set(name, before === undefined ? value : `${before}${name === "set-cookie" ? "\n" : ", "}${value}`);
  }
  const length = headers.get("content-length");
  if (length === undefined || !/^\d{1,15}$/.test(length) || headers.has("transfer-encoding")) return "odd";
  const keep = keepMs(headers);
  return { status, headers, size, length: Number(length), ...(keep !== undefined && { keepMs: keep }) };
}

function keepMs(headers: ReadonlyMap<string, string>): number | undefined {
  const options = headers.get("connection")?.toLowerCase().split(",") ?? [];
  if (options.some((option) => option.trim() === "close")) return 0;
  const told = /(?:^|[\s,])timeout=(\d{1,6})(?!\d)/i.exec(headers.get("keep-alive") ?? "")?.[1];
  return told === undefined ? undefined : Math.min(Math.max(Number(told) * 1000 - EARLIER_MS, 0), LONGEST_KEEP_MS);
}
