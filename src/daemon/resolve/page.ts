/**
 * A page that media is wanted from: what it names is read out of it, no script is run. A page means one thing, its main
 * medium (see page-media.ts for the order); with `newest` it means the newest so many of the feed that goes with it, or else
 * so many of its media. Manifests that it names are opened by those who read them, and dressed with what the page says.
 */
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError, failure } from "../core/errors.ts";
import type { Resolved } from "../core/plan.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { SourceFactory } from "../core/ports/sources.ts";
import type {
  ExpandedItem,
  Expansion,
  Media,
  MediaAbout,
  MediaDetails,
  MediaFormat,
  Subtitle,
} from "../core/resolved.ts";
import type { DownloadRequest, ResourceInfo } from "../core/session.ts";
import { Documents, headersFor } from "./document.ts";
import { type HtmlPage, MOST_PAGE_BYTES, readHtml } from "./html-page.ts";
import type { DescribedMedia } from "./json-ld.ts";
import { listItem } from "./list-item.ts";
import type { ManifestOpeners } from "./manifest-opener.ts";
import { bareType, fileFormat, looksInside, manifestKind, subtitleFile } from "./media-file.ts";
import { type PageMedia, readPageMedia } from "./page-media.ts";
import { fileName } from "./sidecar.ts";

/** Manifests and files of one medium that are of use. */
const MOST_MANIFESTS = 4;
const MOST_FILES = 200;

/** What pages are read with. */
export interface PageParts {
  readonly sources: SourceFactory;
  readonly manifests: ManifestOpeners;
  /** Reads the feed that goes with a page. */
  readonly feed: Pick<Resolver, "resolve">;
  /** Who else may know how to read a page that names nothing, if there is anybody. */
  readonly beyond?: Resolver;
}

/** Reads pages. */
export class PageResolver implements Resolver {
  readonly name = "page";
  readonly #parts: PageParts;
  readonly #documents: Documents;

  constructor(parts: PageParts) {
    this.#parts = parts;
    this.#documents = new Documents(parts.sources);
  }

  /** A page is known by what answers. */
  claims(): boolean {
    return false;
  }

  claimsAnswer({ options }: DownloadRequest, { contentType }: ResourceInfo): boolean {
    return looksInside(options) && /^(text\/html|application\/xhtml\+xml)$/.test(bareType(contentType));
  }

  /** @throws ResourceError MEDIA_NOT_FOUND, PAGE_INVALID; what fetching the page or a manifest throws */
  async resolve(request: DownloadRequest, signal: AbortSignal): Promise<Resolved> {
    const { options } = request;
    const document = await this.#documents.fetch(request.url, request, MOST_PAGE_BYTES, signal, options.namedBy);
    const page: HtmlPage = readHtml(document.bytes, document.url, document.contentType);
    const found = readPageMedia(page);
    const [main] = found.media;
    const [feed] = found.feeds;
    if (options.newest !== undefined && feed !== undefined)
      return this.#parts.feed.resolve(throughPage(request, feed, document.url), signal);
    if (options.newest !== undefined && found.media.length > 1)
      return several(found, document.url, request, options.newest);
    if (main) return this.#media(main, found.about, { request, url: document.url, signal });
    if (this.#parts.beyond?.claims(request.url, options)) return this.#parts.beyond.resolve(request, signal);
    throw nothingIn(request.url, feed);
  }

  /** Its files as they are, and what its manifests offer. */
  async #media(main: DescribedMedia, about: MediaAbout, way: Way): Promise<Media> {
    const { request, url: namedBy, signal } = way;
    const formats: MediaFormat[] = [];
    const subtitles: Subtitle[] = main.subtitles.flatMap((each) => subtitleFile(each, request, namedBy) ?? []);
    let inner: MediaAbout = {};
    let live = false;
    let manifests = 0;
    let refusal: unknown;
    for (const [at, file] of main.files.slice(0, MOST_FILES).entries()) {
      const kind = manifestKind(file.url, file.type);
      if (kind === undefined) formats.push(fileFormat(`file-${at + 1}`, file, request, namedBy));
      if (kind === undefined || ++manifests > MOST_MANIFESTS) continue;
      try {
        const opened = await this.#parts.manifests[kind].open(file.url, request, namedBy, signal);
        formats.push(...opened.formats.map((each) => withId(each, manifests === 1 ? "" : `-${manifests}`)));
        subtitles.push(...opened.subtitles);
        live ||= opened.live;
        const { durationSeconds } = opened.details;
        if (durationSeconds !== undefined) inner = { durationSeconds };
      } catch (error) {
        signal.throwIfAborted();
        refusal ??= asDownloadError(error);
      }
    }
    if (formats.length === 0) throw refusal;
    return { kind: "media", details: detailsOf(way, inner, about, main.about), formats, subtitles, live, namedBy };
  }
}

/** What a page is read for. */
interface Way {
  readonly request: DownloadRequest;
  /** Of the page, after redirects. */
  readonly url: string;
  readonly signal: AbortSignal;
}

const withId = (format: MediaFormat, suffix: string): MediaFormat =>
  suffix === "" ? format : { ...format, id: `${format.id}${suffix}` };

/** The page's own words before those of its head, and both before what the manifest says. */
function detailsOf({ url }: Way, ...told: readonly MediaAbout[]): MediaDetails {
  const { type: _type, fileSizeApprox: _size, ...about } = Object.assign({}, ...told) as MediaAbout;
  const host = new URL(url).hostname;
  const id = fileName(url).replace(/\.(html?|php|aspx?)$/i, "") || host;
  return { id, title: id, ...about, extractor: "page", webpageUrl: url };
}

/** As if the person had asked for the feed, but under the page's name. */
function throughPage(request: DownloadRequest, feed: string, page: string): DownloadRequest {
  const headers = headersFor(feed, request);
  return { url: feed, mirrors: [], options: { ...request.options, headers, namedBy: page } };
}

/** Each of the first so many as a request of its own. Of several files of one thing the first is taken. */
function several({ media, about }: PageMedia, namedBy: string, request: DownloadRequest, most: number): Expansion {
  const items: ExpandedItem[] = [];
  const seen = new Set<string>();
  for (const { files, about: own } of media) {
    const [file] = files;
    if (!file || seen.has(file.url) || items.length >= most) continue;
    seen.add(file.url);
    const type = file.type ?? (file.kind === undefined ? undefined : `${file.kind}/*`);
    const told: MediaAbout = {
      ...own,
      title: own.title ?? `${about.title ?? fileName(namedBy)} ${items.length + 1}`,
      ...(type !== undefined && { type }),
      ...(file.sizeApprox !== undefined && { fileSizeApprox: file.sizeApprox }),
      playlist: {
        index: items.length + 1,
        count: Math.min(most, media.length),
        ...(about.title !== undefined && { title: about.title }),
      },
    };
    items.push(listItem(request, file.url, { about: told }));
  }
  return { kind: "expansion", namedBy, items, ...(about.title !== undefined && { title: about.title }) };
}

function nothingIn(url: string, feed: string | undefined): Error {
  const advice = feed === undefined ? "" : `; it has a feed: ${redactUrl(feed)} (--newest N takes the newest of it)`;
  return failure(
    "MEDIA_NOT_FOUND",
    `${redactUrl(url)} names no media that can be read without running its scripts${advice}`,
    {
      metadata: { url: redactUrl(url) },
    },
  );
}
