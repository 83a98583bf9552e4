/**
 * What is said about media: what a file holds, what is to be made of it, and what came out. The words of the
 * `MediaTool` port, behind which FFmpeg is run; nothing here knows how.
 */
import type { ByteSink } from "./ports/http.ts";

/** What a stream carries. */
export type StreamKind = "audio" | "video" | "subtitle" | "attachment" | "data";

/** One stream of a file. Absent: the file does not say. */
export interface MediaStream {
  readonly index: number;
  readonly kind: StreamKind;
  /** FFmpeg's name of the codec ("aac", "h264", "pcm_s24le"); "unknown" if it has none. */
  readonly codec: string;
  readonly profile?: string;
  /** Bits a second. */
  readonly bitRate?: number;
  readonly durationSeconds?: number;
  /** Hz. */
  readonly sampleRate?: number;
  readonly channels?: number;
  /** FFmpeg's name ("stereo", "5.1(side)"). */
  readonly layout?: string;
  /** FFmpeg's name ("s16", "fltp"). */
  readonly sampleFormat?: string;
  /** Significant bits of a sample, for codecs that have such a number. */
  readonly bitsPerSample?: number;
  readonly width?: number;
  readonly height?: number;
  /** Frames a second, on average. */
  readonly fps?: number;
  /** ISO 639 as the file has it; "und" counts as absent. */
  readonly language?: string;
  /** A cover, not a moving picture. */
  readonly attachedPicture: boolean;
  /** Under DRM: its bytes can be copied, not decoded. */
  readonly encrypted: boolean;
  /** Flags that are set, such as "default" and "forced". */
  readonly disposition: readonly string[];
  /** By lower-case name. */
  readonly tags: Readonly<Record<string, string>>;
}

/** A chapter. */
export interface MediaChapter {
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly title?: string;
}

/** What a file holds. */
export interface MediaInfo {
  /** FFmpeg's name of the container; may be several ("mov,mp4,m4a,3gp,3g2,mj2"). */
  readonly format: string;
  readonly durationSeconds?: number;
  /** Bits a second, all streams. */
  readonly bitRate?: number;
  readonly streams: readonly MediaStream[];
  /** Tags of the file and, where the container keeps them there (Ogg), of its first audio stream; by lower-case name. */
  readonly tags: Readonly<Record<string, string>>;
  readonly chapters: readonly MediaChapter[];
}

/** Where a run reads. Options are FFmpeg's for an input, before `-i`; whoever makes them escapes what is in them. */
export type MediaSource = { readonly options?: readonly string[] } & (
  | {
      /** An absolute path, taken literally. */
      readonly path: string;
      /** Demuxer, where it is known: nothing else is then tried. */
      readonly format?: string;
    }
  /** Files of one kind, one behind the other, by absolute paths. */
  | { readonly concat: readonly string[] }
  /** A filter graph of libavfilter that makes the signal: "sine=d=1". */
  | { readonly generate: string }
  /** Bytes that are handed to FFmpeg as it takes them; at most one such input a run. */
  | { readonly bytes: AsyncIterable<Uint8Array>; readonly format: string }
);

/** Where a run writes. Options are FFmpeg's for an output: mapping, codecs, filters. */
export type MediaTarget = { readonly options?: readonly string[] } & (
  | {
      /** An absolute path. A file appears there only when the run has succeeded. */
      readonly path: string;
      /** Muxer. */
      readonly format: string;
      /** Replace a file that is there; default: TARGET_EXISTS. */
      readonly replace?: boolean;
      /** Asked with the path of the finished file before it gets its name; what it throws fails the run. */
      readonly prove?: (path: string) => Promise<void>;
    }
  /** Bytes as they are made. The buffer is the sink's to keep. */
  | { readonly sink: ByteSink; readonly format: string }
  /** Nothing is kept: a measurement. */
  | { readonly nothing: true }
);

/** How far a run is. */
export interface MediaProgress {
  /** Of the output. */
  readonly seconds: number;
  /** 0 to 100; absent without a duration. */
  readonly percent?: number;
  /** Seconds of media a second. */
  readonly speed?: number;
  readonly etaSeconds?: number;
}

/** What all jobs have in common. */
interface MediaControl {
  /** Ends FFmpeg, and the run rejects with its reason when nothing of it is left. */
  readonly signal?: AbortSignal;
  /** Milliseconds that FFmpeg may run; default: the configured limit. */
  readonly timeoutMs?: number;
  readonly onProgress?: (progress: MediaProgress) => void;
  /** How much FFmpeg logs; default "warning". Meters and `print` options speak at "info". */
  readonly logLevel?: "error" | "warning" | "info";
  /** Each line of the log. */
  readonly onLog?: (line: string) => void;
}

/** One run of FFmpeg. */
export interface MediaRun extends MediaControl {
  readonly inputs: readonly MediaSource[];
  /** A filter graph over all inputs; whoever makes it escapes what is in it. */
  readonly graph?: string;
  readonly output: MediaTarget;
  /** Expected length of the output, for progress. */
  readonly durationSeconds?: number;
}

/** What a run did. */
export interface MediaRunResult {
  /** Seconds of media that were written; absent if FFmpeg did not say. */
  readonly seconds?: number;
  /** The last lines of the log. */
  readonly log: readonly string[];
}

/** The FFmpeg that is used. */
export interface MediaToolVersion {
  readonly path: string;
  /** As FFmpeg says it: "5.1.9-0+deb12u1", "N-113684-g1f3a5b7". */
  readonly version: string;
}

/** Parts of FFmpeg that a build may lack. */
export type MediaPart = "encoder" | "decoder" | "muxer" | "demuxer" | "filter";

/** What a chain is tried with. */
export interface ChainTrial {
  readonly kind: "audio" | "video";
  /** Hz; default 48,000. */
  readonly sampleRate?: number;
  /** FFmpeg's name; default "stereo". */
  readonly layout?: string;
  /** More inputs of the same kind: the chain is then a graph with `[0:a][1:a]…`. Default 1. */
  readonly inputs?: number;
  readonly signal?: AbortSignal;
}

/** Containers that files are written in, by the usual ending of their names. */
export type Container =
  | "mp4"
  | "m4a"
  | "mkv"
  | "mka"
  | "webm"
  | "mov"
  | "ts"
  | "mp3"
  | "aac"
  | "opus"
  | "ogg"
  | "flac"
  | "wav";

/** Codecs that audio is encoded with. */
export type AudioCodec = "mp3" | "aac" | "opus" | "vorbis" | "flac" | "alac" | "wav";

/** Bits of a sample, or IEEE 754 floating point. */
export type AudioDepth = 16 | 24 | 32 | "float32" | "float64";

/** How audio is encoded. What is absent stays as the source has it, as far as the codec can. */
export interface AudioEncoding {
  readonly codec: AudioCodec;
  /** Bits a second, of lossy codecs; never above the source's own rate if that is lossy too. */
  readonly bitRate?: number;
  readonly sampleRate?: number;
  readonly channels?: number;
  /** Of the samples, for codecs that lose nothing; flac and alac know 16 and 24 bits. */
  readonly depth?: AudioDepth;
  /** Only the first audio track is encoded anew; others are copied. */
  readonly firstOnly?: boolean;
  /** A filter chain before the encoder; whoever makes it escapes what is in it. */
  readonly filters?: string;
}

/** A picture that stands for the file. */
export interface Cover {
  readonly bytes: Uint8Array;
}

/** A file of subtitles. */
export interface SubtitleFile {
  readonly path: string;
  readonly format: "webvtt" | "srt" | "ass";
  /** ISO 639-2, three letters. */
  readonly language?: string;
  readonly title?: string;
}

/** Words and pictures beside the tracks. What is absent stays as the source has it. */
export interface MediaDress {
  /** By FFmpeg's names ("title", "artist", "date", "comment"); "" takes a tag away. */
  readonly tags?: Readonly<Record<string, string>>;
  readonly chapters?: readonly MediaChapter[];
  /** JPEG or PNG; `null` takes it away. */
  readonly cover?: Cover | null;
  readonly subtitles?: readonly SubtitleFile[];
}

/** A file that goes into another, and what is taken from it. */
export interface MediaTrackFile {
  readonly path: string;
  /** Demuxer, where it is known. */
  readonly format?: string;
  /** Default: all audio, video and subtitles. */
  readonly take?: readonly ("audio" | "video" | "subtitle")[];
  /** ISO 639-2, for its tracks. */
  readonly language?: string;
  /** What is in it, if that was looked at already. */
  readonly info?: MediaInfo;
}

/** A file that is to be made of others. */
export interface MediaJob extends MediaControl, MediaDress {
  /** The first one gives tags, chapters and cover. */
  readonly tracks: readonly [MediaTrackFile, ...MediaTrackFile[]];
  /** Absolute. */
  readonly target: string;
  /** Replace a file that is there; default: TARGET_EXISTS. The target may be one of the tracks only so. */
  readonly replace?: boolean;
  /** Those that hold audio only (m4a, mka, mp3, aac, opus, ogg, flac, wav) take only audio; all but m4a and mka one track of it. */
  readonly container: Container;
  /** Encode audio anew; absent: every track is copied as it is. */
  readonly audio?: AudioEncoding;
  /** As in {@link MediaTarget}. */
  readonly prove?: (path: string) => Promise<void>;
}

/** What came of a job. */
export interface MediaMade {
  readonly path: string;
  readonly container: Container;
  /** What is in it now. */
  readonly info: MediaInfo;
  /** Bits a second that audio was encoded with, where a number was given to the encoder. */
  readonly audioBitRate?: number;
  /** What the container could not take, for people: "wav holds no cover". */
  readonly notes: readonly string[];
}
