/** What pieces of media are: by the ends of their names, and by their first bytes. */
import type { TrackContainer } from "../core/resolved.ts";

const ENDINGS: Readonly<Record<TrackContainer, RegExp>> = {
  ts: /\.(ts|m2ts|mts|mpegts)$/i,
  fmp4: /\.(m4[afsv]|mp4[av]?|cmf[atv]|mp4s|ismv|isma)$/i,
  mp4: /\.mov$/i,
  webm: /\.(webm|weba|mkv)$/i,
  aac: /\.(aac|adts)$/i,
  mp3: /\.mp3$/i,
  ac3: /\.(ac-?3|e[ac]c?-?3)$/i,
  webvtt: /\.(vtt|webvtt)$/i,
  ttml: /\.(ttml|dfxp|xml)$/i,
  other: /(?!)/,
};

/** By the name's ending; undefined if it says nothing. */
export function containerByName(url: string): TrackContainer | undefined {
  const path = URL.parse(url)?.pathname ?? "";
  return (Object.keys(ENDINGS) as TrackContainer[]).find((container) => ENDINGS[container].test(path));
}

/** By the first bytes of a piece: some hundred. */
export function containerByBytes(bytes: Buffer): TrackContainer {
  const box = bytes.toString("latin1", 4, 8);
  // MPEG-TS: packets of 188 bytes, each beginning with 0x47.
  if (bytes[0] === 0x47 && (bytes.length <= 188 || bytes[188] === 0x47)) return "ts";
  if (/^(ftyp|styp|moof|moov|sidx|emsg|prft)$/.test(box)) return "fmp4";
  if (bytes.subarray(0, 4).equals(Buffer.from("1a45dfa3", "hex"))) return "webm";
  const text = bytes.toString("utf8", 0, 12).replace(/^\uFEFF/, "");
  if (text.startsWith("WEBVTT")) return "webvtt";
  // Packed audio begins with a time stamp in an ID3 tag (RFC 8216 §3.4); what it is comes behind it.
  return packedAudio(bytes.subarray(afterId3(bytes)));
}

function packedAudio(bytes: Buffer): TrackContainer {
  const [first = 0, second = 0] = bytes;
  if (first === 0x0b && second === 0x77) return "ac3";
  // ADTS: 12 bits of sync, layer 0. MPEG audio: 11 bits of sync, another layer.
  if (first === 0xff && (second & 0xf6) === 0xf0) return "aac";
  if (first === 0xff && (second & 0xe0) === 0xe0 && (second & 0x06) !== 0) return "mp3";
  return "other";
}

function afterId3(bytes: Buffer): number {
  if (bytes.toString("latin1", 0, 3) !== "ID3" || bytes.length < 10) return 0;
  // Four times seven bits.
  return 10 + bytes.subarray(6, 10).reduce((size, byte) => size * 128 + (byte & 0x7f), 0);
}
