/**
 * Which of the formats: the selector picks, the quality sorts, and what comes of it is named. Without a format the best
 * picture with the best sound is taken.
 */
import { failure } from "../core/errors.ts";
import type { Media, MediaChoice, MediaFormat } from "../core/resolved.ts";
import type { DownloadOptions } from "../core/session.ts";
import { type AudioKind, audioKind, audioOf, isOf, meansSound, transcodeOf } from "./format-audio.ts";
import { containerOf, remuxedExt, soundContainer } from "./format-container.ts";
import { mayHaveVideo, ratesOf, resolutionOf, smallerSide } from "./format-fields.ts";
import { parseQuality, type Quality } from "./format-quality.ts";
import { type Picked, selectFormats } from "./format-select.ts";
import { onlyWord, parseSelector, type Selector } from "./format-selector.ts";
import { type SortStep, sortFormats } from "./format-sort.ts";
import { chooseSubtitles } from "./format-subtitles.ts";

/** Formats with names of their own: `formats` of the configuration. */
export type FormatPresets = Readonly<Record<string, { readonly format: string; readonly quality?: string }>>;

/** What is asked for. */
type Asked = Pick<DownloadOptions, "format" | "quality" | "subtitles">;

/** Without a format, and with an FFmpeg that can put picture and sound together; and without one. */
const DEFAULT_FORMAT = "bestvideo*+bestaudio/best";
const WHOLE_FORMAT = "best/bestvideo*+bestaudio";
const SOUND_FORMAT = "bestaudio/best";

/** Formats that an error names. */
const NAMED = 12;

/** Frames a second that go without saying. */
const USUAL_FPS = 30;

/** What is asked for, read. */
export interface Wanted {
  readonly text: string;
  readonly selector: Selector;
  readonly quality: Quality | undefined;
  /** A kind of audio, and nothing else. */
  readonly kind: AudioKind | undefined;
  /** Only the sound is wanted, also of what has a picture. */
  readonly sound: boolean;
}

/**
 * Reads what is asked for. Also says early what cannot be read.
 *
 * @throws DownloadError FORMAT_INVALID with the place in the text
 */
export function readFormat(asked: Asked, presets: FormatPresets | undefined, merges = true): Wanted {
  const preset =
    asked.format !== undefined && presets && Object.hasOwn(presets, asked.format) ? presets[asked.format] : undefined;
  const qualityText = asked.quality ?? preset?.quality;
  const quality = qualityText === undefined ? undefined : parseQuality(qualityText);
  const given = preset?.format ?? asked.format;
  const rate = quality?.kbps !== undefined;
  const text = given ?? (rate ? SOUND_FORMAT : merges ? DEFAULT_FORMAT : WHOLE_FORMAT);
  const selector = parseSelector(text);
  const sound = rate && meansSound(selector);
  const word = onlyWord(selector);
  return {
    text,
    // A rate of sound is a target: for want of sound alone it is taken out of what has a picture.
    selector: sound && word !== undefined ? parseSelector(`${word}/best`) : selector,
    quality,
    kind: audioKind(word),
    sound,
  };
}

/**
 * Chooses formats and subtitles.
 *
 * @param presets - formats with names of their own
 * @param merges - there is an FFmpeg; without one whole formats are preferred where none was asked for
 * @returns one choice for each file
 * @throws DownloadError FORMAT_INVALID with the place in the text; ResourceError FORMAT_UNAVAILABLE with what there is,
 *   MEDIA_LOCKED
 */
export function chooseFormats(
  media: Media,
  asked: Asked,
  presets: FormatPresets | undefined,
  merges = true,
): readonly [MediaChoice, ...MediaChoice[]] {
  const wanted = readFormat(asked, presets, merges);
  const sorted = sortedFormats(media.formats, wanted);
  const { subtitles, missing } = chooseSubtitles(media.subtitles, asked.subtitles?.languages ?? []);
  const notes = missing.map((language) => missingSubtitles(media, language));
  const choose = (picked: Picked): MediaChoice => choiceOf(wanted, picked, { asked, subtitles, notes });
  const native = wanted.kind && audioOf(wanted.kind, sorted);
  if (native) return [choose([native])];
  const { picked, locked } = selectFormats(wanted.selector, sorted, wanted.text);
  const [barred] = locked;
  if (barred) throw lockedFormat(barred);
  const [first, ...others] = picked;
  if (!first) throw unavailable(media.formats, wanted.text);
  return [choose(first), ...others.map(choose)];
}

/** The formats in the order of what is asked for, the best first. */
export function sortedFormats(
  formats: readonly MediaFormat[],
  { quality, sound, kind }: Wanted,
): readonly MediaFormat[] {
  // Of what has a picture it is its sound that counts, if that is all that is wanted.
  const steps = (quality?.steps ?? []).map(
    (step): SortStep => (step.field === "rate" && (sound || kind) ? { ...step, field: "abr" } : step),
  );
  const sorted = sortFormats(formats, steps);
  return quality?.worst ? sorted.toReversed() : sorted;
}

function choiceOf(
  { kind, sound, quality }: Wanted,
  formats: Picked,
  {
    asked,
    subtitles,
    notes,
  }: Pick<MediaChoice, "subtitles"> & { readonly asked: Asked; readonly notes: readonly string[] },
): MediaChoice {
  const [format] = formats;
  const made = kind && !isOf(kind, format) ? transcodeOf(kind, format, quality?.kbps) : undefined;
  const ids = formats.map(({ id }) => id).join("+");
  const has = qualityOf(formats, sound || kind !== undefined);
  const rate = made?.transcode.kbps;
  const said = [...(made?.notes ?? []), ...notes];
  return {
    formats,
    subtitles,
    ext: extOf(formats, kind, sound, subtitles.length > 0),
    ...(made && { transcode: made.transcode }),
    asked: {
      ...(asked.format !== undefined && { format: asked.format }),
      ...(asked.quality !== undefined && { quality: asked.quality }),
    },
    had: {
      format: made ? `${ids} as ${kind?.ext}` : ids,
      ...(rate === undefined
        ? has !== undefined && { quality: has }
        : { quality: has === undefined ? `${rate}k` : `${rate}k, of ${has}` }),
    },
    ...(said.length > 0 && { notes: said }),
  };
}

function extOf(formats: Picked, kind: AudioKind | undefined, sound: boolean, remuxed: boolean): string {
  const [format, ...others] = formats;
  const plain = others.length === 0 && format.file !== undefined;
  if (kind) return plain && !mayHaveVideo(format) && format.ext === kind.word && !remuxed ? format.ext : kind.ext;
  if (sound && formats.some(mayHaveVideo)) return soundContainer(formats);
  if (plain) return remuxed ? remuxedExt(format) : format.ext;
  return containerOf(formats);
}

/** "1080p60, 128k"; undefined if nobody says. */
function qualityOf(formats: Picked, sound: boolean): string | undefined {
  const picture = sound ? undefined : formats.find(mayHaveVideo);
  const lines = picture && smallerSide(picture);
  const fps = picture?.fps !== undefined && picture.fps > USUAL_FPS ? Math.round(picture.fps) : "";
  const heard = formats.filter((format) => sound || !mayHaveVideo(format));
  const rates = heard.flatMap((format) => ratesOf(format).abr || []).map((rate) => `${Math.round(rate)}k`);
  const parts = [...(lines ? [`${lines}p${fps}`] : []), ...rates];
  return parts.length > 0 ? parts.join(", ") : undefined;
}

function lockedFormat({ id, locked }: MediaFormat): Error {
  return failure("MEDIA_LOCKED", `format ${id} is locked: ${locked}`, { metadata: { format: id } });
}

function unavailable(formats: readonly MediaFormat[], text: string): Error {
  const open = formats.filter(({ locked }) => locked === undefined);
  const [first] = formats;
  if (open.length === 0 && first) return lockedFormat(first);
  const named = open.slice(0, NAMED).map(describe).join(", ");
  const more = open.length > NAMED ? ` and ${open.length - NAMED} more` : "";
  const shut = formats.length > open.length ? `; ${formats.length - open.length} more are locked` : "";
  return failure("FORMAT_UNAVAILABLE", `there is no format "${text}" here; there are ${named}${more}${shut}`, {
    metadata: { format: text },
  });
}

function describe(format: MediaFormat): string {
  const { abr, tbr } = ratesOf(format);
  const rate = abr || tbr;
  const what = mayHaveVideo(format) ? resolutionOf(format) : rate ? `${Math.round(rate)}k` : "audio";
  return `${format.id} (${what === undefined ? format.ext : `${format.ext} ${what}`})`;
}

function missingSubtitles({ subtitles }: Media, language: string): string {
  const there = [...new Set(subtitles.map(({ language: each }) => each))];
  const has = there.length === 0 ? "there are none" : `there are ${there.slice(0, 40).join(", ")}`;
  return `there are no subtitles in "${language}": ${has}`;
}
