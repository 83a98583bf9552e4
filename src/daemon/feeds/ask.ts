/** Asks for a feed, and only for what has changed since the last time (RFC 9110 §13.1). */
import type { ErrorCode } from "../../shared/errors.ts";
import { redactUrl } from "../../shared/redact.ts";
import { failure } from "../core/errors.ts";
import type { HttpClient, HttpResponse } from "../core/ports/http.ts";
import type { FeedRecord } from "./record.ts";

/** Bytes of a feed. */
const MOST_BYTES = 96 * 1024 * 1024;
const LONGEST_VALIDATOR = 4096;

/** A feed that has changed. */
export interface FeedAnswer {
  readonly bytes: Uint8Array;
  /** After redirects. */
  readonly url: string;
  readonly contentType?: string;
  readonly etag?: string;
  readonly lastModified?: string;
}

/** @returns undefined if it has not changed @throws NetworkError, ResourceError HTTP_* */
export async function askFeed(
  client: HttpClient,
  feed: FeedRecord,
  signal: AbortSignal,
): Promise<FeedAnswer | undefined> {
  const { url, etag, lastModified, options } = feed;
  const conditions: (readonly [string, string])[] = [];
  if (etag !== undefined) conditions.push(["If-None-Match", etag]);
  if (lastModified !== undefined) conditions.push(["If-Modified-Since", lastModified]);
  const { headers = [], timeout, remote } = options;
  const response = await client.request(
    {
      url,
      headers: [...headers, ...conditions],
      ...(timeout !== undefined && { timeoutMs: timeout * 1000 }),
      ...(remote && { remote }),
    },
    signal,
  );
  if (response.status !== 200) {
    response.cancel();
    if (response.status === 304 && conditions.length > 0) return undefined;
    throw refusal(response);
  }
  const pieces: Buffer[] = [];
  let length = 0;
  const take = (bytes: Uint8Array): void => {
    length += bytes.length;
    if (length > MOST_BYTES)
      throw failure("FEED_INVALID", `${redactUrl(url)} is longer than the ${MOST_BYTES} bytes that a feed may have`);
    pieces.push(Buffer.from(bytes));
  };
  // Some code it although it was asked for as it is.
  await (response.decoded ? response.decoded(take) : response.pipe(take));
  return {
    bytes: Buffer.concat(pieces),
    url: response.url,
    ...field(response, "content-type", "contentType"),
    ...field(response, "etag", "etag"),
    ...field(response, "last-modified", "lastModified"),
  };
}

function field<K extends string>({ headers }: HttpResponse, name: string, as: K): { readonly [P in K]?: string } {
  const value = headers.get(name);
  return (value === undefined || value.length > LONGEST_VALIDATOR ? {} : { [as]: value }) as {
    readonly [P in K]?: string;
  };
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  401: "HTTP_UNAUTHORIZED",
  403: "HTTP_FORBIDDEN",
  404: "HTTP_NOT_FOUND",
  410: "HTTP_GONE",
  429: "HTTP_TOO_MANY_REQUESTS",
};

function refusal({ status, url }: HttpResponse): Error {
  const code = CODES[status] ?? (status >= 500 ? "HTTP_SERVER_ERROR" : "HTTP_CLIENT_ERROR");
  return failure(code, `${redactUrl(url)} answers ${status} instead of the feed`);
}
