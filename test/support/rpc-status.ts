/** Reads what a gRPC error carries. */
import type { ServiceError } from "@grpc/grpc-js";
import { BadRequest, ErrorInfo, RetryInfo } from "../../src/gen/google/rpc/error_details.ts";
import { Status } from "../../src/gen/google/rpc/status.ts";

/** The details of an error, decoded. */
export interface Details {
  readonly status: Status;
  readonly info: ErrorInfo | undefined;
  readonly retry: RetryInfo | undefined;
  readonly badRequest: BadRequest | undefined;
}

/** Decodes the `grpc-status-details-bin` trailer. @throws Error if there is none */
export function detailsOf(error: ServiceError): Details {
  const bytes = error.metadata.get("grpc-status-details-bin")[0];
  if (!Buffer.isBuffer(bytes)) throw new Error(`no details with ${error.code} ${error.details}`);
  const status = Status.decode(bytes);
  const find = (type: string) =>
    status.details.find(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${type}`);
  const [info, retry, badRequest] = [find("ErrorInfo"), find("RetryInfo"), find("BadRequest")];
  return {
    status,
    info: info && ErrorInfo.decode(info.value),
    retry: retry && RetryInfo.decode(retry.value),
    badRequest: badRequest && BadRequest.decode(badRequest.value),
  };
}
