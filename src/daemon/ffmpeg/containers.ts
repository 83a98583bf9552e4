/** Which container holds what, as FFmpeg's muxers write it. */
import type { Container, MediaInfo, MediaStream } from "../core/media-tool.ts";

/** One container. */
export interface ContainerTraits {
  readonly muxer: string;
  /** Codecs that it holds; absent: any. An entry ending in "*" is a beginning. */
  readonly audio?: readonly string[];
  /** Absent: any; empty: none. */
  readonly video?: readonly string[];
  /** Subtitles that it holds as they are; absent: any. */
  readonly subtitle?: readonly string[];
  /** What subtitles in text become if they are of another kind. */
  readonly subtitleEncoder?: string;
  /** One track only. */
  readonly single?: true;
  /** How it holds a cover; absent: not at all. */
  readonly cover?: "picture" | "attachment" | "comment";
  readonly tags: boolean;
  /** How it holds chapters: by itself, or as comments that FFmpeg does not write but reads; absent: not at all. */
  readonly chapters?: "own" | "comment";
  readonly options: readonly string[];
}

const MP4_AUDIO = ["aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"];
const MP4_VIDEO = ["h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video"];
const FAST_START = ["-movflags", "+faststart"];
const ID3 = ["-id3v2_version", "3"];

const TRAITS: Readonly<Record<Container, ContainerTraits>> = {
  mp4: {
    muxer: "mp4",
    audio: MP4_AUDIO,
    video: MP4_VIDEO,
    subtitle: ["mov_text"],
    subtitleEncoder: "mov_text",
    cover: "picture",
    tags: true,
    chapters: "own",
    options: FAST_START,
  },
  m4a: {
    muxer: "ipod",
    audio: ["aac", "alac", "ac3"],
    video: [],
    subtitle: [],
    cover: "picture",
    tags: true,
    chapters: "own",
    options: FAST_START,
  },
  mov: {
    muxer: "mov",
    audio: ["aac", "mp3", "ac3", "eac3", "alac", "pcm_*"],
    video: ["h264", "hevc", "mpeg4", "prores", "mjpeg", "dnxhd"],
    subtitle: ["mov_text"],
    subtitleEncoder: "mov_text",
    tags: true,
    chapters: "own",
    options: FAST_START,
  },
  mkv: {
    muxer: "matroska",
    subtitleEncoder: "srt",
    subtitle: ["subrip", "ass", "ssa", "webvtt", "dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle"],
    cover: "attachment",
    tags: true,
    chapters: "own",
    options: [],
  },
  mka: { muxer: "matroska", video: [], subtitle: [], cover: "attachment", tags: true, chapters: "own", options: [] },
  webm: {
    muxer: "webm",
    audio: ["opus", "vorbis"],
    video: ["vp8", "vp9", "av1"],
    subtitle: ["webvtt"],
    subtitleEncoder: "webvtt",
    tags: true,
    chapters: "own",
    options: [],
  },
  ts: {
    muxer: "mpegts",
    audio: ["aac", "mp2", "mp3", "ac3", "eac3", "opus", "dts"],
    video: ["h264", "hevc", "mpeg2video", "mpeg1video", "mpeg4"],
    subtitle: ["dvb_subtitle"],
    tags: false,
    options: [],
  },
  mp3: {
    muxer: "mp3",
    audio: ["mp3"],
    video: [],
    subtitle: [],
    single: true,
    cover: "picture",
    tags: true,
    chapters: "own",
    options: ID3,
  },
  aac: { muxer: "adts", audio: ["aac"], video: [], subtitle: [], single: true, tags: false, options: [] },
  opus: {
    muxer: "opus",
    audio: ["opus"],
    video: [],
    subtitle: [],
    single: true,
    cover: "comment",
    tags: true,
    chapters: "own",
    options: [],
  },
  ogg: {
    muxer: "ogg",
    audio: ["vorbis", "opus", "flac"],
    video: [],
    subtitle: [],
    single: true,
    cover: "comment",
    tags: true,
    chapters: "comment",
    options: [],
  },
  flac: {
    muxer: "flac",
    audio: ["flac"],
    video: [],
    subtitle: [],
    single: true,
    cover: "picture",
    tags: true,
    chapters: "comment",
    options: [],
  },
  wav: {
    muxer: "wav",
    audio: ["pcm_*"],
    video: [],
    subtitle: [],
    single: true,
    tags: true,
    options: ["-rf64", "auto"],
  },
};

/** Containers for audio alone by its codec, the first that holds it. */
const FOR_AUDIO: readonly Container[] = ["mp3", "m4a", "opus", "flac", "ogg", "wav"];

/** What is known of a container. */
export function traitsOf(container: Container): ContainerTraits {
  return TRAITS[container];
}

/** True if the container holds audio alone. */
export function isForAudio(container: Container): boolean {
  return TRAITS[container].video?.length === 0;
}

/** True if a track can be in the container as it is. Subtitles in text can be turned into its own kind. */
export function holds(container: Container, stream: Pick<MediaStream, "kind" | "codec">): boolean {
  if (stream.kind !== "audio" && stream.kind !== "video" && stream.kind !== "subtitle")
    return stream.kind === "attachment" && TRAITS[container].muxer === "matroska";
  const allowed = TRAITS[container][stream.kind];
  if (allowed === undefined) return true;
  return allowed.some((name) =>
    name.endsWith("*") ? stream.codec.startsWith(name.slice(0, -1)) : name === stream.codec,
  );
}

/** As in `MediaTool.containerFor`. */
export function containerFor(tracks: readonly MediaInfo[], wanted?: Container): Container {
  const streams = tracks
    .flatMap((track) => track.streams)
    .filter(({ kind, attachedPicture }) => (kind === "audio" || kind === "video") && !attachedPicture);
  const audioOnly = !streams.some(({ kind }) => kind === "video");
  const fits = (container: Container): boolean =>
    streams.every((stream) => holds(container, stream)) && !(TRAITS[container].single === true && streams.length > 1);
  if (wanted !== undefined) return fits(wanted) ? wanted : audioOnly ? "mka" : "mkv";
  return (audioOnly ? FOR_AUDIO : (["webm", "mp4"] as const)).find(fits) ?? (audioOnly ? "mka" : "mkv");
}
