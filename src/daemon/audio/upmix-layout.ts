/**
 * Loudspeaker layouts by their channels (FFmpeg's names, as `ffmpeg -layouts` has them), and what an upmix to 7.1 does with
 * each. What has sound behind the listener already keeps every channel where it is: only what is missing beside or behind is
 * filled. What has none is upmixed from its stereo signal.
 */

/** Channels of 7.1 in the order of files and of FFmpeg (SMPTE ST 2036-2 names them L R C LFE Lrs Rrs Lss Rss). */
export const CHANNELS_71 = ["FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"] as const;

/** ITU-R BS.775-3, annex 4: centre and surrounds go into a stereo downmix at −3 dB, the LFE does not. */
export const DOWNMIX_71: string =
  "pan=stereo|FL=FL+0.70710678*FC+0.70710678*SL+0.70710678*BL|FR=FR+0.70710678*FC+0.70710678*SR+0.70710678*BR";

/** Layouts with sound beside or behind the listener. */
const SURROUND: Readonly<Record<string, string>> = {
  "3.0(back)": "FL FR BC",
  "4.0": "FL FR FC BC",
  quad: "FL FR BL BR",
  "quad(side)": "FL FR SL SR",
  "5.0": "FL FR FC BL BR",
  "5.0(side)": "FL FR FC SL SR",
  "4.1": "FL FR FC LFE BC",
  "5.1": "FL FR FC LFE BL BR",
  "5.1(side)": "FL FR FC LFE SL SR",
  "6.0": "FL FR FC BC SL SR",
  hexagonal: "FL FR FC BL BR BC",
  "6.1": "FL FR FC LFE BC SL SR",
  "6.1(back)": "FL FR FC LFE BL BR BC",
  "7.0": "FL FR FC BL BR SL SR",
};
const FRONT: ReadonlySet<string> = new Set(["stereo", "downmix", "2.1", "3.0", "3.1"]);
/** What FFmpeg takes a number of channels for where the file does not say. */
const BY_COUNT: Readonly<Record<number, string>> = {
  1: "mono",
  2: "stereo",
  3: "2.1",
  4: "4.0",
  5: "5.0",
  6: "5.1",
  7: "6.1",
};

/** What an upmix begins with. */
export type UpmixStart =
  /** A chain that makes stereo, which `surround` then spreads. */
  | { readonly kind: "stereo"; readonly chain: string }
  /** A chain that makes 7.1 at once. */
  | { readonly kind: "surround"; readonly chain: string }
  /** Eight channels already. */
  | { readonly kind: "done" }
  | { readonly kind: "unknown" };

/** What is to be done with a layout. @param layout - FFmpeg's name; absent or "unknown" where the file does not say */
export function upmixStart(layout: string | undefined, channels: number): UpmixStart {
  if (channels >= CHANNELS_71.length) return { kind: "done" };
  const name = layout === undefined || layout === "unknown" ? BY_COUNT[channels] : layout;
  if (name === undefined) return { kind: "unknown" };
  // As a stereo file that says the same twice.
  if (name === "mono") return { kind: "stereo", chain: "aformat=channel_layouts=mono,pan=stereo|c0=c0|c1=c0" };
  if (FRONT.has(name)) return { kind: "stereo", chain: "aformat=channel_layouts=stereo" };
  const found = SURROUND[name]?.split(" ");
  return found === undefined ? { kind: "unknown" } : { kind: "surround", chain: fill(name, new Set(found)) };
}

/**
 * Beside and behind share what only one of them has, half each: a downmix has the sum, as before. A single channel behind
 * is heard from both sides of the back at −3 dB.
 */
function fill(layout: string, has: ReadonlySet<string>): string {
  const pair = (side: "L" | "R"): Readonly<Record<"S" | "B", string>> => {
    const [beside, behind] = [`S${side}`, `B${side}`];
    const back = has.has("BC") ? "0.70710678*BC" : undefined;
    if (has.has(beside))
      return { S: has.has(behind) || back ? beside : `0.5*${beside}`, B: rear(beside, behind, back) };
    if (has.has(behind)) return { S: `0.5*${behind}`, B: `0.5*${behind}${back ? `+${back}` : ""}` };
    return { S: "0.35355339*BC", B: "0.35355339*BC" };
  };
  const rear = (beside: string, behind: string, back: string | undefined): string =>
    has.has(behind) ? behind : (back ?? `0.5*${beside}`);
  const [left, right] = [pair("L"), pair("R")];
  const gains: Readonly<Record<(typeof CHANNELS_71)[number], string>> = {
    FL: "FL",
    FR: "FR",
    FC: has.has("FC") ? "FC" : "0*FL",
    LFE: has.has("LFE") ? "LFE" : "0*FL",
    BL: left.B,
    BR: right.B,
    SL: left.S,
    SR: right.S,
  };
  const mix = CHANNELS_71.map((channel) => `${channel}=${gains[channel]}`).join("|");
  return `aformat=channel_layouts=${layout},pan=7.1|${mix}`;
}
