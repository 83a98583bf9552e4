/** Shares what is finished, where that was asked for. The file is here in any case: what goes wrong is told, and no more. */
import { asDownloadError, failure } from "../core/errors.ts";
import type { PlacedFile } from "../core/ports/files.ts";
import type { SessionPatch } from "../core/ports/sessions.ts";
import { type Session, sessionError } from "../core/session.ts";
import type { EngineParts } from "./run.ts";

/**
 * Shares a file in its place.
 *
 * @returns what is to be kept of it: the share, or why there is none
 */
export async function share(
  { sharer, logger, clock }: Pick<EngineParts, "sharer" | "logger" | "clock">,
  { id, url, options }: Pick<Session, "id" | "url" | "options">,
  placed: PlacedFile,
): Promise<SessionPatch> {
  try {
    if (!sharer) throw failure("SHARE_INVALID", "nothing here can share files: sharing is switched off");
    if (placed.chunks.includes(""))
      throw failure(
        "SHARE_INVALID",
        `the digests of its chunks are not known any more; share ${placed.file.path} itself`,
      );
    return { shareId: await sharer.shareFetched({ url, options }, placed), error: undefined };
  } catch (error) {
    const failed = asDownloadError(error);
    const told = failure(failed.code, `the file is here, but is not shared: ${failed.message}`, {
      cause: failed,
      retryable: false,
      metadata: failed.metadata,
    });
    logger.warn({ session: id, code: failed.code }, told.message);
    return { error: sessionError(told, clock.now()) };
  }
}
