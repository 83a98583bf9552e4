/**
 * Which format is better: by fields in order, as `-S` of yt-dlp has them. `res` more is better, `+res` less is better,
 * `res:720` the most up to 720 (else the least above), `res~720` whatever is nearest to 720. What is not said is decided by
 * the order of yt-dlp's manual.
 */
import type { MediaFormat } from "../core/resolved.ts";
import { mayHaveAudio, mayHaveVideo, ratesOf, smallerSide } from "./format-fields.ts";
import { parseAmount } from "./format-filter.ts";
import { formatInvalid } from "./format-text.ts";

/** How a format is placed by one field: compared part by part, more is better. */
type Key = readonly [rank: number, first: number | string, second: number];

/** A field of a sort. */
interface SortField {
  /** Undefined: the format does not say. */
  readonly value: (format: MediaFormat) => number | string | undefined;
  /** What is behind the sign of a limit, as a number; absent: a field takes no limit. */
  readonly limit?: (text: string) => number | undefined;
}

/** One step of a sort. */
export interface SortStep {
  readonly field: string;
  readonly reverse: boolean;
  readonly closest: boolean;
  readonly limit?: number;
}

/** Names of codecs and the like from the best to the worst; what is none of them stands where "" is. */
type Ranking = readonly (RegExp | "" | undefined | "none")[];

const VCODECS: Ranking = [
  /^av0?1/,
  /^vp0?9\.0?2/,
  /^vp0?9/,
  /^([hx]265|he?vc?)/,
  /^([hx]264|avc)/,
  /^vp0?8/,
  /^(mp4v|h263)/,
  /^theora/,
  "",
  undefined,
  "none",
];
const ACODECS: Ranking = [
  /^[af]lac/,
  /^(wav|aiff)/,
  /^opus/,
  /^(vorbis|ogg)/,
  /^aac/,
  /^mp?4a?/,
  /^mp3/,
  /^ac-?4/,
  /^e-?a?c-?3/,
  /^ac-?3/,
  /^dts/,
  "",
  undefined,
  "none",
];
const RANGES: Ranking = [/^dv/, /^(hdr)?12/, /^(hdr)?10\+/, /^(hdr)?10/, /^hlg/, "", /^sdr/, undefined];
const VIDEO_EXTS: Ranking = [/^mp4$/, /^mov$/, /^webm$/, /^flv$/, "", "none"];
const AUDIO_EXTS: Ranking = [/^m4a/, /^aac/, /^mp3/, /^ogg/, /^opus/, /^web[am]/, "", "none"];
const PROTOCOLS: Ranking = [/^https/, /^http$/, /^(m3u8|hls)/, /dash/, ""];

/** More is better; what is in the list is above what is not. */
function rank(ranking: Ranking, value: string | undefined): number {
  const text = value?.toLowerCase();
  const found = ranking.findIndex((each) =>
    each instanceof RegExp ? text !== undefined && each.test(text) : each === text,
  );
  const none = ranking.indexOf("");
  return ranking.length - (found === -1 || text === "" ? none : found);
}

const ranked = (ranking: Ranking, value: (format: MediaFormat) => string | undefined): SortField => ({
  value: (format) => rank(ranking, value(format)),
  limit: (text) => rank(ranking, text),
});
const amount = (value: (format: MediaFormat) => number | undefined, perUnit = 1): SortField => ({
  value,
  limit: (text) => parseAmount(text, perUnit),
});
const flag = (value: (format: MediaFormat) => boolean): SortField => ({ value: (format) => (value(format) ? 0 : -1) });

/** Rates are in kbit/s; a limit with a unit is one of bits. */
const KILOBIT = 1000;
const rate = (value: (format: MediaFormat) => number | undefined): SortField => amount(value, KILOBIT);

const FIELDS: Readonly<Record<string, SortField>> = {
  aud_or_vid: flag((format) => mayHaveVideo(format) || mayHaveAudio(format)),
  hasvid: flag(mayHaveVideo),
  hasaud: flag(mayHaveAudio),
  ie_pref: amount(({ preference }) => preference ?? -1),
  lang: amount(({ languagePreference }) => languagePreference ?? -1),
  quality: amount(({ quality }) => quality ?? -1),
  res: amount(smallerSide),
  height: amount(({ height }) => height),
  width: amount(({ width }) => width),
  fps: amount(({ fps }) => fps),
  hdr: ranked(RANGES, ({ dynamicRange }) => dynamicRange),
  vcodec: ranked(VCODECS, ({ vcodec }) => vcodec),
  acodec: ranked(ACODECS, ({ acodec }) => acodec),
  channels: amount(({ audioChannels }) => audioChannels),
  size: amount(({ fileSize, fileSizeApprox }) => fileSize || fileSizeApprox),
  filesize: amount(({ fileSize }) => fileSize),
  fs_approx: amount(({ fileSizeApprox }) => fileSizeApprox),
  br: rate((format) => ratesOf(format).tbr || ratesOf(format).vbr || ratesOf(format).abr),
  tbr: rate((format) => ratesOf(format).tbr),
  vbr: rate((format) => ratesOf(format).vbr),
  abr: rate((format) => ratesOf(format).abr),
  // What a target of so many kbit/s is meant for: the sound, or all of what has a picture.
  rate: rate((format) => (mayHaveVideo(format) ? ratesOf(format).tbr : (ratesOf(format).abr ?? ratesOf(format).tbr))),
  asr: amount(({ asr }) => asr),
  proto: ranked(PROTOCOLS, protocolOf),
  vext: ranked(VIDEO_EXTS, (format) => (mayHaveVideo(format) ? format.ext : "none")),
  aext: ranked(AUDIO_EXTS, (format) => (!mayHaveVideo(format) && mayHaveAudio(format) ? format.ext : "none")),
  source: amount(({ sourcePreference }) => sourcePreference ?? -1),
  id: { value: ({ id }) => id },
};

function protocolOf({ protocol, file }: MediaFormat): string {
  return protocol === "http" && file?.[0].url.startsWith("https:") ? "https" : protocol;
}

/** One name for two fields. */
const PAIRS: Readonly<Record<string, readonly [string, string]>> = {
  codec: ["vcodec", "acodec"],
  ext: ["vext", "aext"],
};

/** Longer names of the same. */
const ALIASES: Readonly<Record<string, string>> = {
  resolution: "res",
  framerate: "fps",
  video_codec: "vcodec",
  audio_codec: "acodec",
  video_ext: "vext",
  audio_ext: "aext",
  extension: "ext",
  protocol: "proto",
  bitrate: "br",
  total_bitrate: "tbr",
  video_bitrate: "vbr",
  audio_bitrate: "abr",
  samplerate: "asr",
  filesize_approx: "fs_approx",
  language: "lang",
  language_preference: "lang",
  source_preference: "source",
  preference: "ie_pref",
  has_video: "hasvid",
  has_audio: "hasaud",
  format_id: "id",
  dynamic_range: "hdr",
  audio_channels: "channels",
};

/** What decides before anything that is asked for, and what decides after. */
const BEFORE = ["aud_or_vid", "hasvid", "ie_pref"];
const AFTER = [
  "lang",
  "quality",
  "res",
  "fps",
  "hdr:12",
  "vcodec",
  "channels",
  "acodec",
  "size",
  "br",
  "asr",
  "proto",
  "vext",
  "aext",
  "hasaud",
  "source",
  "id",
];

const STEP = /^(\+)?(\w+)(?:([~:])(.*))?$/s;

/** Fields that are only for what is inside. */
const HIDDEN = new Set(["rate", "aud_or_vid"]);

/** What may be sorted by, for people. */
const NAMES = [...Object.keys(FIELDS), ...Object.keys(PAIRS)].filter((name) => !HIDDEN.has(name));

/**
 * Reads one field of a sort.
 *
 * @param whole - what it is a part of, and where: for errors
 * @throws DownloadError FORMAT_INVALID
 */
export function parseSortField(
  item: string,
  whole: { readonly text: string; readonly at: number },
): readonly SortStep[] {
  const invalid = (why: string, offset = 0) => formatInvalid("quality", whole.text, whole.at + offset, why);
  const match = STEP.exec(item);
  const given = match?.[2]?.toLowerCase() ?? "";
  const name = Object.hasOwn(ALIASES, given) ? (ALIASES[given] ?? given) : given;
  const fields = Object.hasOwn(PAIRS, name) ? (PAIRS[name] ?? []) : [name];
  if (!match || HIDDEN.has(name) || !fields.every((field) => Object.hasOwn(FIELDS, field)))
    throw invalid(
      `"${item}" is neither a target (320k, 720p, best, worst) nor a field to sort by (${NAMES.join(", ")})`,
    );
  const [, plus, , sign, limits] = match;
  const offset = item.length - (limits?.length ?? 0);
  const texts = fields.length > 1 ? limits?.split(":") : limits === undefined ? undefined : [limits];
  if (texts && texts.length > fields.length) throw invalid(`${given} takes at most ${fields.length} limits`, offset);
  return fields.map((field, index) => {
    const limitText = texts?.[index] ?? texts?.[0];
    const limit = limitText === undefined ? undefined : FIELDS[field]?.limit?.(limitText.toLowerCase());
    if (limitText !== undefined && limit === undefined)
      throw invalid(`"${limitText}" is no value of ${field} to compare with`, offset);
    return { field, reverse: plus !== undefined, closest: sign === "~", ...(limit !== undefined && { limit }) };
  });
}

const builtIn = (items: readonly string[]): readonly SortStep[] =>
  items.flatMap((item) => parseSortField(item, { text: item, at: 0 }));

/** Sorts formats, the best first. @param wanted - what decides before the usual order */
export function sortFormats(formats: readonly MediaFormat[], wanted: readonly SortStep[]): readonly MediaFormat[] {
  const steps: SortStep[] = [];
  for (const step of [...beforeSteps(), ...wanted, ...builtIn(AFTER)])
    if (!steps.some(({ field }) => field === step.field)) steps.push(step);
  return formats
    .map((format) => ({ format, keys: steps.map((step) => keyOf(format, step)) }))
    .sort((a, b) => compareKeys(b.keys, a.keys))
    .map(({ format }) => format);
}

const beforeSteps = (): readonly SortStep[] => BEFORE.map((field) => ({ field, reverse: false, closest: false }));

function keyOf(format: MediaFormat, { field, reverse, closest, limit }: SortStep): Key {
  const value = FIELDS[field]?.value(format);
  if (value === undefined) return [-10, 0, 0];
  if (typeof value === "string") return [1, value, 0];
  if (closest && limit !== undefined) return [0, -Math.abs(value - limit), reverse ? value - limit : limit - value];
  if (!reverse && (limit === undefined || value <= limit)) return [0, value, 0];
  if (limit === undefined || (reverse && value === limit) || value > limit) return [0, -value, 0];
  return [-1, value, 0];
}

function compareKeys(a: readonly Key[], b: readonly Key[]): number {
  for (const [index, key] of a.entries()) {
    const other = b[index] ?? key;
    for (const place of [0, 1, 2] as const) {
      const left = key[place];
      const right = other[place];
      if (left !== right) return left < right ? -1 : 1;
    }
  }
  return 0;
}
