/** What a file holds, by ffprobe. Its JSON repeats what the file says of itself, so nothing in it is taken for granted. */
import { stat } from "node:fs/promises";
import { asDownloadError, DownloadError, failure } from "../core/errors.ts";
import type { MediaChapter, MediaInfo, MediaStream, StreamKind } from "../core/media-tool.ts";
import type { Clock } from "../core/ports/runtime.ts";
import { fence } from "./arguments.ts";
import { ask } from "./ask.ts";
import { fileUrl } from "./escape.ts";
import { protectedTracks } from "./protection.ts";

/** Milliseconds that it may take: an index at the end of a file on a slow disk is far away. */
const LIMIT_MS = 120_000;
/** Streams and chapters that are looked at. */
const MOST = 10_000;

const KINDS: ReadonlySet<string> = new Set<StreamKind>(["audio", "video", "subtitle", "attachment", "data"]);
/** Sample entries of encrypted tracks (ISO/IEC 14496-12 §8.12, and the older ones of iTunes). */
const ENCRYPTED = /^(enc[avts]|drm[is])$/;

/**
 * Looks into a file.
 *
 * @throws ResourceError MEDIA_INVALID if it is empty, no media, or damaged beyond reading; what files throw
 */
export async function probe(
  ffprobe: string,
  path: string,
  options: { readonly format?: string; readonly clock: Clock; readonly signal?: AbortSignal },
): Promise<MediaInfo> {
  const url = fileUrl(path);
  const found = await stat(path).catch((error: Error) => {
    throw asDownloadError(error);
  });
  if (!found.isFile()) throw invalid(path, "it is not a file");
  if (found.size === 0) throw invalid(path, "it is empty");
  const args = ["-hide_banner", "-v", "error", ...fence(options.format), "-print_format", "json"];
  args.push("-show_format", "-show_streams", "-show_chapters", "-i", url);
  let json: string;
  try {
    json = await ask(ffprobe, args, options.clock, options.signal, LIMIT_MS);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof DownloadError) throw error;
    throw invalid(path, (error as Error).message.replaceAll(url, path), error);
  }
  const info = mediaInfo(json);
  if (info === undefined) throw invalid(path, "ffprobe finds nothing in it that can be played");
  if (!info.format.includes("mp4")) return info;
  const locked = await protectedTracks(path).catch(() => []);
  const streams = info.streams.map((stream) => (locked[stream.index] ? { ...stream, encrypted: true } : stream));
  return { ...info, streams };
}

/** What ffprobe's answer says; undefined if it is no answer, or names no stream. */
export function mediaInfo(json: string): MediaInfo | undefined {
  let answer: Fields;
  try {
    answer = fields(JSON.parse(json));
  } catch {
    return undefined;
  }
  const format = fields(answer["format"]);
  const name = text(format["format_name"]);
  const streams = list(answer["streams"]).flatMap((entry) => streamOf(fields(entry)));
  if (name === undefined || streams.length === 0) return undefined;
  const chapters = list(answer["chapters"]).flatMap((entry) => chapterOf(fields(entry)));
  // Ogg keeps the tags of the file in its streams.
  const inStream = name === "ogg" ? streams.find(({ kind }) => kind === "audio")?.tags : undefined;
  return {
    format: name,
    ...optional("durationSeconds", seconds(format["duration"])),
    ...optional("bitRate", positive(format["bit_rate"])),
    streams,
    tags: { ...inStream, ...tags(format["tags"]) },
    chapters,
  };
}

function streamOf(entry: Fields): MediaStream[] {
  const kind = text(entry["codec_type"]) ?? "";
  const index = number(entry["index"]);
  if (!KINDS.has(kind) || index === undefined || !Number.isInteger(index) || index < 0) return [];
  const flags = Object.entries(fields(entry["disposition"])).flatMap(([flag, set]) => (set === 1 ? [flag] : []));
  const own = tags(entry["tags"]);
  const language = own["language"];
  return [
    {
      index,
      kind: kind as StreamKind,
      codec: text(entry["codec_name"]) ?? "unknown",
      ...optional("profile", text(entry["profile"])),
      ...optional("bitRate", positive(entry["bit_rate"]) ?? positive(own["bps"])),
      ...optional("durationSeconds", seconds(entry["duration"]) ?? clockTime(own["duration"])),
      ...optional("sampleRate", positive(entry["sample_rate"])),
      ...optional("channels", positive(entry["channels"])),
      ...optional("layout", text(entry["channel_layout"])),
      ...optional("sampleFormat", text(entry["sample_fmt"])),
      ...optional("bitsPerSample", positive(entry["bits_per_raw_sample"]) ?? positive(entry["bits_per_sample"])),
      ...optional("width", positive(entry["width"])),
      ...optional("height", positive(entry["height"])),
      ...optional("fps", ratio(entry["avg_frame_rate"])),
      ...optional("language", language === "und" ? undefined : language),
      attachedPicture: flags.includes("attached_pic"),
      encrypted: ENCRYPTED.test(text(entry["codec_tag_string"]) ?? ""),
      disposition: flags,
      tags: own,
    },
  ];
}

function chapterOf(entry: Fields): MediaChapter[] {
  const startSeconds = number(entry["start_time"]);
  const endSeconds = number(entry["end_time"]);
  if (startSeconds === undefined || endSeconds === undefined || endSeconds < startSeconds) return [];
  return [{ startSeconds, endSeconds, ...optional("title", tags(entry["tags"])["title"]) }];
}

type Fields = Readonly<Record<string, unknown>>;

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, MOST) : [];
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** ffprobe writes most numbers as text, and "N/A" where there is none. */
function number(value: unknown): number | undefined {
  const result = typeof value === "string" && /^-?\d/.test(value) ? Number(value) : value;
  return typeof result === "number" && Number.isFinite(result) ? result : undefined;
}

function positive(value: unknown): number | undefined {
  const result = number(value);
  return result !== undefined && result > 0 ? result : undefined;
}

function seconds(value: unknown): number | undefined {
  const result = number(value);
  return result !== undefined && result >= 0 ? result : undefined;
}

/** "00:01:02.500000000", as Matroska's statistics have it. */
function clockTime(value: string | undefined): number | undefined {
  const [, hours, minutes, rest] = /^(\d+):(\d\d):(\d\d(?:\.\d+)?)$/.exec(value ?? "") ?? [];
  return rest === undefined ? undefined : Number(hours) * 3600 + Number(minutes) * 60 + Number(rest);
}

/** "30000/1001". */
function ratio(value: unknown): number | undefined {
  const [, above, below] = /^(\d+)\/(\d+)$/.exec(text(value) ?? "") ?? [];
  return below === undefined ? undefined : positive(Number(above) / Number(below));
}

function tags(value: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(fields(value)).filter(([, entry]) => typeof entry === "string");
  // fromEntries defines own properties: a tag named __proto__ is a tag.
  return Object.fromEntries(entries.map(([name, entry]) => [name.toLowerCase(), entry as string]));
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [key in K]: V });
}

function invalid(path: string, why: string, cause?: unknown) {
  return failure("MEDIA_INVALID", `${path} cannot be read as media: ${why}`, { cause, metadata: { path } });
}
