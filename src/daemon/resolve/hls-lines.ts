/**
 * Lines of playlists (RFC 8216 §4): attribute lists and variables. Every step takes time that grows with the line only, and
 * names that come from the playlist are keys of maps, never of objects.
 */
import { failure } from "../core/errors.ts";

/** Attributes of a tag, without their quotes. */
export type Attributes = ReadonlyMap<string, string>;

/** Longest line, in characters, variables filled in: a signed URL has some thousand, a key within the line some more. */
export const LONGEST_LINE = 65_536;

/** Variables of a playlist. */
const MOST_VARIABLES = 1000;

const ATTRIBUTE = /[ \t]*([^=,"]+)=("[^"]*"|[^,"]*)[ \t]*(?:,|$)/y;
const VARIABLE = /\{\$([\w-]+)\}/g;

/** That a playlist cannot be used. @param line - counted from 1 */
export function invalid(why: string, line?: number): Error {
  const place = line === undefined ? "" : `line ${line}: `;
  return failure("PLAYLIST_INVALID", `the playlist cannot be used: ${place}${why}`, {
    ...(line !== undefined && { metadata: { line: String(line) } }),
  });
}

/** Reads an attribute list (RFC 8216 §4.2). Of a name that is there twice the first value counts. @throws PLAYLIST_INVALID */
export function readAttributes(text: string, line: number): Attributes {
  const attributes = new Map<string, string>();
  ATTRIBUTE.lastIndex = 0;
  while (ATTRIBUTE.lastIndex < text.length) {
    const from = ATTRIBUTE.lastIndex;
    const match = ATTRIBUTE.exec(text);
    if (!match) throw invalid(`its attributes are malformed from "${text.slice(from, from + 40)}" on`, line);
    const [, name = "", value = ""] = match;
    const key = name.trim();
    const plain = value.startsWith('"') ? value.slice(1, -1) : value.trim();
    if (!attributes.has(key)) attributes.set(key, plain);
  }
  return attributes;
}

/** Variables of a playlist (RFC 8216bis §4.4.2.3), defined line by line. */
export class Variables {
  readonly #values = new Map<string, string>();
  readonly #url: string;
  readonly #imports: ReadonlyMap<string, string> | undefined;

  /**
   * @param url - the playlist's own
   * @param imports - those of the master playlist that led here, if one did
   */
  constructor(url: string, imports?: ReadonlyMap<string, string>) {
    this.#url = url;
    this.#imports = imports;
  }

  get values(): ReadonlyMap<string, string> {
    return this.#values;
  }

  /** @throws PLAYLIST_INVALID */
  define(attributes: Attributes, line: number): void {
    const name = attributes.get("NAME");
    const imported = attributes.get("IMPORT");
    const parameter = attributes.get("QUERYPARAM");
    const key = name ?? imported ?? parameter;
    if (key === undefined || [name, imported, parameter].filter((each) => each !== undefined).length > 1)
      throw invalid("EXT-X-DEFINE needs one of NAME, IMPORT and QUERYPARAM", line);
    const value =
      name !== undefined
        ? attributes.get("VALUE")
        : imported !== undefined
          ? this.#imports?.get(imported)
          : new URL(this.#url).searchParams.get(key);
    if (value === undefined || value === null) throw invalid(`there is no value for the variable ${key}`, line);
    if (this.#values.has(key)) throw invalid(`the variable ${key} is defined twice`, line);
    if (this.#values.size >= MOST_VARIABLES) throw invalid(`more than ${MOST_VARIABLES} variables are defined`, line);
    this.#values.set(key, value);
  }

  /** The line with its variables filled in, once. @throws PLAYLIST_INVALID */
  fill(text: string, line: number): string {
    if (this.#values.size === 0 || !text.includes("{$")) return text;
    let room = LONGEST_LINE - text.length;
    return text.replace(VARIABLE, (whole, name: string) => {
      const value = this.#values.get(name);
      if (value === undefined) throw invalid(`the variable ${name} is not defined`, line);
      room -= value.length - whole.length;
      if (room < 0) throw invalid(`it is longer than ${LONGEST_LINE} characters`, line);
      return value;
    });
  }
}

/** An absolute URL that may be fetched. @throws PLAYLIST_INVALID */
export function absolute(reference: string, base: string, line: number): string {
  const url = URL.parse(reference, base);
  if (!url) throw invalid(`"${reference.slice(0, 80)}" is no URL`, line);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw invalid(`it points at a ${url.protocol} URL; only http and https are fetched`, line);
  return url.href;
}
