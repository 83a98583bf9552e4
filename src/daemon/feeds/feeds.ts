/**
 * The feeds that are followed: each is asked in its own rhythm, a little late by chance, less often while it fails, and only
 * for what has changed. One is asked at a time. What they know survives the daemon.
 */
import { randomUUID } from "node:crypto";
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError, failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { FeedControl, FeedPolled, FeedSettings, FeedState } from "../core/ports/followed.ts";
import type { HttpClient } from "../core/ports/http.ts";
import type { Write } from "../core/ports/key-value.ts";
import type { FeedReader } from "../core/ports/resolve.ts";
import type { Clock } from "../core/ports/runtime.ts";
import { askFeed } from "./ask.ts";
import { EPISODES, episodesOf, FEEDS, type FeedRecord, putFeed, readFeedRecord } from "./record.ts";
import { type TakeParts, takeEpisodes } from "./take.ts";
import { removeOld, type TidyParts } from "./tidy.ts";

/** What the feeds room needs of others. */
export interface FeedsParts extends TakeParts, TidyParts {
  readonly client: HttpClient;
  readonly reader: FeedReader;
  readonly clock: Clock;
  /** From 0 to 1, for the delay by chance. Default: Math.random. */
  readonly random?: () => number;
}

/** The shortest time between two polls, in milliseconds. */
const SHORTEST_MS = 60_000;
/** The longest pause after failures, in milliseconds, unless the rhythm itself is slower. */
const LONGEST_PAUSE_MS = 24 * 3_600_000;
const MOST_DOUBLINGS = 8;
/** The delay by chance: a tenth of the rhythm, and no more than this many milliseconds. */
const MOST_JITTER_MS = 600_000;
const MOST_FEEDS = 10_000;
/** Records that are removed in one write. */
const LOT = 1000;

/** Follows feeds. */
export class Feeds implements FeedControl, Startable {
  readonly #parts: FeedsParts;
  readonly #feeds = new Map<string, FeedRecord>();
  readonly #stop = new AbortController();
  #turn: Promise<unknown> = Promise.resolve();
  #cancelTimer: (() => void) | undefined;
  #started = false;

  constructor(parts: FeedsParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    for await (const [key, text] of this.#parts.store.entries(FEEDS)) {
      const record = readFeedRecord(text);
      if (record) this.#feeds.set(record.id, record);
      else this.#parts.logger.error({ key }, "a feed's record cannot be read; it is not followed");
    }
    this.#started = true;
    this.#arm();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(failure("SHUTTING_DOWN", "the daemon is ending"));
    this.#cancelTimer?.();
    await this.#turn;
  }

  list(): readonly FeedState[] {
    return [...this.#feeds.values()];
  }

  async add(url: string, settings: FeedSettings): Promise<FeedState> {
    const { clock, store, intake } = this.#parts;
    const { everyMs, keep, newest } = settings;
    if (!(everyMs >= SHORTEST_MS && everyMs <= 366 * 86_400_000))
      throw failure(
        "INVALID_ARGUMENT",
        `a feed is asked every minute at most, and once a year at least, not every ${everyMs} ms`,
      );
    if (settings.deleteOld && keep === undefined)
      throw failure("INVALID_ARGUMENT", "old files are only removed where it is said how many are kept (keep)");
    // What the downloads could not be asked for is said now, and not at night.
    const { url: checked } = intake.check([url], settings.options);
    const former = this.#feeds.size > 0 ? [...this.#feeds.values()].find((feed) => feed.url === checked) : undefined;
    if (!former && this.#feeds.size >= MOST_FEEDS)
      throw failure("INVALID_ARGUMENT", `${MOST_FEEDS} feeds are followed already; no more are possible`);
    const { keep: _keep, newest: _newest, ...kept } = former ?? fresh(randomUUID(), checked);
    const record: FeedRecord = {
      ...kept,
      everyMs,
      deleteOld: settings.deleteOld,
      options: settings.options,
      ...(keep !== undefined && { keep }),
      ...(newest !== undefined && { newest }),
      nextPollAt: clock.now(),
    };
    await store.write([putFeed(record)], { sync: true });
    this.#feeds.set(record.id, record);
    this.#arm();
    return record;
  }

  async remove(feed: string): Promise<void> {
    const { id } = this.#find(feed);
    await this.#inTurn(async () => {
      this.#feeds.delete(id);
      const { store } = this.#parts;
      // The feed itself last: what remains of a death in between is found, and removed, with the feed.
      let lot: Write[] = [];
      for await (const [key] of store.entries(EPISODES, episodesOf(id))) {
        lot.push({ type: "del", space: EPISODES, key });
        if (lot.length < LOT) continue;
        await store.write(lot);
        lot = [];
      }
      await store.write(lot);
      await store.write([{ type: "del", space: FEEDS, key: id }], { sync: true });
    });
    this.#arm();
  }

  async poll(feed: string | undefined, signal: AbortSignal): Promise<readonly FeedPolled[]> {
    const wanted = feed === undefined ? [...this.#feeds.values()] : [this.#find(feed)];
    const polled: FeedPolled[] = [];
    for (const { id } of wanted) {
      signal.throwIfAborted();
      const found = await this.#inTurn(() => this.#poll(id, AbortSignal.any([signal, this.#stop.signal])));
      if (found) polled.push(found);
    }
    this.#arm();
    return polled;
  }

  #find(name: string): FeedRecord {
    const feeds = [...this.#feeds.values()];
    const { href = name } = URL.parse(name) ?? {};
    const exact = feeds.find(({ id, url }) => id === name || url === href);
    const beginning = name.length >= 4 ? feeds.filter(({ id }) => id.startsWith(name.toLowerCase())) : [];
    const found = exact ?? (beginning.length === 1 ? beginning[0] : undefined);
    if (found) return found;
    const shown = redactUrl(name).slice(0, 200);
    const why =
      beginning.length > 1 ? `"${shown}" is the beginning of ${beginning.length} ids` : `${shown} is not followed`;
    throw failure("FEED_NOT_FOUND", why);
  }

  /** One after the other, and never two for one feed. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** Sets the clock for whatever is due next. */
  #arm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (!this.#started || this.#stop.signal.aborted || this.#feeds.size === 0) return;
    const { clock } = this.#parts;
    const next = Math.min(...[...this.#feeds.values()].map(({ nextPollAt }) => nextPollAt));
    this.#cancelTimer = clock.timer(Math.max(0, next - clock.now()), () => void this.#due());
  }

  async #due(): Promise<void> {
    const { clock, logger } = this.#parts;
    for (const { id } of [...this.#feeds.values()].filter(({ nextPollAt }) => nextPollAt <= clock.now())) {
      try {
        await this.#inTurn(() => this.#poll(id, this.#stop.signal));
      } catch (error) {
        // It could not even be written down: not again at once.
        const feed = this.#feeds.get(id);
        if (feed) this.#feeds.set(id, { ...feed, nextPollAt: this.#later(SHORTEST_MS) });
        logger.error({ err: error }, `what a feed brought could not be kept: ${asDownloadError(error).message}`);
      }
    }
    this.#arm();
  }

  /** Never throws for what is wrong with the feed: that is kept with it. */
  async #poll(id: string, signal: AbortSignal): Promise<FeedPolled | undefined> {
    const feed = this.#feeds.get(id);
    if (!feed || signal.aborted) return undefined;
    const { logger, clock } = this.#parts;
    try {
      const { record, newCount } = await this.#bring(feed, signal);
      await this.#keep(record);
      return { feed: record, newCount, removedCount: await this.#tidy(record) };
    } catch (error) {
      if (signal.aborted) return undefined;
      const { code, message } = asDownloadError(error);
      const failures = feed.failures + 1;
      const pause = Math.max(
        feed.everyMs,
        Math.min(LONGEST_PAUSE_MS, feed.everyMs * 2 ** Math.min(failures - 1, MOST_DOUBLINGS)),
      );
      const record = { ...feed, failures, problem: `${code}: ${message}`, nextPollAt: this.#later(pause) };
      logger.warn(
        { feed: redactUrl(feed.url), code, failures, next: new Date(record.nextPollAt) },
        `the feed was not read: ${message}`,
      );
      await this.#keep({ ...record, ...(feed.lastPollAt !== undefined && { lastPollAt: clock.now() }) });
      return { feed: record, newCount: 0, removedCount: 0 };
    }
  }

  /** What cannot be removed changes nothing of what the feed has said: the next poll tries again. */
  async #tidy(feed: FeedRecord): Promise<number> {
    try {
      return await removeOld(this.#parts, feed);
    } catch (error) {
      const { code, message } = asDownloadError(error);
      this.#parts.logger.warn({ feed: redactUrl(feed.url), code }, `old files could not be removed: ${message}`);
      return 0;
    }
  }

  /** Asks, reads and takes. The validators are kept only when all that they stand for has been taken. */
  async #bring(
    feed: FeedRecord,
    signal: AbortSignal,
  ): Promise<{ readonly record: FeedRecord; readonly newCount: number }> {
    const { client, reader, clock, logger } = this.#parts;
    const { problem: _problem, ...well } = feed;
    const done = { ...well, failures: 0, lastPollAt: clock.now(), nextPollAt: this.#later(feed.everyMs) };
    const answer = await askFeed(client, feed, signal);
    if (!answer) return { record: done, newCount: 0 };
    const { items, title } = await reader.read(answer, feed.options, signal);
    const found = { items, namedBy: answer.url, ...(title !== undefined && { title }) };
    const newCount = await takeEpisodes(this.#parts, feed, found, clock.now());
    if (newCount > 0) logger.info({ feed: redactUrl(feed.url), count: newCount }, "new episodes");
    const { etag: _etag, lastModified: _modified, ...rest } = done;
    return {
      record: {
        ...rest,
        episodeCount: feed.episodeCount + newCount,
        ...(title !== undefined && { title }),
        ...(answer.etag !== undefined && { etag: answer.etag }),
        ...(answer.lastModified !== undefined && { lastModified: answer.lastModified }),
      },
      newCount,
    };
  }

  /** Unless it was changed, or is not followed any more, meanwhile. */
  async #keep(record: FeedRecord): Promise<void> {
    const now = this.#feeds.get(record.id);
    if (!now) return;
    const { everyMs, keep, newest, deleteOld, options } = now;
    const kept = {
      ...record,
      everyMs,
      deleteOld,
      options,
      ...(keep !== undefined && { keep }),
      ...(newest !== undefined && { newest }),
    };
    this.#feeds.set(record.id, kept);
    await this.#parts.store.write([putFeed(kept)], { sync: true });
  }

  #later(ms: number): number {
    const { clock, random = Math.random } = this.#parts;
    return Math.round(clock.now() + ms + random() * Math.min(ms / 10, MOST_JITTER_MS));
  }
}

const fresh = (
  id: string,
  url: string,
): Pick<FeedRecord, "id" | "url" | "failures" | "episodeCount"> & Partial<FeedRecord> => ({
  id,
  url,
  failures: 0,
  episodeCount: 0,
});
