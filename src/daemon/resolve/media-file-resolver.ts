/**
 * A URL that is a media file itself: named by a list that told what it is, or answered as audio or video where a format,
 * a quality or a name by template was asked for. One format, so that what is asked of media can be asked of it.
 */
import type { Resolver } from "../core/ports/resolve.ts";
import type { SourceFactory } from "../core/ports/sources.ts";
import type { Media, MediaAbout, MediaDetails } from "../core/resolved.ts";
import type { DownloadOptions, DownloadRequest, ResourceInfo } from "../core/session.ts";
import { fileFormat, isMediaType, looksInside, manifestKind } from "./media-file.ts";
import { fileName } from "./sidecar.ts";

/** Reads media files by what is said of them. */
export class MediaFileResolver implements Resolver {
  readonly name = "file";
  readonly #sources: SourceFactory;

  constructor(sources: SourceFactory) {
    this.#sources = sources;
  }

  /** What a list told of it need not be asked of its origin. */
  claims(url: string, options?: DownloadOptions): boolean {
    const { about, media, checksumFile } = options ?? {};
    if (about === undefined || media === false || checksumFile !== undefined) return false;
    return /^https?:/.test(url) && isMediaType(about.type) && manifestKind(url, about.type) === undefined;
  }

  claimsAnswer({ options }: DownloadRequest, { contentType }: ResourceInfo): boolean {
    return looksInside(options) && isMediaType(contentType);
  }

  /** @throws what asking the origin throws */
  async resolve(request: DownloadRequest, signal: AbortSignal): Promise<Media> {
    const { url, options } = request;
    const { about = {}, namedBy } = options;
    const told = about.type === undefined ? await this.#ask(request, signal) : undefined;
    const type = about.type ?? told?.contentType;
    const size = told?.size;
    const sizeApprox = about.fileSizeApprox;
    const file = {
      url,
      ...(type !== undefined && { type }),
      ...(size !== undefined && { size }),
      ...(sizeApprox !== undefined && { sizeApprox }),
    };
    const format = fileFormat("file", file, request, namedBy);
    const mirrors = request.mirrors.map((mirror) => ({
      url: mirror,
      headers: [],
      ...(namedBy !== undefined && { namedBy }),
    }));
    const [first] = format.file ?? [{ url, headers: [] }];
    return {
      kind: "media",
      details: detailsOf(url, about),
      formats: [{ ...format, file: [first, ...mirrors] }],
      subtitles: [],
      live: false,
      ...(namedBy !== undefined && { namedBy }),
    };
  }

  /** Its type and size, from the head of an answer. */
  async #ask({ url, options }: DownloadRequest, signal: AbortSignal): Promise<ResourceInfo> {
    const { headers, timeout, namedBy, remote } = options;
    const source = this.#sources.http(url, {
      ...(headers && { headers }),
      ...(timeout !== undefined && { timeoutMs: timeout * 1000 }),
      ...(namedBy !== undefined && { namedBy }),
      ...(remote && { remote }),
    });
    const stream = await source.open({ start: 0, end: 1, signal });
    stream.cancel();
    return stream.resource;
  }
}

/** What a list told, and for the rest what the URL says. */
function detailsOf(url: string, { type: _type, fileSizeApprox: _size, ...about }: MediaAbout): MediaDetails {
  const name = fileName(url).replace(/\.[a-z0-9]{1,5}$/i, "") || new URL(url).hostname;
  return { id: name, title: name, extractor: "file", webpageUrl: url, ...about };
}
