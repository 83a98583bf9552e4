/**
 * HTTP Live Streaming (RFC 8216): a URL that leads to a playlist means the media that it describes. The name, the media type
 * or the first bytes say that it is one; an .m3u list of ordinary files is not, and goes to who reads lists.
 */
import { redactUrl } from "../../shared/redact.ts";
import type { Plan, Resolved } from "../core/plan.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { SourceFactory } from "../core/ports/sources.ts";
import type { Media } from "../core/resolved.ts";
import type { DownloadRequest, ResourceInfo } from "../core/session.ts";
import { type Document, Documents } from "./document.ts";
import { invalid } from "./hls-lines.ts";
import { HlsReader, textOf } from "./hls-media.ts";
import { readPlaylist } from "./hls-playlist.ts";
import type { ManifestOpener } from "./manifest-opener.ts";
import { mediaTitle } from "./media-title.ts";

/** A playlist of the most segments, with long names. */
const MOST_BYTES = 32 * 1024 * 1024;

/** RFC 8216 §4, and what else it is served as. */
const MEDIA_TYPE = /^(application|audio)\/(vnd\.apple\.mpegurl|(x-)?mpegurl)\s*(;|$)/i;

/** Types that say nothing. */
const VAGUE = /^(text\/plain|application\/octet-stream|binary\/octet-stream)\s*(;|$)/i;

/** What the resolver works with. */
export interface HlsInit {
  readonly sources: SourceFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For what is itself the file. */
  readonly direct: Pick<Resolver, "resolve">;
  /** For .m3u lists of ordinary files; without it they are files themselves. */
  readonly list?: Pick<Resolver, "resolve">;
}

/** Resolves playlists of HLS. */
export class HlsResolver implements Resolver, ManifestOpener {
  readonly name = "hls";
  readonly #init: HlsInit;
  readonly #documents: Documents;

  constructor(init: HlsInit) {
    this.#init = init;
    this.#documents = new Documents(init.sources);
  }

  claims(url: string): boolean {
    const parsed = URL.parse(url);
    if (parsed?.protocol !== "http:" && parsed?.protocol !== "https:") return false;
    return endsAsPlaylist(parsed.pathname) || [...parsed.searchParams.values()].some(endsAsPlaylist);
  }

  claimsAnswer({ options, url }: DownloadRequest, { contentType = "", finalUrl, filename }: ResourceInfo): boolean {
    // Of a URL that was claimed it is known by now.
    if (options.media === false || this.claims(url)) return false;
    const type = contentType.trim();
    if (MEDIA_TYPE.test(type)) return true;
    if (type !== "" && !VAGUE.test(type)) return false;
    // Where media is what is wanted, the first bytes are looked at whatever the name says.
    return options.media === true || this.claims(finalUrl) || endsAsPlaylist(filename ?? "");
  }

  /** @throws ResourceError PLAYLIST_INVALID; what fetching the playlist throws */
  async resolve(request: DownloadRequest, signal: AbortSignal): Promise<Resolved> {
    if (request.options.media === false) return await this.#itself(request, signal);
    const document = await this.#fetch(request.url, request, request.options.namedBy, signal, true);
    if (document instanceof NoPlaylist) {
      const { list } = this.#init;
      return document.list && list
        ? await list.resolve(request, signal)
        : await this.#itself(request, signal, document);
    }
    return await this.#media(document, request, request.options.namedBy, signal);
  }

  /** @throws ResourceError PLAYLIST_INVALID also if it is none; what fetching it throws */
  async open(url: string, request: DownloadRequest, namedBy: string | undefined, signal: AbortSignal): Promise<Media> {
    return await this.#media(await this.#playlistAt(url, request, namedBy, signal), request, namedBy, signal);
  }

  /** A page or another document is still to be looked at by others. */
  async #itself(request: DownloadRequest, signal: AbortSignal, found?: NoPlaylist): Promise<Resolved> {
    const plan = (await this.#init.direct.resolve(request, signal)) as Plan;
    return found?.markup && this.claims(request.url) ? plan : { ...plan, final: true };
  }

  async #playlistAt(
    url: string,
    request: DownloadRequest,
    namedBy: string | undefined,
    signal: AbortSignal,
  ): Promise<Document> {
    const document = await this.#fetch(url, request, namedBy, signal, false);
    if (!(document instanceof NoPlaylist)) return document;
    throw invalid(`${redactUrl(url)} is something else: it does not begin with #EXTM3U`);
  }

  /** @param picky - a list of ordinary files is none either */
  async #fetch(
    url: string,
    request: DownloadRequest,
    namedBy: string | undefined,
    signal: AbortSignal,
    picky: boolean,
  ): Promise<Document | NoPlaylist> {
    try {
      const document = await this.#documents.fetch(url, request, MOST_BYTES, signal, namedBy, (beginning) => {
        const text = beginning.toString("utf8").replace(/^\uFEFF?\s*/, "");
        if (!text.startsWith("#EXTM3U")) throw new NoPlaylist(/^[<{]/.test(text), false);
      });
      const list = picky && !/^#EXT-X-/m.test(document.bytes.toString("latin1"));
      return list ? new NoPlaylist(false, true) : document;
    } catch (error) {
      if (error instanceof NoPlaylist) return error;
      throw error;
    }
  }

  async #media(
    document: Document,
    request: DownloadRequest,
    namedBy: string | undefined,
    signal: AbortSignal,
  ): Promise<Media> {
    const { url } = document;
    const playlist = await readPlaylist(textOf(document), url);
    const reader = new HlsReader(this.#init, this.#documents, request, (at, by, until) =>
      this.#playlistAt(at, request, by, until),
    );
    const found =
      playlist.kind === "master"
        ? await reader.master(playlist, signal)
        : await reader.single(playlist, namedBy, signal);
    const { known, ...rest } = found;
    const { title, id } = mediaTitle(url);
    return {
      kind: "media",
      details: {
        id,
        title,
        extractor: this.name,
        webpageUrl: request.url,
        ...(known.durationSeconds !== undefined && { durationSeconds: known.durationSeconds }),
      },
      ...rest,
      namedBy: url,
    };
  }
}

/** What came is no playlist of HLS. */
class NoPlaylist extends Error {
  readonly markup: boolean;
  readonly list: boolean;

  constructor(markup: boolean, list: boolean) {
    super("no playlist of HLS");
    this.markup = markup;
    this.list = list;
  }
}

const endsAsPlaylist = (text: string): boolean => /\.m3u8$/i.test(URL.parse(text, "http://h/")?.pathname ?? text);
