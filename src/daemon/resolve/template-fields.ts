/** The fields of templates, under yt-dlp's names. */
import { redactUrl } from "../../shared/redact.ts";
import type { MediaChoice, MediaDetails, MediaFormat } from "../core/resolved.ts";
import { mayHaveAudio, mayHaveVideo, ratesOf, resolutionOf } from "./format-fields.ts";

/** What a field can hold. */
export type TemplateValue = string | number | readonly TemplateValue[] | { readonly [name: string]: TemplateValue };

/** Fields by name; what is not known is absent. */
export type TemplateFields = Readonly<Record<string, TemplateValue | undefined>>;

/** The fields for one choice of formats. */
export function templateFields(details: MediaDetails, choice: MediaChoice): TemplateFields {
  const { playlist, season, episode, chapters } = details;
  return {
    id: details.id,
    title: details.title,
    fulltitle: details.title,
    description: details.description,
    uploader: details.uploader,
    channel: details.channel,
    artist: details.artist,
    album: details.album,
    genre: details.genre,
    series: details.series,
    season_number: season,
    season: season === undefined ? undefined : `Season ${season}`,
    episode_number: episode,
    episode: episode === undefined ? undefined : `Episode ${episode}`,
    extractor: details.extractor,
    extractor_key: details.extractor,
    // They come to be names, which anybody may read.
    webpage_url: redactUrl(details.webpageUrl),
    original_url: redactUrl(details.webpageUrl),
    ...urlFields(details.webpageUrl),
    ...timeFields(details),
    thumbnail: details.thumbnail === undefined ? undefined : redactUrl(details.thumbnail),
    chapters: chapters?.map(({ title, start, end }) => ({
      title,
      start_time: start,
      ...(end !== undefined && { end_time: end }),
    })),
    playlist: playlist?.title,
    playlist_title: playlist?.title,
    playlist_index: playlist?.index,
    playlist_autonumber: playlist?.index,
    playlist_count: playlist?.count,
    n_entries: playlist?.count,
    autonumber: playlist?.index ?? 1,
    ...formatFields(choice),
  };
}

function urlFields(url: string): TemplateFields {
  const parsed = URL.parse(url);
  return {
    webpage_url_domain: parsed?.hostname,
    webpage_url_basename: parsed?.pathname.split("/").findLast((part) => part !== ""),
  };
}

function timeFields({ publishedAt, durationSeconds }: MediaDetails): TemplateFields {
  const seconds = publishedAt === undefined ? undefined : Math.floor(publishedAt / 1000);
  const date = publishedAt === undefined ? undefined : new Date(publishedAt);
  return {
    timestamp: seconds,
    upload_date:
      date && !Number.isNaN(date.getTime()) ? date.toISOString().slice(0, 10).replaceAll("-", "") : undefined,
    duration: durationSeconds,
    duration_string: durationSeconds === undefined ? undefined : clock(durationSeconds),
  };
}

/** "1-02-03", "2-03", "7": colons are not for names. */
function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const first = parts.findIndex((part) => part > 0);
  return parts
    .slice(first === -1 ? 2 : first)
    .map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, "0")))
    .join("-");
}

function formatFields({ formats, ext, transcode }: MediaChoice): TemplateFields {
  const video = formats.find(mayHaveVideo);
  const audio = formats.find(mayHaveAudio);
  const joined = (text: (format: MediaFormat) => string | undefined): string | undefined =>
    [...new Set(formats.flatMap((format) => text(format) ?? []))].join("+") || undefined;
  const sum = (value: (format: MediaFormat) => number | undefined): number | undefined =>
    formats.reduce<number | undefined>((total, format) => {
      const one = value(format);
      return total === undefined || one === undefined ? undefined : total + one;
    }, 0);
  const picture = video && ratesOf(video).vbr;
  const sound = transcode?.kbps ?? (audio && ratesOf(audio).abr);
  return {
    ext,
    format_id: formats.map(({ id }) => id).join("+"),
    format: formats.map(formatText).join("+"),
    format_note: joined(({ note }) => note),
    protocol: joined(({ protocol }) => protocol),
    container: joined(({ container }) => container),
    language: joined(({ language }) => language),
    filesize: sum(({ fileSize }) => fileSize),
    filesize_approx: sum(({ fileSize, fileSizeApprox }) => fileSize ?? fileSizeApprox),
    tbr: sum((format) => ratesOf(format).tbr),
    vcodec: video ? video.vcodec : "none",
    vbr: picture || undefined,
    width: video?.width,
    height: video?.height,
    resolution: video ? resolutionOf(video) : "audio only",
    fps: video?.fps,
    dynamic_range: video?.dynamicRange,
    acodec: transcode?.codec ?? (audio ? audio.acodec : "none"),
    abr: sound || undefined,
    asr: audio?.asr,
    audio_channels: audio?.audioChannels,
  };
}

function formatText(format: MediaFormat): string {
  const { id, note } = format;
  return `${id} - ${resolutionOf(format) ?? "unknown"}${note === undefined ? "" : ` (${note})`}`;
}
