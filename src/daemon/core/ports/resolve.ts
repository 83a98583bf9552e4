/** What URLs mean, and what pages, feeds and Metalinks say. */
import type { DownloadError } from "../errors.ts";
import type { Resolved } from "../plan.ts";
import type { Expansion, Media, MediaAbout, MediaChoice, MediaFormat } from "../resolved.ts";
import type { Checksum, Digest, DownloadOptions, DownloadRequest, ResourceInfo } from "../session.ts";

/** One kind of URL, and what it means. The first that claims a URL resolves it. */
export interface Resolver {
  readonly name: string;
  /**
   * The URL as sessions keep and show it, where it is itself a secret: that is then kept elsewhere, safe when this returns.
   * @throws DownloadError INVALID_URL
   */
  conceal?(url: string): string;
  /** @param options - of the request; absent where it is only asked whether such URLs can be fetched at all */
  claims(url: string, options?: DownloadOptions): boolean;
  /** @throws DownloadError */
  resolve(request: DownloadRequest, signal: AbortSignal): Promise<Resolved>;
  /** True if an answer of this media type has to be resolved, whatever its URL looked like. */
  claimsAnswer?(request: DownloadRequest, resource: ResourceInfo): boolean;
  /** What a description that the resource's origin named says of it; undefined if it is about something else. */
  describe?(
    url: string,
    request: DownloadRequest,
    resource: ResourceInfo,
    signal: AbortSignal,
  ): Promise<DescribedFile | undefined>;
}

/** A file that a Metalink describes. */
export interface DescribedFile {
  /** A relative path with forward slashes that leads nowhere else; empty if the description gives no usable name. */
  readonly name: string;
  /** http and https only, the best first; may be empty. */
  readonly urls: readonly string[];
  /** Bytes. */
  readonly size?: number;
  /** The strongest of those that can be compared. */
  readonly digest?: Digest;
}

/** An episode, or whatever else a feed brings. */
export interface FeedItem {
  /** What it is known by from one day to the next: its identifier, or else its address without what passes. */
  readonly key: string;
  readonly url: string;
  /** More places with the same bytes. */
  readonly mirrors: readonly string[];
  readonly about: MediaAbout;
  readonly checksum?: Checksum;
}

/** A feed that was read. */
interface Feed {
  readonly title?: string;
  /** The newest first; what brings no file is not among them. */
  readonly items: readonly FeedItem[];
}

/** Reads feeds; implemented by the resolve room. */
export interface FeedReader {
  /**
   * @param wanted - where an item can be had in several ways, the format and quality decide
   * @throws ResourceError FEED_INVALID; the signal's reason
   */
  read(
    document: { readonly bytes: Uint8Array; readonly url: string; readonly contentType?: string },
    wanted: Pick<DownloadOptions, "format" | "quality">,
    signal: AbortSignal,
  ): Promise<Feed>;
}

/** Reads a Metalink. @throws DownloadError METALINK_INVALID */
export type MetalinkReader = (document: string) => readonly DescribedFile[];

/** In which formats media can be had. */
export interface FormatList {
  readonly media: Media;
  /** The best first, by what was asked for. */
  readonly formats: readonly MediaFormat[];
  /** What would be fetched; empty if there is a refusal. */
  readonly choices: readonly MediaChoice[];
  /** Why nothing of it would be fetched. */
  readonly refusal?: DownloadError;
}

/** Says in which formats media can be had; implemented with the resolvers. */
export interface FormatLister {
  /**
   * Looks at what a URL leads to; fetches no format.
   *
   * @returns the formats, or the things of which each has its own
   * @throws DownloadError FORMAT_INVALID; ResourceError MEDIA_NOT_FOUND if it is a file by itself; what resolving throws
   */
  list(request: DownloadRequest, signal: AbortSignal): Promise<FormatList | Expansion>;
}
