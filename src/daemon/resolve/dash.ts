/**
 * DASH (ISO/IEC 23009-1): a URL that leads to a manifest means the media that it describes. Pictures and sound are formats of
 * their own; a Representation that is one file can be fetched as it is.
 */
import { redactUrl } from "../../shared/redact.ts";
import type { Plan, Resolved } from "../core/plan.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { SourceFactory } from "../core/ports/sources.ts";
import type { Media } from "../core/resolved.ts";
import type { DownloadRequest, ResourceInfo } from "../core/session.ts";
import { readManifest, unusable } from "./dash-manifest.ts";
import { DashReader, textOf } from "./dash-media.ts";
import { type Document, Documents } from "./document.ts";
import type { ManifestOpener } from "./manifest-opener.ts";
import { mediaTitle } from "./media-title.ts";

const MOST_BYTES = 32 * 1024 * 1024;

const MEDIA_TYPE = /^(application|video)\/(dash\+xml|vnd\.mpeg\.dash\.mpd)\s*(;|$)/i;

/** Types that other documents have as well. */
const VAGUE = /^(text\/plain|(text|application)\/xml|(application|binary)\/octet-stream)\s*(;|$)/i;

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
    // Of a URL that was claimed it is known by now.
    if (options.media === false || this.claims(url)) return false;
    const type = contentType.trim();
    if (MEDIA_TYPE.test(type)) return true;
    if (type !== "" && !VAGUE.test(type)) return false;
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
      return await this.#media(await this.#fetch(url, request, namedBy, signal), request, namedBy);
    } catch (error) {
      if (!(error instanceof NoManifest)) throw error;
      throw unusable(`${redactUrl(url)} is something else: it has no <MPD>`);
    }
  }

  /** A page or another document is still to be looked at by others. */
  async #itself(request: DownloadRequest, signal: AbortSignal, found?: NoManifest): Promise<Resolved> {
    const plan = (await this.#init.direct.resolve(request, signal)) as Plan;
    return found?.markup && this.claims(request.url) ? plan : { ...plan, final: true };
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

  async #media(document: Document, request: DownloadRequest, namedBy: string | undefined): Promise<Media> {
    const manifest = await readManifest(textOf(document), document.url, this.#init.clock.now());
    const reader = new DashReader(this.#init, this.#documents, request, (url, by, until) =>
      this.#fetch(url, request, by ?? namedBy, until),
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
