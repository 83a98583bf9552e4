/**
 * A media playlist as a track: its segments, the parts that have to be read before them, their keys. Of a live playlist
 * what is new is asked for as RFC 8216 §6.3.4 has it, told by its media sequence numbers.
 */
import { failure } from "../core/errors.ts";
import type { Logger } from "../core/ports/runtime.ts";
import type { Segment, SegmentKey } from "../core/resolved.ts";
import { absolute, invalid } from "./hls-lines.ts";
import type { MediaPlaylist, PlaylistKey, PlaylistSegment } from "./hls-types.ts";
import { lockName } from "./locked.ts";

/** A live stream is joined this many target durations before its end (RFC 8216 §6.3.3). */
const BEHIND = 3;

/** What locks a segment, in words; undefined if it can be opened. */
export function lockOf(keys: readonly PlaylistKey[]): string | undefined {
  if (keys.length === 0 || keys.some(isOpen)) return undefined;
  const words = keys.map(({ method, format }) =>
    format === "identity" ? method : `${method} with ${lockName(format)}`,
  );
  return [...new Set(words)].join(", ");
}

const isOpen = ({ method, format }: PlaylistKey): boolean => method === "AES-128" && format === "identity";

/** True if more segments may come. */
export function isLive({ ended, type }: MediaPlaylist): boolean {
  return !ended && type !== "vod";
}

/** Follows a playlist: makes segments of what is new in it. */
export class PlaylistFollower {
  readonly #logger: Logger;
  /** Media sequence number of the next segment; undefined before the first look. */
  #next: number | undefined;
  /** The map that the segments before were read with. */
  #map = "";

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * Segments that were not there before. At the first look: all of them, but of a live playlist those at its end.
   *
   * @throws ResourceError PLAYLIST_INVALID; MEDIA_LOCKED with what locks it
   */
  take(playlist: MediaPlaylist): readonly Segment[] {
    const { segments, sequence } = playlist;
    const next = this.#next;
    const first = next === undefined;
    const from = next === undefined ? startOf(playlist) : this.#from(playlist, next);
    this.#next = Math.max(from, sequence + segments.length);
    const taken: Segment[] = [];
    let missed = next !== undefined && (sequence > next || from < next);
    for (let index = Math.max(0, from - sequence); index < segments.length; index++) {
      const segment = segments[index];
      if (!segment) break;
      if (segment.gap) {
        this.#gap(segment, sequence + index, playlist);
        missed = true;
        continue;
      }
      this.#push(taken, segment, sequence + index, missed || (segment.discontinuity && (taken.length > 0 || !first)));
      missed = false;
    }
    return taken;
  }

  /** Where what is new begins. */
  #from({ sequence, segments, url }: MediaPlaylist, next: number): number {
    const end = sequence + segments.length;
    if (sequence > next)
      this.#logger.warn(
        { url, missed: sequence - next, from: next },
        "the live stream went on faster than it was fetched: segments are gone",
      );
    // A copy that is a little older than the last one is common; one that is far behind has begun anew.
    if (end + 2 * segments.length >= next || segments.length === 0) return next;
    this.#logger.warn({ url, sequence, expected: next }, "the live stream has begun anew");
    return sequence;
  }

  #gap({ line }: PlaylistSegment, number: number, playlist: MediaPlaylist): void {
    if (!isLive(playlist))
      throw invalid(
        `segment ${number} is missing, says the playlist itself (EXT-X-GAP); see whether another format has it`,
        line,
      );
    this.#logger.warn(
      { url: playlist.url, segment: number },
      "the origin has no such segment: the recording has a gap",
    );
  }

  #push(taken: Segment[], segment: PlaylistSegment, number: number, discontinuity: boolean): void {
    const { url, line, range, duration, keys, map } = segment;
    const locked = lockOf(keys);
    if (locked !== undefined) throw failure("MEDIA_LOCKED", `the segments are locked: ${locked} (line ${line})`);
    let mark = discontinuity;
    if (map) {
      const key = keyFor(map.keys, undefined);
      const identity = [map.url, map.range?.start, map.range?.end, key?.url, key?.iv].join(" ");
      if (identity !== this.#map) {
        taken.push({
          url: map.url,
          ...(map.range && { range: map.range }),
          ...(key && { key }),
          ...(mark && { discontinuity: true }),
        });
        this.#map = identity;
        mark = false;
      }
    }
    const key = keyFor(keys, number);
    if (range && range.start === undefined)
      throw invalid("its byte range has no beginning, and none follows from the segment before it", line);
    taken.push({
      url,
      ...(range?.start !== undefined && { range: { start: range.start, end: range.start + range.length } }),
      ...(key && { key }),
      durationSeconds: duration,
      ...(mark && { discontinuity: true }),
    });
  }
}

/** Media sequence number from which on a playlist is taken. */
function startOf(playlist: MediaPlaylist): number {
  const { sequence, segments, targetDuration } = playlist;
  if (!isLive(playlist)) return sequence;
  let left = BEHIND * targetDuration;
  let index = segments.length;
  while (index > 0 && left > 0) left -= segments[--index]?.duration || targetDuration || 1;
  return sequence + index;
}

/**
 * The key of a piece (RFC 8216 §5.2).
 *
 * @param number - its media sequence number, which is the initialization vector where none is given; a map has none
 */
function keyFor(keys: readonly PlaylistKey[], number: number | undefined): SegmentKey | undefined {
  const key = keys.find(isOpen);
  if (!key) return undefined;
  const { uri, base, iv, line } = key;
  if (uri === undefined) throw invalid("a key without a URI", line);
  if (iv !== undefined && !/^0x[\da-f]{1,32}$/i.test(iv)) throw invalid("its IV is not a number of 16 bytes", line);
  if (iv === undefined && number === undefined)
    throw invalid("its EXT-X-MAP is encrypted, and for that the key needs an IV", line);
  const digits = iv === undefined ? (number ?? 0).toString(16) : iv.slice(2).toLowerCase();
  return { method: "AES-128", url: absolute(uri, base, line), iv: digits.padStart(32, "0") };
}
