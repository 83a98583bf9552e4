/** Errors of the file system with words: what was done, to what, and why it failed. */
import { getSystemErrorMessage } from "node:util";
import { asDownloadError, DownloadError, failure } from "../core/errors.ts";

/** Codes of the operating system that mean something else here than in the table of the core. */
const HERE: Readonly<Record<string, "IO_ERROR" | "NAME_INVALID" | "NOT_WRITABLE" | "TARGET_EXISTS">> = {
  EISDIR: "TARGET_EXISTS",
  ENOTEMPTY: "TARGET_EXISTS",
  ELOOP: "NAME_INVALID",
  EILSEQ: "NAME_INVALID",
  ETXTBSY: "NOT_WRITABLE",
};

/**
 * @param thrown - what Node threw
 * @param doing - such as "writing"
 * @param path - the file or folder it was done to
 * @returns FileSystemError or SystemResourceError, with the operating system's code in the metadata (`errno`)
 */
export function fileError(thrown: unknown, doing: string, path: string): DownloadError {
  if (thrown instanceof DownloadError) return thrown;
  const { code: errno, errno: number } = thrown as NodeJS.ErrnoException;
  // ERR_INVALID_ARG_VALUE: a NUL in a path.
  if (errno === "ERR_INVALID_ARG_VALUE")
    return failure("NAME_INVALID", `${doing} ${JSON.stringify(path)} failed: the name holds a NUL`, { cause: thrown });
  if (errno === undefined) return asDownloadError(thrown);
  const known = asDownloadError(thrown).code;
  const code = HERE[errno] ?? (known === "INTERNAL" ? "IO_ERROR" : known);
  const why = number === undefined ? errno : `${getSystemErrorMessage(number)} (${errno})`;
  return failure(code, `${doing} ${path} failed: ${why}`, { cause: thrown, metadata: { errno, path } });
}

/** Waits, and turns what is thrown into a {@link fileError}. */
export async function naming<T>(doing: string, path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw fileError(error, doing, path);
  }
}

/** True for "there is no such file", which is often an answer and not an error. */
export function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}
