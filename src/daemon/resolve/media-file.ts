/**
 * A plain file as a format of media: what its URL and its media type tell without asking for it, and how it is opened as a
 * track where it is to be merged with another.
 */
import type { MediaFormat, Subtitle, Track, TrackContainer } from "../core/resolved.ts";
import type { DownloadOptions, DownloadRequest } from "../core/session.ts";
import { headersFor } from "./document.ts";

/** What holds sound only, and what holds pictures. */
type Kind = "audio" | "video";

/** Endings of media files. */
const ENDINGS: Readonly<Record<string, readonly [Kind, TrackContainer, acodec?: string]>> = {
  mp3: ["audio", "mp3", "mp3"],
  m4a: ["audio", "mp4"],
  m4b: ["audio", "mp4"],
  aac: ["audio", "aac", "aac"],
  ac3: ["audio", "ac3", "ac-3"],
  oga: ["audio", "other"],
  ogg: ["audio", "other"],
  opus: ["audio", "other", "opus"],
  flac: ["audio", "other", "flac"],
  wav: ["audio", "other"],
  weba: ["audio", "webm"],
  wma: ["audio", "other"],
  aiff: ["audio", "other"],
  mp4: ["video", "mp4"],
  m4v: ["video", "mp4"],
  mov: ["video", "mp4"],
  webm: ["video", "webm"],
  mkv: ["video", "other"],
  ogv: ["video", "other"],
  avi: ["video", "other"],
  flv: ["video", "other"],
  wmv: ["video", "other"],
  mpg: ["video", "other"],
  "3gp": ["video", "mp4"],
  ts: ["video", "ts"],
};

/** Endings by media type, where it is not the subtype itself. */
const TYPES: Readonly<Record<string, string>> = {
  "audio/mpeg": "mp3",
  "audio/mp3": "mp3",
  "audio/mp4": "m4a",
  "audio/x-m4a": "m4a",
  "audio/m4a": "m4a",
  "audio/aac": "aac",
  "audio/aacp": "aac",
  "audio/ac3": "ac3",
  "audio/ogg": "ogg",
  "audio/opus": "opus",
  "audio/flac": "flac",
  "audio/x-flac": "flac",
  "audio/wav": "wav",
  "audio/x-wav": "wav",
  "audio/webm": "weba",
  "audio/x-ms-wma": "wma",
  "audio/aiff": "aiff",
  "video/mp4": "mp4",
  "video/x-m4v": "m4v",
  "video/quicktime": "mov",
  "video/webm": "webm",
  "video/x-matroska": "mkv",
  "video/ogg": "ogv",
  "video/x-msvideo": "avi",
  "video/x-flv": "flv",
  "video/x-ms-wmv": "wmv",
  "video/mpeg": "mpg",
  "video/3gpp": "3gp",
  "video/mp2t": "ts",
};

/** A file that something names, with what that says of it. Rates in kbit/s, sizes in bytes. */
export interface NamedFile {
  readonly url: string;
  /** Media type, with its parameters. */
  readonly type?: string;
  /** What it is, if whatever names it says so. */
  readonly kind?: Kind;
  readonly width?: number;
  readonly height?: number;
  readonly fps?: number;
  readonly kbps?: number;
  /** Of the file itself, as its origin says. */
  readonly size?: number;
  readonly sizeApprox?: number;
  readonly language?: string;
  readonly note?: string;
}

/** True if it is asked to look into pages and feeds, and not to save them. */
export function looksInside({ media, format, quality, template, newest }: DownloadOptions): boolean {
  return media ?? (format !== undefined || quality !== undefined || template !== undefined || newest !== undefined);
}

/** The media type without parameters, in lower case. */
export const bareType = (type: string | undefined): string => (type?.split(";", 1)[0] ?? "").trim().toLowerCase();

/** True for a type that is of media files, manifests not among them. */
export const isMediaType = (type: string | undefined): boolean =>
  /^(audio|video)\/(?!.*(mpegurl|dash))/.test(bareType(type));

/** The manifest that a URL leads to, by its type or else by its ending. */
export function manifestKind(url: string, type?: string): "hls" | "dash" | undefined {
  const bare = bareType(type);
  if (/mpegurl/.test(bare)) return "hls";
  if (/dash\+xml/.test(bare)) return "dash";
  const [, ending] = /\.(m3u8|mpd)$/i.exec(URL.parse(url)?.pathname ?? "") ?? [];
  return ending === undefined ? undefined : ending.toLowerCase() === "mpd" ? "dash" : "hls";
}

/** A media file's ending in its URL, in lower case. */
function endingOf(url: string): string | undefined {
  const ending = /\.([a-z0-9]{2,4})$/i.exec(URL.parse(url)?.pathname ?? "")?.[1]?.toLowerCase();
  return ending !== undefined && Object.hasOwn(ENDINGS, ending) ? ending : undefined;
}

/** True for a URL that ends like a media file. */
export const endsLikeMedia = (url: string): boolean => endingOf(url) !== undefined;

/** A file as a format. @param namedBy - the document that named it, if no person did */
export function fileFormat(id: string, file: NamedFile, request: DownloadRequest, namedBy?: string): MediaFormat {
  const { url, type, width, height, fps, kbps, size, sizeApprox, language, note } = file;
  const byType = TYPES[bareType(type)];
  const ext = endingOf(url) ?? byType ?? (file.kind === "audio" ? "mp3" : "mp4");
  const [usual, container, usualCodec] = ENDINGS[byType ?? ext] ?? (["video", "other"] as const);
  const kind = file.kind ?? (/^audio\//.test(bareType(type)) ? "audio" : usual);
  const { vcodec, acodec = usualCodec } = codecsOf(type);
  const candidate = {
    url,
    headers: headersFor(url, request),
    ...(namedBy !== undefined && { namedBy }),
  };
  const track: Track = {
    kind: kind === "audio" ? "audio" : "both",
    container,
    segments: [{ url }],
    headers: candidate.headers,
    ...(namedBy !== undefined && { namedBy }),
    ...(language !== undefined && { language }),
  };
  return {
    id,
    ext,
    protocol: "http",
    container,
    ...(kind === "audio" ? { vcodec: "none" } : vcodec !== undefined && { vcodec }),
    ...(acodec !== undefined && { acodec }),
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(fps !== undefined && { fps }),
    ...(kbps !== undefined && { tbr: kbps, ...(kind === "audio" && { abr: kbps }) }),
    ...(size !== undefined && { fileSize: size }),
    ...(size === undefined && sizeApprox !== undefined && { fileSizeApprox: sizeApprox }),
    ...(language !== undefined && { language }),
    ...(note !== undefined && { note }),
    file: [candidate],
    track: () => Promise.resolve(track),
  };
}

/** A file of subtitles; undefined if it is of a kind that is not used. */
export function subtitleFile(
  { url, type, language, name }: { url: string; type?: string; language: string; name?: string },
  request: DownloadRequest,
  namedBy: string,
): Subtitle | undefined {
  const told = /\b(vtt|srt|subrip|ttml|ass|ssa)\b/.exec(bareType(type))?.[1];
  const [, ending = told] = /\.(vtt|srt|ttml|dfxp|ass|ssa)$/i.exec(URL.parse(url)?.pathname ?? "") ?? [];
  const ext = SUBTITLES[ending?.toLowerCase() ?? "vtt"];
  if (ext === undefined) return undefined;
  const track: Track = {
    kind: "subtitle",
    container: ext === "vtt" ? "webvtt" : ext === "ttml" ? "ttml" : "other",
    language,
    segments: [{ url }],
    namedBy,
    headers: headersFor(url, request),
  };
  return { language, ext, ...(name !== undefined && { name }), track: () => Promise.resolve(track) };
}

const SUBTITLES: Readonly<Record<string, Subtitle["ext"]>> = {
  vtt: "vtt",
  srt: "srt",
  subrip: "srt",
  ttml: "ttml",
  dfxp: "ttml",
  ass: "ass",
  ssa: "ass",
};

/** What the parameter "codecs" of a media type says (RFC 6381). */
function codecsOf(type: string | undefined): { vcodec?: string; acodec?: string } {
  const [, list = ""] = /;\s*codecs\s*=\s*"?([\w.,\- ]{1,200})/i.exec(type ?? "") ?? [];
  const names = list.split(",").map((name) => name.trim());
  const vcodec = names.find((name) => /^(avc|hev|hvc|vp0?[89]|av01|theora|mp4v|dvh)/i.test(name));
  const acodec = names.find((name) => /^(mp4a|opus|vorbis|ac-3|ec-3|flac|mp3)/i.test(name));
  return { ...(vcodec !== undefined && { vcodec }), ...(acodec !== undefined && { acodec }) };
}
