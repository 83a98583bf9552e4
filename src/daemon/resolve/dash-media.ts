/** What manifests of DASH lead to: formats and words, whose tracks are put together when they are opened. */
import { redactUrl } from "../../shared/redact.ts";
import { asDownloadError, failure } from "../core/errors.ts";
import type { Candidate } from "../core/plan.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { Media, MediaFormat, Segment, Subtitle, Track } from "../core/resolved.ts";
import type { DownloadRequest } from "../core/session.ts";
import { type DashOffer, dashOffers, sameOffer } from "./dash-formats.ts";
import { type Manifest, type Representation, readManifest, unusable } from "./dash-manifest.ts";
import { fileOf } from "./dash-segments.ts";
import { allSegments, DashFollower } from "./dash-track.ts";
import { type Document, type Documents, headersFor } from "./document.ts";
import { LiveTrack } from "./live-track.ts";
import { readSidx } from "./sidx.ts";

/** Of an index: 65,535 entries of 12 bytes. */
const MOST_INDEX = 1024 * 1024;

/** Seconds between two looks at a live manifest that does not say. */
const UPDATE = 2;

/** What the reader works with. */
interface DashReaderInit {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Fetches a manifest again. @param by - the manifest that named the URL; absent: who named the first one */
type FetchManifest = (url: string, by: string | undefined, signal: AbortSignal) => Promise<Document>;

/** Where a live manifest is, and the one that says so. */
interface Place {
  readonly url: string;
  readonly by?: string;
}

/** Reads what a manifest leads to. */
export class DashReader {
  readonly #init: DashReaderInit;
  readonly #documents: Documents;
  readonly #request: DownloadRequest;
  readonly #fetch: FetchManifest;

  constructor(init: DashReaderInit, documents: Documents, request: DownloadRequest, fetch: FetchManifest) {
    this.#init = init;
    this.#documents = documents;
    this.#request = request;
    this.#fetch = fetch;
  }

  read(manifest: Manifest): Pick<Media, "formats" | "subtitles"> {
    const offers = dashOffers(manifest);
    const whole = offers.filter(({ broken }) => broken === undefined);
    // Where nothing goes on to the end, the first error that is met says so.
    const usable = whole.some(({ nature }) => nature.kind !== "subtitle") ? whole : offers;
    const formats = usable.filter(({ nature }) => nature.kind !== "subtitle");
    if (formats.length === 0) throw unusable("it names neither pictures nor sound");
    return {
      formats: formats.map((offer) => this.#format(offer, manifest)),
      subtitles: usable.filter(({ nature }) => nature.kind === "subtitle").map((offer) => this.#words(offer, manifest)),
    };
  }

  #format(offer: DashOffer, manifest: Manifest): MediaFormat {
    const { format, chain } = offer;
    const single = chain.length === 1 && !manifest.live && offer.broken === undefined;
    const file = single && fileOf(chain[0]) ? this.#places(chain[0], manifest) : undefined;
    return { ...format, ...(file && { file }), track: (signal) => this.#track(offer, manifest, signal) };
  }

  /** The same bytes are at all of its base URLs. */
  #places({ baseUrls }: Representation, manifest: Manifest): readonly [Candidate, ...Candidate[]] {
    const place = (url: string): Candidate => ({
      url,
      headers: headersFor(url, this.#request),
      namedBy: manifest.url,
    });
    const [first, ...others] = baseUrls;
    return [place(first), ...others.map(place)];
  }

  #words(offer: DashOffer, manifest: Manifest): Subtitle {
    const { nature, format } = offer;
    const { scodec } = nature.codecs;
    const ttml = nature.container === "ttml" || scodec?.startsWith("stpp");
    return {
      language: nature.language ?? "und",
      ...(!format.note?.startsWith("DASH ") && { name: format.note }),
      ext: ttml ? "ttml" : "vtt",
      track: (signal) => this.#track(offer, manifest, signal),
    };
  }

  async #track(offer: DashOffer, manifest: Manifest, signal: AbortSignal): Promise<Track> {
    const { nature, chain, broken, format } = offer;
    const { kind, container, language } = nature;
    if (broken !== undefined)
      throw unusable(`period ${broken} has nothing that goes on with format ${format.id} of the periods before it`);
    if (format.locked !== undefined)
      throw failure("MEDIA_LOCKED", `format ${format.id} is locked: ${format.locked}`, {
        metadata: { format: format.id },
      });
    const common = { kind, container, ...(language !== undefined && { language }), namedBy: manifest.url };
    const headers = (segments: readonly Segment[]) => headersFor(segments[0]?.url ?? manifest.url, this.#request);
    if (!manifest.live) {
      const segments = await allSegments(chain, {
        index: (of) => this.#index(of, manifest, signal),
        isThere: (url) => this.#isThere(url, manifest, signal),
      });
      return { ...common, segments, headers: headers(segments) };
    }
    const { clock } = this.#init;
    const logger = this.#init.logger.child({ manifest: redactUrl(manifest.url), format: format.id });
    const follower = new DashFollower(logger);
    const first = placeAfter(manifest, { url: manifest.url });
    const latest = await this.#again(first, signal);
    const segments = follower.take(latest, this.#goingOn(offer, latest), clock.now());
    let place = placeAfter(latest, { ...first, url: latest.url });
    const look = async (until: AbortSignal) => {
      const now = await this.#again(place, until);
      place = placeAfter(now, place);
      const found = follower.take(now, this.#goingOn(offer, now), clock.now());
      return { found, ended: !now.live || isOver(now, clock.now()), period: periodOf(now) };
    };
    const live = new LiveTrack({ clock, logger, period: periodOf(latest), look });
    return { ...common, segments, headers: headers(segments), more: (until: AbortSignal) => live.more(until) };
  }

  async #again({ url, by }: Place, signal: AbortSignal): Promise<Manifest> {
    const document = await this.#fetch(url, by, signal);
    return await readManifest(textOf(document), document.url, this.#init.clock.now());
  }

  /** The same format in a later version of the manifest. */
  #goingOn(offer: DashOffer, manifest: Manifest): readonly Representation[] {
    const { id } = offer.format;
    const same = sameOffer(offer, dashOffers(manifest));
    if (!same) throw unusable(`the live presentation has nothing that goes on with format ${id} any more`);
    if (same.broken !== undefined) throw unusable(`period ${same.broken} has nothing that goes on with format ${id}`);
    return same.chain;
  }

  /** The pieces of a file by its index; undefined if it has none that can be read. */
  async #index(of: Representation, manifest: Manifest, signal: AbortSignal): Promise<readonly Segment[] | undefined> {
    const file = fileOf(of);
    if (!file?.index || file.index.end - file.index.start > MOST_INDEX) return undefined;
    const { start, end } = file.index;
    const bytes = await this.#documents
      .range(file.url, this.#request, { start, end }, signal, manifest.url)
      .catch((error: unknown) => this.#withoutIndex(error, signal));
    const pieces = bytes && readSidx(bytes, start);
    if (!pieces?.[0] || pieces[0].start < end) return undefined;
    const head: Segment = { url: file.url, range: { start: 0, end: pieces[0].start } };
    return [
      head,
      ...pieces.map(({ start: from, end: to, durationSeconds }) => ({
        url: file.url,
        range: { start: from, end: to },
        durationSeconds,
      })),
    ];
  }

  /** Only an answer that says so counts as a no. */
  async #isThere(url: string, manifest: Manifest, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#documents.range(url, this.#request, { start: 0, end: 1 }, signal, manifest.url);
    } catch (error) {
      signal.throwIfAborted();
      const { code } = asDownloadError(error);
      if (code !== "HTTP_NOT_FOUND" && code !== "HTTP_GONE") return true;
      this.#init.logger.info(
        { segment: redactUrl(url) },
        "the manifest's length was rounded up: the last segment is none",
      );
      return false;
    }
    return true;
  }

  /** The file is fetched in one piece then. */
  #withoutIndex(error: unknown, signal: AbortSignal): undefined {
    signal.throwIfAborted();
    this.#init.logger.info({ error: String(error) }, "the index of a file could not be read");
  }
}

/** Where to look next: where the manifest says, or else where it was. */
function placeAfter({ url, location }: Manifest, former: Place): Place {
  return location === undefined ? former : { url: location, by: url };
}

/** Seconds until there may be more. */
function periodOf({ updatePeriod }: Manifest): number {
  return updatePeriod !== undefined && updatePeriod > 0 ? updatePeriod : UPDATE;
}

/** The presentation has a length, and that time is over. */
function isOver({ duration, availableFrom }: Manifest, now: number): boolean {
  return duration !== undefined && availableFrom !== undefined && now > availableFrom + duration * 1000 + 10_000;
}

/** A manifest's text. @throws ResourceError PLAYLIST_INVALID */
export function textOf({ bytes }: Document): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw unusable("it is not UTF-8", error);
  }
}
