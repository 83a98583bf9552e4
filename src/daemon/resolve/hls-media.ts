/** What playlists of HLS lead to: formats and words, whose tracks are read when they are opened. */
import { redactUrl } from "../../shared/redact.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { Media, MediaFormat, Subtitle, Track, TrackContainer, TrackKind } from "../core/resolved.ts";
import type { DownloadRequest } from "../core/session.ts";
import { containerByBytes, containerByName } from "./containers.ts";
import { type Document, type Documents, headersFor } from "./document.ts";
import { type Known, type Offer, offersOf, wordsOf } from "./hls-formats.ts";
import { invalid } from "./hls-lines.ts";
import { readPlaylist } from "./hls-playlist.ts";
import { isLive, lockOf, PlaylistFollower } from "./hls-track.ts";
import type { MasterPlaylist, MediaPlaylist } from "./hls-types.ts";
import { LiveTrack } from "./live-track.ts";

/** Variants that are asked how long the media is, until one answers. */
const MOST_ASKED = 3;

/** What the reader works with. */
interface HlsReaderInit {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Fetches a playlist. */
export type FetchPlaylist = (url: string, namedBy: string | undefined, signal: AbortSignal) => Promise<Document>;

/** What a playlist offers, and what was learnt on the way. */
type Found = Pick<Media, "formats" | "subtitles" | "live"> & { readonly known: Known };

/** Where a media playlist is, and who led there. */
interface Place {
  readonly url: string;
  readonly namedBy?: string;
  readonly variables?: ReadonlyMap<string, string>;
}

/** Reads what a playlist leads to. */
export class HlsReader {
  readonly #init: HlsReaderInit;
  readonly #documents: Documents;
  readonly #request: DownloadRequest;
  readonly #fetch: FetchPlaylist;

  constructor(init: HlsReaderInit, documents: Documents, request: DownloadRequest, fetch: FetchPlaylist) {
    this.#init = init;
    this.#documents = documents;
    this.#request = request;
    this.#fetch = fetch;
  }

  /** A media playlist that no other one leads to: one format. @param namedBy - what named it, if no person did */
  async single(playlist: MediaPlaylist, namedBy: string | undefined, signal: AbortSignal): Promise<Found> {
    const live = isLive(playlist);
    if (!live && playlist.segments.length === 0) throw invalid("it names no segment");
    const known = await this.#learn(playlist, signal);
    const { container, locked } = known;
    const sound = container === "aac" || container === "mp3" || container === "ac3";
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
    const container = (await this.#container(playlist, signal)) ?? (kind === "subtitle" ? "webvtt" : "other");
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
    if (named !== undefined || segment.keys.length > 0) return named ?? "other";
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

/** A playlist's text (RFC 8216 §4: UTF-8). */
export function textOf({ bytes }: Document): string {
  return new TextDecoder().decode(bytes);
}
