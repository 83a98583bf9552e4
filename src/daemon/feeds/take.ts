/**
 * What is new in a feed becomes sessions. An episode and the mark that it was seen are written in one atomic batch: whatever
 * dies in between, no episode is lost, and none is fetched twice.
 */
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError } from "../core/errors.ts";
import { ownHeaders } from "../core/own-headers.ts";
import type { Intake } from "../core/ports/intake.ts";
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { FeedItem } from "../core/ports/resolve.ts";
import type { Logger } from "../core/ports/runtime.ts";
import type { DownloadOptions, DownloadRequest } from "../core/session.ts";
import { EPISODES, episodeKey, type FeedRecord, putEpisode } from "./record.ts";

/** Episodes that are accepted in one batch. */
const AT_ONCE = 500;

/** What episodes are taken with. */
export interface TakeParts {
  readonly store: KeyValue;
  readonly intake: Intake;
  readonly logger: Logger;
}

interface Fresh {
  readonly key: string;
  readonly request: DownloadRequest;
  readonly publishedAt?: number;
}

/**
 * Takes the new ones of a feed's episodes, which come with the newest first.
 *
 * @param namedBy - the feed's URL after redirects
 * @returns how many became sessions
 */
export async function takeEpisodes(
  { store, intake, logger }: TakeParts,
  feed: FeedRecord,
  { items, title, namedBy }: { readonly items: readonly FeedItem[]; readonly title?: string; readonly namedBy: string },
  now: number,
): Promise<number> {
  const { id, keep = Number.POSITIVE_INFINITY, lastPollAt, newest = keep } = feed;
  const wanted = lastPollAt === undefined ? Math.min(newest, keep) : keep;
  const keys = items.map(({ key }) => episodeKey(id, key));
  const known = await store.getMany(EPISODES, keys);
  const fresh: Fresh[] = [];
  const passedOver: Write[] = [];
  for (const [at, item] of items.entries()) {
    const key = keys[at];
    if (key === undefined || known[at] !== undefined) continue;
    const dated = item.about.publishedAt === undefined ? {} : { publishedAt: item.about.publishedAt };
    try {
      if (at < wanted) {
        const request = intake.check([item.url, ...item.mirrors], optionsFor(feed, item, namedBy, title));
        fresh.push({ key, request, ...dated });
        continue;
      }
    } catch (error) {
      const { code, message } = asDownloadError(error);
      logger.warn({ feed: redactUrl(feed.url), code }, `an episode is not taken: ${message}`);
    }
    passedOver.push(putEpisode(key, { at: now, ...dated }));
  }
  // The oldest first, so that the queue has them in the order in which they came out.
  fresh.reverse();
  for (let start = 0; start < fresh.length; start += AT_ONCE) {
    const part = fresh.slice(start, start + AT_ONCE);
    await intake.accept(
      part.map(({ request }) => request),
      {
        batchId: id,
        with: (accepted) =>
          part.map(({ key, publishedAt }, at) => {
            const made = accepted[at];
            return putEpisode(key, {
              at: now,
              ...(publishedAt !== undefined && { publishedAt }),
              // What was here before is not this feed's to remove.
              ...(made?.created && { session: made.session.id }),
            });
          }),
      },
    );
  }
  if (passedOver.length > 0) await store.write(passedOver);
  return fresh.length;
}

function optionsFor(feed: FeedRecord, item: FeedItem, namedBy: string, title: string | undefined): DownloadOptions {
  const { headers: given, ...options } = feed.options;
  const headers = ownHeaders(item.url, feed.url, given);
  return {
    ...options,
    ...(headers.length > 0 && { headers }),
    ...(item.checksum && { checksum: item.checksum }),
    about: { ...item.about, ...(title !== undefined && item.about.series === undefined && { series: title }) },
    namedBy,
  };
}
