/** Kinds of audio that a format's word asks for: taken where there is such a one, else made of the best sound there is. */
import type { MediaChoice, MediaFormat } from "../core/resolved.ts";
import { codecName } from "./format-container.ts";
import { isAudioOnly, ratesOf } from "./format-fields.ts";
import type { Selector } from "./format-selector.ts";

/** A kind of audio file. */
export interface AudioKind {
  readonly word: string;
  readonly ext: string;
  readonly codec: NonNullable<MediaChoice["transcode"]>["codec"];
  /** What is of this kind as it is, by FFmpeg's names. */
  readonly takes: readonly string[];
  /** kbit/s beyond which the codec has no use for more; absent: nothing is lost. */
  readonly most?: number;
}

const KINDS: readonly AudioKind[] = [
  { word: "mp3", ext: "mp3", codec: "mp3", takes: ["mp3"], most: 320 },
  { word: "m4a", ext: "m4a", codec: "aac", takes: ["aac", "alac"], most: 320 },
  { word: "aac", ext: "m4a", codec: "aac", takes: ["aac"], most: 320 },
  { word: "opus", ext: "opus", codec: "opus", takes: ["opus"], most: 510 },
  { word: "ogg", ext: "ogg", codec: "vorbis", takes: ["vorbis", "opus"], most: 500 },
  { word: "vorbis", ext: "ogg", codec: "vorbis", takes: ["vorbis"], most: 500 },
  { word: "flac", ext: "flac", codec: "flac", takes: ["flac"] },
  { word: "wav", ext: "wav", codec: "wav", takes: ["pcm"] },
];

const LOSSLESS = new Set(["flac", "alac", "pcm"]);

/** The kind that a word asks for. */
export function audioKind(word: string | undefined): AudioKind | undefined {
  return KINDS.find((kind) => kind.word === word);
}

/** What of the formats is of this kind, or is to be made into it. The formats are sorted, the best first. */
export function audioOf(kind: AudioKind, formats: readonly MediaFormat[]): MediaFormat | undefined {
  const open = formats.filter(({ locked }) => locked === undefined);
  const alone = open.filter(isAudioOnly);
  return (
    alone.find((format) => isNamedSo(kind, format)) ??
    alone.find((format) => isOf(kind, format)) ??
    alone[0] ??
    open.find(({ acodec }) => acodec !== "none")
  );
}

/** True if the sound is of this kind as it is. */
export function isOf(kind: AudioKind, format: MediaFormat): boolean {
  const codec = codecName(format.acodec);
  return isNamedSo(kind, format) || (codec !== undefined && kind.takes.includes(codec));
}

const isNamedSo = (kind: AudioKind, format: MediaFormat): boolean =>
  isAudioOnly(format) && (format.ext === kind.word || format.ext === kind.ext);

/** How the sound is made into this kind. @param wanted - kbit/s */
export function transcodeOf(
  kind: AudioKind,
  format: MediaFormat,
  wanted: number | undefined,
): { readonly transcode: NonNullable<MediaChoice["transcode"]>; readonly notes: readonly string[] } {
  const own = ratesOf(format).abr;
  const lossy = !LOSSLESS.has(codecName(format.acodec) ?? "");
  if (kind.most === undefined)
    return {
      transcode: { codec: kind.codec },
      notes: lossy ? [`${kind.ext} of ${format.acodec ?? "a source"} that is lossy: it gets larger, not better`] : [],
    };
  const rates = [wanted ?? kind.most, kind.most, ...(own ? [own] : [])];
  // Without any number the encoder is told nothing, and keeps below the source by itself.
  const kbps = wanted === undefined && !own ? undefined : Math.max(1, Math.floor(Math.min(...rates)));
  const less = wanted !== undefined && kbps !== undefined && kbps < Math.floor(wanted);
  const limit =
    own !== undefined && own < kind.most ? `the source has ${Math.round(own)}k` : `${kind.codec} has no more`;
  return {
    transcode: { codec: kind.codec, ...(kbps !== undefined && { kbps }) },
    notes: less ? [`${kbps}k in place of ${wanted}k: ${limit}`] : [],
  };
}

const AUDIO_WORD = /^(best|worst|b|w)(audio|a)(\.\d+)?$/;
const WHOLE_WORD = /^(best|worst|b|w)$/;

/** True if a selector means sound, and takes a whole file only for want of it: `ba`, `ba/b`. */
export function meansSound(selector: Selector): boolean {
  if (selector.type === "word") return !selector.quoted && AUDIO_WORD.test(selector.word);
  if (selector.type !== "first") return false;
  const [first, ...others] = selector.parts;
  return (
    first !== undefined &&
    meansSound(first) &&
    others.every((each) => meansSound(each) || (each.type === "word" && WHOLE_WORD.test(each.word)))
  );
}
