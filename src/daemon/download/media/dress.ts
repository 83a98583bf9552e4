/** What a file tells of itself: tags, chapters and cover, from what the page told. */
import { redactUrl } from "../../../shared/redact.ts";
import { asDownloadError } from "../../core/errors.ts";
import type { MediaDress } from "../../core/media-tool.ts";
import type { Media } from "../../core/resolved.ts";
import type { Run } from "../run.ts";

/** The longest tag that is written, in characters: descriptions may be whole articles. */
const LONGEST_TAG = 10_000;

/** Pictures that can stand in a file. */
const EMBEDDED = new Set(["image/jpeg", "image/png", "image/webp"]);

/** @returns nothing if no tags are wanted */
export async function dressOf(run: Run, media: Media): Promise<MediaDress> {
  if (run.session.options.tags === false) return {};
  const { details } = media;
  const { publishedAt, chapters } = details;
  const tags = {
    title: details.title,
    artist: details.artist ?? details.uploader ?? details.channel,
    album: details.album ?? details.series,
    genre: details.genre,
    date: dayOf(publishedAt),
    track: details.episode === undefined ? undefined : String(details.episode),
    // Files are passed on; what opens the page is not.
    comment: redactUrl(details.webpageUrl),
    description: details.description,
  };
  const told = Object.entries(tags).flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [[name, value.slice(0, LONGEST_TAG)] as const],
  );
  const cover = await coverOf(run, media);
  const end = details.durationSeconds;
  return {
    tags: Object.fromEntries(told),
    ...(chapters &&
      chapters.length > 0 && {
        chapters: chapters.map(({ title, start, end: own }, at) => ({
          title,
          startSeconds: start,
          endSeconds: own ?? chapters[at + 1]?.start ?? end ?? start,
        })),
      }),
    ...(cover && { cover: { bytes: cover } }),
  };
}

/** "2025-02-03"; nothing for what no calendar has. */
function dayOf(ms: number | undefined): string | undefined {
  const date = new Date(ms ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString().slice(0, 10);
}

/** A file without its picture is better than none. */
async function coverOf(run: Run, { details, namedBy }: Media): Promise<Uint8Array | undefined> {
  const { thumbnail } = details;
  const { thumbnails } = run.engine;
  if (thumbnail === undefined || !thumbnails) return undefined;
  try {
    const picture = await thumbnails.picture(thumbnail, {
      ...(namedBy !== undefined && { namedBy }),
      ...(run.session.options.remote && { remote: true }),
      signal: run.signal,
    });
    return EMBEDDED.has(picture.type) ? picture.bytes : undefined;
  } catch (error) {
    run.signal.throwIfAborted();
    run.logger.info({ code: asDownloadError(error).code }, `no cover: ${asDownloadError(error).message}`);
    return undefined;
  }
}
