/**
 * What a manifest offers, in yt-dlp's words: one format a Representation of the first period, with those of the later periods
 * that go on with it.
 */
import type { MediaFormat, TrackContainer, TrackKind } from "../core/resolved.ts";
import { type Codecs, splitCodecs } from "./codecs.ts";
import type { Manifest, Representation } from "./dash-manifest.ts";
import { OWN } from "./dash-tree.ts";

/** What a Representation is. */
export interface Nature {
  readonly kind: TrackKind;
  readonly container: TrackContainer;
  readonly codecs: Codecs;
  readonly language?: string;
}

/** A format, and its Representations, period by period. */
export interface DashOffer {
  readonly format: Omit<MediaFormat, "track">;
  readonly nature: Nature;
  readonly chain: readonly [Representation, ...Representation[]];
  /** Number of the period, from 1, that has nothing which goes on with it. */
  readonly broken?: number;
}

/** Formats of the manifest; words have ids too. Pictures to scroll by and the like are left out. */
export function dashOffers(manifest: Manifest): readonly DashOffer[] {
  const periods = [...Map.groupBy(manifest.representations, ({ period }) => period)]
    .sort(([a], [b]) => a - b)
    .map(([, representations]) => representations.flatMap(pairsOf));
  const [first = [], ...later] = periods;
  const sound = first.some(([, { kind }]) => kind === "audio");
  const used = new Map<string, number>();
  return first.map(([representation, found], index) => {
    const nature = completed(found, sound);
    const chain: [Representation, ...Representation[]] = [representation];
    let broken: number | undefined;
    for (const [at, period] of later.entries()) {
      const next = successor(representation, found, place(first, index), period);
      if (next) chain.push(next);
      else broken ??= at + 2;
    }
    return {
      format: formatOf(representation, nature, uniqueId(representation.id, used), manifest, chain),
      nature,
      chain,
      ...(broken !== undefined && { broken }),
    };
  });
}

type Pair = readonly [Representation, Nature];

function pairsOf(representation: Representation): readonly Pair[] {
  const nature = natureOf(representation);
  return nature ? [[representation, nature]] : [];
}

/** What it is: by its codecs, its media type, or what the set says that it contains. */
function natureOf({ attributes }: Representation): Nature | undefined {
  if (attributes[OWN.trick] !== undefined) return undefined;
  const type = textOf(attributes["mimeType"])?.toLowerCase() ?? "";
  const codecs = splitCodecs(textOf(attributes["codecs"]));
  const [family = "", subtype = ""] = type.split(";", 1)[0]?.split("/") ?? [];
  const kind = kindOf(family, textOf(attributes["contentType"]), codecs, subtype);
  if (!kind) return undefined;
  const language = languageOf(textOf(attributes["lang"]));
  return { kind, container: containerOf(subtype, kind), codecs, ...(language !== undefined && { language }) };
}

function kindOf(family: string, content: string | undefined, codecs: Codecs, subtype: string): TrackKind | undefined {
  if (codecs.scodec !== undefined && codecs.vcodec === "none" && codecs.acodec === "none") return "subtitle";
  const said = family === "application" || family === "" ? content : family;
  if (said === "text" || /^(ttml\+xml|x-subrip)$/.test(subtype)) return "subtitle";
  if (said === "audio") return "audio";
  if (said === "video") return codecs.acodec !== undefined && codecs.acodec !== "none" ? "both" : "video";
  if (codecs.vcodec === undefined) return undefined;
  if (codecs.vcodec === "none") return codecs.acodec === "none" ? undefined : "audio";
  return codecs.acodec === "none" ? "video" : "both";
}

function containerOf(subtype: string, kind: TrackKind): TrackContainer {
  if (subtype === "webm" || subtype === "x-matroska") return "webm";
  if (subtype === "mp2t") return "ts";
  if (subtype === "vtt") return "webvtt";
  if (subtype === "ttml+xml") return "ttml";
  return kind === "subtitle" && subtype !== "mp4" ? "other" : "fmp4";
}

/** Without codecs a picture may have sound in it, unless there is sound beside it. */
function completed(nature: Nature, sound: boolean): Nature {
  const { kind, codecs } = nature;
  if (codecs.vcodec !== undefined) return nature;
  if (kind === "audio") return { ...nature, codecs: { ...codecs, vcodec: "none" } };
  if (kind !== "video") return nature;
  return sound ? { ...nature, codecs: { ...codecs, acodec: "none" } } : { ...nature, kind: "both" };
}

/** Which one of a period goes on with it: the same id, or what is alike in everything that matters to a decoder. */
function successor(
  of: Representation,
  nature: Nature,
  at: number,
  period: readonly Pair[],
): Representation | undefined {
  const alike = period.filter(([, other]) => fits(nature, other));
  const same = alike.find(([{ id }]) => id === of.id);
  if (same) return same[0];
  const size = alike.filter(([{ attributes }]) => attributes["height"] === of.attributes["height"]);
  return (size.length === 1 ? size[0] : (size[at] ?? undefined))?.[0];
}

function fits(a: Nature, b: Nature): boolean {
  const family = (codec: string | undefined): string | undefined => codec?.split(".", 1)[0];
  return (
    a.kind === b.kind &&
    a.container === b.container &&
    a.language === b.language &&
    family(a.codecs.vcodec) === family(b.codecs.vcodec) &&
    family(a.codecs.acodec) === family(b.codecs.acodec)
  );
}

/** Its number among those of its period that are alike in kind and size. */
function place(period: readonly Pair[], index: number): number {
  const own = period[index];
  if (!own) return 0;
  const height = own[0].attributes["height"];
  return period
    .slice(0, index)
    .filter(([{ attributes }, nature]) => fits(own[1], nature) && attributes["height"] === height).length;
}

function formatOf(
  { attributes }: Representation,
  { kind, container, codecs, language }: Nature,
  id: string,
  { duration }: Manifest,
  chain: readonly Representation[],
): Omit<MediaFormat, "track"> {
  const { vcodec, acodec } = codecs;
  const bandwidth = numberOf(attributes["bandwidth"]);
  const tbr = bandwidth === undefined ? undefined : bandwidth / 1000;
  const width = numberOf(attributes["width"]);
  const height = numberOf(attributes["height"]);
  const fps = numberOf(attributes["frameRate"]);
  const asr = numberOf(Number.parseInt(textOf(attributes["audioSamplingRate"]) ?? "", 10));
  const channels = numberOf(Number(textOf(attributes[OWN.channels])));
  const range = RANGES[textOf(attributes[OWN.range]) ?? ""] ?? codecs.dynamicRange;
  const locked = chain.map((each) => textOf(each.attributes[OWN.lock])).find((each) => each !== undefined);
  const audio = kind === "audio";
  return {
    id,
    ext: container === "webm" ? "webm" : container === "ts" ? "ts" : audio ? "m4a" : "mp4",
    protocol: "dash",
    ...(vcodec !== undefined && { vcodec }),
    ...(acodec !== undefined && { acodec }),
    container,
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(fps !== undefined && { fps }),
    ...(range !== undefined && { dynamicRange: range }),
    ...(tbr !== undefined && { tbr, ...(audio && { abr: tbr }) }),
    ...(asr !== undefined && { asr }),
    ...(channels !== undefined && { audioChannels: channels }),
    ...(tbr !== undefined && duration !== undefined && { fileSizeApprox: Math.round((tbr * 1000 * duration) / 8) }),
    ...(language !== undefined && { language }),
    ...(audio && { languagePreference: preferenceOf(attributes) }),
    note: noteOf(attributes, kind),
    ...(locked !== undefined && { locked }),
  };
}

/** ITU-T H.273, transfer characteristics. */
const RANGES: Readonly<Record<string, string>> = { "1": "SDR", "16": "HDR10", "18": "HLG" };

function noteOf(attributes: Representation["attributes"], kind: TrackKind): string {
  const label = textOf(attributes["label"]);
  return label || (kind === "audio" ? "DASH audio" : "DASH video");
}

function roleOf(attributes: Representation["attributes"]): string | undefined {
  const role = attributes["role"];
  return typeof role === "object" && role !== null && "value" in role ? textOf(role.value) : undefined;
}

function preferenceOf(attributes: Representation["attributes"]): number {
  const role = roleOf(attributes);
  if (role === "description" || role === "commentary") return -10;
  return role === "main" ? 10 : -1;
}

function languageOf(lang: string | undefined): string | undefined {
  return lang === undefined || /^(mul|und|zxx|mis)?$/i.test(lang) ? undefined : lang.slice(0, 40);
}

function uniqueId(id: string, used: Map<string, number>): string {
  const plain = `dash-${id}`.replace(/[\s,/+[\]()]/g, "_").slice(0, 120);
  const count = used.get(plain) ?? 0;
  used.set(plain, count + 1);
  return count === 0 ? plain : `${plain}-${count}`;
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

const numberOf = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) && value > 0 ? value : undefined;
