/**
 * HTTP Live Streaming (RFC 8216): a URL that leads to a playlist means the media that it describes. The name, the media type
 * or the first bytes say that it is one; an .m3u list of ordinary files is not, and goes to who reads lists.
 */
import { redactUrl } from "../../shared/redact.ts";
import type { Plan, Resolved } from "../core/plan.ts";
import type { Clock, Logger, Resolver, SourceFactory } from "../core/ports.ts";
import type { Media, MediaFormat, Subtitle, Track, TrackContainer, TrackKind } from "../core/resolved.ts";
import type { DownloadRequest, ResourceInfo } from "../core/session.ts";
import { containerByBytes, containerByName } from "./containers.ts";
import { type Document, Documents, headersFor } from "./document.ts";
import { type Known, type Offer, offersOf, wordsOf } from "./hls-formats.ts";
import { invalid } from "./hls-lines.ts";
import { type MasterPlaylist, type MediaPlaylist, readPlaylist } from "./hls-playlist.ts";
import { isLive, lockOf, PlaylistFollower } from "./hls-track.ts";
import { LiveTrack } from "./live-track.ts";
import type { ManifestOpener } from "./manifest-opener.ts";
import { mediaTitle } from "./media-title.ts";

/** A playlist of the most segments, with long names. */
const MOST_BYTES = 32 * 1024 * 1024;

/** RFC 8216 §4, and what else it is served as. */
const MEDIA_TYPE = /^(application|audio)\/(vnd\.apple\.mpegurl|(x-)?mpegurl)\s*(;|$)/i;

/** Types that say nothing. */
const VAGUE = /^(text\/plain|application\/octet-stream|binary\/octet-stream)\s*(;|$)/i;

/** Variants that are asked how long the media is, until one answers. */
const MOST_ASKED = 3;

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
    if (options.media === false) return false;
    const type = contentType.trim();
    if (MEDIA_TYPE.test(type)) return true;
    // Of a URL that was claimed it is known by now.
    if ((type !== "" && !VAGUE.test(type)) || this.claims(url)) return false;
    return this.claims(finalUrl) || endsAsPlaylist(filename ?? "");
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
    return await this.#media(document, request, signal);
  }

  /** @throws ResourceError PLAYLIST_INVALID also if it is none; what fetching it throws */
  async open(url: string, request: DownloadRequest, namedBy: string | undefined, signal: AbortSignal): Promise<Media> {
    return await this.#media(await this.#playlistAt(url, request, namedBy, signal), request, signal);
  }

  /** A page or another document is still to be looked at by others. */
  async #itself(request: DownloadRequest, signal: AbortSignal, found?: NoPlaylist): Promise<Resolved> {
    const plan = (await this.#init.direct.resolve(request, signal)) as Plan;
    return found?.markup ? plan : { ...plan, final: true };
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

  async #media(document: Document, request: DownloadRequest, signal: AbortSignal): Promise<Media> {
    const { url } = document;
    const playlist = await readPlaylist(textOf(document), url);
    const reader = new MediaReader(this.#init, this.#documents, request, (at, by, until) =>
      this.#playlistAt(at, request, by, until),
    );
    const found =
      playlist.kind === "master" ? await reader.master(playlist, signal) : await reader.single(playlist, signal);
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

type Fetch = (url: string, namedBy: string | undefined, signal: AbortSignal) => Promise<Document>;

type Found = Pick<Media, "formats" | "subtitles" | "live"> & { readonly known: Known };

/** Where a media playlist is, and who led there. */
interface Place {
  readonly url: string;
  readonly namedBy?: string;
  readonly variables?: ReadonlyMap<string, string>;
}

/** Reads what a playlist leads to. */
class MediaReader {
  readonly #init: HlsInit;
  readonly #documents: Documents;
  readonly #request: DownloadRequest;
  readonly #fetch: Fetch;

  constructor(init: HlsInit, documents: Documents, request: DownloadRequest, fetch: Fetch) {
    this.#init = init;
    this.#documents = documents;
    this.#request = request;
    this.#fetch = fetch;
  }

  /** A media playlist that was asked for itself: one format. */
  async single(playlist: MediaPlaylist, signal: AbortSignal): Promise<Found> {
    const live = isLive(playlist);
    if (!live && playlist.segments.length === 0) throw invalid("it names no segment");
    const known = await this.#learn(playlist, signal);
    const { container, locked } = known;
    const sound = container === "aac" || container === "mp3" || container === "ac3";
    const { namedBy } = this.#request.options;
    const place = { url: playlist.url, ...(namedBy !== undefined && { namedBy }) };
    const format: MediaFormat = {
      id: "hls",
      ext: sound ? container : "mp4",
      protocol: "hls",
      ...(sound && { vcodec: "none" }),
      ...(container && { container }),
      ...(locked !== undefined && { locked }),
      track: (until) => this.#track({ kind: sound ? "audio" : "both" }, place, until, live ? undefined : playlist),
    };
    return { formats: [format], subtitles: [], live, known };
  }

  async master(master: MasterPlaylist, signal: AbortSignal): Promise<Found> {
    const locked = lockOf(master.sessionKeys);
    const asked = await this.#ask(master, signal);
    const known = { ...(asked && (await this.#learn(asked, signal))), ...(locked !== undefined && { locked }) };
    const place = (url: string): Place => ({ url, namedBy: master.url, variables: master.variables });
    const formats = offersOf(master, known).map(
      ({ format, kind, url }: Offer): MediaFormat => ({
        ...format,
        track: (until) => this.#track({ kind, language: format.language }, place(url), until),
      }),
    );
    const subtitles = wordsOf(master).map(
      ({ language, name, url }): Subtitle => ({
        language,
        ...(name !== undefined && { name }),
        ext: "vtt",
        track: (until) => this.#words(language, place(url), until),
      }),
    );
    if (formats.length === 0) throw invalid("it names no variant");
    return { formats, subtitles, live: asked !== undefined && isLive(asked), known };
  }

  /** One of the variants tells how long it is, whether it goes on, and what its segments are. */
  async #ask(master: MasterPlaylist, signal: AbortSignal): Promise<MediaPlaylist | undefined> {
    const urls = [...master.variants, ...master.renditions].flatMap(({ url }) => url ?? []);
    let thrown: unknown;
    for (const url of urls.slice(0, MOST_ASKED)) {
      try {
        return await this.#read({ url, namedBy: master.url, variables: master.variables }, signal);
      } catch (error) {
        signal.throwIfAborted();
        thrown ??= error;
      }
    }
    if (thrown !== undefined) throw thrown;
    return undefined;
  }

  async #learn(playlist: MediaPlaylist, signal: AbortSignal): Promise<Known> {
    const { segments } = playlist;
    const locked = segments.map(({ keys }) => lockOf(keys)).find((each) => each !== undefined);
    const container = locked === undefined ? await this.#container(playlist, signal) : undefined;
    return {
      ...(container && { container }),
      ...(locked !== undefined && { locked }),
      ...(!isLive(playlist) && { durationSeconds: segments.reduce((sum, { duration }) => sum + duration, 0) }),
    };
  }

  async #read({ url, namedBy, variables }: Place, signal: AbortSignal): Promise<MediaPlaylist> {
    const document = await this.#fetch(url, namedBy, signal);
    const playlist = await readPlaylist(textOf(document), document.url, variables);
    if (playlist.kind === "media") return playlist;
    throw invalid(`it leads to another master playlist, ${redactUrl(document.url)}, where segments should be`);
  }

  async #track(
    { kind, language }: { readonly kind: TrackKind; readonly language?: string | undefined },
    place: Place,
    signal: AbortSignal,
    read?: MediaPlaylist,
  ): Promise<Track> {
    const { clock } = this.#init;
    const logger = this.#init.logger.child({ playlist: redactUrl(place.url) });
    const playlist = read ?? (await this.#read(place, signal));
    const follower = new PlaylistFollower(logger);
    const segments = follower.take(playlist);
    const live = isLive(playlist);
    if (!live && segments.length === 0) throw invalid("it names no segment");
    const container = (await this.#container(playlist, signal)) ?? (kind === "subtitle" ? "webvtt" : "ts");
    const look = async (until: AbortSignal) => {
      const now = await this.#read(place, until);
      return { found: follower.take(now), ended: !isLive(now), period: now.targetDuration };
    };
    const following = live ? new LiveTrack({ clock, logger, period: playlist.targetDuration, look }) : undefined;
    return {
      kind,
      container,
      ...(language !== undefined && { language }),
      segments,
      namedBy: playlist.url,
      headers: headersFor(segments[0]?.url ?? playlist.url, this.#request),
      ...(following && { more: (until: AbortSignal) => following.more(until) }),
    };
  }

  /** Words come in segments, or as one file. */
  async #words(language: string, place: Place, signal: AbortSignal): Promise<Track> {
    if (containerByName(place.url) !== "webvtt")
      return await this.#track({ kind: "subtitle", language }, place, signal);
    return {
      kind: "subtitle",
      container: "webvtt",
      language,
      segments: [{ url: place.url }],
      ...(place.namedBy !== undefined && { namedBy: place.namedBy }),
      headers: headersFor(place.url, this.#request),
    };
  }

  /** By what it says, by names, and by the first bytes where those say nothing. */
  async #container({ segments, url }: MediaPlaylist, signal: AbortSignal): Promise<TrackContainer | undefined> {
    const segment = segments.findLast(({ gap }) => !gap);
    if (!segment) return undefined;
    if (segment.map) return "fmp4";
    const named = containerByName(segment.url);
    if (named !== undefined || segment.keys.length > 0) return named ?? "ts";
    return await this.#sniff(segment.url, url, signal);
  }

  /** What a resource begins with says what its parts are. */
  async #sniff(url: string, namedBy: string, signal: AbortSignal): Promise<TrackContainer> {
    const enough = new Error("enough was seen");
    let container: TrackContainer = "other";
    try {
      await this.#documents.fetch(url, this.#request, Number.MAX_SAFE_INTEGER, signal, namedBy, (beginning) => {
        container = containerByBytes(beginning);
        throw enough;
      });
    } catch (error) {
      if (error !== enough) throw error;
    }
    return container;
  }
}

function textOf({ bytes }: Document): string {
  return new TextDecoder().decode(bytes);
}

const endsAsPlaylist = (text: string): boolean => /\.m3u8$/i.test(URL.parse(text, "http://h/")?.pathname ?? text);
