/** Reads google.rpc.ErrorInfo out of a call's `grpc-status-details-bin`; loaded only when a call failed. */
import { ErrorInfo } from "../gen/google/rpc/error_details.ts";
import { Status } from "../gen/google/rpc/status.ts";

/** @returns undefined if the details hold none, or cannot be read */
export function readErrorInfo(details: Uint8Array): ErrorInfo | undefined {
  try {
    const any = Status.decode(details).details.find(({ typeUrl }) => typeUrl.endsWith("/google.rpc.ErrorInfo"));
    return any && ErrorInfo.decode(any.value);
  } catch {
    return undefined;
  }
}
