/** Statuses that are not what was wanted, as errors: what each means for a download, and when to ask again. */
import type { ErrorCode } from "../../shared/errors.ts";
import { type DownloadError, failure } from "./errors.ts";
import type { HttpResponse } from "./ports/http.ts";
import { retryAfterMs } from "./retry-after.ts";

const CODES: Readonly<Record<number, ErrorCode>> = {
  401: "HTTP_UNAUTHORIZED",
  403: "HTTP_FORBIDDEN",
  404: "HTTP_NOT_FOUND",
  410: "HTTP_GONE",
  429: "HTTP_TOO_MANY_REQUESTS",
};

/** 4xx that pass by themselves: Request Timeout, Too Early (RFC 8470 §5.2), Too Many Requests. */
const PASSING = new Set([408, 425, 429]);

const WORDS: Readonly<Record<number, string>> = {
  401: "wants credentials",
  403: "refuses",
  404: "has no such file",
  410: "says that the file was removed",
  429: "asks for patience",
  503: "is not available at the moment",
};

/**
 * The error of an answer whose status is not the wanted one. 4xx and 5xx become HTTP_*; anything else is a
 * PROTOCOL_ERROR, because it does not answer what was asked.
 *
 * @param now - milliseconds since the epoch, for a Retry-After that is a date
 */
export function statusError(response: Pick<HttpResponse, "status" | "headers" | "url">, now: number): DownloadError {
  const { status, headers } = response;
  const host = new URL(response.url).host;
  const wait = retryAfterMs(headers.get("retry-after"), headers.get("date"), now);
  const message = `${host} ${WORDS[status] ?? (status >= 500 ? "fails" : "refuses the request")} (HTTP ${status})`;
  return failure(
    code(status),
    status >= 400 ? message : `${host} answered with a status that was not asked for (HTTP ${status})`,
    {
      metadata: { host, status: String(status) },
      ...(wait !== undefined && { retryAfterMs: wait }),
      ...(PASSING.has(status) && { retryable: true }),
    },
  );
}

function code(status: number): ErrorCode {
  if (status >= 500 && status < 600) return "HTTP_SERVER_ERROR";
  if (status >= 400 && status < 500) return CODES[status] ?? "HTTP_CLIENT_ERROR";
  return "PROTOCOL_ERROR";
}
