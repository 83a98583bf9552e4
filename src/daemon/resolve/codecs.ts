/** Codecs as manifests name them (RFC 6381): which belong to the picture, which to the sound, which to the words. */

/** What a list of codecs says; "none" where it names others and none of the kind. */
export interface Codecs {
  readonly vcodec?: string;
  readonly acodec?: string;
  readonly scodec?: string;
  readonly dynamicRange?: string;
}

const VIDEO =
  /^(avc[1-4]|vp0?[89]|h26[345]|hev[12]|hvc[12]|mp[24]v|mp1v|av0?1|dav1|dvh[1e]|dva[v1]|vvc1|vvi1|lvc1|theora|mjpe?g|jpeg|apcn|apch)$/;
const AUDIO =
  /^(mp4a|mp2a|mp3|aac|opus|vorbis|flac|alac|ac-?[34]|e(c|ac)-?3|dts[a-z]?|mha[12]|mhm[12]|iamf|samr|sawb|speex|pcm|ipcm|fpcm)$/;
const WORDS = /^(stpp|wvtt|tx3g|c608|c708|ttml)$/;

/** Splits a list of codecs. Nothing is said about a list that names nothing known. */
export function splitCodecs(text: string | undefined): Codecs {
  let vcodec: string | undefined;
  let acodec: string | undefined;
  let scodec: string | undefined;
  for (const each of (text ?? "").slice(0, 500).split(",")) {
    const codec = each.trim().replace(/^[^.]+/, (family) => family.toLowerCase());
    const family = codec.split(".", 1)[0] ?? "";
    if (VIDEO.test(family)) vcodec ??= codec;
    else if (AUDIO.test(family)) acodec ??= codec;
    else if (WORDS.test(family)) scodec ??= codec;
  }
  if (vcodec === undefined && acodec === undefined && scodec === undefined) return {};
  const range = dynamicRange(vcodec);
  return {
    vcodec: vcodec ?? "none",
    acodec: acodec ?? "none",
    ...(scodec !== undefined && { scodec }),
    ...(range !== undefined && { dynamicRange: range }),
  };
}

/** Where the codec's own parameters say it: transfer characteristics 16 are PQ, 18 are HLG (ITU-T H.273). */
function dynamicRange(vcodec: string | undefined): string | undefined {
  if (vcodec === undefined) return undefined;
  const parts = vcodec.split(".");
  const family = parts[0] ?? "";
  if (/^(dvh[1e]|dva[v1]|dav1)$/.test(family)) return "DV";
  const transfer = /^av0?1$/.test(family) || family === "vp09" ? parts[family === "vp09" ? 6 : 7] : undefined;
  if (transfer === "16") return "HDR10";
  return transfer === "18" ? "HLG" : undefined;
}
