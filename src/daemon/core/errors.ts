/**
 * The error classes of the spec. Each error carries a stable code of the shared table, which decides its class.
 *
 * Throw with {@link failure}; catch with {@link asDownloadError}, which turns anything thrown into one of these and never
 * hides the cause.
 */
import { ERRORS, type ErrorCode, type ErrorEntry, type ErrorKind } from "../../shared/errors.ts";

/** Particulars of an error. */
export interface FailureOptions {
  readonly cause?: unknown;
  /** Strings only: they travel in google.rpc.ErrorInfo. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The origin named a time: not before this many milliseconds from now. */
  readonly retryAfterMs?: number;
  /** Overrides the table where the occurrence knows better. */
  readonly retryable?: boolean;
}

/** Base of every error that Snatch throws on purpose. */
export class DownloadError extends Error {
  readonly code: ErrorCode;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: FailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs;
    this.retryable = options.retryable ?? ERRORS[code].retryable;
  }

  /** The code's row: gRPC status, exit code, hint. */
  get entry(): ErrorEntry {
    return ERRORS[this.code];
  }
}

/** The way to the origin failed. */
export class NetworkError extends DownloadError {}
/** The origin answered, but not with what was wanted. */
export class ResourceError extends DownloadError {}
/** A file or folder could not be read, written or named. */
export class FileSystemError extends DownloadError {}
/** The machine lacks something: room, memory, descriptors. */
export class SystemResourceError extends DownloadError {}

const CLASSES: Record<ErrorKind, typeof DownloadError> = {
  download: DownloadError,
  network: NetworkError,
  resource: ResourceError,
  "file-system": FileSystemError,
  "system-resource": SystemResourceError,
};

/** Makes the error of a code, in the class that the table gives it. */
export function failure(code: ErrorCode, message: string, options: FailureOptions = {}): DownloadError {
  return new CLASSES[ERRORS[code].kind](code, message, options);
}

/** Node's error codes of files and memory, and what they mean here. */
const SYSTEM_CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: "DISK_FULL",
  EDQUOT: "DISK_FULL",
  EROFS: "READ_ONLY",
  EIO: "IO_ERROR",
  EACCES: "NOT_WRITABLE",
  EPERM: "NOT_WRITABLE",
  ENOENT: "DIRECTORY_MISSING",
  ENOTDIR: "DIRECTORY_MISSING",
  ENAMETOOLONG: "NAME_INVALID",
  EINVAL: "IO_ERROR",
  EEXIST: "TARGET_EXISTS",
  EMFILE: "TOO_MANY_OPEN_FILES",
  ENFILE: "TOO_MANY_OPEN_FILES",
  ENOMEM: "MEMORY_SHORT",
};

/**
 * Turns whatever was thrown into a {@link DownloadError}. An error of the operating system keeps its code in the
 * metadata (`errno`); what nobody expected becomes INTERNAL, with the original as its cause.
 */
export function asDownloadError(thrown: unknown): DownloadError {
  if (thrown instanceof DownloadError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const errno = (error as NodeJS.ErrnoException).code;
  if (errno !== undefined && Object.hasOwn(SYSTEM_CODES, errno)) {
    const code = SYSTEM_CODES[errno] as ErrorCode;
    return failure(code, error.message, { cause: error, metadata: { errno } });
  }
  return failure("INTERNAL", error.message, { cause: error });
}
