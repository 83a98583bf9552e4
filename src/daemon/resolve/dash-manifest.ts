/**
 * Reads manifests of DASH (ISO/IEC 23009-1). mpd-parser says what each Representation inherits; the lists of segments are
 * made in dash-segments.ts, within bounds and only when a track is opened.
 */
import { inheritAttributes, type RepresentationInfo } from "mpd-parser";
import { failure } from "../core/errors.ts";
import { localName, mpdTree, OWN } from "./dash-tree.ts";
import { parseXml, type XmlElement, XmlError } from "./xml.ts";

/** Elements of a manifest: a day of segments of a second, one by one, in two time lines. */
const MOST_ELEMENTS = 250_000;

/** Representations in all periods. */
const MOST_REPRESENTATIONS = 2000;

/** Entries of lists of segments that are copied from level to level. */
const MOST_COPIES = 2_000_000;

/** A Representation in one period. */
export interface Representation {
  readonly id: string;
  /** "/period/set/representation", by their order. */
  readonly place: string;
  readonly period: number;
  /** Seconds. */
  readonly periodStart: number;
  /** Seconds; absent where nobody says. */
  readonly periodDuration?: number;
  readonly attributes: RepresentationInfo["attributes"];
  readonly segmentInfo: RepresentationInfo["segmentInfo"];
  /** Absolute; the first one is the one that is preferred. */
  readonly baseUrls: readonly [string, ...string[]];
}

/** A manifest. */
export interface Manifest {
  readonly url: string;
  readonly live: boolean;
  /** Seconds. */
  readonly duration?: number;
  /** Seconds after which it may have changed. */
  readonly updatePeriod?: number;
  /** Where it is from now on. */
  readonly location?: string;
  /** Milliseconds since the epoch at which a live presentation began. */
  readonly availableFrom?: number;
  readonly periods: number;
  readonly representations: readonly Representation[];
}

/** That a manifest cannot be used. */
export function unusable(why: string, cause?: unknown): Error {
  return failure("PLAYLIST_INVALID", `the manifest cannot be used: ${why}`, { ...(cause !== undefined && { cause }) });
}

/**
 * Reads a manifest.
 *
 * @param url - where it came from, after redirects
 * @param now - milliseconds since the epoch
 * @throws ResourceError PLAYLIST_INVALID
 */
export function readManifest(text: string, url: string, now: number): Manifest {
  const root = parse(text);
  if (localName(root.name) !== "MPD") throw unusable(`its root is <${root.name.slice(0, 40)}>, not <MPD>`);
  refuseRemote(root);
  const inherited = inherit(root, url, now);
  const [first] = inherited.representationInfo;
  const attributes: RepresentationInfo["attributes"] = first?.attributes ?? {};
  const live = attributes["type"] === "dynamic";
  const duration = positive(attributes["sourceDuration"]);
  const updatePeriod = finite(attributes["minimumUpdatePeriod"]);
  const availableFrom = finite(attributes["availabilityStartTime"]);
  const representations = withDurations(grouped(inherited.representationInfo), duration);
  if (representations.length === 0) throw unusable("it names nothing that could be fetched");
  const [location] = (inherited.locations ?? []).flatMap((each) => httpUrl(each, url) ?? []);
  return {
    url,
    live,
    ...(duration !== undefined && { duration }),
    ...(updatePeriod !== undefined && { updatePeriod }),
    ...(location !== undefined && { location }),
    ...(availableFrom !== undefined && { availableFrom: availableFrom * 1000 }),
    periods: new Set(representations.map(({ period }) => period)).size,
    representations,
  };
}

/** An absolute URL of http or https; undefined if it is none. */
export function httpUrl(reference: string, base: string): string | undefined {
  const url = URL.parse(reference, base);
  return url?.protocol === "http:" || url?.protocol === "https:" ? url.href : undefined;
}

function parse(text: string): XmlElement {
  try {
    return parseXml(text, MOST_ELEMENTS);
  } catch (error) {
    if (error instanceof XmlError) throw unusable(error.message, error);
    throw error;
  }
}

/** Parts of a manifest may be elsewhere (XLink); leaving them out would leave out what they name. */
function refuseRemote(root: XmlElement): void {
  const waiting = [root];
  for (let element = waiting.pop(); element; element = waiting.pop()) {
    const href = element.attributes.get("xlink:href");
    if (href !== undefined && href !== "urn:mpeg:dash:resolve-to-zero:2013")
      throw unusable(`<${element.name}> is elsewhere (xlink:href), which is not followed`);
    waiting.push(...element.children.filter(({ children }) => children.length > 0 || element === root));
  }
}

function inherit(root: XmlElement, url: string, now: number): ReturnType<typeof inheritAttributes> {
  const count = root.children
    .flatMap(({ children }) => children)
    .reduce((sum, { children }) => sum + children.filter(({ name }) => localName(name) === "Representation").length, 0);
  if (count > MOST_REPRESENTATIONS)
    throw unusable(`it has ${count} representations; at most ${MOST_REPRESENTATIONS} are read`);
  const copies = copiedEntries(root);
  if (copies > MOST_COPIES)
    throw unusable("the lists of segments on its outer levels are too long to be repeated further in");
  try {
    return inheritAttributes(mpdTree(root), { manifestUri: url, NOW: now });
  } catch (error) {
    throw unusable(error instanceof Error ? error.message : String(error), error);
  }
}

/** Entries that mpd-parser copies: a list of segments further in is joined to those of the levels around it. */
function copiedEntries(root: XmlElement): number {
  let copies = 0;
  const walk = (element: XmlElement, around: number): void => {
    const own = entriesOf(element);
    if (own > 0) copies += around;
    for (const child of element.children)
      if (/^(Period|AdaptationSet|Representation)$/.test(localName(child.name))) walk(child, around + own);
  };
  walk(root, 0);
  return copies;
}

function entriesOf({ children }: XmlElement): number {
  const lists = children.filter(({ name }) => /^Segment(List|Template)$/.test(localName(name)));
  return lists.reduce(
    (sum, list) => list.children.reduce((inner, { children: each }) => inner + each.length, sum + list.children.length),
    0,
  );
}

/** One entry a Representation: mpd-parser has one for each of its base URLs. */
function grouped(infos: readonly RepresentationInfo[]): readonly Representation[] {
  const places = Map.groupBy(infos, ({ attributes }) => String(attributes[OWN.place]));
  return [...places].flatMap(([place, alternatives]) => {
    const [info] = alternatives;
    // A period that has no beginning yet is still to come.
    const periodStart = info && finite(info.attributes["periodStart"]);
    if (!info || periodStart === undefined) return [];
    const { attributes, segmentInfo } = info;
    const urls = alternatives.map((each) => {
      const base = String(each.attributes["baseUrl"]);
      const found = httpUrl(base, base);
      if (found === undefined) throw unusable(`it points at ${base.slice(0, 80)}; only http and https are fetched`);
      return found;
    });
    const [baseUrl, ...others] = new Set(urls);
    if (baseUrl === undefined) return [];
    const periodDuration = positive(attributes["periodDuration"]);
    return {
      id: String(attributes["id"] ?? place.slice(1).replaceAll("/", "-")),
      place,
      period: Number(place.split("/")[1]),
      periodStart,
      ...(periodDuration !== undefined && { periodDuration }),
      attributes,
      segmentInfo,
      baseUrls: [baseUrl, ...others],
    };
  });
}

/** A period without a duration lasts until the next one, the last one until the end (§5.3.2.1). */
function withDurations(
  representations: readonly Representation[],
  duration: number | undefined,
): readonly Representation[] {
  const starts = new Map(representations.map(({ period, periodStart }) => [period, periodStart]));
  return representations.map((each) => {
    if (each.periodDuration !== undefined) return each;
    const end = starts.get(each.period + 1) ?? duration;
    return end === undefined || end <= each.periodStart ? each : { ...each, periodDuration: end - each.periodStart };
  });
}

const finite = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined;

const positive = (value: unknown): number | undefined => {
  const number = finite(value);
  return number !== undefined && number > 0 ? number : undefined;
};
