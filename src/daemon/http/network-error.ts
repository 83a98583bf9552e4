/**
 * What went wrong on the way, in Snatch's words. undici and Node name the same trouble by many codes; each is put where it
 * belongs here, and the message names the host and what was going on, never a path, a query or a header.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import { DownloadError, failure } from "../core/errors.ts";

/** Where an exchange stood when it broke. */
export interface Circumstance {
  /** Host and port. */
  readonly host: string;
  readonly phase: "connect" | "head" | "body";
  /** Bytes of the body so far. */
  readonly received: number;
  /** Bytes that Content-Length announced. */
  readonly announced?: number;
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOTFOUND: "DNS_FAILED",
  EAI_AGAIN: "DNS_FAILED",
  EAI_FAIL: "DNS_FAILED",
  EAI_NODATA: "DNS_FAILED",
  EAI_NONAME: "DNS_FAILED",
  ECONNREFUSED: "CONNECT_REFUSED",
  ECONNRESET: "CONNECTION_LOST",
  ECONNABORTED: "CONNECTION_LOST",
  EPIPE: "CONNECTION_LOST",
  ENETUNREACH: "CONNECT_FAILED",
  EHOSTUNREACH: "CONNECT_FAILED",
  ENETDOWN: "CONNECT_FAILED",
  EADDRNOTAVAIL: "CONNECT_FAILED",
  EACCES: "CONNECT_FAILED",
  EMFILE: "TOO_MANY_OPEN_FILES",
  ENFILE: "TOO_MANY_OPEN_FILES",
  EPROTO: "TLS_FAILED",
  ERR_INVALID_URL: "INVALID_URL",
  UND_ERR_CONNECT_TIMEOUT: "CONNECT_FAILED",
  UND_ERR_HEADERS_OVERFLOW: "HEADERS_TOO_LARGE",
  UND_ERR_INVALID_ARG: "INVALID_ARGUMENT",
  UND_ERR_DESTROYED: "SHUTTING_DOWN",
  UND_ERR_CLOSED: "SHUTTING_DOWN",
};

/** Verification errors of OpenSSL, as Node names them (X509 error codes). */
const TLS =
  /^(ERR_TLS_|ERR_SSL_|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERROR_IN_C|INVALID_(CA|PURPOSE)|PATH_LENGTH|HOSTNAME_)/;

/** Turns an error of undici, Node or OpenSSL into ours. One of ours is returned as it is. */
export function networkError(thrown: unknown, where: Circumstance): DownloadError {
  if (thrown instanceof DownloadError) return thrown;
  const { name, code: errno = name, message } = flatten(thrown);
  const code = classify(errno, message, where);
  return failure(code, describe(code, errno, message, where), {
    cause: thrown,
    metadata: { host: where.host, errno },
  });
}

/** A connection over several addresses fails with one error for each: the first one speaks for all. */
function flatten(thrown: unknown): NodeJS.ErrnoException {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (error instanceof AggregateError && (error as NodeJS.ErrnoException).code === undefined)
    return flatten(error.errors[0]);
  return error;
}

function classify(errno: string, message: string, { phase }: Circumstance): ErrorCode {
  if (errno === "ETIMEDOUT") return phase === "connect" ? "CONNECT_FAILED" : "TIMED_OUT";
  // A clean end in the middle of a body cuts it short; one before the head is a lost connection.
  if (errno === "UND_ERR_SOCKET" && message === "other side closed")
    return phase === "body" ? "TRUNCATED" : "CONNECTION_LOST";
  if (errno === "UND_ERR_SOCKET") return message.startsWith("bad ") ? "PROTOCOL_ERROR" : "CONNECTION_LOST";
  // undici says this too of lengths that contradict each other, which stop its parser inside of the head.
  if (errno === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH") return phase === "body" ? "TRUNCATED" : "PROTOCOL_ERROR";
  if (errno === "HTTPParserError" && message.includes("EOF")) return phase === "body" ? "TRUNCATED" : "CONNECTION_LOST";
  if (errno === "HTTPParserError" || errno.startsWith("HPE_")) return "PROTOCOL_ERROR";
  if (TLS.test(errno)) return "TLS_FAILED";
  return CODES[errno] ?? (phase === "connect" ? "CONNECT_FAILED" : "CONNECTION_LOST");
}

function describe(code: ErrorCode, errno: string, message: string, where: Circumstance): string {
  const { host, received, announced, phase } = where;
  const far = announced === undefined ? `${received} bytes` : `${received} of ${announced} bytes`;
  switch (code) {
    case "DNS_FAILED":
      return `the name of ${host} could not be resolved (${errno})`;
    case "CONNECT_REFUSED":
      return `${host} refused the connection`;
    case "CONNECT_FAILED":
      return `no connection to ${host} could be made (${errno})`;
    case "TLS_FAILED":
      return `the TLS connection to ${host} is not acceptable: ${message} (${errno})`;
    case "HEADERS_TOO_LARGE":
      return `the header section of the answer of ${host} is too large`;
    case "TRUNCATED":
      return `the answer of ${host} ended early, after ${far}`;
    case "CONNECTION_LOST":
      return phase === "body"
        ? `the connection to ${host} broke after ${far} (${errno})`
        : `${host} closed the connection without an answer (${errno})`;
    case "PROTOCOL_ERROR":
      return `the answer of ${host} is not HTTP that can be trusted: ${message}`;
    case "SHUTTING_DOWN":
      return `the request to ${host} was given up because the client is closing`;
    default:
      return `the request to ${host} failed: ${message} (${errno})`;
  }
}

/** No connection stood in time. @param proxy - the one on the way, as it is shown */
export function notConnected(host: string, proxy: string | undefined, seconds: number): DownloadError {
  if (proxy === undefined)
    return failure("CONNECT_FAILED", `no connection to ${host} within ${seconds} s`, { metadata: { host } });
  return failure("PROXY_FAILED", `no connection to ${host} by way of the proxy ${proxy} within ${seconds} s`, {
    metadata: { host, proxy },
  });
}
