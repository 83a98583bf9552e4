/**
 * FFmpeg's ways of quoting (ffmpeg-utils(1) "Quoting and escaping", ffmpeg-filters(1) "Notes on filtergraph escaping",
 * ffmpeg-formats(1) "Metadata", "concat"). No shell is ever involved, so a value passes two levels in a graph, one elsewhere.
 */
import { failure } from "../core/errors.ts";

/**
 * A path as FFmpeg takes it literally: a name may begin with `-`, hold `:` or look like a protocol.
 *
 * @param path - absolute
 * @throws DownloadError INVALID_ARGUMENT if it is relative or holds NUL
 */
export function fileUrl(path: string): string {
  if (!path.startsWith("/") || path.includes("\0"))
    throw failure("INVALID_ARGUMENT", `FFmpeg is given absolute paths only, not ${JSON.stringify(path)}`);
  return `file:${path}`;
}

/**
 * A value of a filter's option inside of a graph: `amovie=filename=${filterValue(name)}`. White space is escaped as well,
 * since it is trimmed at both ends.
 *
 * @throws DownloadError INVALID_ARGUMENT for NUL
 */
export function filterValue(value: string): string {
  if (value.includes("\0")) throw failure("INVALID_ARGUMENT", "a filter's option cannot hold NUL");
  const option = value.replace(/[\\':\s]/g, "\\$&");
  return option.replace(/[\\'[\],;\s]/g, "\\$&");
}

/**
 * A list for the concat demuxer.
 *
 * @param paths - absolute
 * @throws DownloadError INVALID_ARGUMENT for a path with a line break: the list has no way to write it
 */
export function concatList(paths: readonly string[]): string {
  const lines = paths.map((path) => {
    if (/[\n\r]/.test(path))
      throw failure("INVALID_ARGUMENT", `${JSON.stringify(path)} has a line break and cannot be in a list`);
    return `file '${fileUrl(path).replaceAll("'", "'\\''")}'\n`;
  });
  return `ffconcat version 1.0\n${lines.join("")}`;
}

/**
 * A name or value in an ffmetadata file. NUL, which it cannot hold, is left out. A backslash at the end gets a space behind
 * it: FFmpeg takes the line break behind a backslash into the value, also where that backslash is itself escaped.
 */
export function metadataText(text: string): string {
  const kept = text.replaceAll("\0", "").replace(/\\$/, "\\ ");
  return kept.replace(/[=;#\\\n]/g, "\\$&");
}
