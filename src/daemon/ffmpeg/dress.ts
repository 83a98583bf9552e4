/** Tags, chapters and covers in the forms that FFmpeg takes them in. */
import type { MediaChapter } from "../core/media-tool.ts";
import { metadataText } from "./escape.ts";

/** Tags that tell of the container that they came from, not of the work. */
const TECHNICAL =
  /^(major_brand|minor_version|compatible_brands|encoder|language|duration|bps|metadata_block_picture|(vendor|handler)_(id|name)|_statistics_.*)$/;

/** Tags to write: those of the source and those given; "" takes one away. Names that FFmpeg cannot write are left out. */
export function mergedTags(
  source: Readonly<Record<string, string>>,
  given: Readonly<Record<string, string>> = {},
): ReadonlyMap<string, string> {
  const tags = new Map<string, string>();
  for (const [name, value] of Object.entries(source)) if (!TECHNICAL.test(name)) tags.set(name, value);
  for (const [name, value] of Object.entries(given)) tags.set(name.toLowerCase(), value);
  return new Map([...tags].filter(([name, value]) => value !== "" && name !== "" && !/[\0\n\r]/.test(name)));
}

/** An ffmetadata file (ffmpeg-formats(1) "Metadata"). */
export function metadataFile(tags: ReadonlyMap<string, string>, chapters: readonly MediaChapter[] = []): string {
  const lines = [";FFMETADATA1"];
  for (const [name, value] of tags) lines.push(`${metadataText(name)}=${metadataText(value)}`);
  for (const { startSeconds, endSeconds, title } of chapters) {
    lines.push(
      "[CHAPTER]",
      "TIMEBASE=1/1000",
      `START=${milliseconds(startSeconds)}`,
      `END=${milliseconds(endSeconds)}`,
    );
    if (title !== undefined) lines.push(`title=${metadataText(title)}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Chapters as Vorbis comments (wiki.xiph.org/Chapter_Extension): CHAPTER001=00:00:05.000 and CHAPTER001NAME. */
export function chapterComments(chapters: readonly MediaChapter[]): ReadonlyMap<string, string> {
  const entries = chapters.slice(0, 999).flatMap(({ startSeconds, title = "" }, index): [string, string][] => {
    const name = `CHAPTER${String(index).padStart(3, "0")}`;
    const total = milliseconds(startSeconds);
    const part = (value: number, digits = 2): string => String(Math.floor(value)).padStart(digits, "0");
    const time = `${part(total / 3_600_000)}:${part((total / 60_000) % 60)}:${part((total / 1000) % 60)}.${part(total % 1000, 3)}`;
    return [
      [name, time],
      [`${name}NAME`, title],
    ];
  });
  return new Map(entries);
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}

/** A kind of picture. */
export interface PictureKind {
  readonly mime: string;
  readonly demuxer: string;
  /** Ending of a file's name. */
  readonly ending: string;
}

/** What a picture is by its first bytes; undefined if it is none that is known. */
export function pictureKind(bytes: Uint8Array): PictureKind | undefined {
  const head = Buffer.from(bytes.subarray(0, 12)).toString("latin1");
  if (head.startsWith("\xff\xd8\xff")) return { mime: "image/jpeg", demuxer: "jpeg_pipe", ending: "jpg" };
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return { mime: "image/png", demuxer: "png_pipe", ending: "png" };
  if (head.startsWith("RIFF") && head.endsWith("WEBP"))
    return { mime: "image/webp", demuxer: "webp_pipe", ending: "webp" };
  return undefined;
}

/** A front cover as the value of METADATA_BLOCK_PICTURE: a FLAC picture block (RFC 9639 §8.8) in base64. */
export function pictureBlock(bytes: Uint8Array, { mime }: PictureKind): string {
  const number = (value: number): Buffer => {
    const buffer = Buffer.alloc(4);
    buffer.writeUInt32BE(value);
    return buffer;
  };
  const front = number(3);
  const unknown = Buffer.alloc(16);
  const parts = [front, number(mime.length), Buffer.from(mime), number(0), unknown, number(bytes.length), bytes];
  return Buffer.concat(parts).toString("base64");
}
