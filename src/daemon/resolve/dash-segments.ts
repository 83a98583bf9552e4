/**
 * The segments of a Representation (ISO/IEC 23009-1 §5.3.9): from a template with numbers or times, a list, or an index in
 * the file. Times are whole numbers of 64 bits. The length of a list is known before it is made: one line may stand for any
 * number of segments.
 */
import type { RepresentationInfo } from "mpd-parser";
import type { Segment } from "../core/resolved.ts";
import { httpUrl, type Representation, unusable } from "./dash-manifest.ts";
import { OWN } from "./dash-tree.ts";

/** Segments of a Representation in one period. */
const MOST_SEGMENTS = 250_000;

/** A segment with its place on the presentation's time line. */
export interface TimedSegment extends Segment {
  /** Seconds. */
  readonly start: number;
  readonly durationSeconds: number;
}

/** What a Representation is fetched as. */
export interface SegmentList {
  /** Comes before the segments. */
  readonly initialization?: Segment;
  readonly segments: readonly TimedSegment[];
  /**
   * The last one may not be there: segments of a template need be only about as long as it says (half of that off at most),
   * and the length of the presentation is often rounded up.
   */
  readonly uncertain?: true;
}

/** A file whose index says where its segments are. */
export interface IndexedFile {
  readonly url: string;
  /** Of the index; end exclusive. Absent: it is not known where it is. */
  readonly index?: { readonly start: number; readonly end: number };
}

/** When a live presentation is looked at; milliseconds since the epoch. */
export interface LiveTime {
  readonly now: number;
  readonly availableFrom: number;
}

/** What a segment's place is worked out with. */
interface Line {
  readonly number: number;
  readonly time: bigint;
  readonly duration: bigint;
}

type Attributes = RepresentationInfo["attributes"];

/** The file that a Representation is; undefined if it is several. */
export function fileOf({ segmentInfo, baseUrls }: Representation): IndexedFile | undefined {
  const { template, list, base } = segmentInfo;
  if (template || list) return undefined;
  const index = rangeOf(base?.["indexRange"]);
  return { url: baseUrls[0], ...(index && { index }) };
}

/**
 * The segments of a Representation that is not one file.
 *
 * @param live - of a live presentation: what can be had at that time
 * @throws ResourceError PLAYLIST_INVALID
 */
export function segmentsOf(of: Representation, live?: LiveTime): SegmentList {
  const { template, list } = of.segmentInfo;
  if (template) return fromTemplate(of, template, live);
  if (list) return fromList(of, list, live);
  throw unusable(`${of.id} has no list of segments`);
}

function fromTemplate(of: Representation, template: Attributes, live: LiveTime | undefined): SegmentList {
  const scale = timescale(template);
  const offset = whole(template["presentationTimeOffset"]) ?? 0n;
  const media = text(template["media"]);
  if (media === undefined) throw unusable(`the template of ${of.id} names no media`);
  const initialization = initializationOf(of, template);
  const segments = lines(of, template, live).map(
    ({ number, time, duration }): TimedSegment => ({
      url: resolved(filled(media, of, { Number: BigInt(number), Time: time }), of),
      start: of.periodStart + seconds(time - offset, scale),
      durationSeconds: seconds(duration, scale),
    }),
  );
  const last = segments.at(-1);
  const end = of.periodStart + (of.periodDuration ?? Number.POSITIVE_INFINITY);
  const counted = timeline(of).length === 0 && template["endNumber"] === undefined && segments.length > 1;
  const uncertain = counted && !live && last !== undefined && last.start + last.durationSeconds / 2 > end;
  return { ...(initialization && { initialization }), segments, ...(uncertain && { uncertain }) };
}

function fromList(of: Representation, list: Attributes, live: LiveTime | undefined): SegmentList {
  const written = innermost(Array.isArray(list["segmentUrls"]) ? (list["segmentUrls"] as Attributes[]) : []);
  if (written.length > MOST_SEGMENTS) throw tooMany(of);
  const scale = timescale(list);
  const offset = whole(list["presentationTimeOffset"]) ?? 0n;
  const timed = timeline(of).length > 0 ? lines(of, list, live) : undefined;
  const length = whole(list["duration"]) ?? 0n;
  const initialization = initializationOf(of, list);
  const segments = written.map((each, index): TimedSegment => {
    const line = timed?.[index] ?? { time: offset + length * BigInt(index), duration: length };
    const range = rangeOf(each["mediaRange"]);
    return {
      url: resolved(text(each["media"]) ?? "", of),
      ...(range && { range }),
      start: of.periodStart + seconds(line.time - offset, scale),
      durationSeconds: seconds(line.duration, scale),
    };
  });
  // What begins when the period is over is not shown any more.
  const end = of.periodStart + (of.periodDuration ?? Number.POSITIVE_INFINITY);
  const shown = segments.filter(({ start, durationSeconds }) => start + durationSeconds / 1000 < end);
  return { ...(initialization && { initialization }), segments: length > 0n && !timed ? shown : segments };
}

function initializationOf(of: Representation, information: Attributes): Segment | undefined {
  const written = information["initialization"];
  if (typeof written !== "object" || written === null) return undefined;
  const { sourceURL, range: writtenRange } = written as Attributes;
  const range = rangeOf(writtenRange);
  if (sourceURL === undefined && !range) return undefined;
  return { url: resolved(filled(text(sourceURL) ?? "", of, {}), of), ...(range && { range }) };
}

/** Numbers and times of the segments. */
function lines(of: Representation, information: Attributes, live: LiveTime | undefined): readonly Line[] {
  const first = whole(information["startNumber"]) ?? 1n;
  if (first < 0n || first > 2n ** 52n) throw unusable(`${of.id} begins with number ${first}`);
  const entries = timeline(of);
  return entries.length > 0
    ? fromTimeline(of, information, entries, Number(first), live)
    : byDuration(of, information, Number(first), live);
}

/** A time line (§5.3.9.6): each entry is one segment and `r` more of the same length; -1 is as many as there is room for. */
function fromTimeline(
  of: Representation,
  information: Attributes,
  entries: readonly Attributes[],
  first: number,
  live: LiveTime | undefined,
): readonly Line[] {
  const found: Line[] = [];
  let time = 0n;
  for (const [index, entry] of entries.entries()) {
    const duration = whole(entry["@d"]) ?? 0n;
    if (duration <= 0n) throw unusable(`entry ${index + 1} of the time line of ${of.id} has no duration`);
    time = whole(entry["@t"]) ?? time;
    const more = whole(entry["@r"]) ?? 0n;
    const end = more >= 0n ? undefined : (whole(entries[index + 1]?.["@t"]) ?? periodEnd(of, information, live));
    const count =
      end === undefined ? more + 1n : end <= time ? 0n : (end - time + (live ? 0n : duration - 1n)) / duration;
    if (count + BigInt(found.length) > BigInt(MOST_SEGMENTS)) throw tooMany(of);
    for (let left = count; left > 0n; left--) {
      found.push({ number: first + found.length, time, duration });
      time += duration;
    }
  }
  return found;
}

/** Segments of the same length. */
function byDuration(
  of: Representation,
  information: Attributes,
  first: number,
  live: LiveTime | undefined,
): readonly Line[] {
  const duration = whole(information["duration"]) ?? 0n;
  const scale = timescale(information);
  const offset = whole(information["presentationTimeOffset"]) ?? 0n;
  if (duration <= 0n) {
    // Without a duration there is exactly one.
    const all = of.periodDuration === undefined ? 0n : ticks(of.periodDuration, scale);
    return [{ number: first, time: offset, duration: all }];
  }
  const last = whole(information["endNumber"]);
  const end = last === undefined ? periodEnd(of, information, live) - offset : undefined;
  // What is over by less than a thousandth of a segment is rounding, not a segment more.
  const slack = duration / 1000n;
  const count = end === undefined ? (last ?? 0n) - BigInt(first) + 1n : (end - slack + duration - 1n) / duration;
  // Of a live presentation a segment is there when it is over.
  const total = live && end !== undefined ? end / duration : count;
  const from = live ? beginning(of, information, total) : 0n;
  if (total - from > BigInt(MOST_SEGMENTS)) throw tooMany(of);
  const found: Line[] = [];
  for (let index = from; index < total; index++)
    found.push({ number: first + Number(index), time: offset + index * duration, duration });
  return found;
}

/** The first segment that a live origin still keeps. */
function beginning(of: Representation, information: Attributes, end: bigint): bigint {
  const depth = of.attributes["timeShiftBufferDepth"];
  const length = seconds(whole(information["duration"]) ?? 1n, timescale(information));
  if (!(length > 0)) throw unusable(`the segments of ${of.id} are too short to be counted`);
  const kept = BigInt(Math.ceil(Math.min(typeof depth === "number" && depth > 0 ? depth : 3600, 86_400) / length));
  return end > kept ? end - kept : 0n;
}

/** Where the period ends, or of a live one where it has come to, on the media's own time line. */
function periodEnd(of: Representation, information: Attributes, live: LiveTime | undefined): bigint {
  const offset = whole(information["presentationTimeOffset"]) ?? 0n;
  const gone = live && (live.now - live.availableFrom) / 1000 - of.periodStart;
  const length = Math.min(of.periodDuration ?? Number.POSITIVE_INFINITY, gone ?? Number.POSITIVE_INFINITY);
  if (!Number.isFinite(length)) throw unusable(`nothing says how long period ${of.period + 1} is`);
  return offset + ticks(Math.max(0, length), timescale(information));
}

/** The time line of the innermost level that has one. */
function timeline({ segmentInfo }: Representation): readonly Attributes[] {
  return innermost(segmentInfo.segmentTimeline ?? []);
}

/** mpd-parser joins lists of several levels; the innermost one counts (§5.3.9.1). */
function innermost(entries: readonly Attributes[]): readonly Attributes[] {
  const level = entries.reduce((most, each) => Math.max(most, Number(each[OWN.level])), 0);
  return entries.filter((each) => Number(each[OWN.level]) === level);
}

const IDENTIFIER = /\$(RepresentationID|Number|Bandwidth|Time|)(?:%0(\d{1,2})d)?\$/g;

/** Fills in a template (§5.3.9.4.4). */
function filled(
  template: string,
  of: Representation,
  values: { readonly Number?: bigint; readonly Time?: bigint },
): string {
  return template.replace(IDENTIFIER, (written, name: string, width = "1") => {
    if (name === "") return "$";
    if (name === "RepresentationID") return of.id;
    const value = name === "Bandwidth" ? whole(of.attributes["bandwidth"]) : values[name as "Number" | "Time"];
    // It stays as it is written: the origin has no such thing, and says so by its name.
    if (value === undefined) return written;
    return String(value).padStart(Number(width), "0");
  });
}

function resolved(reference: string, of: Representation): string {
  const url = httpUrl(reference, of.baseUrls[0]);
  if (url === undefined)
    throw unusable(`${of.id} points at ${reference.slice(0, 80)}; only http and https are fetched`);
  return url;
}

/** "first-last", both inclusive. */
function rangeOf(written: unknown): { readonly start: number; readonly end: number } | undefined {
  const [, start, last] = /^\s*(\d{1,15})-(\d{1,15})\s*$/.exec(typeof written === "string" ? written : "") ?? [];
  if (start === undefined || last === undefined || Number(last) < Number(start)) return undefined;
  return { start: Number(start), end: Number(last) + 1 };
}

/** A whole number, however it was read; undefined if it is none. */
function whole(value: unknown): bigint | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  return typeof value === "string" && /^\s*-?\d{1,20}\s*$/.test(value) ? BigInt(value.trim()) : undefined;
}

function timescale(information: Attributes): bigint {
  const scale = whole(information["timescale"]) ?? 1n;
  if (scale <= 0n) throw unusable(`a timescale of ${scale}`);
  return scale;
}

function ticks(length: number, scale: bigint): bigint {
  const count = Math.round(length * Number(scale));
  if (!Number.isFinite(count)) throw unusable(`a length of ${length} seconds`);
  return BigInt(count);
}

/** To the microsecond, which is as much as is left of large numbers. */
function seconds(time: bigint, scale: bigint): number {
  return Number((time * 1_000_000n) / scale) / 1_000_000;
}

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

const tooMany = (of: Representation): Error => unusable(`${of.id} has more than ${MOST_SEGMENTS} segments in a period`);
