/** What the file system refused the cache, in words. */
import { getSystemErrorName } from "node:util";
import { asDownloadError, DownloadError, failure } from "../core/errors.ts";

/**
 * The error with what was done, and to what. cacache calls whatever keeps it from moving a file EEXIST; the number that the
 * operating system gave is still there, and goes before.
 */
export function cacheFileError(thrown: unknown, doing: string, path: string): DownloadError {
  if (thrown instanceof DownloadError) return thrown;
  const error = thrown as NodeJS.ErrnoException;
  const errno = error.errno === undefined ? error.code : getSystemErrorName(error.errno);
  if (errno === undefined) return asDownloadError(thrown);
  const { code } = asDownloadError(Object.assign(new Error(error.message), { code: errno }));
  return failure(code === "INTERNAL" ? "IO_ERROR" : code, `the cache failed ${doing} ${path}: ${error.message}`, {
    cause: thrown,
    metadata: { errno, path },
  });
}

/** True for "there is no such file". */
export function isMissing(thrown: unknown): boolean {
  const { code } = thrown as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}
