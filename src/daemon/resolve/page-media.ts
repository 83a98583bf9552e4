/**
 * What media an HTML page names, and what it says of itself: JSON-LD, OpenGraph, Twitter's player card, and the elements
 * `<video>`, `<audio>`, `<source>` and `<track>`. Of several things the first by that order is the page's own; OpenGraph
 * and Twitter tell of the same thing in other words, and so only fill in what is not known yet.
 */
import type { CheerioAPI } from "cheerio/slim";
import type { MediaAbout } from "../core/resolved.ts";
import type { HtmlPage } from "./html-page.ts";
import { compact, type DescribedMedia, readJsonLd } from "./json-ld.ts";
import { bareType, endsLikeMedia, isMediaType, manifestKind, type NamedFile } from "./media-file.ts";

/** Elements of a kind that are looked at. */
const MOST_ELEMENTS = 2000;
const LONGEST_TEXT = 5000;

/** What a page names. */
export interface PageMedia {
  /** The main one first. Addresses are whole. */
  readonly media: readonly DescribedMedia[];
  /** Of the page as such. */
  readonly about: MediaAbout;
  /** Feeds that go with it. */
  readonly feeds: readonly string[];
}

type Meta = ReadonlyArray<readonly [name: string, content: string]>;

/** Reads what a page names. */
export function readPageMedia({ $, resolve }: HtmlPage): PageMedia {
  const meta: Meta = $("meta[content]")
    .slice(0, MOST_ELEMENTS)
    .toArray()
    .map(({ attribs }) => [
      (attribs["property"] ?? attribs["name"] ?? attribs["itemprop"] ?? "").trim().toLowerCase(),
      (attribs["content"] ?? "").trim(),
    ]);
  const blocks = $('script[type^="application/ld+json" i]')
    .slice(0, 200)
    .toArray()
    .map((element) => $(element).text());
  const social = [openGraph(meta), twitter(meta)].filter(({ files }) => files.length > 0);
  const listed = [...readJsonLd(blocks), ...social.slice(0, 1), ...elements($)];
  return {
    media: listed.flatMap((each) => whole(each, resolve)),
    about: aboutPage($, meta, resolve),
    feeds: feedsOf($).flatMap((href) => resolve(href) ?? []),
  };
}

/** With whole addresses; nothing if none is of use. */
function whole({ files, about, subtitles }: DescribedMedia, resolve: HtmlPage["resolve"]): DescribedMedia[] {
  const seen = new Set<string>();
  const usable = files.flatMap((file) => {
    const url = resolve(file.url);
    if (url === undefined || seen.has(url)) return [];
    seen.add(url);
    return [{ ...file, url }];
  });
  if (usable.length === 0) return [];
  const { thumbnail, ...rest } = about;
  const picture = resolve(thumbnail);
  return [
    {
      files: usable,
      about: { ...rest, ...(picture !== undefined && { thumbnail: picture }) },
      subtitles: subtitles.flatMap((each) => {
        const url = resolve(each.url);
        return url === undefined ? [] : [{ ...each, url }];
      }),
    },
  ];
}

/** The structured properties belong to the video or audio before them (ogp.me, "Arrays"). */
function openGraph(meta: Meta): DescribedMedia {
  const files: NamedFile[] = [];
  let current: { -readonly [K in keyof NamedFile]: NamedFile[K] } | undefined;
  for (const [name, content] of meta) {
    const [, kind, property = "url"] = /^og:(video|audio)(?::([a-z_]+))?$/.exec(name) ?? [];
    if (kind !== "video" && kind !== "audio") continue;
    switch (property) {
      case "url":
      case "secure_url":
        // The same thing over TLS, as a second address of the first.
        if (current && property === "secure_url" && current.kind === kind && /^http:/.test(current.url))
          current.url = content;
        else if (current?.url !== content) {
          current = { url: content, kind };
          files.push(current);
        }
        break;
      case "type":
        if (current) current.type = content;
        break;
      case "width":
      case "height": {
        const pixels = Number(content);
        if (current && Number.isInteger(pixels) && pixels > 0) current[property] = pixels;
        break;
      }
    }
  }
  return { files: files.filter(isFile), about: {}, subtitles: [] };
}

/** Twitter's player card: the stream is a file, the player itself is a page. */
function twitter(meta: Meta): DescribedMedia {
  const value = (name: string) => meta.find(([key]) => key === name)?.[1];
  const url = value("twitter:player:stream");
  const type = value("twitter:player:stream:content_type");
  const files = url === undefined ? [] : [{ url, ...(type !== undefined && { type }) }].filter(isFile);
  return { files, about: {}, subtitles: [] };
}

/** A player in a page is named the same way as a file: only what is one counts. */
function isFile({ url, type }: NamedFile): boolean {
  const { href = "" } = URL.parse(url, "http://page.invalid/") ?? {};
  if (bareType(type) === "") return endsLikeMedia(href) || manifestKind(href) !== undefined;
  return isMediaType(type) || manifestKind("", type) !== undefined;
}

/** The elements in their order; pictures that move in the background last. */
function elements($: CheerioAPI): DescribedMedia[] {
  const found = $("video, audio")
    .slice(0, MOST_ELEMENTS)
    .toArray()
    .map((element) => {
      const kind = element.name === "audio" ? ("audio" as const) : ("video" as const);
      const own = element.attribs;
      const inner = $(element)
        .children("source")
        .slice(0, 100)
        .toArray()
        .flatMap(({ attribs }) => sourceOf(attribs, kind));
      const { src, poster, title } = own;
      const files = [...(src === undefined ? [] : sourceOf(own, kind)), ...inner];
      const subtitles = $(element)
        .children("track[src]")
        .slice(0, 200)
        .toArray()
        .filter(({ attribs }) => /^(subtitles|captions|)$/i.test(attribs["kind"]?.trim() ?? ""))
        .map(({ attribs }) => ({ url: attribs["src"] ?? "", language: attribs["srclang"]?.trim() || "und" }));
      const label = title ?? own["aria-label"];
      const about = compact({ thumbnail: poster, title: label === undefined ? undefined : cut(label) });
      const background = ["muted", "autoplay", "loop"].every((name) => name in own) && !("controls" in own);
      return { media: { files, about, subtitles }, background };
    });
  return [...found.filter((each) => !each.background), ...found.filter((each) => each.background)].map(
    ({ media }) => media,
  );
}

/** A source: its `src`, or the candidates of its `srcset` with their widths. */
function sourceOf(attribs: Readonly<Record<string, string>>, kind: "audio" | "video"): NamedFile[] {
  const { src, srcset, type, label, res, size } = attribs;
  const lines = Number(/^\s*(\d{3,4})p?\s*$/.exec(res ?? size ?? label ?? "")?.[1]);
  const more = {
    kind,
    ...(type !== undefined && { type }),
    ...(lines > 0 && kind === "video" && { height: lines }),
    ...(label !== undefined && { note: label.slice(0, 100) }),
  };
  const set = (srcset ?? "")
    .slice(0, 100_000)
    .split(/,\s+/)
    .flatMap((candidate) => {
      const [url, descriptor = ""] = candidate.trim().split(/\s+/);
      const width = Number(/^(\d{1,5})w$/.exec(descriptor)?.[1]);
      return url === undefined || url === "" ? [] : [{ ...more, url, ...(width > 0 && { width }) }];
    });
  return [...(src === undefined || /^\s*(blob|data):/i.test(src) ? [] : [{ ...more, url: src }]), ...set];
}

function aboutPage($: CheerioAPI, meta: Meta, resolve: HtmlPage["resolve"]): MediaAbout {
  const first = (...names: string[]): string | undefined => {
    for (const name of names) {
      const value = meta.find(([key, content]) => key === name && content !== "")?.[1];
      if (value !== undefined) return cut(value);
    }
    return undefined;
  };
  const time = Date.parse(first("article:published_time", "video:release_date", "og:video:release_date", "date") ?? "");
  const seconds = Number(first("og:video:duration", "video:duration", "music:duration"));
  const heading = $("title").first().text() || $("h1").first().text();
  return compact({
    title: first("og:title", "twitter:title") ?? (heading.trim() === "" ? undefined : cut(heading)),
    description: first("og:description", "twitter:description", "description"),
    uploader: first("author", "article:author"),
    channel: first("og:site_name"),
    thumbnail: resolve(first("og:image:secure_url", "og:image", "og:image:url", "twitter:image", "twitter:image:src")),
    publishedAt: Number.isNaN(time) ? undefined : time,
    durationSeconds: seconds > 0 && seconds < 31_536_000 ? seconds : undefined,
  });
}

function feedsOf($: CheerioAPI): string[] {
  return $("link[rel~=alternate i][href]")
    .slice(0, 100)
    .toArray()
    .filter(({ attribs }) => /^application\/(rss\+xml|atom\+xml|feed\+json|rdf\+xml)$/.test(bareType(attribs["type"])))
    .map(({ attribs }) => attribs["href"] ?? "");
}

const cut = (text: string): string => text.replace(/\s+/g, " ").trim().slice(0, LONGEST_TEXT);
