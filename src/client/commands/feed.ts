/** `snatchctl feed`: feeds that are followed. */
import { type Feed, FeedServiceService } from "../../gen/snatch/v1/feed_service.ts";
import { EXIT } from "../../shared/errors.ts";
import { formatDuration } from "../../shared/format.ts";
import { connect } from "../connect.ts";
import type { Globals } from "../globals.ts";
import { type OrderFlags, readCount, readDuration, readOrder } from "../order.ts";
import { escapeControls, jsonLine, note, print } from "../output.ts";
import { resolveTarget } from "../target.ts";

/** The options of `feed add`. */
export interface FeedFlags extends Globals, OrderFlags {
  readonly every: string;
  readonly keep?: string;
  readonly deleteOld?: boolean;
}

/** Prints every feed. */
export async function list(globals: Globals): Promise<number> {
  using connection = connect(globals);
  const { feeds } = await connection.ask(FeedServiceService.listFeeds, {});
  if (feeds.length === 0 && !globals.json && !globals.quiet) note("no feed is followed");
  for (const feed of feeds) await report(feed, globals);
  return EXIT.ok;
}

/** Follows a feed. */
export async function add(flags: FeedFlags, url: string): Promise<number> {
  const { options } = readOrder([url], flags, resolveTarget(flags));
  using connection = connect(flags);
  const { feed } = await connection.ask(FeedServiceService.addFeed, {
    url,
    every: readDuration("--every", flags.every),
    keep: flags.keep === undefined ? 0 : readCount("--keep", flags.keep, 1),
    newest: options.newest,
    deleteOld: flags.deleteOld ?? false,
    // Of the feed as a whole, not of its episodes.
    options: { ...options, newest: 0 },
  });
  if (feed && !(flags.quiet && !flags.json)) await report(feed, flags);
  return EXIT.ok;
}

/** Follows a feed no more. */
export async function remove(globals: Globals, feed: string): Promise<number> {
  using connection = connect(globals);
  await connection.ask(FeedServiceService.removeFeed, { feed });
  if (globals.json) await print(jsonLine({ feed, removed: true }));
  else if (!globals.quiet) await print(`${escapeControls(feed)} is not followed any more`);
  return EXIT.ok;
}

/** Asks feeds now. Exits with 4 if one could not be read. */
export async function poll(globals: Globals, feed: string | undefined): Promise<number> {
  using connection = connect(globals);
  const { feeds } = await connection.ask(FeedServiceService.pollFeeds, { feed: feed ?? "" });
  for (const { feed: polled, newCount, removedCount } of feeds) {
    if (polled === undefined) continue;
    if (globals.json) await print(jsonLine({ ...plain(polled), new_count: newCount, removed_count: removedCount }));
    else if (!globals.quiet || polled.problem !== "")
      await print(
        escapeControls(
          polled.problem === ""
            ? `${nameOf(polled)}: ${newCount} new${removedCount > 0 ? `, ${removedCount} removed` : ""}`
            : `${nameOf(polled)}: ${polled.problem}`,
        ),
      );
  }
  return feeds.some((each) => each.feed !== undefined && each.feed.problem !== "") ? EXIT.resource : EXIT.ok;
}

const nameOf = ({ title, url }: Feed): string => title || url;

function plain(feed: Feed): Readonly<Record<string, unknown>> {
  return {
    id: feed.id,
    url: feed.url,
    title: feed.title || null,
    every_seconds: feed.every?.seconds ?? 0,
    keep: feed.keep || null,
    delete_old: feed.deleteOld,
    directory: feed.directory || null,
    last_poll_at: feed.lastPollTime?.toISOString() ?? null,
    next_poll_at: feed.nextPollTime?.toISOString() ?? null,
    problem: feed.problem || null,
    episode_count: feed.episodeCount,
  };
}

async function report(feed: Feed, globals: Globals): Promise<void> {
  if (globals.json) {
    await print(jsonLine(plain(feed)));
    return;
  }
  const kept = feed.keep === 0 ? "" : `, the newest ${feed.keep}${feed.deleteOld ? ", older files removed" : ""}`;
  const state = feed.problem || `${feed.episodeCount} ${feed.episodeCount === 1 ? "episode" : "episodes"} so far`;
  const every = formatDuration((feed.every?.seconds ?? 0) * 1000);
  const name = feed.title ? `${feed.title}: ` : "";
  await print(escapeControls(`${feed.id.slice(0, 8)}  ${name}${feed.url} (every ${every}${kept}; ${state})`));
}
