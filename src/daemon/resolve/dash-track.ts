/** A format of a manifest as a track: the segments of its Representations, period after period, and of a live one what has come since. */
import type { Logger } from "../core/ports/runtime.ts";
import type { Segment } from "../core/resolved.ts";
import { type Manifest, type Representation, unusable } from "./dash-manifest.ts";
import { fileOf, type LiveTime, segmentsOf, type TimedSegment } from "./dash-segments.ts";

/** Segments of all periods together. */
const MOST_SEGMENTS = 500_000;

/** A live presentation is joined this many segments before its end. */
const BEHIND = 3;

/** What has to be asked of the origin. */
export interface DashLook {
  /** The pieces of a file, by its index; undefined if that cannot be done. */
  index(of: Representation): Promise<readonly Segment[] | undefined>;
  /** False if the origin says that there is no such thing. */
  isThere(url: string): Promise<boolean>;
}

/**
 * All segments of a presentation that has an end. A file whose index can be read is several.
 *
 * @throws ResourceError PLAYLIST_INVALID
 */
export async function allSegments(chain: readonly Representation[], look: DashLook): Promise<readonly Segment[]> {
  const joined = new Joined();
  for (const each of chain) {
    const file = fileOf(each);
    if (file) joined.add(each, undefined, (await look.index(each)) ?? [{ url: file.url }]);
    else {
      const { initialization, segments, uncertain } = segmentsOf(each);
      const last = uncertain ? segments.at(-1) : undefined;
      const certain = last && !(await look.isThere(last.url)) ? segments.slice(0, -1) : segments;
      joined.add(each, initialization, certain.map(plain));
    }
  }
  if (joined.segments.length === 0) throw unusable("it names no segment");
  return joined.segments;
}

/** Joins what comes of several periods: a new one begins with its initialization, if that is another. */
class Joined {
  readonly segments: Segment[] = [];
  #initialization = "";
  #period: number | undefined;

  /** Periods are told apart by when they begin: their numbers change as older ones go. */
  add(
    { periodStart: period }: Representation,
    initialization: Segment | undefined,
    segments: readonly Segment[],
  ): void {
    if (segments.length === 0) return;
    const identity = initialization ? `${initialization.url} ${initialization.range?.start}` : "";
    const repeated = initialization && identity !== this.#initialization ? [initialization, ...segments] : segments;
    if (initialization) this.#initialization = identity;
    const fresh = this.#period !== undefined && this.#period !== period;
    this.#period = period;
    for (const [index, segment] of repeated.entries())
      this.segments.push(fresh && index === 0 ? { ...segment, discontinuity: true } : segment);
    if (this.segments.length > MOST_SEGMENTS) throw unusable(`it has more than ${MOST_SEGMENTS} segments`);
  }
}

const plain = ({ start: _start, ...segment }: TimedSegment): Segment => segment;

/** Follows a live presentation: makes segments of what is new in its manifest. */
export class DashFollower {
  readonly #logger: Logger;
  #joined = new Joined();
  /** Seconds on the presentation's time line at which the last segment began and ended; undefined before the first look. */
  #last: { readonly start: number; readonly end: number } | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * Segments that were not there before. At the first look: those at the end.
   *
   * @param chain - what goes on with the format in each of the manifest's periods
   * @throws ResourceError PLAYLIST_INVALID
   */
  take(manifest: Manifest, chain: readonly Representation[], now: number): readonly Segment[] {
    const live: LiveTime | undefined =
      manifest.live && manifest.availableFrom !== undefined
        ? { now, availableFrom: manifest.availableFrom }
        : undefined;
    const lists = chain.map((each) => ({ each, list: segmentsOf(each, live) }));
    const from = this.#last ?? joinAt(lists.flatMap(({ list }) => list.segments));
    this.#tellOfLoss(lists.flatMap(({ list }) => list.segments));
    this.#joined.segments.length = 0;
    for (const { each, list } of lists) {
      // Rounded times of two looks differ by less than half a segment.
      const fresh = list.segments.filter(({ start, durationSeconds }) => start > from.start + durationSeconds / 2);
      this.#joined.add(each, list.initialization, fresh.map(plain));
      const last = fresh.at(-1);
      if (last) this.#last = { start: last.start, end: last.start + last.durationSeconds };
    }
    this.#last ??= from;
    return [...this.#joined.segments];
  }

  #tellOfLoss(segments: readonly TimedSegment[]): void {
    const [first] = segments;
    if (!this.#last || !first || first.start < this.#last.end + first.durationSeconds / 2) return;
    const missed = first.start - this.#last.end;
    this.#logger.warn(
      { missedSeconds: missed },
      "the live stream went on faster than it was fetched: segments are gone",
    );
  }
}

/** What is before the last few segments counts as known. */
function joinAt(segments: readonly TimedSegment[]): { readonly start: number; readonly end: number } {
  const before = segments.at(-BEHIND - 1);
  const start = before?.start ?? Number.NEGATIVE_INFINITY;
  return { start, end: before ? start + before.durationSeconds : start };
}
