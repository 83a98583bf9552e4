/**
 * What yt-dlp prints about a page, read as what it is: text from somewhere else. Only formats whose bytes are fetched here
 * are taken over, only header fields that tell nobody anything, and only addresses of http and https.
 */
import type { MediaAbout, MediaChapter, MediaDetails, MediaFormat, Segment, Subtitle } from "../core/resolved.ts";
import type { DownloadRequest } from "../core/session.ts";
import { httpUrl } from "./address.ts";
import { compact } from "./json-ld.ts";
import type { ManifestOpeners } from "./manifest-opener.ts";
import { fileFormat, subtitleFile } from "./media-file.ts";

const MOST_FORMATS = 2000;
const MOST_FRAGMENTS = 100_000;
const MOST_SUBTITLES = 500;
const LONGEST_TEXT = 5000;

/** An object of its JSON. */
export type Info = Readonly<Record<string, unknown>>;

/** What formats are made with. */
export interface FormatWay {
  readonly request: DownloadRequest;
  readonly manifests: ManifestOpeners;
}

/** True for an object that is no list. */
export const isInfo = (value: unknown): value is Info =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The objects of a list. */
export const infosOf = (value: unknown): readonly Info[] => (Array.isArray(value) ? value.filter(isInfo) : []);

/** A text that is not empty. */
export function textOf(value: unknown, most = LONGEST_TEXT): string | undefined {
  if (typeof value !== "string") return undefined;
  const found = value.trim().slice(0, most);
  return found === "" ? undefined : found;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : undefined;
}

/** May be below zero. */
function rankOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** That there is such a date: also those of programs end somewhere. */
const isTime = (ms: number): boolean => !Number.isNaN(new Date(ms).getTime());

/** What it says of a medium. */
export function aboutOf(info: Info): MediaAbout {
  const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)$/.exec(textOf(info["upload_date"]) ?? "") ?? [];
  const uploaded = year === undefined ? Number.NaN : Date.UTC(Number(year), Number(month) - 1, Number(day));
  const seconds = numberOf(info["timestamp"]);
  return compact({
    id: textOf(info["id"], 200),
    title: textOf(info["title"]),
    description: textOf(info["description"]),
    uploader: textOf(info["uploader"]),
    channel: textOf(info["channel"]),
    artist: textOf(info["artist"]),
    album: textOf(info["album"]),
    series: textOf(info["series"]),
    season: numberOf(info["season_number"]),
    episode: numberOf(info["episode_number"]),
    genre: textOf(info["genre"]),
    publishedAt: [seconds === undefined ? Number.NaN : seconds * 1000, uploaded].find(isTime),
    durationSeconds: numberOf(info["duration"]),
    thumbnail: httpUrl(textOf(info["thumbnail"], 16_384) ?? "", "http://page.invalid/"),
    chapters: chaptersOf(info["chapters"]),
  });
}

/** What it says of a medium, whole. */
export function detailsOf(info: Info, url: string): MediaDetails {
  const about = aboutOf(info);
  const { id = new URL(url).hostname } = about;
  return { title: id, ...about, id, extractor: textOf(info["extractor"], 100) ?? "yt-dlp", webpageUrl: url };
}

function chaptersOf(value: unknown): readonly MediaChapter[] | undefined {
  const chapters = infosOf(value)
    .slice(0, 1000)
    .flatMap((chapter) => {
      const title = textOf(chapter["title"]);
      const start = rankOf(chapter["start_time"]);
      const end = numberOf(chapter["end_time"]);
      if (title === undefined || start === undefined || start < 0) return [];
      return [{ title, start, ...(end !== undefined && end > start && { end }) }];
    });
  return chapters.length === 0 ? undefined : chapters;
}

/** The formats that can be fetched here. */
export function formatsOf(info: Info, way: FormatWay): readonly MediaFormat[] {
  const listed = infosOf(info["formats"]);
  const seen = new Set<string>();
  return (listed.length > 0 ? listed : [info]).slice(0, MOST_FORMATS).flatMap((each, at) => {
    const wanted = (textOf(each["format_id"], 100) ?? `format-${at + 1}`).replace(/[^\w.-]/g, "_");
    const id = seen.has(wanted) ? `${wanted}-${at + 1}` : wanted;
    seen.add(id);
    return formatOf(id, each, way) ?? [];
  });
}

function formatOf(id: string, info: Info, way: FormatWay): MediaFormat | undefined {
  const url = httpUrl(textOf(info["url"], 16_384) ?? "", "http://page.invalid/");
  const protocol = textOf(info["protocol"], 100) ?? "https";
  const request = {
    url: url ?? way.request.url,
    mirrors: [],
    options: { ...way.request.options, headers: safeHeaders(info["http_headers"]) },
  };
  const base = url === undefined ? undefined : fileFormat(id, { url }, request, way.request.url);
  const words = wordsOf(info);
  const locked = info["has_drm"] === true ? { locked: "DRM" } : {};
  if (base && /^https?$/.test(protocol)) return { ...base, ...words, ...locked, ext: words.ext ?? base.ext };
  const fragments = fragmentsOf(info);
  const ext = words.ext ?? "mp4";
  if (fragments && protocol === "http_dash_segments") {
    const kind = words.vcodec === "none" ? "audio" : words.acodec === "none" ? "video" : "both";
    const container = /^(webm|weba)$/.test(ext) ? "webm" : "fmp4";
    const track = {
      kind,
      container,
      segments: fragments,
      namedBy: way.request.url,
      headers: request.options.headers,
    } as const;
    return { id, protocol: "dash", container, ...words, ...locked, ext, track: () => Promise.resolve(track) };
  }
  if (url === undefined || !/^m3u8(_native)?$/.test(protocol)) return undefined;
  const track: MediaFormat["track"] = async (signal) => {
    const { formats } = await way.manifests.hls.open(url, request, way.request.url, signal);
    const [first] = formats;
    if (!first) throw new Error(`the playlist of the format ${id} names nothing`);
    return first.track(signal);
  };
  return { id, protocol: "hls", ...words, ...locked, ext, track };
}

/** Its words for a format are those of ours. */
function wordsOf(info: Info): Omit<Partial<MediaFormat>, "id" | "track" | "protocol"> {
  const found: { readonly [K in keyof MediaFormat]?: MediaFormat[K] | undefined } = {
    ext: /^[a-z0-9]{1,8}$/.exec(textOf(info["ext"]) ?? "")?.[0],
    vcodec: textOf(info["vcodec"], 100),
    acodec: textOf(info["acodec"], 100),
    width: numberOf(info["width"]),
    height: numberOf(info["height"]),
    fps: numberOf(info["fps"]),
    dynamicRange: textOf(info["dynamic_range"], 20),
    tbr: numberOf(info["tbr"]),
    vbr: numberOf(info["vbr"]),
    abr: numberOf(info["abr"]),
    asr: numberOf(info["asr"]),
    audioChannels: numberOf(info["audio_channels"]),
    fileSize: numberOf(info["filesize"]),
    fileSizeApprox: numberOf(info["filesize_approx"]),
    language: textOf(info["language"], 35),
    preference: rankOf(info["preference"]),
    languagePreference: rankOf(info["language_preference"]),
    sourcePreference: rankOf(info["source_preference"]),
    quality: rankOf(info["quality"]),
    note: textOf(info["format_note"], 100),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

function fragmentsOf(info: Info): readonly Segment[] | undefined {
  const base = textOf(info["fragment_base_url"], 16_384);
  const listed = infosOf(info["fragments"]);
  if (listed.length === 0 || listed.length > MOST_FRAGMENTS) return undefined;
  const segments: Segment[] = [];
  for (const fragment of listed) {
    const path = textOf(fragment["path"], 16_384);
    const url = httpUrl(textOf(fragment["url"], 16_384) ?? path ?? "", base ?? "http://page.invalid/");
    // One that is missing would be missing in the file.
    if (url === undefined || new URL(url).hostname === "page.invalid") return undefined;
    const durationSeconds = numberOf(fragment["duration"]);
    segments.push({ url, ...(durationSeconds !== undefined && { durationSeconds }) });
  }
  return segments;
}

/** What a server may want to see; nothing that says who somebody is. */
const SAFE_HEADERS = /^(user-agent|referer|origin|accept|accept-language)$/i;

function safeHeaders(value: unknown): ReadonlyArray<readonly [string, string]> {
  if (!isInfo(value)) return [];
  return Object.entries(value).flatMap(([name, text]) =>
    SAFE_HEADERS.test(name) && typeof text === "string" && text.length <= 2000 && !/\p{Cc}/u.test(text)
      ? [[name, text] as const]
      : [],
  );
}

/** Written ones, then those that a machine made. */
export function subtitlesOf(info: Info, request: DownloadRequest): readonly Subtitle[] {
  const read = (value: unknown, automatic: boolean): Subtitle[] =>
    Object.entries(isInfo(value) ? value : {})
      .slice(0, MOST_SUBTITLES)
      .flatMap(([language, ways]) => {
        if (!/^[A-Za-z0-9-]{2,35}$/.test(language)) return [];
        for (const ext of ["vtt", "srt", "ttml", "ass"]) {
          const way = infosOf(ways).find((each) => each["ext"] === ext && !/m3u8|dash/.test(String(each["protocol"])));
          const url = httpUrl(textOf(way?.["url"], 16_384) ?? "", "http://page.invalid/");
          const name = textOf(way?.["name"], 100);
          const subtitle =
            url === undefined
              ? undefined
              : subtitleFile(
                  { url, type: `text/${ext}`, language, ...(name !== undefined && { name }) },
                  request,
                  request.url,
                );
          if (subtitle) return [{ ...subtitle, ...(automatic && { automatic: true as const }) }];
        }
        return [];
      });
  return [...read(info["subtitles"], false), ...read(info["automatic_captions"], true)];
}
