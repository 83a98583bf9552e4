/** Feeds and their episodes as the database keeps them. What cannot be read any more is left out, and said. */
import { createHash } from "node:crypto";
import type { FeedSettings } from "../core/ports/followed.ts";
import type { Write } from "../core/ports/key-value.ts";

/** Feeds by id, and episodes by feed and key. */
export const FEEDS = "feed";
export const EPISODES = "feed-episode";

/** A feed that is followed. */
export interface FeedRecord extends FeedSettings {
  readonly id: string;
  readonly url: string;
  readonly title?: string;
  /** Of the last answer (RFC 9110 §8.8). */
  readonly etag?: string;
  readonly lastModified?: string;
  readonly lastPollAt?: number;
  readonly nextPollAt: number;
  readonly failures: number;
  readonly problem?: string;
  readonly episodeCount: number;
}

/** An episode that was seen. */
export interface EpisodeRecord {
  readonly at: number;
  readonly publishedAt?: number;
  /** The session that was made for it; absent: it was there before, or is older than what was wanted. */
  readonly session?: string;
  /** Its file was removed for newer ones. */
  readonly removed?: true;
}

/** The key of an episode: of one length, whatever a feed calls it. */
export function episodeKey(feed: string, key: string): string {
  return `${feed}/${createHash("sha256").update(key).digest("hex")}`;
}

/** All episodes of a feed, as a range of keys. */
export const episodesOf = (feed: string): { readonly gt: string; readonly lt: string } => ({
  gt: `${feed}/`,
  lt: `${feed}0`,
});

export const putFeed = (record: FeedRecord): Write => ({
  type: "put",
  space: FEEDS,
  key: record.id,
  value: JSON.stringify(record),
});

export const putEpisode = (key: string, record: EpisodeRecord): Write => ({
  type: "put",
  space: EPISODES,
  key,
  value: JSON.stringify(record),
});

/** @returns undefined if it is none */
export function readFeedRecord(text: string): FeedRecord | undefined {
  const value = parse(text);
  if (typeof value?.["id"] !== "string" || typeof value["url"] !== "string" || !URL.canParse(value["url"]))
    return undefined;
  const numbers = ["everyMs", "nextPollAt", "failures", "episodeCount"];
  if (numbers.some((name) => typeof value[name] !== "number") || typeof value["options"] !== "object") return undefined;
  return value as unknown as FeedRecord;
}

/** @returns undefined if it is none */
export function readEpisode(text: string): EpisodeRecord | undefined {
  const value = parse(text);
  return typeof value?.["at"] === "number" ? (value as unknown as EpisodeRecord) : undefined;
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}
