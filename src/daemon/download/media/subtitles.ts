/** Subtitles as files: segments of WebVTT each have a head and a clock, which one file has once. */
import { readFile, writeFile } from "node:fs/promises";
import { failure } from "../../core/errors.ts";
import type { SubtitleFile } from "../../core/media-tool.ts";
import type { Subtitle } from "../../core/resolved.ts";
import { joinWebVtt } from "../../resolve/webvtt.ts";
import type { Run } from "../run.ts";
import { threeLetters } from "./language.ts";
import type { FetchedTrack } from "./tracks.ts";

/** Longer than any film's words, in bytes. */
const MOST_BYTES = 64 * 1024 * 1024;

/** What can be put into a file, by its ending. */
const EMBEDDED: Partial<Record<Subtitle["ext"], SubtitleFile["format"]>> = { vtt: "webvtt", srt: "srt", ass: "ass" };

/** Subtitles that are a file. */
export interface MadeSubtitle {
  readonly path: string;
  readonly subtitle: Subtitle;
}

/** @throws ResourceError MEDIA_UNFIT before anything is fetched, if one of them cannot be put into a file */
export function refuseUnfit(subtitles: readonly Subtitle[]): void {
  const unfit = subtitles.find(({ ext }) => EMBEDDED[ext] === undefined);
  if (unfit)
    throw failure(
      "MEDIA_UNFIT",
      `subtitles in ${unfit.ext} (${unfit.language}) cannot be put into a file; without --embed-subs they lie beside it`,
    );
}

/** Makes one file of a track at `path`, whose ending is added. @throws ResourceError MEDIA_INVALID */
export async function makeSubtitle(
  run: Run,
  subtitle: Subtitle,
  { track, path: from, lengths, size }: FetchedTrack,
  base: string,
): Promise<MadeSubtitle> {
  if (size > MOST_BYTES)
    throw failure("MEDIA_INVALID", `the subtitles have ${size} bytes; at most ${MOST_BYTES} are read`);
  const bytes = await readFile(from, { signal: run.signal });
  const path = `${base}.${subtitle.ext}`;
  let text: string | Buffer = bytes;
  if (track.container === "webvtt") {
    let start = 0;
    const segments = lengths.map((length) => {
      const end = start + length;
      const segment = bytes.subarray(start, end).toString("utf8");
      start = end;
      return segment;
    });
    text = joinWebVtt(segments);
  }
  await writeFile(path, text, { mode: 0o600, signal: run.signal });
  return { path, subtitle };
}

/** As the media tool takes it. */
export function embedded({ path, subtitle }: MadeSubtitle): SubtitleFile {
  const { language, name, ext } = subtitle;
  const three = threeLetters(language);
  return {
    path,
    format: EMBEDDED[ext] ?? "webvtt",
    ...(three !== undefined && { language: three }),
    ...(name !== undefined && { title: name }),
  };
}
