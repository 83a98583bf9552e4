/**
 * A URL that means several things: each becomes a session of its own, all in one batch. What was asked of the whole is
 * asked of each. Done twice, after a death in between, it comes to the same: the same URL to the same place is one session.
 */
import { dirname } from "node:path";
import { archiveKeyOf, archiveText } from "../core/archive.ts";
import { asDownloadError, failure } from "../core/errors.ts";
import type { Expansion } from "../core/resolved.ts";
import type { DownloadOptions, DownloadRequest, Session } from "../core/session.ts";
import type { Run } from "./run.ts";

/** More would be a mistake, or malice. */
const MOST_ITEMS = 100_000;

/** Lists in lists: a feed's playlist of pages with several formats is four deep. */
const MOST_DEPTH = 6;

/** Items that are accepted in one batch of the database. */
const AT_ONCE = 1000;

/** Queues what a URL led to, and ends the session. @throws DownloadError why nothing of it can be fetched */
export async function expand(run: Run, expansion: Expansion): Promise<void> {
  const { session, engine } = run;
  const { items } = expansion;
  const depth = (session.options.depth ?? 0) + 1;
  if (depth > MOST_DEPTH)
    throw failure(
      "MEDIA_INVALID",
      `lists that name lists that name lists: more than ${MOST_DEPTH} deep are not followed`,
    );
  if (items.length > MOST_ITEMS)
    throw failure(
      "MEDIA_INVALID",
      `${expansion.title ?? "the list"} names ${items.length} things; at most ${MOST_ITEMS} are taken`,
    );
  const lineage = await lineageOf(run);
  const requests: DownloadRequest[] = [];
  let refusal: unknown;
  for (const { url, mirrors = [], options, title } of items) {
    try {
      const request = engine.intake.check([url, ...mirrors], {
        ...passedOn(session, url),
        ...options,
        ...(title !== undefined && { about: { title, ...options?.about } }),
        namedBy: expansion.namedBy,
        depth,
      });
      // A list that names itself, or one that led to it, would come to itself again and again.
      if (!lineage.has(archiveText(archiveKeyOf(request)))) requests.push(request);
    } catch (error) {
      refusal ??= error;
      run.logger.warn({ code: asDownloadError(error).code }, `not taken: ${asDownloadError(error).message}`);
    }
  }
  if (requests.length === 0 && refusal !== undefined) throw refusal;
  if (requests.length === 0 && items.length > 0)
    throw failure("MEDIA_INVALID", `${expansion.title ?? "the list"} names only itself, or lists that led to it`);
  const batchId = session.id;
  const made = session.options.force ? await madeBefore(run, batchId) : new Set<string>();
  for (let start = 0; start < requests.length; start += AT_ONCE) {
    run.signal.throwIfAborted();
    const some = requests
      .slice(start, start + AT_ONCE)
      .filter((request) => !made.has(archiveText(archiveKeyOf(request))));
    const taken = await engine.intake.accept(some, { batchId });
    // Whoever waits for what this one was asked for with, a list above all, waits for these too.
    if (session.batchId !== undefined)
      await engine.store.create([], { batchId: session.batchId, adopt: taken.map(({ session: { id } }) => id) });
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
  run.logger.info({ count: requests.length, left_out: items.length - requests.length }, "expanded");
}

/** What holds for each of them; a name, a digest or a number of newest ones was meant for the whole. */
function passedOn({ url, options }: Session, child: string): DownloadOptions {
  const { output, checksum: _checksum, checksumFile: _file, size: _size, newest: _newest, headers, ...rest } = options;
  const { about: _about, ...shared } = rest;
  const own = URL.parse(url)?.origin === URL.parse(child)?.origin;
  return {
    ...shared,
    // Logins are for the origin that they were given for.
    ...(headers && own && { headers }),
    ...(output !== undefined && { directory: dirname(output) }),
  };
}

/** The session, the one that led to it, and so on. */
async function lineageOf({ session, engine }: Run): Promise<ReadonlySet<string>> {
  const lineage = new Set<string>();
  let one: Session | undefined = session;
  while (one !== undefined && lineage.size <= MOST_DEPTH) {
    lineage.add(archiveText(archiveKeyOf(one)));
    one = one.batchId === undefined ? undefined : await engine.store.get(one.batchId);
  }
  return lineage;
}

/** With `force` nothing is found in the archive: what an attempt that died had queued already. */
async function madeBefore({ engine }: Run, batchId: string): Promise<ReadonlySet<string>> {
  const made = new Set<string>();
  let token: string | undefined;
  do {
    const page = await engine.store.list({ batchId }, { size: AT_ONCE, ...(token !== undefined && { token }) });
    for (const session of page.sessions) made.add(archiveText(archiveKeyOf(session)));
    token = page.nextPageToken;
  } while (token !== undefined);
  return made;
}
