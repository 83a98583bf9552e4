/** What a file of the chosen formats is called: which container holds these codecs, by what manifests call them. */
import type { Container } from "../core/media-tool.ts";
import type { MediaFormat } from "../core/resolved.ts";
import { isAudioOnly, mayHaveAudio, mayHaveVideo } from "./format-fields.ts";

/** Codecs, by FFmpeg's names, and what manifests call them (RFC 6381, and plain names). */
const CODECS: readonly (readonly [name: string, pattern: RegExp])[] = [
  ["mp3", /^(mp3|mp4a\.(69|6b|40\.3[34]))/i],
  ["ac3", /^(ac-?3|mp4a\.a5)/i],
  ["eac3", /^(e-?a?c-?3|mp4a\.a6)/i],
  ["aac", /^(mp4a|aac)/i],
  ["opus", /^opus/i],
  ["vorbis", /^(vorbis|vrbs)/i],
  ["flac", /^flac/i],
  ["alac", /^alac/i],
  ["pcm", /^(pcm|wav|lpcm|sowt|twos)/i],
  ["h264", /^(avc|[hx]\.?264)/i],
  ["hevc", /^(hvc1|hev1|hevc|[hx]\.?265|dvh[1e])/i],
  ["av1", /^av0?1/i],
  ["vp9", /^vp0?9/i],
  ["vp8", /^vp0?8/i],
  ["mpeg4", /^mp4v/i],
];

/** A codec by FFmpeg's name; undefined if it is not known, or not said. */
export function codecName(codec: string | undefined): string | undefined {
  return codec === undefined ? undefined : CODECS.find(([, pattern]) => pattern.test(codec))?.[0];
}

/** Video containers in order of preference, with what every player expects in them. */
const USUAL: readonly (readonly [container: Container, codecs: ReadonlySet<string>])[] = [
  ["mp4", new Set(["h264", "hevc", "av1", "mpeg4", "aac", "mp3", "ac3", "eac3", "alac"])],
  ["webm", new Set(["vp8", "vp9", "av1", "opus", "vorbis"])],
];

/** What an mp4 can hold besides, where the source has it in one already. */
const POSSIBLE = new Set([...(USUAL[0]?.[1] ?? []), "vp9", "opus", "flac"]);

const MP4_EXTS = new Set(["mp4", "m4a", "m4v", "mov", "cmfv", "cmfa"]);

/** Containers of one sound, by its codec. */
const FOR_SOUND: Readonly<Record<string, Container>> = {
  aac: "m4a",
  alac: "m4a",
  ac3: "m4a",
  mp3: "mp3",
  opus: "opus",
  vorbis: "ogg",
  flac: "flac",
  pcm: "wav",
};

const CONTAINERS: ReadonlySet<string> = new Set<Container>([
  "mp4",
  "m4a",
  "mkv",
  "mka",
  "webm",
  "mov",
  "mp3",
  "aac",
  "opus",
  "ogg",
  "flac",
  "wav",
]);

/** The container for sound alone. */
export function soundContainer(formats: readonly MediaFormat[]): Container {
  const [only, ...others] = formats;
  if (!only || others.length > 0) return formats.every(({ acodec }) => codecName(acodec) === "aac") ? "m4a" : "mka";
  const codec = codecName(only.acodec);
  if (only.container === "webm" && isAudioOnly(only)) return "webm";
  if (codec !== undefined) return FOR_SOUND[codec] ?? "mka";
  if (only.container === "mp3") return "mp3";
  // What a playlist does not name is AAC, as RFC 8216 has it from the beginning.
  return isAudioOnly(only) && only.acodec === undefined ? "m4a" : "mka";
}

/** The extension of what is made of formats that are merged, or that come in segments. */
export function containerOf(formats: readonly MediaFormat[]): Container {
  if (!formats.some(mayHaveVideo)) return soundContainer(formats);
  const said = formats.flatMap((format) => [
    ...(mayHaveVideo(format) ? [format.vcodec] : []),
    ...(mayHaveAudio(format) ? [format.acodec] : []),
  ]);
  const names = said.map(codecName);
  const known = (codecs: ReadonlySet<string>) => names.every((name) => name !== undefined && codecs.has(name));
  const fits = (name: string | undefined, at: number) =>
    name === undefined ? said[at] === undefined : POSSIBLE.has(name);
  if (formats.every(isOfMp4) && names.every(fits)) return "mp4";
  const usual = USUAL.find(([, codecs]) => known(codecs));
  if (usual) return usual[0];
  return formats.every(({ ext }) => ext === "webm") && said.every((codec) => codec === undefined) ? "webm" : "mkv";
}

/** Fragments of MPEG-TS hold what an mp4 holds. */
const isOfMp4 = ({ ext, container }: MediaFormat): boolean =>
  MP4_EXTS.has(ext) || ext === "ts" || container === "ts" || container === "fmp4" || container === "mp4";

/** The extension of a file that is put together anew, as near as can be to what it was. */
export function remuxedExt(format: MediaFormat): string {
  return CONTAINERS.has(format.ext) ? format.ext : containerOf([format]);
}
