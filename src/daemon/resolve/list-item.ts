/** What a document names, as a request of its own: what was given for the document's origin stays with that origin. */
import type { ExpandedItem, MediaAbout } from "../core/resolved.ts";
import type { DownloadOptions, DownloadRequest } from "../core/session.ts";
import { headersFor } from "./document.ts";

/** A request for one of several things. */
export function listItem(
  request: DownloadRequest,
  url: string,
  { about, mirrors, options }: { about?: MediaAbout; mirrors?: readonly string[]; options?: DownloadOptions } = {},
): ExpandedItem {
  const headers = headersFor(url, request);
  return {
    url,
    ...(mirrors !== undefined && mirrors.length > 0 && { mirrors }),
    options: {
      ...options,
      ...((request.options.headers || headers.length > 0) && { headers }),
      ...(about && { about }),
    },
    ...(about?.title !== undefined && { title: about.title }),
  };
}
