/**
 * DASH (ISO/IEC 23009-1): a URL that leads to a manifest means the media that it describes. Pictures and sound are formats of
 * their own; a Representation that is one file can be fetched as it is.
 */
import { redactUrl } from "../../shared/redact.ts";
import { failure } from "../core/errors.ts";
import type { Candidate, Plan, Resolved } from "../core/plan.ts";
import type { Clock, Logger, Resolver, SourceFactory } from "../core/ports.ts";
import type { Media, MediaFormat, Segment, Subtitle, Track } from "../core/resolved.ts";
import type { DownloadRequest, ResourceInfo } from "../core/session.ts";
import { type DashOffer, dashOffers } from "./dash-formats.ts";
import { type Manifest, type Representation, readManifest, unusable } from "./dash-manifest.ts";
import { fileOf } from "./dash-segments.ts";
import { allSegments, DashFollower } from "./dash-track.ts";
import { type Document, Documents, headersFor } from "./document.ts";
import { LiveTrack } from "./live-track.ts";
import type { ManifestOpener } from "./manifest-opener.ts";
import { mediaTitle } from "./media-title.ts";
import { readSidx } from "./sidx.ts";

const MOST_BYTES = 32 * 1024 * 1024;

/** Of an index: 65,535 entries of 12 bytes. */
const MOST_INDEX = 1024 * 1024;

const MEDIA_TYPE = /^(application|video)\/(dash\+xml|vnd\.mpeg\.dash\.mpd)\s*(;|$)/i;

/** Types that other documents have as well. */
const VAGUE = /^(text\/plain|(text|application)\/xml|(application|binary)\/octet-stream)\s*(;|$)/i;

/** Seconds between two looks at a live manifest that does not say. */
const UPDATE = 2;

/** What the resolver works with. */
export interface DashInit {
  readonly sources: SourceFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For what is itself the file. */
  readonly direct: Pick<Resolver, "resolve">;
}

/** Resolves manifests of DASH. */
export class DashResolver implements Resolver, ManifestOpener {
  readonly name = "dash";
  readonly #init: DashInit;
  readonly #documents: Documents;

  constructor(init: DashInit) {
    this.#init = init;
    this.#documents = new Documents(init.sources);
  }

  claims(url: string): boolean {
    const parsed = URL.parse(url);
    return /^https?:$/.test(parsed?.protocol ?? "") && /\.mpd$/i.test(parsed?.pathname ?? "");
  }

  claimsAnswer({ options, url }: DownloadRequest, { contentType = "", finalUrl, filename }: ResourceInfo): boolean {
    if (options.media === false) return false;
    const type = contentType.trim();
    if (MEDIA_TYPE.test(type)) return true;
    // Of a URL that was claimed it is known by now.
    if ((type !== "" && !VAGUE.test(type)) || this.claims(url)) return false;
    return this.claims(finalUrl) || /\.mpd$/i.test(filename ?? "");
  }

  /** @throws ResourceError PLAYLIST_INVALID; what fetching the manifest throws */
  async resolve(request: DownloadRequest, signal: AbortSignal): Promise<Resolved> {
    if (request.options.media === false) return await this.#itself(request, signal);
    try {
      const { namedBy } = request.options;
      return await this.#media(await this.#fetch(request.url, request, namedBy, signal), request, namedBy);
    } catch (error) {
      if (!(error instanceof NoManifest)) throw error;
      return await this.#itself(request, signal, error);
    }
  }

  /** @throws ResourceError PLAYLIST_INVALID also if it is none; what fetching it throws */
  async open(url: string, request: DownloadRequest, namedBy: string | undefined, signal: AbortSignal): Promise<Media> {
    try {
      return this.#media(await this.#fetch(url, request, namedBy, signal), request, namedBy);
    } catch (error) {
      if (!(error instanceof NoManifest)) throw error;
      throw unusable(`${redactUrl(url)} is something else: it has no <MPD>`);
    }
  }

  /** A page or another document is still to be looked at by others. */
  async #itself(request: DownloadRequest, signal: AbortSignal, found?: NoManifest): Promise<Resolved> {
    const plan = (await this.#init.direct.resolve(request, signal)) as Plan;
    return found?.markup ? plan : { ...plan, final: true };
  }

  async #fetch(
    url: string,
    request: DownloadRequest,
    namedBy: string | undefined,
    signal: AbortSignal,
  ): Promise<Document> {
    const document = await this.#documents.fetch(url, request, MOST_BYTES, signal, namedBy, (beginning) => {
      const text = beginning.toString("utf8").replace(/^\uFEFF?\s*/, "");
      if (!text.startsWith("<")) throw new NoManifest(text.startsWith("{"));
    });
    if (/<(?:[\w.-]+:)?MPD[\s>]/.test(document.bytes.toString("latin1", 0, 65_536))) return document;
    throw new NoManifest(true);
  }

  #media(document: Document, request: DownloadRequest, namedBy: string | undefined): Media {
    const manifest = readManifest(textOf(document), document.url, this.#init.clock.now());
    const reader = new DashReader(this.#init, this.#documents, request, (url, until) =>
      this.#fetch(url, request, namedBy, until),
    );
    const { title, id } = mediaTitle(document.url);
    const { duration } = manifest;
    return {
      kind: "media",
      details: {
        id,
        title,
        extractor: this.name,
        webpageUrl: request.url,
        ...(duration !== undefined && { durationSeconds: duration }),
      },
      ...reader.read(manifest),
      live: manifest.live,
      namedBy: document.url,
    };
  }
}

/** What came is no manifest. */
class NoManifest extends Error {
  readonly markup: boolean;

  constructor(markup: boolean) {
    super("no manifest of DASH");
    this.markup = markup;
  }
}

/** Reads what a manifest leads to. */
class DashReader {
  readonly #init: DashInit;
  readonly #documents: Documents;
  readonly #request: DownloadRequest;
  readonly #fetch: (url: string, signal: AbortSignal) => Promise<Document>;

  constructor(
    init: DashInit,
    documents: Documents,
    request: DownloadRequest,
    fetch: (url: string, signal: AbortSignal) => Promise<Document>,
  ) {
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
      const segments = await allSegments(chain, (of) => this.#index(of, manifest, signal));
      return { ...common, segments, headers: headers(segments) };
    }
    const { clock } = this.#init;
    const logger = this.#init.logger.child({ manifest: redactUrl(manifest.url), format: format.id });
    const follower = new DashFollower(logger);
    const latest = await this.#again(manifest, signal);
    const segments = follower.take(latest, this.#goingOn(offer, latest), clock.now());
    let url = latest.location ?? latest.url;
    const look = async (until: AbortSignal) => {
      const now = await this.#again({ ...latest, location: url }, until);
      url = now.location ?? url;
      const found = follower.take(now, this.#goingOn(offer, now), clock.now());
      return { found, ended: !now.live || isOver(now, clock.now()), period: periodOf(now) };
    };
    const live = new LiveTrack({ clock, logger, period: periodOf(latest), look });
    return { ...common, segments, headers: headers(segments), more: (until: AbortSignal) => live.more(until) };
  }

  async #again({ url, location }: Manifest, signal: AbortSignal): Promise<Manifest> {
    const document = await this.#fetch(location ?? url, signal);
    return readManifest(textOf(document), document.url, this.#init.clock.now());
  }

  /** The same format in a later version of the manifest. */
  #goingOn({ chain, nature }: DashOffer, manifest: Manifest): readonly Representation[] {
    const offers = dashOffers(manifest).filter((each) => each.nature.kind === nature.kind);
    const same = offers.find((each) => each.chain[0].id === chain[0].id && each.nature.language === nature.language);
    if (!same) throw unusable(`the live presentation has no representation ${chain[0].id} any more`);
    if (same.broken !== undefined)
      throw unusable(`period ${same.broken} does not go on with representation ${chain[0].id}`);
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

  /** The file is fetched in one piece then. */
  #withoutIndex(error: unknown, signal: AbortSignal): undefined {
    signal.throwIfAborted();
    this.#init.logger.info({ error: String(error) }, "the index of a file could not be read");
  }
}

/** Seconds until there may be more. */
function periodOf({ updatePeriod }: Manifest): number {
  return updatePeriod !== undefined && updatePeriod > 0 ? updatePeriod : UPDATE;
}

/** The presentation has a length, and that time is over. */
function isOver({ duration, availableFrom }: Manifest, now: number): boolean {
  return duration !== undefined && availableFrom !== undefined && now > availableFrom + duration * 1000 + 10_000;
}

function textOf({ bytes }: Document): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw unusable("it is not UTF-8", error);
  }
}
