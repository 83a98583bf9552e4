/**
 * Media in JSON-LD (schema.org): VideoObject, AudioObject and their relatives, wherever in the document they stand, with what
 * the objects around them (an episode, its series) say. No context is fetched; whatever has another shape is passed over.
 */
import type { MediaAbout, MediaChapter } from "../core/resolved.ts";
import type { NamedFile } from "./media-file.ts";
import { isoDuration } from "./media-time.ts";

/** Objects inside of one another, and all of them. */
const DEEPEST = 40;
const MOST_NODES = 50_000;
/** Media objects that are of interest. */
const MOST_MEDIA = 500;
const LONGEST_BLOCK = 4 * 1024 * 1024;
const LONGEST_TEXT = 5000;

/** Media that a page describes. Addresses are as they stand there. */
export interface DescribedMedia {
  readonly files: readonly NamedFile[];
  readonly about: MediaAbout;
  readonly subtitles: ReadonlyArray<{ readonly url: string; readonly language: string; readonly type?: string }>;
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const asList = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];

/** The media of a page's blocks, in their order; what a page calls its main entity comes first. */
export function readJsonLd(blocks: readonly string[]): readonly DescribedMedia[] {
  const found: { readonly media: DescribedMedia; readonly main: boolean }[] = [];
  let nodes = 0;
  const visit = (value: unknown, depth: number, around: MediaAbout, main: boolean): void => {
    if (depth > DEEPEST || ++nodes > MOST_NODES || found.length >= MOST_MEDIA) return;
    if (Array.isArray(value)) for (const each of value) visit(each, depth + 1, around, main);
    if (!isObject(value)) return;
    const types = typesOf(value);
    let about = around;
    const medium = mediumOf(types);
    if (medium !== undefined || types.some((type) => CONTAINERS.test(type))) about = aboutOf(value, around);
    const media = medium === undefined ? undefined : mediaOf(value, medium, about);
    if (media) found.push({ media, main });
    for (const [key, inner] of Object.entries(value)) {
      if (typeof inner !== "object" || (media && OWN.has(key))) continue;
      visit(inner, depth + 1, about, main || key === "mainEntity" || key === "mainEntityOfPage");
    }
  };
  for (const block of blocks) {
    const parsed = parse(block);
    if (parsed !== undefined) visit(parsed, 0, {}, false);
  }
  return [...found.filter(({ main }) => main), ...found.filter(({ main }) => !main)].map(({ media }) => media);
}

function parse(block: string): unknown {
  if (block.length > LONGEST_BLOCK) return undefined;
  try {
    // Some pages hide it from browsers that are long gone.
    return JSON.parse(block.replace(/^\s*(<!--|\/\*<!\[CDATA\[\*\/|<!\[CDATA\[)/, "").replace(/(-->|\]\]>)\s*$/, ""));
  } catch {
    return undefined;
  }
}

/** Properties of a media object that describe that object and nothing else. */
const OWN = new Set(["encoding", "thumbnail", "image", "caption", "hasPart", "author", "creator", "publisher"]);

/** What says more of the media inside of it. */
const CONTAINERS =
  /^(PodcastEpisode|Episode|TVEpisode|RadioEpisode|Movie|MusicRecording|.*Article|Clip|LearningResource)$/;

function typesOf(value: Json): readonly string[] {
  return asList(value["@type"]).flatMap((type) =>
    typeof type === "string" ? [type.replace(/^(https?:\/\/schema\.org\/|schema:)/, "")] : [],
  );
}

function mediumOf(types: readonly string[]): "video" | "audio" | "media" | undefined {
  if (types.some((type) => /^(VideoObject|MusicVideoObject|VideoObjectSnapshot)$/.test(type))) return "video";
  if (types.some((type) => /^(AudioObject|Audiobook|AudioObjectSnapshot)$/.test(type))) return "audio";
  return types.some((type) => /^(MediaObject|PodcastEpisode)$/.test(type)) ? "media" : undefined;
}

function mediaOf(value: Json, medium: "video" | "audio" | "media", about: MediaAbout): DescribedMedia | undefined {
  const files = [value, ...asList(value["encoding"]).filter(isObject)].flatMap((each) => filesOf(each, medium));
  if (files.length === 0) return undefined;
  const subtitles = asList(value["caption"])
    .filter(isObject)
    .flatMap((caption) => {
      const url = text(caption["contentUrl"]) ?? text(caption["url"]);
      const type = text(caption["encodingFormat"]);
      return url === undefined
        ? []
        : [{ url, language: text(caption["inLanguage"]) ?? "und", ...(type !== undefined && { type }) }];
    });
  return { files, about, subtitles };
}

function filesOf(value: Json, medium: "video" | "audio" | "media"): NamedFile[] {
  const type = text(value["encodingFormat"]) ?? text(value["fileFormat"]);
  const width = amount(value["width"]);
  const height = amount(value["height"]);
  const kbps = rate(value["bitrate"]);
  const sizeApprox = size(value["contentSize"]);
  const kind = /^(audio|video)\//.exec(type ?? "")?.[1] as "audio" | "video" | undefined;
  const known = kind ?? (medium === "media" ? undefined : medium);
  return asList(value["contentUrl"]).flatMap((each) => {
    const url = text(each);
    if (url === undefined) return [];
    return [
      {
        url,
        ...(type !== undefined && /^[\w.+-]+\/[\w.+-]+/.test(type) && { type }),
        ...(known !== undefined && { kind: known }),
        ...(width !== undefined && { width }),
        ...(height !== undefined && { height }),
        ...(kbps !== undefined && { kbps }),
        ...(sizeApprox !== undefined && { sizeApprox }),
      },
    ];
  });
}

/** @param around - what the objects around it say: a number of theirs is the episode's */
function aboutOf(value: Json, around: MediaAbout): MediaAbout {
  const series = asList(value["partOfSeries"]).find(isObject);
  const season = asList(value["partOfSeason"]).find(isObject);
  return compact({
    id: text(value["identifier"]) ?? around.id,
    title: text(value["name"]) ?? text(value["headline"]) ?? around.title,
    description: text(value["description"]) ?? around.description,
    uploader: nameOf(value["author"]) ?? nameOf(value["creator"]) ?? around.uploader,
    channel: nameOf(value["publisher"]) ?? around.channel,
    artist: nameOf(value["byArtist"]) ?? around.artist,
    album: nameOf(value["inAlbum"]) ?? around.album,
    genre: text(asList(value["genre"])[0]) ?? around.genre,
    series: nameOf(series) ?? around.series,
    season: amount(season?.["seasonNumber"]) ?? around.season,
    episode: amount(value["episodeNumber"]) ?? around.episode,
    publishedAt: date(value["uploadDate"]) ?? date(value["datePublished"]) ?? around.publishedAt,
    durationSeconds:
      isoDuration(text(value["duration"])) ?? isoDuration(text(value["timeRequired"])) ?? around.durationSeconds,
    thumbnail:
      picture(value["thumbnailUrl"]) ?? picture(value["thumbnail"]) ?? picture(value["image"]) ?? around.thumbnail,
    chapters: chaptersOf(value["hasPart"]) ?? around.chapters,
  });
}

function chaptersOf(value: unknown): readonly MediaChapter[] | undefined {
  const chapters = asList(value)
    .filter(isObject)
    .slice(0, 1000)
    .flatMap((part) => {
      const title = text(part["name"]);
      const start = amount(part["startOffset"]);
      const end = amount(part["endOffset"]);
      if (title === undefined || start === undefined || !typesOf(part).includes("Clip")) return [];
      return [{ title, start, ...(end !== undefined && end > start && { end }) }];
    });
  return chapters.length === 0 ? undefined : chapters.toSorted((a, b) => a.start - b.start);
}

function text(value: unknown): string | undefined {
  const found = isObject(value) ? value["@value"] : value;
  if (typeof found !== "string") return undefined;
  const trimmed = found.trim();
  return trimmed === "" ? undefined : trimmed.slice(0, trimmed.includes("://") ? 16_384 : LONGEST_TEXT);
}

function nameOf(value: unknown): string | undefined {
  const names = asList(value).flatMap((each) => text(isObject(each) ? each["name"] : each) ?? []);
  return names.length === 0 ? undefined : names.slice(0, 10).join(", ");
}

function picture(value: unknown): string | undefined {
  const [first] = asList(value);
  return text(isObject(first) ? (first["url"] ?? first["contentUrl"]) : first);
}

/** A number, or one with a unit behind it, or a QuantitativeValue. */
function amount(value: unknown): number | undefined {
  const plain = isObject(value) ? value["value"] : value;
  const number = typeof plain === "string" ? Number(/^\s*(\d{1,9}(\.\d{1,6})?)\s*(px|s)?\s*$/.exec(plain)?.[1]) : plain;
  return typeof number === "number" && Number.isFinite(number) && number >= 0 ? number : undefined;
}

/** kbit/s. A bare number is in bit/s, unless it is too small for that. */
function rate(value: unknown): number | undefined {
  const [, digits, unit = ""] = /^\s*(\d{1,10}(?:\.\d+)?)\s*([kKmM]?)/.exec(String(value ?? "")) ?? [];
  const number = Number(digits);
  if (!(number > 0)) return undefined;
  if (/k/i.test(unit)) return number;
  if (/m/i.test(unit)) return number * 1000;
  return number > 8000 ? number / 1000 : number;
}

/** Bytes. */
function size(value: unknown): number | undefined {
  const [, digits, unit = ""] = /^\s*(\d{1,15}(?:\.\d+)?)\s*([kmgKMG]?)i?[bB]?/.exec(String(value ?? "")) ?? [];
  const factor = { "": 1, k: 1e3, m: 1e6, g: 1e9 }[unit.toLowerCase()] ?? 1;
  const bytes = Math.round(Number(digits) * factor);
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}

function date(value: unknown): number | undefined {
  const time = Date.parse(text(asList(value)[0]) ?? "");
  return Number.isNaN(time) ? undefined : time;
}

/** Without what is not known. */
export function compact(about: { readonly [K in keyof MediaAbout]: MediaAbout[K] | undefined }): MediaAbout {
  return Object.fromEntries(Object.entries(about).filter(([, value]) => value !== undefined));
}
