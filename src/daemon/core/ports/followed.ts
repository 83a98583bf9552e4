/** What is followed: watched folders, and feeds. */
import type { DownloadOptions } from "../session.ts";

/** A folder in which a dropped list becomes downloads. */
export interface WatchFolderState {
  readonly path: string;
  /** Where its files go. */
  readonly directory: string;
  /** It comes from the configuration and cannot be removed. */
  readonly configured: boolean;
  /** Lists taken since the daemon started. */
  readonly listCount: number;
  /** Milliseconds since the epoch. */
  readonly lastListAt?: number;
  /** Why it is not watched now. */
  readonly problem?: string;
}

/** The folders that are watched; implemented by the watch room. Paths are absolute. */
export interface WatchFolderControl {
  list(): readonly WatchFolderState[];
  /** Makes the folder if it does not exist. @throws DownloadError WATCH_FOLDER_INVALID and those of the file system */
  add(path: string, directory?: string): Promise<WatchFolderState>;
  /** @throws DownloadError WATCH_FOLDER_INVALID if it is not watched, or configured */
  remove(path: string): Promise<void>;
}

/** How a feed is followed. */
export interface FeedSettings {
  /** Milliseconds between two polls. */
  readonly everyMs: number;
  /** Only the newest so many episodes count; absent: all. */
  readonly keep?: number;
  /** Of the episodes that are there at the first poll: the newest so many; absent: as many as are kept. */
  readonly newest?: number;
  /** Files that it brought are removed when they are not among the newest `keep` any more, unless they were changed. */
  readonly deleteOld: boolean;
  /** Of its downloads. */
  readonly options: DownloadOptions;
}

/** A feed that is followed. Times are milliseconds since the epoch. */
export interface FeedState extends FeedSettings {
  /** Also the batch of its sessions. */
  readonly id: string;
  /** With credentials, if it has any. */
  readonly url: string;
  readonly title?: string;
  readonly lastPollAt?: number;
  readonly nextPollAt: number;
  /** Why the last poll failed. */
  readonly problem?: string;
  /** Episodes that it has brought so far. */
  readonly episodeCount: number;
}

/** What a poll found. */
export interface FeedPolled {
  readonly feed: FeedState;
  /** New episodes. */
  readonly newCount: number;
  /** Files that were removed. */
  readonly removedCount: number;
}

/** The feeds that are followed; implemented by the feeds room. Feeds are named by URL, or by an unambiguous beginning of an id. */
export interface FeedControl {
  list(): readonly FeedState[];
  /** Follows a feed; the first poll is at once, in the background. One that is followed already is followed so from now on. */
  add(url: string, settings: FeedSettings): Promise<FeedState>;
  /** What it brought stays. @throws DownloadError FEED_NOT_FOUND */
  remove(feed: string): Promise<void>;
  /** Asks now: one feed, or all. What goes wrong is in the feed's `problem`. @throws DownloadError FEED_NOT_FOUND */
  poll(feed: string | undefined, signal: AbortSignal): Promise<readonly FeedPolled[]>;
}
