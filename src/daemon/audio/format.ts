/** Which container and codec a result gets: those of the source, or the nearest that can be written, said in a note. */
import { basename, extname } from "node:path";
import { failure } from "../core/errors.ts";
import type { AudioCodec, AudioDepth, AudioEncoding, Container, MediaStream } from "../core/media-tool.ts";
import type { AudioSource } from "./source.ts";

/** Endings of names, and the containers that they stand for. */
const BY_ENDING: Readonly<Record<string, Container>> = {
  mp4: "mp4",
  m4v: "mp4",
  m4a: "m4a",
  m4b: "m4a",
  mkv: "mkv",
  mka: "mka",
  webm: "webm",
  mov: "mov",
  ts: "ts",
  mp3: "mp3",
  aac: "aac",
  opus: "opus",
  ogg: "ogg",
  oga: "ogg",
  flac: "flac",
  wav: "wav",
};

/** What each container can be given, the most usual first. */
const CODECS: Readonly<Record<Container, readonly AudioCodec[]>> = {
  mp4: ["aac", "alac", "flac", "opus", "mp3"],
  m4a: ["aac", "alac"],
  mkv: ["aac", "flac", "opus", "vorbis", "mp3", "alac", "wav"],
  mka: ["aac", "flac", "opus", "vorbis", "mp3", "alac", "wav"],
  webm: ["opus", "vorbis"],
  mov: ["aac", "alac", "wav"],
  ts: ["aac", "mp3", "opus"],
  mp3: ["mp3"],
  aac: ["aac"],
  opus: ["opus"],
  ogg: ["vorbis", "opus", "flac"],
  flac: ["flac"],
  wav: ["wav"],
};

const LOSSLESS: ReadonlySet<AudioCodec> = new Set(["flac", "alac", "wav"]);

/** Containers for pictures that move; the others are written with audio alone. */
const FOR_VIDEO: ReadonlySet<Container> = new Set(["mp4", "mkv", "webm", "mov", "ts"]);
/** Containers for several audio tracks. */
const FOR_TRACKS: ReadonlySet<Container> = new Set([...FOR_VIDEO, "m4a", "mka"]);
const TEXT = /^(subrip|srt|webvtt|mov_text|ass|ssa|text)$/;
/** Subtitles that each container takes, as they are or in its own kind. */
const SUBTITLES: Partial<Readonly<Record<Container, RegExp>>> = {
  mp4: TEXT,
  mov: TEXT,
  webm: TEXT,
  mkv: /^(subrip|srt|webvtt|mov_text|ass|ssa|text|dvd_subtitle|hdmv_pgs_subtitle|dvb_subtitle)$/,
  ts: /^dvb_subtitle$/,
};

/** How a result is written. */
export interface OutputFormat {
  readonly container: Container;
  readonly encoding: AudioEncoding;
  /** The codec loses something. */
  readonly lossy: boolean;
  /** Container and codec are those of the source, and all that is in it can be taken along. */
  readonly kept: boolean;
  /** Tracks of the source that the container cannot take along, in words; covers are not among them. */
  readonly lost: readonly string[];
  readonly notes: readonly string[];
}

/** The source's own format, or the nearest to it. */
export function formatLike(source: AudioSource): OutputFormat {
  const own = containerOf(source);
  return formatIn(own ?? (source.hasVideo ? "mkv" : source.lossless ? "flac" : "m4a"), source, own !== undefined);
}

/**
 * The format for a name that was asked for.
 * @throws DownloadError INVALID_ARGUMENT if its ending says nothing
 */
export function formatFor(output: string, source: AudioSource): OutputFormat {
  const ending = extname(output).slice(1).toLowerCase();
  const container = Object.hasOwn(BY_ENDING, ending) ? BY_ENDING[ending] : undefined;
  if (container === undefined)
    throw failure(
      "INVALID_ARGUMENT",
      `the ending of ${JSON.stringify(basename(output))} does not say what to write: use one of ${Object.keys(BY_ENDING).join(", ")}`,
    );
  return formatIn(container, source, container === containerOf(source));
}

/** How the name of a result ends: as the source's, where that is right for what is written. */
export function endingFor(container: Container, source: AudioSource): string {
  const own = extname(source.path).slice(1);
  return BY_ENDING[own.toLowerCase()] === container ? own : container;
}

function formatIn(container: Container, source: AudioSource, sameContainer: boolean): OutputFormat {
  const { stream } = source;
  const own = codecOf(stream.codec);
  const possible = CODECS[container];
  const lossless = source.lossless ? possible.find((codec) => LOSSLESS.has(codec)) : undefined;
  const fallback = lossless ?? (possible[0] as AudioCodec);
  const codec = own !== undefined && possible.includes(own) ? own : fallback;
  const lost = lostIn(container, source);
  const kept = sameContainer && codec === own && lost.length === 0;
  const notes: string[] = [];
  if (codec !== own)
    notes.push(`The audio was ${stream.codec} and is now ${codec}, in ${article(container)} ${container} file.`);
  const depth = LOSSLESS.has(codec) && source.lossless ? depthFor(codec, source, notes) : undefined;
  const others = source.info.streams.filter(({ kind }) => kind === "audio").length - 1;
  if (others > 0 && FOR_TRACKS.has(container))
    notes.push(`Only the first audio track is changed; ${others} more in the file ${others === 1 ? "is" : "are"} not.`);
  if (lost.length > 0) notes.push(`Left out, since ${container} cannot hold it: ${lost.join(", ")}.`);
  return {
    container,
    encoding: {
      codec,
      firstOnly: true,
      ...(depth !== undefined && { depth }),
      ...(!source.lossless && stream.bitRate !== undefined && { bitRate: stream.bitRate }),
    },
    lossy: !LOSSLESS.has(codec),
    kept,
    lost,
    notes,
  };
}

function lostIn(container: Container, { info, stream }: AudioSource): string[] {
  return info.streams
    .filter(({ index, attachedPicture }) => index !== stream.index && !attachedPicture)
    .filter((other) => !carries(container, other, info.chapters.length > 0))
    .map(({ kind, codec, index }) => `${kind} (${codec}, stream ${index})`);
}

/** Whether a track is in a result as well. What MP4 lists its chapters in is made anew with them. */
function carries(container: Container, { kind, codec }: MediaStream, hasChapters: boolean): boolean {
  switch (kind) {
    case "audio":
      return FOR_TRACKS.has(container);
    case "video":
      return FOR_VIDEO.has(container);
    case "subtitle":
      return SUBTITLES[container]?.test(codec) ?? false;
    case "attachment":
      return container === "mkv";
    case "data":
      return codec === "bin_data" && hasChapters;
  }
}

function article(container: Container): string {
  return /^(aac|m|o)/.test(container) && container !== "mov" ? "an" : "a";
}

/** Depth of the samples that are written: the source's, where the codec has it. */
function depthFor(codec: AudioCodec, { stream }: AudioSource, notes: string[]): AudioDepth {
  const { sampleFormat = "", bitsPerSample = sampleFormat.startsWith("s32") ? 32 : 16 } = stream;
  const isFloat = /^(flt|dbl)/.test(sampleFormat);
  const own: AudioDepth = isFloat
    ? sampleFormat.startsWith("dbl")
      ? "float64"
      : "float32"
    : wholeDepth(bitsPerSample);
  const depth = codec === "wav" || own === 16 || own === 24 ? own : 24;
  if (depth !== own || (!isFloat && bitsPerSample !== own))
    notes.push(`The samples (${isFloat ? "floating point" : `${bitsPerSample} bits`}) are written with ${depth} bits.`);
  return depth;
}

function wholeDepth(bits: number): AudioDepth {
  return bits <= 16 ? 16 : bits <= 24 ? 24 : 32;
}

/** The container of a file, by what is in it; names decide only between those that are alike. */
function containerOf({ info, stream, path, hasVideo }: AudioSource): Container | undefined {
  const ending = extname(path).slice(1).toLowerCase();
  const named = Object.hasOwn(BY_ENDING, ending) ? BY_ENDING[ending] : undefined;
  const names = info.format.split(",");
  if (names.includes("mp4")) {
    if (named === "mov") return "mov";
    return hasVideo || named === "mp4" || !/^(aac|alac)$/.test(stream.codec) ? "mp4" : "m4a";
  }
  if (names.includes("matroska")) return named === "webm" ? "webm" : hasVideo ? "mkv" : "mka";
  // Ogg is written with audio alone.
  if (names.includes("ogg") && hasVideo) return undefined;
  if (names.includes("ogg")) return stream.codec === "opus" && named !== "ogg" ? "opus" : "ogg";
  if (names.includes("mpegts")) return "ts";
  return (["mp3", "aac", "flac", "wav"] as const).find((name) => names.includes(name));
}

function codecOf(codec: string): AudioCodec | undefined {
  if (codec.startsWith("pcm_")) return "wav";
  return (["mp3", "aac", "opus", "vorbis", "flac", "alac"] as const).find((name) => name === codec);
}
