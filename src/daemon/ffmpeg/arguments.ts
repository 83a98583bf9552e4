/**
 * A run as FFmpeg's arguments, put together by fluent-ffmpeg. Every input is fenced in: it may open files and pipes only
 * (no network, no playlists that lead elsewhere), and where its format is known nothing else is tried.
 */
import type { MediaRun, MediaSource, MediaTarget } from "../core/media-tool.ts";
import { fileUrl } from "./escape.ts";
import { DEMUXERS } from "./whitelist.ts";

/** Before everything else: no keys are read, nothing is shown twice, and what happens is told on descriptor 3. */
const GLOBAL = ["-nostdin", "-hide_banner", "-nostats", "-progress", "pipe:3", "-stats_period", "0.2"];

/**
 * The arguments of a run. fluent-ffmpeg tears an option with one space apart when it comes alone or in an array, so options
 * are always given to it as several arguments.
 *
 * @param output - where the output grows, for an output that is a file
 * @param lists - the paths of the lists of the inputs that are concatenated, in their order
 */
export async function argumentsOf(
  run: MediaRun,
  output: string | undefined,
  lists: readonly string[],
): Promise<string[]> {
  // Loaded when media is worked with: a daemon that never does so does without it.
  const { default: ffmpeg } = await import("fluent-ffmpeg");
  const command = ffmpeg();
  const left = [...lists];
  for (const source of run.inputs) {
    const [url, fence] = inputOf(source, left);
    command.input(url).inputOptions(...(source.options ?? []), ...fence);
  }
  if (run.graph !== undefined) command.complexFilter(run.graph);
  const [url, ...options] = outputOf(run.output, output);
  command.output(url).outputOptions("-y", ...(run.output.options ?? []), ...options);
  return [...GLOBAL, "-loglevel", run.logLevel ?? "warning", ...command._getArguments()];
}

/**
 * What keeps FFmpeg and ffprobe to one file.
 * @param format - demuxer; absent: any that holds what it says
 */
export function fence(format: string | undefined): string[] {
  const demuxer = format === undefined ? ["-format_whitelist", DEMUXERS] : ["-f", format];
  return ["-protocol_whitelist", "file,pipe", ...demuxer];
}

function inputOf(source: MediaSource, lists: string[]): [url: string, options: string[]] {
  if ("generate" in source) return [source.generate, ["-f", "lavfi"]];
  if ("bytes" in source) return ["pipe:0", fence(source.format)];
  if ("path" in source) return [fileUrl(source.path), fence(source.format)];
  const list = lists.shift() ?? "";
  return [
    fileUrl(list),
    ["-protocol_whitelist", "file", "-format_whitelist", `concat,${DEMUXERS}`, "-f", "concat", "-safe", "0"],
  ];
}

function outputOf(target: MediaTarget, path: string | undefined): [url: string, ...options: string[]] {
  if ("nothing" in target) return ["-", "-f", "null"];
  if ("sink" in target) return ["pipe:1", "-f", target.format];
  return [fileUrl(path ?? target.path), "-f", target.format];
}
