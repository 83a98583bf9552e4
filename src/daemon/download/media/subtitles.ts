/** Subtitles as a file of their own: segments of WebVTT each have a head and a clock, which one file has once. */
import { readFile, writeFile } from "node:fs/promises";
import { failure } from "../../core/errors.ts";
import type { SubtitleFile } from "../../core/media-tool.ts";
import { joinWebVtt } from "../../resolve/webvtt.ts";
import type { Run } from "../run.ts";
import type { FetchedTrack } from "./tracks.ts";

/** Longer than any film's words, in bytes. */
const MOST_BYTES = 64 * 1024 * 1024;

/** Joins the segments of a track into a file at `path`. @throws ResourceError MEDIA_INVALID */
export async function subtitleFile(
  run: Run,
  { track, path: from, lengths, size }: FetchedTrack,
  path: string,
): Promise<SubtitleFile> {
  if (size > MOST_BYTES)
    throw failure("MEDIA_INVALID", `the subtitles have ${size} bytes; at most ${MOST_BYTES} are read`);
  if (track.container !== "webvtt")
    throw failure("MEDIA_UNFIT", `subtitles in ${track.container} cannot be put into a file`);
  const bytes = await readFile(from, { signal: run.signal });
  let start = 0;
  const segments = lengths.map((length) => {
    const text = bytes.subarray(start, start + length).toString("utf8");
    start += length;
    return text;
  });
  await writeFile(path, joinWebVtt(segments), { mode: 0o600, signal: run.signal });
  return { path, format: "webvtt", ...(track.language !== undefined && { language: track.language }) };
}
