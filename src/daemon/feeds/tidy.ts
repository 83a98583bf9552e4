/**
 * Removes the files of episodes that are not among the newest any more, where that was asked for: only files that the feed
 * itself brought, that nobody has touched since, and that no other batch asked for as well. Only what is here counts: an old
 * file stays until as many newer ones as are kept have come.
 */
import { redactUrl } from "../../shared/redact.ts";
import type { FileStore } from "../core/ports/files.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { Logger } from "../core/ports/runtime.ts";
import type { SessionStore } from "../core/ports/sessions.ts";
import { EPISODES, type EpisodeRecord, episodesOf, type FeedRecord, putEpisode, readEpisode } from "./record.ts";

/** What is tidied up with. */
export interface TidyParts {
  readonly store: KeyValue;
  readonly sessions: Pick<SessionStore, "get" | "batches">;
  readonly files: Pick<FileStore, "stat" | "remove">;
  readonly logger: Logger;
}

/** @returns how many files were removed */
export async function removeOld({ store, sessions, files, logger }: TidyParts, feed: FeedRecord): Promise<number> {
  const { id, keep, deleteOld, url } = feed;
  if (keep === undefined || !deleteOld) return 0;
  const brought: { readonly key: string; readonly episode: EpisodeRecord; readonly session: string }[] = [];
  for await (const [key, text] of store.entries(EPISODES, episodesOf(id))) {
    const episode = readEpisode(text);
    if (episode?.session !== undefined) brought.push({ key, episode, session: episode.session });
  }
  const age = ({ episode }: { readonly episode: EpisodeRecord }) => episode.publishedAt ?? episode.at;
  let [here, removed] = [0, 0];
  for (const { key, episode, session: sessionId } of brought.toSorted((a, b) => age(b) - age(a))) {
    if (episode.removed) continue;
    const session = await sessions.get(sessionId);
    const file = session?.status === "completed" ? session.file : undefined;
    const found = file && (await files.stat(file.path));
    if (!file || !found) continue;
    if (found.size !== file.size || found.mtimeMs !== file.mtimeMs || found.ino !== file.ino) continue;
    here++;
    if (here <= keep || session?.already) continue;
    if ((await sessions.batches(sessionId)).some((batch) => batch !== id)) continue;
    await files.remove(file.path);
    await store.write([putEpisode(key, { ...episode, removed: true })]);
    logger.info({ feed: redactUrl(url), path: file.path }, `removed: only the newest ${keep} episodes are kept`);
    removed++;
  }
  return removed;
}
