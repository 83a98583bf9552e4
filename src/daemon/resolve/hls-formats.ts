/** What a master playlist offers (RFC 8216 §4.3.4), in yt-dlp's words: variants, renditions that are tracks of their own, subtitles. */
import type { MediaFormat, TrackContainer, TrackKind } from "../core/resolved.ts";
import { splitCodecs } from "./codecs.ts";
import type { MasterPlaylist, PlaylistEntry } from "./hls-playlist.ts";

/** A format, and where its media playlist is. */
export interface Offer {
  readonly format: Omit<MediaFormat, "track">;
  readonly kind: TrackKind;
  readonly url: string;
}

/** A rendition with words. */
export interface WordsOffer {
  readonly language: string;
  readonly name?: string;
  readonly automatic?: true;
  readonly url: string;
}

/** What was found out about one of the variants, and is taken to fit the others. */
export interface Known {
  readonly container?: TrackContainer;
  /** Of a presentation that has an end. */
  readonly durationSeconds?: number;
  readonly locked?: string;
}

/** Formats in the order of the playlist, renditions first. Ids are unique. */
export function offersOf(master: MasterPlaylist, known: Known): readonly Offer[] {
  const groups = Map.groupBy(master.renditions, groupKey);
  const used = new Map<string, number>();
  const unique = (id: string): string => {
    const plain = `hls-${id}`.replace(/[\s,/+[\]()]/g, "_").slice(0, 120);
    const count = used.get(plain) ?? 0;
    used.set(plain, count + 1);
    return count === 0 ? plain : `${plain}-${count}`;
  };
  return [
    ...master.renditions.flatMap((entry) => renditionOffer(entry, master, unique, known)),
    ...master.variants.flatMap((entry) => variantOffer(entry, groups, unique, known)),
  ];
}

/** Words, in the order of the playlist. */
export function wordsOf({ renditions }: MasterPlaylist): readonly WordsOffer[] {
  return renditions.flatMap(({ attributes, url }) => {
    if (attributes.get("TYPE") !== "SUBTITLES" || url === undefined) return [];
    const name = attributes.get("NAME");
    return [{ language: attributes.get("LANGUAGE") || "und", ...(name && { name }), url }];
  });
}

const groupKey = ({ attributes }: PlaylistEntry): string =>
  `${attributes.get("TYPE") ?? ""} ${attributes.get("GROUP-ID") ?? ""}`;

function variantOffer(
  { attributes, url }: PlaylistEntry,
  groups: ReadonlyMap<string, readonly PlaylistEntry[]>,
  unique: (id: string) => string,
  known: Known,
): readonly Offer[] {
  if (url === undefined) return [];
  const peak = positive(attributes.get("BANDWIDTH"));
  const rate = positive(attributes.get("AVERAGE-BANDWIDTH")) ?? peak;
  const tbr = rate === undefined ? undefined : rate / 1000;
  const { vcodec, acodec, dynamicRange } = splitCodecs(attributes.get("CODECS"));
  const sound = groups.get(`AUDIO ${attributes.get("AUDIO") ?? ""}`);
  // Without CODECS, or with a rendition that lies in the variant, the variant is complete whatever group it names.
  const apart = vcodec !== undefined && vcodec !== "none" && sound?.every((each) => each.url !== undefined);
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/i.exec(attributes.get("RESOLUTION") ?? "") ?? [];
  const fps = positive(attributes.get("FRAME-RATE"));
  const range = RANGES[attributes.get("VIDEO-RANGE") ?? ""] ?? dynamicRange;
  const name = attributes.get("NAME") ?? viewName(attributes.get("VIDEO"), groups);
  const finalAcodec = apart ? "none" : acodec;
  const kind: TrackKind = vcodec === "none" ? "audio" : finalAcodec === "none" ? "video" : "both";
  return [
    {
      url,
      kind,
      format: {
        id: unique(name ?? (tbr === undefined ? "0" : String(Math.trunc(tbr)))),
        ext: kind === "audio" ? "m4a" : "mp4",
        protocol: "hls",
        ...(vcodec !== undefined && { vcodec }),
        ...(finalAcodec !== undefined && { acodec: finalAcodec }),
        ...(known.container && { container: known.container }),
        ...(width !== undefined && { width: Number(width), height: Number(height) }),
        ...(fps !== undefined && { fps }),
        ...(range !== undefined && { dynamicRange: range }),
        ...(tbr !== undefined && { tbr, ...sizeOf(tbr, known) }),
        ...(kind === "audio" && tbr !== undefined && { abr: tbr }),
        ...(peak !== undefined && rate !== peak && { note: `up to ${Math.trunc(peak / 1000)}k` }),
        ...(known.locked !== undefined && { locked: known.locked }),
      },
    },
  ];
}

function renditionOffer(
  { attributes, url }: PlaylistEntry,
  { variants }: MasterPlaylist,
  unique: (id: string) => string,
  known: Known,
): readonly Offer[] {
  const type = attributes.get("TYPE");
  if (url === undefined || (type !== "AUDIO" && type !== "VIDEO")) return [];
  const group = attributes.get("GROUP-ID") ?? "";
  const name = attributes.get("NAME") ?? "";
  const language = attributes.get("LANGUAGE");
  const channels = positive(attributes.get("CHANNELS")?.split("/", 1)[0]);
  const sound = type === "AUDIO";
  const acodec = sound ? groupCodec(group, variants) : undefined;
  return [
    {
      url,
      kind: sound ? "audio" : "both",
      format: {
        id: unique([group, name].filter(Boolean).join("-") || type.toLowerCase()),
        ext: sound ? "m4a" : "mp4",
        protocol: "hls",
        ...(sound && { vcodec: "none" }),
        ...(acodec !== undefined && { acodec }),
        ...(known.container && { container: known.container }),
        ...(language && { language }),
        ...(channels !== undefined && { audioChannels: channels }),
        ...(sound && { languagePreference: preferenceOf(attributes) }),
        ...(name && { note: name }),
        ...(known.locked !== undefined && { locked: known.locked }),
      },
    },
  ];
}

/** As yt-dlp ranks them: the default first, what describes the picture to the blind last. */
function preferenceOf(attributes: PlaylistEntry["attributes"]): number {
  if (attributes.get("CHARACTERISTICS")?.includes("describes-video")) return -10;
  return attributes.get("DEFAULT") === "YES" ? 10 : -1;
}

/** The codec that all variants of a group of sounds agree on. */
function groupCodec(group: string, variants: readonly PlaylistEntry[]): string | undefined {
  const of = variants.filter(({ attributes }) => attributes.get("AUDIO") === group);
  const codecs = new Set(of.map(({ attributes }) => splitCodecs(attributes.get("CODECS")).acodec));
  const [codec] = codecs;
  return codecs.size === 1 && codec !== "none" ? codec : undefined;
}

/** The name of the view that a variant shows, of several. */
function viewName(
  group: string | undefined,
  groups: ReadonlyMap<string, readonly PlaylistEntry[]>,
): string | undefined {
  if (!group) return undefined;
  return groups.get(`VIDEO ${group}`)?.[0]?.attributes.get("NAME") ?? group;
}

const RANGES: Readonly<Record<string, string>> = { SDR: "SDR", HLG: "HLG", PQ: "HDR10" };

function sizeOf(tbr: number, { durationSeconds }: Known): { readonly fileSizeApprox?: number } {
  return durationSeconds === undefined ? {} : { fileSizeApprox: Math.round((tbr * 1000 * durationSeconds) / 8) };
}

function positive(text: string | undefined): number | undefined {
  const value = Number(text);
  return Number.isFinite(value) && value > 0 ? value : undefined;
}
