/**
 * What can be asked of a format, under yt-dlp's names: the one table behind filters, sorting, templates and the list of
 * formats. Rates that a manifest leaves out follow from those that it gives.
 */
import type { MediaFormat } from "../core/resolved.ts";

/** The value of a field. Several strings: names of the same thing. */
export type FieldValue = number | readonly string[];

/** What a manifest says of rates, completed; kbit/s. */
interface Rates {
  readonly tbr?: number;
  readonly vbr?: number;
  readonly abr?: number;
}

/** True if there is a picture, or if nobody says that there is none. */
export const mayHaveVideo = ({ vcodec }: MediaFormat): boolean => vcodec !== "none";

/** The same of sound. */
export const mayHaveAudio = ({ acodec }: MediaFormat): boolean => acodec !== "none";

/** True if there is sound and no picture, as far as is known. */
export const isAudioOnly = (format: MediaFormat): boolean => !mayHaveVideo(format) && mayHaveAudio(format);

/** The rates of a format: of the three the third follows from two. */
export function ratesOf(format: MediaFormat): Rates {
  const video = mayHaveVideo(format) ? format.vbr || undefined : 0;
  const audio = mayHaveAudio(format) ? format.abr || undefined : 0;
  const tbr = format.tbr || (video !== undefined && audio !== undefined ? video + audio : undefined) || undefined;
  const vbr = video ?? (tbr !== undefined && audio !== undefined ? Math.max(0, tbr - audio) : undefined);
  const abr = audio ?? (tbr !== undefined && video !== undefined ? Math.max(0, tbr - video) : undefined);
  return { ...(tbr !== undefined && { tbr }), ...(vbr !== undefined && { vbr }), ...(abr !== undefined && { abr }) };
}

/** "1920x1080", "1080p", "audio only"; undefined if nothing is known. */
export function resolutionOf(format: MediaFormat): string | undefined {
  const { width, height } = format;
  if (isAudioOnly(format)) return "audio only";
  if (width && height) return `${width}x${height}`;
  if (height) return `${height}p`;
  return width ? `${width}x?` : undefined;
}

/** The smaller side of the picture, which is what "720p" means whichever way it is held; 0 if unknown. */
export function smallerSide({ width, height }: MediaFormat): number {
  return width && height ? Math.min(width, height) : width || height || 0;
}

/** Names by which the way of fetching is known. */
const PROTOCOLS: Readonly<Record<MediaFormat["protocol"], readonly string[]>> = {
  http: ["http", "https"],
  hls: ["hls", "m3u8_native", "m3u8"],
  dash: ["dash", "http_dash_segments"],
};

const one = (text: string | undefined): readonly string[] | undefined => (text === undefined ? undefined : [text]);

/** Fields that are numbers. */
const NUMBERS: Readonly<Record<string, (format: MediaFormat) => number | undefined>> = {
  filesize: ({ fileSize }) => fileSize,
  filesize_approx: ({ fileSizeApprox }) => fileSizeApprox,
  width: ({ width }) => width,
  height: ({ height }) => height,
  fps: ({ fps }) => fps,
  tbr: (format) => ratesOf(format).tbr,
  vbr: (format) => ratesOf(format).vbr,
  abr: (format) => ratesOf(format).abr,
  asr: ({ asr }) => asr,
  audio_channels: ({ audioChannels }) => audioChannels,
  aspect_ratio: ({ width, height }) => (width && height ? Math.round((width / height) * 100) / 100 : undefined),
  quality: ({ quality }) => quality,
  preference: ({ preference }) => preference,
  language_preference: ({ languagePreference }) => languagePreference,
  source_preference: ({ sourcePreference }) => sourcePreference,
};

/** Fields that are texts. */
const TEXTS: Readonly<Record<string, (format: MediaFormat) => readonly string[] | undefined>> = {
  ext: ({ ext }) => [ext],
  vcodec: ({ vcodec }) => one(vcodec),
  acodec: ({ acodec }) => one(acodec),
  container: ({ container }) => one(container),
  protocol: ({ protocol, file }) => (protocol === "http" && file ? schemeOf(file[0].url) : PROTOCOLS[protocol]),
  language: ({ language }) => one(language),
  dynamic_range: ({ dynamicRange }) => one(dynamicRange),
  format_id: ({ id }) => [id],
  format_note: ({ note }) => one(note),
  resolution: (format) => one(resolutionOf(format)),
};

function schemeOf(url: string): readonly string[] {
  return [URL.parse(url)?.protocol.slice(0, -1) ?? "http"];
}

/** What a field of this name holds; undefined if there is none. */
export function fieldKind(name: string): "number" | "text" | undefined {
  return Object.hasOwn(NUMBERS, name) ? "number" : Object.hasOwn(TEXTS, name) ? "text" : undefined;
}

/** All names. */
export const FIELD_NAMES: readonly string[] = [...Object.keys(NUMBERS), ...Object.keys(TEXTS)];

/** A field's value; undefined if the format does not say. */
export function fieldValue(format: MediaFormat, name: string): FieldValue | undefined {
  if (Object.hasOwn(NUMBERS, name)) return NUMBERS[name]?.(format);
  return Object.hasOwn(TEXTS, name) ? TEXTS[name]?.(format) : undefined;
}
