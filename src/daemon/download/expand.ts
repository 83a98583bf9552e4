/**
 * A URL that means several things: each becomes a session of its own, all in one batch. What was asked of the whole is
 * asked of each. Done twice, after a death in between, it comes to the same: the same URL to the same place is one session.
 */
import { asDownloadError, failure } from "../core/errors.ts";
import type { Expansion } from "../core/resolved.ts";
import type { DownloadOptions, DownloadRequest } from "../core/session.ts";
import type { Run } from "./run.ts";

/** More would be a mistake, or malice. */
const MOST_ITEMS = 100_000;

/** Items that are accepted in one batch of the database. */
const AT_ONCE = 1000;

/** Queues what a URL led to, and ends the session. @throws DownloadError NOTHING_FOUND if nothing of it can be fetched */
export async function expand(run: Run, expansion: Expansion): Promise<void> {
  const { session, engine } = run;
  const batchId = session.batchId ?? session.id;
  const { items } = expansion;
  if (items.length > MOST_ITEMS)
    throw failure(
      "MEDIA_INVALID",
      `${expansion.title ?? "the list"} names ${items.length} things; at most ${MOST_ITEMS} are taken`,
    );
  const requests: DownloadRequest[] = [];
  let refusal: unknown;
  for (const { url, mirrors = [], options } of items) {
    try {
      requests.push(
        engine.intake.check([url, ...mirrors], {
          ...passedOn(session.options),
          ...options,
          namedBy: expansion.namedBy,
        }),
      );
    } catch (error) {
      refusal ??= error;
      run.logger.warn({ code: asDownloadError(error).code }, `not taken: ${asDownloadError(error).message}`);
    }
  }
  if (requests.length === 0 && refusal !== undefined) throw refusal;
  for (let start = 0; start < requests.length; start += AT_ONCE) {
    run.signal.throwIfAborted();
    await engine.intake.accept(requests.slice(start, start + AT_ONCE), { batchId });
  }
  await run.update({
    status: "completed",
    stage: undefined,
    error: undefined,
    nextAttemptAt: undefined,
    expansion: { batchId, count: requests.length },
    metadata: { ...session.metadata, ...(expansion.title !== undefined && { title: expansion.title }) },
    completedAt: engine.clock.now(),
  });
  run.logger.info({ count: requests.length, refused: items.length - requests.length }, "expanded");
}

/** What holds for each of them; a name, a digest or a number of newest ones was meant for the whole. */
function passedOn(options: DownloadOptions): DownloadOptions {
  const { output: _output, checksum: _checksum, checksumFile: _file, size: _size, newest: _newest, ...rest } = options;
  return rest;
}
