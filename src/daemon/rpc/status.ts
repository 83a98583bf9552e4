/**
 * Errors on the wire: the richer error model (https://google.aip.dev/193). The status carries, besides code and message,
 * a google.rpc.Status with ErrorInfo (the stable code and its particulars), RetryInfo where a time is known, and
 * BadRequest where a field is to blame.
 *
 * What nobody expected is logged whole under an id, and only the id leaves the daemon.
 */
import { randomUUID } from "node:crypto";
import { status as GrpcStatus, Metadata, type ServiceError } from "@grpc/grpc-js";
import { BadRequest, ErrorInfo, RetryInfo } from "../../gen/google/rpc/error_details.ts";
import { Status } from "../../gen/google/rpc/status.ts";
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError, type DownloadError } from "../core/errors.ts";
import type { Logger } from "../core/ports/runtime.ts";

/** The trailer that holds the encoded google.rpc.Status. */
const DETAILS_TRAILER = "grpc-status-details-bin";

/** Who defined the reasons. */
const ERROR_DOMAIN = "snatch";

/** Trailers share one header section, which clients limit to 8 or 16 KiB: a text longer than this is cut. */
const LONGEST_MESSAGE = 2000;
const LONGEST_VALUE = 500;
const MOST_VALUES = 12;

/** gRPC sends the message percent-encoded, which fails on half a surrogate pair. */
const clip = (text: string, longest: number): string =>
  (text.length > longest ? `${text.slice(0, longest)}…` : text).toWellFormed();

const any = (type: string, value: Uint8Array) => ({
  typeUrl: `type.googleapis.com/google.rpc.${type}`,
  value: Buffer.from(value),
});

/**
 * The status of anything that was thrown.
 *
 * @param method - the RPC's path, for the log
 */
export function toServiceError(thrown: unknown, logger: Logger, method: string): ServiceError {
  const error = asDownloadError(thrown);
  if (error.code !== "INTERNAL") return encode(error, error.message, error.metadata);
  const incident = randomUUID();
  logger.error({ err: error.cause ?? error, incident, method }, "unexpected error in an RPC");
  return encode(error, `unexpected error; the daemon's log has it under ${incident}`, { incident });
}

function encode(error: DownloadError, text: string, particulars: Readonly<Record<string, string>>): ServiceError {
  const code = GrpcStatus[error.entry.grpc];
  const message = clip(text, LONGEST_MESSAGE);
  const pairs = Object.entries(particulars).slice(0, MOST_VALUES);
  const metadata = Object.fromEntries(pairs.map(([key, value]) => [key, clip(redactUrl(value), LONGEST_VALUE)]));
  const details = [any("ErrorInfo", ErrorInfo.encode({ reason: error.code, domain: ERROR_DOMAIN, metadata }).finish())];
  if (error.retryAfterMs !== undefined) {
    const milliseconds = Math.max(0, Math.ceil(error.retryAfterMs));
    const retryDelay = { seconds: Math.floor(milliseconds / 1000), nanos: (milliseconds % 1000) * 1_000_000 };
    details.push(any("RetryInfo", RetryInfo.encode({ retryDelay }).finish()));
  }
  const field = metadata["field"];
  if (error.entry.grpc === "INVALID_ARGUMENT" && field !== undefined)
    details.push(any("BadRequest", BadRequest.encode({ fieldViolations: [{ field, description: message }] }).finish()));
  const trailers = new Metadata();
  trailers.set(DETAILS_TRAILER, Buffer.from(Status.encode({ code, message, details }).finish()));
  return Object.assign(new Error(message), { code, details: message, metadata: trailers });
}
