/**
 * What an item of a feed brings, whichever of the formats it is written in: the one file that is fetched, and what is told of
 * it. The publisher's own enclosure is taken; where a format or quality is asked for, its alternates count too, and the
 * largest of the medium asked for is taken.
 */
import { createHash } from "node:crypto";
import type { parseAtomFeed, parseJsonFeed, parseRdfFeed, parseRssFeed } from "feedsmith";
import type { FeedItem } from "../core/ports/resolve.ts";
import type { MediaAbout, MediaChapter } from "../core/resolved.ts";
import type { Checksum, DownloadOptions } from "../core/session.ts";
import { httpUrl, stableUrl } from "./address.ts";
import { compact } from "./json-ld.ts";
import { bareType, endsLikeMedia, isMediaType, manifestKind } from "./media-file.ts";
import { playTime } from "./media-time.ts";
import { fileName } from "./sidecar.ts";

type Items<F extends (value: unknown) => { items?: unknown }> = Required<ReturnType<F>>["items"];
type Element<T> = T extends ReadonlyArray<infer E> ? E : never;
/** Items as they are parsed. */
export type RssItem = Element<Items<typeof parseRssFeed<string>>>;
export type RdfItem = Element<Items<typeof parseRdfFeed<string>>>;
export type JsonItem = Element<Items<typeof parseJsonFeed<string>>>;
export type AtomEntry = Element<Required<ReturnType<typeof parseAtomFeed<string>>>["entries"]>;

/** What holds for every item. */
export interface FeedFrame {
  /** Of the feed: relative addresses are relative to it. */
  readonly url: string;
  readonly wanted: Pick<DownloadOptions, "format" | "quality">;
  readonly about: MediaAbout;
}

/** An item with the date that puts it in order, in milliseconds since the epoch. */
export type DatedItem = FeedItem & { readonly date?: number };

interface Offer {
  readonly url: string;
  readonly type?: string;
  /** Bytes. */
  readonly length?: number;
  readonly mirrors?: readonly string[];
  readonly checksum?: Checksum;
}

const LONGEST_TITLE = 1000;
const LONGEST_TEXT = 2000;
const MOST_CHAPTERS = 500;

/** @returns undefined if it brings no file */
export function rssItem(item: RssItem, frame: FeedFrame): DatedItem | undefined {
  const { itunes, podcast, media, psc } = item;
  const own = (item.enclosures ?? []).map(({ url, type, length }) => ({ url, type, length }));
  const more = [
    ...(podcast?.alternateEnclosures ?? []).map(({ sources, type, length, integrity }) => ({
      url: sources?.[0]?.uri,
      mirrors: sources?.slice(1, 20).map(({ uri }) => uri),
      type,
      length,
      checksum: checksumOf(integrity?.value),
    })),
    ...[...(media?.contents ?? []), ...(media?.groups ?? []).flatMap(({ contents }) => contents ?? [])].map(
      ({ url, type, fileSize }) => ({ url, type, length: fileSize }),
    ),
  ];
  return made(frame, {
    identifier: item.guid?.value,
    offers: { own, more, link: item.link },
    date: item.pubDate ?? item.dc?.dates?.[0],
    about: {
      title: item.title ?? itunes?.title ?? media?.title?.value,
      description: item.description ?? itunes?.summary ?? item.content?.encoded,
      uploader: itunes?.author ?? item.authors?.[0]?.name ?? item.dc?.creators?.[0],
      season: itunes?.season ?? podcast?.season?.number,
      episode: itunes?.episode ?? podcast?.episode?.number,
      durationSeconds: itunes?.duration,
      thumbnail: itunes?.image ?? podcast?.images?.[0]?.href ?? media?.thumbnails?.[0]?.url,
      chapters: chaptersOf(psc?.chapters),
    },
  });
}

/** @returns undefined if it brings no file */
export function atomEntry(entry: AtomEntry, frame: FeedFrame): DatedItem | undefined {
  const { links = [], content, itunes, media, psc } = entry;
  const own = links
    .filter(({ rel }) => rel === "enclosure")
    .map(({ href, type, length }) => ({ url: href, type, length }));
  const more = [...(media?.contents ?? []), ...(media?.groups ?? []).flatMap(({ contents }) => contents ?? [])].map(
    ({ url, type, fileSize }) => ({ url, type, length: fileSize }),
  );
  if (content?.src !== undefined) more.push({ url: content.src, type: content.type, length: undefined });
  return made(frame, {
    identifier: entry.id,
    offers: { own, more, link: links.find(({ rel = "alternate" }) => rel === "alternate")?.href },
    date: entry.published ?? entry.updated,
    about: {
      title: entry.title?.value ?? itunes?.title,
      description: entry.summary?.value ?? itunes?.summary ?? content?.value,
      uploader: entry.authors?.[0]?.name ?? itunes?.author,
      season: itunes?.season,
      episode: itunes?.episode,
      durationSeconds: itunes?.duration,
      thumbnail: itunes?.image ?? media?.thumbnails?.[0]?.url ?? media?.groups?.[0]?.thumbnails?.[0]?.url,
      chapters: chaptersOf(psc?.chapters),
    },
  });
}

/** @returns undefined if it brings no file */
export function rdfItem(item: RdfItem, frame: FeedFrame): DatedItem | undefined {
  const more = (item.media?.contents ?? []).map(({ url, type, fileSize }) => ({ url, type, length: fileSize }));
  return made(frame, {
    identifier: item.link,
    offers: { own: [], more, link: item.link },
    date: item.dc?.dates?.[0],
    about: { title: item.title, description: item.description, uploader: item.dc?.creators?.[0] },
  });
}

/** @returns undefined if it brings no file */
export function jsonItem(item: JsonItem, frame: FeedFrame): DatedItem | undefined {
  const attachments = item.attachments ?? [];
  return made(frame, {
    identifier: item.id,
    offers: {
      own: attachments.map(({ url, mime_type: type, size_in_bytes: length }) => ({ url, type, length })),
      more: [],
      link: item.external_url ?? item.url,
    },
    date: item.date_published ?? item.date_modified,
    about: {
      title: item.title,
      description: item.summary ?? item.content_text,
      uploader: item.authors?.[0]?.name,
      durationSeconds: attachments[0]?.duration_in_seconds,
      thumbnail: item.image ?? item.banner_image,
    },
  });
}

/** An offer as a feed has it. */
type Raw = {
  readonly [K in keyof Offer]?: K extends "mirrors"
    ? readonly (string | undefined)[] | undefined
    : Offer[K] | undefined;
};

interface Told {
  readonly identifier: string | undefined;
  readonly offers: { readonly own: readonly Raw[]; readonly more: readonly Raw[]; readonly link: string | undefined };
  readonly date: string | undefined;
  readonly about: { readonly [K in keyof MediaAbout]: MediaAbout[K] | undefined };
}

function made(
  { url: base, wanted, about: frame }: FeedFrame,
  { identifier, offers, date, about }: Told,
): DatedItem | undefined {
  const whole = (raws: readonly Raw[]) => raws.slice(0, 100).flatMap((raw) => offerOf(raw, base));
  const link = httpUrl(offers.link ?? "", base);
  const chosen =
    choose(whole(offers.own), whole(offers.more), wanted) ??
    (link !== undefined && (endsLikeMedia(link) || manifestKind(link) !== undefined) ? { url: link } : undefined);
  if (!chosen) return undefined;
  const { url, type, length, mirrors = [], checksum } = chosen;
  const published = Date.parse(date ?? "");
  const known = identifier?.trim().slice(0, 2000);
  const key = known === undefined || known === "" ? stableUrl(url) : known;
  const thumbnail = httpUrl(about.thumbnail ?? "", base);
  const { durationSeconds, season, episode } = about;
  const told = compact({
    ...frame,
    ...compact({
      id: idOf(key, url),
      title: plain(about.title, LONGEST_TITLE) ?? fileName(url),
      description: plain(about.description, LONGEST_TEXT),
      uploader: plain(about.uploader, LONGEST_TITLE),
      season: counted(season),
      episode: counted(episode),
      durationSeconds:
        durationSeconds !== undefined && durationSeconds > 0 && durationSeconds < 31_536_000
          ? durationSeconds
          : undefined,
      publishedAt: Number.isNaN(published) ? undefined : published,
      thumbnail,
      chapters: about.chapters,
      type,
      fileSizeApprox: length,
    }),
  });
  return {
    key,
    url,
    mirrors,
    about: told,
    ...(checksum && { checksum }),
    ...(!Number.isNaN(published) && { date: published }),
  };
}

function offerOf({ url, type, length, mirrors, checksum }: Raw, base: string): Offer[] {
  const whole = httpUrl(url ?? "", base);
  if (whole === undefined) return [];
  const places = (mirrors ?? []).flatMap((mirror) => httpUrl(mirror ?? "", base) ?? []);
  return [
    {
      url: whole,
      ...(type !== undefined && type.trim() !== "" && { type: type.trim().slice(0, 200) }),
      ...(length !== undefined && Number.isSafeInteger(length) && length > 0 && { length }),
      ...(places.length > 0 && { mirrors: places }),
      ...(checksum && { checksum }),
    },
  ];
}

/** Pictures and pages that hang on an item are not what it brings. */
function choose(
  own: readonly Offer[],
  more: readonly Offer[],
  { format, quality }: FeedFrame["wanted"],
): Offer | undefined {
  const isMedia = ({ url, type }: Offer) =>
    isMediaType(type) ||
    manifestKind(url, type) !== undefined ||
    (!/^(image|text)\//.test(bareType(type)) && endsLikeMedia(url));
  const asked = format !== undefined || quality !== undefined;
  const media = (asked ? [...own, ...more] : own.some(isMedia) ? own : more).filter(isMedia);
  const medium =
    /^(ba|bestaudio|audio)\b/i.test(format ?? "") || /^\d+k$/i.test(quality ?? "")
      ? /^audio\//
      : /^(bv|bestvideo)\b/i.test(format ?? "") || /^\d+p$/i.test(quality ?? "")
        ? /^video\//
        : /^/;
  const right = media.filter(({ type }) => medium.test(bareType(type)));
  const [largest] = (right.length > 0 ? right : media).toSorted((a, b) => (b.length ?? 0) - (a.length ?? 0));
  return largest ?? own.find(({ type }) => !/^(image|text)\//.test(bareType(type)));
}

/** Short, and fit for a name. */
function idOf(key: string, url: string): string {
  if (/^[\w.-]{1,64}$/.test(key)) return key;
  const name = /^[\w-]{1,64}$/.exec(fileName(url).replace(/\.[a-z0-9]{1,5}$/i, ""))?.[0];
  const digest = createHash("sha256").update(key).digest("hex").slice(0, 8);
  return name === undefined || /^(default|audio|video|media|episode|download|index)$/i.test(name) ? digest : name;
}

/** Text without mark-up, in one line. */
export function plain(text: string | undefined, most: number): string | undefined {
  const found = text
    ?.slice(0, most * 4)
    .replace(/<[^<>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, most);
  return found === "" ? undefined : found;
}

const counted = (value: number | undefined): number | undefined =>
  value !== undefined && Number.isInteger(value) && value >= 0 && value < 1_000_000 ? value : undefined;

function chaptersOf(
  chapters: ReadonlyArray<{ readonly start?: string; readonly title?: string }> | undefined,
): readonly MediaChapter[] | undefined {
  const found = (chapters ?? []).slice(0, MOST_CHAPTERS).flatMap(({ start, title }) => {
    const seconds = playTime(start);
    const name = plain(title, LONGEST_TITLE);
    return seconds === undefined || name === undefined ? [] : [{ start: seconds, title: name }];
  });
  return found.length === 0 ? undefined : found.toSorted((a, b) => a.start - b.start);
}

/** Subresource Integrity, as podcast:integrity has it. */
function checksumOf(integrity: string | undefined): Checksum | undefined {
  const [, algorithm, base64 = ""] = /^sha(256|512)-([A-Za-z0-9+/]{40,90}={0,2})$/.exec(integrity?.trim() ?? "") ?? [];
  const value = Buffer.from(base64, "base64").toString("hex");
  if (algorithm === "256" && value.length === 64) return { algorithm: "sha-256", value };
  return algorithm === "512" && value.length === 128 ? { algorithm: "sha-512", value } : undefined;
}
