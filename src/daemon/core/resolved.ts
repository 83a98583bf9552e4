/**
 * Media, as the rooms speak of it before a byte of it is here: what a page, playlist or manifest turned out to name, in
 * which formats, and the tracks that a chosen format is fetched as. Words and their meanings are yt-dlp's where it has one.
 */
import type { Candidate } from "./plan.ts";
import type { DownloadOptions } from "./session.ts";

/** A piece of a track: a resource, or a range of one. Pieces follow each other; joined they are the track. */
export interface Segment {
  readonly url: string;
  /** Of the resource: first byte and end (exclusive). */
  readonly range?: { readonly start: number; readonly end: number };
  readonly key?: SegmentKey;
  readonly durationSeconds?: number;
  /** The first one after a change of encoding, time or content (RFC 8216 §4.3.2.3). */
  readonly discontinuity?: true;
}

/** How a segment is encrypted (RFC 8216 §5.2): AES-128 in CBC mode, PKCS7, each by itself. `iv`: 16 bytes as hex. */
export interface SegmentKey {
  readonly method: "AES-128";
  readonly url: string;
  readonly iv: string;
}

/** What the joined pieces of a track are. */
export type TrackContainer = "ts" | "fmp4" | "mp4" | "webm" | "aac" | "mp3" | "ac3" | "webvtt" | "ttml" | "other";

/** What a track brings to the file. */
export type TrackKind = "video" | "audio" | "both" | "subtitle";

/** A format on its way: its pieces in order. */
export interface Track {
  readonly kind: TrackKind;
  readonly container: TrackContainer;
  /** BCP 47. */
  readonly language?: string;
  /** What is known now; of a live track, what can still be had. */
  readonly segments: readonly Segment[];
  /** The document that named the pieces: they may not lead from the public network into the private one. */
  readonly namedBy?: string;
  /** Sent to these URLs' own origins only. */
  readonly headers: Candidate["headers"];
  /** Of a live track: waits for the pieces that have come since; undefined when it has ended. */
  more?(signal: AbortSignal): Promise<readonly Segment[] | undefined>;
}

/** One way to have the media, or one part of it. Sizes in bytes, rates in kbit/s (1,000), as yt-dlp has them. */
export interface MediaFormat {
  /** Unique in its media: yt-dlp's `format_id`. */
  readonly id: string;
  readonly ext: string;
  readonly protocol: "http" | "hls" | "dash";
  /** RFC 6381, or a plain name; "none" if there is no such stream; absent if that is not known. */
  readonly vcodec?: string;
  readonly acodec?: string;
  readonly container?: TrackContainer;
  readonly width?: number;
  readonly height?: number;
  readonly fps?: number;
  readonly dynamicRange?: string;
  readonly tbr?: number;
  readonly vbr?: number;
  readonly abr?: number;
  /** Hz. */
  readonly asr?: number;
  readonly audioChannels?: number;
  readonly fileSize?: number;
  readonly fileSizeApprox?: number;
  /** BCP 47. */
  readonly language?: string;
  /** Higher is better; before everything else when sorting. */
  readonly preference?: number;
  /** Of an extractor's own making; higher is better, behind language when sorting. */
  readonly quality?: number;
  readonly languagePreference?: number;
  readonly sourcePreference?: number;
  readonly note?: string;
  /** Content that is locked (DRM, SAMPLE-AES), in words: it is shown, and refused by name. */
  readonly locked?: string;
  /** A file that is fetched as it is. Of two or more places the bytes are the same. */
  readonly file?: readonly [Candidate, ...Candidate[]];
  /** Opens it as a track; also for a file that is to be merged with another. */
  track(signal: AbortSignal): Promise<Track>;
}

/** Words in the picture. */
export interface Subtitle {
  /** BCP 47. */
  readonly language: string;
  readonly name?: string;
  readonly ext: "vtt" | "srt" | "ttml" | "ass";
  /** Made by a machine. */
  readonly automatic?: true;
  track(signal: AbortSignal): Promise<Track>;
}

/** A chapter; seconds. */
export interface MediaChapter {
  readonly title: string;
  readonly start: number;
  readonly end?: number;
}

/** What is told of media: the fields of templates and tags. Times are milliseconds since the epoch. */
export interface MediaDetails {
  readonly id: string;
  readonly title: string;
  /** The resolver that read it: yt-dlp's `extractor`. */
  readonly extractor: string;
  readonly webpageUrl: string;
  readonly description?: string;
  readonly uploader?: string;
  readonly channel?: string;
  readonly artist?: string;
  readonly album?: string;
  readonly series?: string;
  readonly season?: number;
  readonly episode?: number;
  readonly genre?: string;
  readonly publishedAt?: number;
  readonly durationSeconds?: number;
  readonly thumbnail?: string;
  readonly chapters?: readonly MediaChapter[];
  readonly playlist?: { readonly title?: string; readonly index: number; readonly count: number };
}

/** What a list or feed says of a file that it names, before anybody has looked at it. */
export interface MediaAbout extends Partial<Omit<MediaDetails, "extractor" | "webpageUrl">> {
  /** Media type. */
  readonly type?: string;
  /** Bytes, as far as the list knows: such numbers are often old. */
  readonly fileSizeApprox?: number;
}

/** The answer of a resolver to a URL that leads to media: it is still to be chosen from. */
export interface Media {
  readonly kind: "media";
  readonly details: MediaDetails;
  /** Never empty. */
  readonly formats: readonly MediaFormat[];
  readonly subtitles: readonly Subtitle[];
  readonly live: boolean;
  /** The document that named the formats and the thumbnail, if no person did. */
  readonly namedBy?: string;
}

/** One request that came out of another. */
export interface ExpandedItem {
  readonly url: string;
  readonly mirrors?: readonly string[];
  /** Over those of the request that it came out of. */
  readonly options?: DownloadOptions;
  readonly title?: string;
}

/** The answer of a resolver to a URL that leads to several things: each becomes a session of its own, in one batch. */
export interface Expansion {
  readonly kind: "expansion";
  readonly title?: string;
  /** The document that named them: they may not lead from the public network into the private one. */
  readonly namedBy: string;
  readonly items: readonly ExpandedItem[];
}

/** What shall come of the chosen formats. */
export interface MediaChoice {
  /** One, or several that are to be merged; in the order of the selector. */
  readonly formats: readonly [MediaFormat, ...MediaFormat[]];
  readonly subtitles: readonly Subtitle[];
  /** The file's extension, without a dot. */
  readonly ext: string;
  /** A lossy output was asked for: what the audio is made into. Never above the source's own rate. */
  readonly transcode?: { readonly codec: "mp3" | "aac" | "opus" | "vorbis" | "flac" | "wav"; readonly kbps?: number };
  /** What was asked for and what it came to, for people. */
  readonly asked: { readonly format?: string; readonly quality?: string };
  readonly had: { readonly format: string; readonly quality?: string };
  /** What was asked for and is not so, or cannot be, for people. */
  readonly notes?: readonly string[];
}
