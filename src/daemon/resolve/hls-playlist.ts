/**
 * Reads playlists of HTTP Live Streaming (RFC 8216), master and media. m3u8-parser follows the segments; it is handed the
 * few tags that it is needed for, line by line: names that come from the network would become keys of its objects, it knows
 * no lines, no gaps, no session keys, and forgets a key's format. Tags that are not known, those of low latency among them,
 * are passed over, as the RFC wants it (§6.3.1).
 */
import { setImmediate } from "node:timers/promises";
import { Parser } from "m3u8-parser";
import { type Attributes, absolute, invalid, LONGEST_LINE, readAttributes, Variables } from "./hls-lines.ts";

/** Segments of a playlist: eleven days of four seconds each. */
const MOST_SEGMENTS = 250_000;

/** Variants and renditions of a master playlist. */
const MOST_VARIANTS = 1000;

/** Lines that are read in one go: others want their turn. */
const GO = 20_000;

/** Tags that m3u8-parser is handed; what follows decides about the rest. */
const HANDED = /^#EXT(?:INF|-X-(?:BYTERANGE|DISCONTINUITY|TARGETDURATION|MEDIA-SEQUENCE|PLAYLIST-TYPE|ENDLIST))(?=:|$)/;
const TAG = /^#(EXT[A-Z0-9-]*)(?::(.*))?$/;

/** A key as a playlist describes it (RFC 8216 §4.3.2.4). */
export interface PlaylistKey {
  readonly method: string;
  readonly format: string;
  /** As written: locked ones have schemes of their own. */
  readonly uri?: string;
  /** What `uri` is relative to. */
  readonly base: string;
  /** As written. */
  readonly iv?: string;
  readonly line: number;
}

/** An EXT-X-MAP: what has to be read before the segments can be. */
export interface PlaylistMap {
  readonly url: string;
  readonly range?: { readonly start: number; readonly end: number };
  readonly keys: readonly PlaylistKey[];
  readonly line: number;
}

/** A segment. */
export interface PlaylistSegment {
  readonly url: string;
  readonly line: number;
  /** Seconds. */
  readonly duration: number;
  /** `start` is absent where it is to follow from a segment before that is none of the same resource. */
  readonly range?: { readonly start?: number; readonly length: number };
  readonly discontinuity: boolean;
  /** It is missing at the origin, which says so. */
  readonly gap: boolean;
  /** Those that fit, of whatever kind; none: it is not encrypted. */
  readonly keys: readonly PlaylistKey[];
  readonly map?: PlaylistMap;
}

/** A media playlist. */
export interface MediaPlaylist {
  readonly kind: "media";
  readonly url: string;
  /** Seconds. */
  readonly targetDuration: number;
  /** Media sequence number of the first segment. */
  readonly sequence: number;
  /** Nothing will be added. */
  readonly ended: boolean;
  readonly type: "vod" | "event" | undefined;
  readonly segments: readonly PlaylistSegment[];
}

/** A variant, or a rendition of a group. */
export interface PlaylistEntry {
  readonly attributes: Attributes;
  /** Absent: a rendition that lies in the variant itself. */
  readonly url?: string;
  readonly line: number;
}

/** A master playlist. */
export interface MasterPlaylist {
  readonly kind: "master";
  readonly url: string;
  readonly variants: readonly PlaylistEntry[];
  readonly renditions: readonly PlaylistEntry[];
  readonly sessionKeys: readonly PlaylistKey[];
  readonly variables: ReadonlyMap<string, string>;
}

/**
 * Reads a playlist.
 *
 * @param url - where it came from, after redirects
 * @param imports - variables of the master playlist that led here
 * @throws ResourceError PLAYLIST_INVALID with the line
 */
export async function readPlaylist(
  text: string,
  url: string,
  imports?: ReadonlyMap<string, string>,
): Promise<MasterPlaylist | MediaPlaylist> {
  const reader = new Reader(url, imports);
  let line = 0;
  for (let at = text.charCodeAt(0) === 0xfeff ? 1 : 0; at < text.length; ) {
    const found = text.indexOf("\n", at);
    const end = found < 0 ? text.length : found;
    line++;
    if (end - at > LONGEST_LINE) throw invalid(`it is longer than ${LONGEST_LINE} characters`, line);
    reader.read(text.slice(at, end).trim(), line);
    at = end + 1;
    if (line % GO === 0) await setImmediate();
  }
  return reader.end();
}

class Reader {
  readonly #url: string;
  readonly #variables: Variables;
  readonly #parser = new Parser();
  /** What m3u8-parser does not keep of each segment. */
  readonly #places: Omit<PlaylistSegment, "duration" | "discontinuity" | "range">[] = [];
  readonly #implied = new Set<number>();
  readonly #variants: PlaylistEntry[] = [];
  readonly #renditions: PlaylistEntry[] = [];
  readonly #sessionKeys: PlaylistKey[] = [];
  #keys: readonly PlaylistKey[] = [];
  #map: PlaylistMap | undefined;
  #gap = false;
  /** The tag that the next URL belongs to. */
  #open: { readonly name: string; readonly line: number; readonly attributes?: Attributes } | undefined;

  constructor(url: string, imports: ReadonlyMap<string, string> | undefined) {
    this.#url = url;
    this.#variables = new Variables(url, imports);
  }

  read(text: string, line: number): void {
    if (text === "") return;
    if (!text.startsWith("#")) this.#uri(this.#variables.fill(text, line), line);
    else if (text.startsWith("#EXT")) this.#tag(text, line);
  }

  #tag(text: string, line: number): void {
    if (HANDED.test(text)) {
      this.#handed(text, line);
      return;
    }
    const [, name, rest = ""] = TAG.exec(text) ?? [];
    if (name === undefined || !READ.has(name)) return;
    const attributes = readAttributes(name === "EXT-X-GAP" ? "" : this.#variables.fill(rest, line), line);
    if (name === "EXT-X-STREAM-INF") this.#open = { name, line, attributes };
    else if (name === "EXT-X-MEDIA") this.#rendition(attributes, line);
    else if (name === "EXT-X-KEY") this.#keys = withKey(this.#keys, keyOf(attributes, this.#url, line));
    else if (name === "EXT-X-SESSION-KEY") this.#sessionKey(keyOf(attributes, this.#url, line));
    else if (name === "EXT-X-MAP") this.#map = this.#mapOf(attributes, line);
    else if (name === "EXT-X-GAP") this.#gap = true;
    else this.#variables.define(attributes, line);
  }

  #handed(text: string, line: number): void {
    if (text.startsWith("#EXTINF")) this.#open = { name: "EXTINF", line };
    else if (text.startsWith("#EXT-X-BYTERANGE")) {
      const [, offset] = /^#EXT-X-BYTERANGE:\s*\d{1,15}(?:@(\d{0,15}))?\s*$/.exec(text) ?? [undefined, null];
      if (offset === null) throw invalid("its byte range is malformed", line);
      if (!offset) this.#implied.add(this.#places.length);
    }
    this.#parser.push(`${text}\n`);
  }

  #uri(text: string, line: number): void {
    const url = absolute(text, this.#url, line);
    const open = this.#open;
    this.#open = undefined;
    if (open?.attributes) {
      this.#variants.push({ attributes: open.attributes, url, line });
      if (this.#variants.length > MOST_VARIANTS) throw invalid(`more than ${MOST_VARIANTS} variants`, line);
      return;
    }
    if (this.#places.length >= MOST_SEGMENTS) throw invalid(`more than ${MOST_SEGMENTS} segments`, line);
    const map = this.#map;
    this.#places.push({ url, line, gap: this.#gap, keys: this.#keys, ...(map && { map }) });
    this.#gap = false;
    // Its own words would do; the URL is kept here.
    this.#parser.push("-\n");
  }

  #sessionKey(key: PlaylistKey): void {
    if (this.#sessionKeys.length < MOST_VARIANTS) this.#sessionKeys.push(key);
  }

  #rendition(attributes: Attributes, line: number): void {
    const uri = attributes.get("URI");
    const url = uri === undefined ? undefined : absolute(uri, this.#url, line);
    this.#renditions.push({ attributes, line, ...(url !== undefined && { url }) });
    if (this.#renditions.length > MOST_VARIANTS) throw invalid(`more than ${MOST_VARIANTS} renditions`, line);
  }

  #mapOf(attributes: Attributes, line: number): PlaylistMap {
    const uri = attributes.get("URI");
    if (uri === undefined) throw invalid("EXT-X-MAP names no URI", line);
    const written = attributes.get("BYTERANGE");
    const [, length, offset = "0"] = /^(\d{1,15})(?:@(\d{1,15}))?$/.exec(written ?? "") ?? [];
    if (written !== undefined && length === undefined) throw invalid("its byte range is malformed", line);
    const start = Number(offset);
    return {
      url: absolute(uri, this.#url, line),
      ...(length !== undefined && { range: { start, end: start + Number(length) } }),
      keys: this.#keys,
      line,
    };
  }

  end(): MasterPlaylist | MediaPlaylist {
    const { manifest } = this.#parser;
    const master = this.#variants.length > 0 || this.#renditions.length > 0;
    if (master && this.#places.length > 0)
      throw invalid("it is a master playlist and has segments as well", this.#places[0]?.line);
    if (this.#open && !manifest.endList)
      throw invalid(`it ends before the URL that belongs to ${this.#open.name}: it is truncated`, this.#open.line);
    return master
      ? {
          kind: "master",
          url: this.#url,
          variants: this.#variants,
          renditions: this.#renditions,
          sessionKeys: this.#sessionKeys,
          variables: this.#variables.values,
        }
      : this.#media();
  }

  #media(): MediaPlaylist {
    this.#parser.end();
    const { targetDuration, mediaSequence, playlistType, endList, segments } = this.#parser.manifest;
    const sequence = Math.max(0, mediaSequence ?? 0);
    if (!Number.isSafeInteger(sequence + segments.length)) throw invalid("its media sequence number is not one");
    let before: { readonly url: string; readonly end: number } | undefined;
    const found = this.#places.map((place, index): PlaylistSegment => {
      const { duration = 0, byterange, discontinuity } = segments[index] ?? {};
      const length = byterange?.length;
      // From the beginning on, or behind the part before: nothing else can be meant.
      const implied = before?.url === place.url ? before.end : index === 0 && sequence === 0 ? 0 : undefined;
      const start = this.#implied.has(index) ? implied : byterange?.offset;
      before = length !== undefined && start !== undefined ? { url: place.url, end: start + length } : undefined;
      return {
        ...place,
        duration,
        discontinuity: discontinuity === true,
        ...(length !== undefined && { range: { length, ...(start !== undefined && { start }) } }),
      };
    });
    const longest = () => found.reduce((most, { duration }) => Math.max(most, duration), 0);
    return {
      kind: "media",
      url: this.#url,
      targetDuration: targetDuration !== undefined && targetDuration > 0 ? targetDuration : longest(),
      sequence,
      ended: endList === true,
      type: playlistType === "VOD" ? "vod" : playlistType === "EVENT" ? "event" : undefined,
      segments: found,
    };
  }
}

/** Tags that are read here. */
const READ: ReadonlySet<string> = new Set([
  "EXT-X-STREAM-INF",
  "EXT-X-MEDIA",
  "EXT-X-KEY",
  "EXT-X-SESSION-KEY",
  "EXT-X-MAP",
  "EXT-X-GAP",
  "EXT-X-DEFINE",
]);

/** The keys that fit from here on: one a format; NONE ends them all. */
function withKey(keys: readonly PlaylistKey[], key: PlaylistKey): readonly PlaylistKey[] {
  return key.method === "NONE" ? [] : [...keys.filter(({ format }) => format !== key.format), key].slice(-8);
}

function keyOf(attributes: Attributes, base: string, line: number): PlaylistKey {
  const method = attributes.get("METHOD");
  if (method === undefined) throw invalid("a key without a METHOD", line);
  const uri = attributes.get("URI");
  const iv = attributes.get("IV");
  return {
    method,
    format: attributes.get("KEYFORMAT") ?? "identity",
    ...(uri !== undefined && { uri }),
    base,
    ...(iv !== undefined && { iv }),
    line,
  };
}
