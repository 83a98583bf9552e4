/** A feed that is looked into means its items: all of them, or the newest so many, the newest first. */
import { redactUrl } from "../../shared/redact.ts";
import { failure } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { SourceFactory } from "../core/ports/sources.ts";
import type { Expansion } from "../core/resolved.ts";
import type { DownloadOptions, DownloadRequest, ResourceInfo } from "../core/session.ts";
import { Documents } from "./document.ts";
import { looksLikeFeed, MOST_FEED_BYTES, readFeed } from "./feed-read.ts";
import { listItem } from "./list-item.ts";
import { bareType, looksInside } from "./media-file.ts";

/** Types that are of feeds, and of nothing else. */
const FEED_TYPE = /^application\/(rss|atom|rdf)\+xml$|^application\/feed\+json$/;
/** Types that may be of feeds. */
const VAGUE_TYPE = /^(application|text)\/(xml|json)$/;
const BEGINNING = 4096;

/** Resolves feeds. */
export class FeedResolver implements Resolver {
  readonly name = "feed";
  readonly #documents: Documents;

  constructor(sources: SourceFactory) {
    this.#documents = new Documents(sources);
  }

  claims(url: string, options: DownloadOptions = {}): boolean {
    return looksInside(options) && /^https?:/.test(url) && /\.(rss|atom)$/i.test(URL.parse(url)?.pathname ?? "");
  }

  claimsAnswer({ options }: DownloadRequest, { contentType }: ResourceInfo): boolean {
    const type = bareType(contentType);
    return looksInside(options) && (FEED_TYPE.test(type) || VAGUE_TYPE.test(type));
  }

  /** @throws ResourceError FEED_INVALID, MEDIA_NOT_FOUND; what fetching the feed throws */
  async resolve(request: DownloadRequest, signal: AbortSignal): Promise<Expansion | Plan> {
    const { options } = request;
    const document = await this.#documents.fetch(request.url, request, MOST_FEED_BYTES, signal, options.namedBy);
    const { media, format, quality, newest } = options;
    const asFile = media === undefined && format === undefined && quality === undefined && newest === undefined;
    // Only a name was asked for: XML and JSON of other kinds are files like any other.
    if (asFile && !looksLikeFeed(document.bytes.subarray(0, BEGINNING).toString("utf8")))
      return { candidates: [{ url: request.url, headers: options.headers ?? [] }], final: true };
    const { title, items } = await readFeed(document, options, signal);
    if (items.length === 0)
      throw failure(
        "MEDIA_NOT_FOUND",
        `the feed ${redactUrl(request.url)} brings no files: its items have no enclosures`,
      );
    const wanted = items.slice(0, newest);
    return {
      kind: "expansion",
      namedBy: document.url,
      ...(title !== undefined && { title }),
      items: wanted.map(({ url, mirrors, about, checksum }, at) => {
        const playlist = { index: at + 1, count: wanted.length, ...(title !== undefined && { title }) };
        const more = checksum && { options: { checksum } };
        return listItem(request, url, { mirrors, about: { ...about, playlist }, ...more });
      }),
    };
  }
}
