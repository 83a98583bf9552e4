/** What a selector means for the formats that there are. */
import type { MediaFormat } from "../core/resolved.ts";
import { isAudioOnly, mayHaveAudio, mayHaveVideo } from "./format-fields.ts";
import type { Filter } from "./format-filter.ts";
import type { Selector } from "./format-selector.ts";
import { formatInvalid } from "./format-text.ts";

/** Formats of one file. */
export type Picked = readonly [MediaFormat, ...MediaFormat[]];

/** Merges that are looked at: `all+all+all` of many formats would never end. */
const MOST_MERGES = 10_000;

/** Files that one selector may choose. */
const MOST_FILES = 1000;

/** Names of extensions, and what they stand for: sound alone, or picture and sound. */
const AUDIO_EXTS = new Set(["aac", "aiff", "alac", "flac", "m4a", "mka", "mp3", "ogg", "opus", "wav"]);
const VIDEO_EXTS = new Set(["3gp", "avi", "flv", "mkv", "mov", "mp4", "webm"]);

const WORD = /^(best|worst|b|w)(video|audio|v|a)?(\*)?(?:\.([1-9]\d{0,5}))?$/;

/** What came of a selection. */
export interface Selection {
  readonly picked: readonly Picked[];
  /** Locked formats that were asked for by id, where nothing else took their place. */
  readonly locked: readonly MediaFormat[];
}

interface Context {
  /** The best first. */
  readonly formats: readonly MediaFormat[];
  readonly hasWhole: boolean;
  /** All are sound alone, or all are pictures alone: `best` then takes such a one. */
  readonly oneSided: boolean;
}

/**
 * Selects formats.
 *
 * @param sorted - the best first, locked ones as well
 * @throws DownloadError FORMAT_INVALID if it chooses far too much
 */
export function selectFormats(selector: Selector, sorted: readonly MediaFormat[], text: string): Selection {
  const formats = sorted.filter(({ locked }) => locked === undefined);
  const evaluation = new Evaluation(sorted, text);
  const context: Context = {
    formats,
    hasWhole: formats.some((format) => mayHaveVideo(format) && mayHaveAudio(format)),
    oneSided:
      formats.every((format) => format.acodec === "none") || formats.every((format) => format.vcodec === "none"),
  };
  const picked = new Map<string, Picked>();
  const locked: MediaFormat[] = [];
  for (const part of selector.type === "each" ? selector.parts : [selector]) {
    evaluation.lockedAsked.clear();
    let any = false;
    for (const each of evaluation.run(part, context)) {
      any = true;
      picked.set(each.map(({ id }) => quoted(id)).join(""), each);
      if (picked.size > MOST_FILES) throw formatInvalid("format", text, 0, `it chooses more than ${MOST_FILES} files`);
    }
    if (!any) locked.push(...evaluation.lockedAsked);
  }
  return { picked: [...picked.values()], locked };
}

const quoted = (id: string): string => `${id.length} ${id}`;

class Evaluation {
  readonly lockedAsked = new Set<MediaFormat>();
  readonly #all: readonly MediaFormat[];
  readonly #text: string;
  #merges = 0;

  constructor(all: readonly MediaFormat[], text: string) {
    this.#all = all;
    this.#text = text;
  }

  *run(selector: Selector, context: Context): Generator<Picked> {
    switch (selector.type) {
      case "each":
        for (const part of selector.parts) yield* this.run(part, context);
        return;
      case "first":
        for (const part of selector.parts) {
          let any = false;
          for (const picked of this.run(part, context)) {
            any = true;
            yield picked;
          }
          if (any) return;
        }
        return;
      case "merge":
        return yield* this.#merge(selector.parts, context, []);
      case "group":
        return yield* this.run(selector.inner, filtered(context, selector.filters));
      case "word":
        return yield* this.#word(selector.word, selector.quoted, filtered(context, selector.filters));
    }
  }

  *#merge(parts: readonly Selector[], context: Context, before: readonly MediaFormat[]): Generator<Picked> {
    const [part, ...rest] = parts;
    if (!part) {
      const [first, ...others] = together(before);
      if (first) yield [first, ...others];
      return;
    }
    for (const picked of this.run(part, context)) {
      if (++this.#merges > MOST_MERGES)
        throw formatInvalid("format", this.#text, 0, `it makes more than ${MOST_MERGES} merges`);
      yield* this.#merge(rest, context, [...before, ...picked]);
    }
  }

  *#word(word: string, isId: boolean, context: Context): Generator<Picked> {
    const { formats } = context;
    if (!isId && word === "all") for (const format of formats) yield [format];
    else if (!isId && word === "mergeall") {
      const [first, ...others] = together(formats);
      if (first) yield [first, ...others];
    } else {
      const found = this.#matching(word, isId, context);
      if (found) yield [found];
    }
  }

  #matching(word: string, isId: boolean, context: Context): MediaFormat | undefined {
    const { formats } = context;
    const match = isId ? null : WORD.exec(word);
    if (match) {
      const [, rank = "", kind, star, number = "1"] = match;
      const wanted = formats.filter(kindFilter(kind, star !== undefined));
      // Where there is nothing whole to be had, "best" is the best there is.
      const found = wanted.length === 0 && !kind && !star && context.oneSided ? formats.filter(hasContent) : wanted;
      return rank.startsWith("b") ? found[Number(number) - 1] : found[found.length - Number(number)];
    }
    if (!isId && AUDIO_EXTS.has(word)) return formats.find((format) => format.ext === word && isAudioOnly(format));
    if (!isId && VIDEO_EXTS.has(word)) {
      const whole = formats.find((format) => format.ext === word && mayHaveVideo(format) && mayHaveAudio(format));
      if (whole || context.hasWhole) return whole;
      return formats.find((format) => format.ext === word && mayHaveVideo(format));
    }
    const found = formats.find(({ id }) => id === word);
    const locked = this.#all.find((format) => format.id === word && format.locked !== undefined);
    if (!found && locked) this.lockedAsked.add(locked);
    return found;
  }
}

const hasContent = (format: MediaFormat): boolean => mayHaveVideo(format) || mayHaveAudio(format);

function kindFilter(kind: string | undefined, star: boolean): Filter {
  const video = kind?.startsWith("v");
  if (star) return kind === undefined ? hasContent : video ? mayHaveVideo : mayHaveAudio;
  if (kind === undefined) return (format) => mayHaveVideo(format) && mayHaveAudio(format);
  return video
    ? (format) => mayHaveVideo(format) && format.acodec === "none"
    : (format) => mayHaveAudio(format) && format.vcodec === "none";
}

function filtered(context: Context, filters: readonly Filter[]): Context {
  if (filters.length === 0) return context;
  return { ...context, formats: context.formats.filter((format) => filters.every((passes) => passes(format))) };
}

/**
 * What goes into one file: one picture, and either the sound that comes with it or the sounds that come alone, each once.
 * So `bv*+ba` adds nothing to a video that can already be heard.
 */
function together(formats: readonly MediaFormat[]): readonly MediaFormat[] {
  const taken: MediaFormat[] = [];
  for (const format of formats) {
    const heard = taken.some(mayHaveAudio);
    const whole = taken.some((each) => mayHaveVideo(each) && mayHaveAudio(each));
    if (!hasContent(format) || taken.some(({ id }) => id === format.id)) continue;
    if (mayHaveVideo(format) ? taken.some(mayHaveVideo) || (heard && mayHaveAudio(format)) : whole) continue;
    taken.push(format);
  }
  return taken;
}
