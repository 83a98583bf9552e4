/**
 * What goes wrong in the client, or is told by the daemon: a stable code, a message, a hint and an exit code. Errors of
 * a call carry google.rpc.ErrorInfo; its reason is a code of the shared table. What no table knows ends with exit 1.
 */
import type { ErrorDetail } from "../gen/snatch/v1/session.ts";
import { type ErrorCode, EXIT, errorEntry } from "../shared/errors.ts";

/** An error that a person can do something about. */
export class ClientError extends Error {
  readonly code: string;
  readonly hint: string;
  readonly exit: number;
  readonly metadata: Readonly<Record<string, string>>;

  constructor(code: string, message: string, hint?: string, metadata: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = "ClientError";
    this.code = code;
    const entry = errorEntry(code);
    this.hint = hint ?? entry?.hint ?? "";
    this.exit = entry?.exit ?? EXIT.unexpected;
    this.metadata = metadata;
  }
}

/** Makes an error of the shared table. `hint` replaces the table's. */
export function fail(code: ErrorCode, message: string, hint?: string): ClientError {
  return new ClientError(code, message, hint);
}

/** A value on the command line makes no sense. */
export function misuse(message: string, hint = ""): ClientError {
  return new ClientError("INVALID_ARGUMENT", message, hint);
}

/** The error of one session or one refused request. */
export function fromDetail(detail: ErrorDetail): ClientError {
  return new ClientError(detail.code, detail.message, detail.hint || undefined, detail.metadata);
}

/** The message of anything thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Runs a parser that throws TypeErrors for people, and names the option in front of its message. */
export function option<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw misuse(`${name}: ${messageOf(error)}`);
  }
}
