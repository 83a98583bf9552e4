/**
 * URLs of shares as sessions keep them: they name a share by its public id, of which nothing of the code can be told, and a
 * file by its place in the catalogue. A caller over TCP gets URLs of its own, so that what it may not reach is told by the URL.
 */

/** What such a URL says. */
export interface ShareUrl {
  readonly publicId: string;
  /** Place in the catalogue; absent: the share as a whole. */
  readonly file?: number;
  /** A caller over TCP wants it. */
  readonly remote: boolean;
}

/** The index has no zeros in front: there is one URL for a file. */
const SHARE_URL = /^snatch:share\/([0-9a-f]{32})(?:\/(0|[1-9]\d{0,5}))?(\?remote)?$/;

/** Writes one. */
export function shareUrl({ publicId, file, remote }: ShareUrl): string {
  return `snatch:share/${publicId}${file === undefined ? "" : `/${file}`}${remote ? "?remote" : ""}`;
}

/** Reads one; undefined if it is none. */
export function readShareUrl(url: string): ShareUrl | undefined {
  const [, publicId, file, remote] = SHARE_URL.exec(url) ?? [];
  if (publicId === undefined) return undefined;
  return { publicId, ...(file !== undefined && { file: Number(file) }), remote: remote !== undefined };
}
