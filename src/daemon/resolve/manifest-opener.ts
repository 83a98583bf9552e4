/** How pages, feeds and lists hand on what they name: whoever reads manifests (HLS, DASH) opens them. */
import type { Media } from "../core/resolved.ts";
import type { DownloadRequest } from "../core/session.ts";

/** Opens manifests of one kind. */
export interface ManifestOpener {
  /**
   * What a manifest offers.
   *
   * @param namedBy - the document that named it, if no person did
   * @throws DownloadError if it cannot be fetched or used
   */
  open(url: string, request: DownloadRequest, namedBy: string | undefined, signal: AbortSignal): Promise<Media>;
}

/** The openers, by kind. */
export interface ManifestOpeners {
  readonly hls: ManifestOpener;
  readonly dash: ManifestOpener;
}
