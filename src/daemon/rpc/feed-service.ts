/** FeedService: the feeds that are followed. */
import type {
  AddFeedRequest,
  FeedServiceServer,
  ListFeedsRequest,
  PollFeedsRequest,
  RemoveFeedRequest,
  Feed as WireFeed,
} from "../../gen/snatch/v1/feed_service.ts";
import { redactUrl } from "../../shared/redact.ts";
import type { FeedState } from "../core/ports/followed.ts";
import type { Calls } from "./calls.ts";
import { badField, toOptions } from "./convert.ts";
import type { RpcPorts } from "./deps.ts";
import { assertLocal, type Reach } from "./targets.ts";

const MOST_EPISODES = 100_000;
const LONGEST_NAME = 16_384;

/** The handlers for callers with this reach. */
export function feedService({ feeds }: Pick<RpcPorts, "feeds">, calls: Calls, reach: Reach): FeedServiceServer {
  return {
    listFeeds: calls.unary((_request: ListFeedsRequest) => ({
      feeds: feeds
        .list()
        .map(presentFeed)
        .sort((a, b) => (a.url < b.url ? -1 : 1)),
    })),
    addFeed: calls.unary(async (request: AddFeedRequest) => {
      // It goes on asking, and writing files, long after the call.
      assertLocal(reach, "following a feed");
      const { every, keep, newest, deleteOld } = request;
      const state = await feeds.add(toName(request.url, "url"), {
        everyMs: (every?.seconds ?? 0) * 1000 + Math.round((every?.nanos ?? 0) / 1e6),
        ...(keep !== 0 && { keep: toCount(keep, "keep") }),
        ...(newest !== 0 && { newest: toCount(newest, "newest") }),
        deleteOld,
        options: toOptions(request.options),
      });
      return { feed: presentFeed(state) };
    }),
    removeFeed: calls.unary(async (request: RemoveFeedRequest) => {
      assertLocal(reach, "following a feed no more");
      await feeds.remove(toName(request.feed, "feed"));
      return {};
    }),
    pollFeeds: calls.unary(async ({ feed }: PollFeedsRequest, signal) => {
      assertLocal(reach, "polling feeds");
      const polled = await feeds.poll(feed === "" ? undefined : toName(feed, "feed"), signal);
      return { feeds: polled.map(({ feed: state, ...counts }) => ({ feed: presentFeed(state), ...counts })) };
    }),
  };
}

function toName(text: string, field: string): string {
  if (text === "" || text.length > LONGEST_NAME) throw badField(field, `a feed of ${text.length} characters`);
  return text;
}

function toCount(value: number, field: string): number {
  if (value < 1 || value > MOST_EPISODES) throw badField(field, `${value} is not between 1 and ${MOST_EPISODES}`);
  return value;
}

function presentFeed(feed: FeedState): WireFeed {
  const { id, url, title = "", everyMs, keep = 0, deleteOld, options, lastPollAt, nextPollAt, problem = "" } = feed;
  return {
    id,
    url: redactUrl(url),
    title,
    every: { seconds: Math.floor(everyMs / 1000), nanos: (everyMs % 1000) * 1e6 },
    keep,
    deleteOld,
    directory: options.directory ?? "",
    lastPollTime: lastPollAt === undefined ? undefined : new Date(lastPollAt),
    nextPollTime: new Date(nextPollAt),
    problem,
    episodeCount: feed.episodeCount,
  };
}
