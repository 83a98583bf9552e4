/**
 * Reads feeds: RSS 2.0, RDF, Atom and JSON Feed, with the namespaces of podcasts, by feedsmith. What could be a bomb is
 * refused before it parses; items are parsed some hundred at a time, with room for others in between.
 */
import { setImmediate as turn } from "node:timers/promises";
import { parseAtomFeed, parseJsonFeed, parseRdfFeed, parseRssFeed } from "feedsmith";
import { asDownloadError, failure } from "../core/errors.ts";
import type { FeedItem, FeedReader } from "../core/ports/resolve.ts";
import type { MediaAbout } from "../core/resolved.ts";
import { httpUrl, stableUrl } from "./address.ts";
import { charsetIn, decodeText } from "./charset.ts";
import { atomEntry, type DatedItem, type FeedFrame, jsonItem, plain, rdfItem, rssItem } from "./feed-item.ts";
import { splitFeed } from "./feed-split.ts";
import { compact } from "./json-ld.ts";

/** Bytes of a feed. */
export const MOST_FEED_BYTES = 96 * 1024 * 1024;

const AT_ONCE = 500;
const MOST_JSON_ITEMS = 100_000;
const LONGEST_TITLE = 1000;

type Kind = "rss" | "rdf" | "atom" | "json";

/** True for the beginning of something that is a feed, as far as can be seen. */
export function looksLikeFeed(beginning: string): boolean {
  return kindOf(beginning) !== undefined;
}

/** Reads feeds by feedsmith. */
export const readFeed: FeedReader["read"] = async ({ bytes, url, contentType }, wanted, signal) => {
  const text = decodeText(bytes, contentType, declaredCharset).replace(/^\uFEFF/, "");
  const kind = kindOf(text.slice(0, 4096));
  if (kind === undefined)
    throw failure("FEED_INVALID", "the document is no feed: neither RSS, RDF, Atom nor JSON Feed");
  try {
    const { about, items } =
      kind === "json" ? readJson(text, url, wanted) : await readXml(text, kind, url, wanted, signal);
    return { ...(about.series !== undefined && { title: about.series }), items: inOrder(items) };
  } catch (error) {
    signal.throwIfAborted();
    if (asDownloadError(error).code === "FEED_INVALID") throw error;
    throw failure("FEED_INVALID", "the feed cannot be read: it is not what its format says", { cause: error });
  }
};

interface Read {
  readonly about: MediaAbout;
  readonly items: readonly DatedItem[];
}

async function readXml(
  text: string,
  kind: "rss" | "rdf" | "atom",
  url: string,
  wanted: FeedFrame["wanted"],
  signal: AbortSignal,
): Promise<Read> {
  const split = splitFeed(text);
  const about = aboutXml(split.head, kind, url);
  const frame = { url, wanted, about };
  const items: DatedItem[] = [];
  for (let start = 0; start < split.count; start += AT_ONCE) {
    signal.throwIfAborted();
    for (const item of itemsOf(split.items(start, start + AT_ONCE), kind, frame)) if (item) items.push(item);
    if (start > 0) await turn();
  }
  return { about, items };
}

function itemsOf(text: string, kind: "rss" | "rdf" | "atom", frame: FeedFrame): (DatedItem | undefined)[] {
  if (kind === "rss") return (parseRssFeed<string>(text).items ?? []).map((item) => rssItem(item, frame));
  if (kind === "rdf") return (parseRdfFeed<string>(text).items ?? []).map((item) => rdfItem(item, frame));
  return (parseAtomFeed<string>(text).entries ?? []).map((entry) => atomEntry(entry, frame));
}

function aboutXml(head: string, kind: "rss" | "rdf" | "atom", url: string): MediaAbout {
  if (kind === "rss") {
    const { title, itunes, image } = parseRssFeed<string>(head);
    return frameOf(title ?? itunes?.title, itunes?.author, itunes?.image ?? image?.url, url);
  }
  if (kind === "rdf") {
    const { title, image } = parseRdfFeed<string>(head);
    return frameOf(title, undefined, image?.url, url);
  }
  const { title, authors, logo, icon, itunes } = parseAtomFeed<string>(head);
  return frameOf(title?.value, authors?.[0]?.name ?? itunes?.author, itunes?.image ?? logo ?? icon, url);
}

function readJson(text: string, url: string, wanted: FeedFrame["wanted"]): Read {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw failure(
      "FEED_INVALID",
      `the feed cannot be read: it is not JSON (${(error as Error).message.slice(0, 200)})`,
    );
  }
  const { title, authors, icon, items = [] } = parseJsonFeed<string>(value);
  if (items.length > MOST_JSON_ITEMS)
    throw failure("FEED_INVALID", `the feed cannot be read: it has more than ${MOST_JSON_ITEMS} items`);
  const about = frameOf(title, authors?.[0]?.name, icon, url);
  return { about, items: items.flatMap((item) => jsonItem(item, { url, wanted, about }) ?? []) };
}

function frameOf(title?: string, author?: string, image?: string, url?: string): MediaAbout {
  return compact({
    series: plain(title, LONGEST_TITLE),
    uploader: plain(author, LONGEST_TITLE),
    thumbnail: httpUrl(image ?? "", url ?? ""),
  });
}

/** The newest first. What has no date keeps its place beside its neighbour; one key is one item. */
function inOrder(items: readonly DatedItem[]): readonly FeedItem[] {
  const count = new Map<string, number>();
  for (const { key } of items) count.set(key, (count.get(key) ?? 0) + 1);
  let last = Number.POSITIVE_INFINITY;
  const dated = items.map((item) => {
    last = item.date ?? last;
    // Some feeds give all their items one identifier.
    const key = (count.get(item.key) ?? 0) > 1 ? `${item.key} ${stableUrl(item.url)}` : item.key;
    return { item, key, date: last };
  });
  const seen = new Set<string>();
  return dated
    .filter(({ key }) => !seen.has(key) && seen.add(key))
    .toSorted((a, b) => (a.date === b.date ? 0 : b.date - a.date))
    .map(({ item: { date: _date, ...item }, key }) => ({ ...item, key }));
}

function kindOf(beginning: string): Kind | undefined {
  const text = beginning.replace(/^\uFEFF/, "").trimStart();
  if (text.startsWith("{"))
    return /"https?:\\?\/\\?\/(www\.)?jsonfeed\.org\\?\/version/.test(text) ? "json" : undefined;
  const [, root = ""] = /^<(?:[\w.-]{1,100}:)?(rss|rdf|feed)[\s>]/i.exec(behindProlog(text)) ?? [];
  const name = root.toLowerCase();
  return name === "feed" ? "atom" : name === "rss" || name === "rdf" ? name : undefined;
}

/** What follows the declaration, comments and document type. */
function behindProlog(text: string): string {
  let at = 0;
  for (;;) {
    const sign = endSign(text, at);
    const found = sign === undefined ? -1 : text.indexOf(sign, at + 2);
    if (sign === undefined || found < 0) return text.slice(at);
    at = found + sign.length;
    while (/\s/.test(text.charAt(at))) at++;
  }
}

function endSign(text: string, at: number): string | undefined {
  if (text.startsWith("<?", at)) return "?>";
  if (text.startsWith("<!--", at)) return "-->";
  if (!text.startsWith("<!", at)) return undefined;
  // One with definitions ends behind them: such a feed is known as one, and then refused.
  return text.slice(at, text.indexOf(">", at)).includes("[") ? "]>" : ">";
}

function declaredCharset(beginning: string): string | undefined {
  const [, label] = /^\s*<\?xml[^>]*\sencoding\s*=\s*["']([\w.:-]{1,40})["']/.exec(beginning) ?? [];
  return label === undefined ? undefined : charsetIn(`charset=${/^utf-16/i.test(label) ? "utf-8" : label}`);
}
