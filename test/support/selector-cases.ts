/**
 * Formats, qualities, and what they choose: the table of the grammar. The unit test, the acceptance and the comparison with
 * yt-dlp itself all go through it.
 */
import type { Media, MediaFormat, Subtitle } from "../../src/daemon/core/resolved.ts";

/** What there is to choose from. */
export type Shelf = keyof typeof SHELVES;

/** A row of the table. */
export interface SelectorCase {
  readonly shelf: Shelf;
  readonly format?: string;
  readonly quality?: string;
  /** Ids of each file that is to be made, joined by "+". */
  readonly chooses?: readonly string[];
  /** Extension of the first one. */
  readonly ext?: string;
  /** What the first one's sound is made into, and its rate in kbit/s. */
  readonly transcode?: string;
  readonly error?: "FORMAT_INVALID" | "FORMAT_UNAVAILABLE" | "MEDIA_LOCKED";
  /** Of FORMAT_INVALID: where in the text, from 1. */
  readonly position?: number;
  /** Why yt-dlp comes to something else, or is not asked. */
  readonly differs?: string;
}

type Fields = Omit<MediaFormat, "id" | "ext" | "protocol" | "track">;

const format = (id: string, ext: string, fields: Fields, protocol: MediaFormat["protocol"] = "http"): MediaFormat => ({
  id,
  ext,
  protocol,
  track: () => Promise.reject(new Error(`nobody fetches ${id} here`)),
  ...fields,
});

const video = (width: number, height: number, vcodec: string, more: Fields = {}): Fields => ({
  width,
  height,
  vcodec,
  acodec: "none",
  ...more,
});
const audio = (acodec: string, abr: number, more: Fields = {}): Fields => ({
  vcodec: "none",
  acodec,
  abr,
  tbr: abr,
  ...more,
});
const whole = (width: number, height: number, tbr: number, more: Fields = {}): Fields => ({
  width,
  height,
  vcodec: "avc1.42001E",
  acodec: "mp4a.40.2",
  tbr,
  ...more,
});

const MB = 1e6;

const SHELVES = {
  /** Much of everything, apart and together, over HTTP. */
  tube: [
    format("18", "mp4", whole(640, 360, 600, { fps: 30, fileSize: 10 * MB, audioChannels: 2 })),
    format("22", "mp4", whole(1280, 720, 1200, { fps: 30, fileSizeApprox: 20 * MB, audioChannels: 2 })),
    format("136", "mp4", video(1280, 720, "avc1.4d401f", { fps: 30, tbr: 2300, vbr: 2300, fileSize: 35 * MB })),
    format("137", "mp4", video(1920, 1080, "avc1.640028", { fps: 30, tbr: 4400, vbr: 4400, fileSize: 66 * MB })),
    format("248", "webm", video(1920, 1080, "vp9", { fps: 30, tbr: 2600, vbr: 2600, fileSize: 39 * MB })),
    format("303", "webm", video(1920, 1080, "vp9", { fps: 60, tbr: 4000, vbr: 4000, fileSize: 60 * MB })),
    format("313", "webm", video(3840, 2160, "vp9", { fps: 30, tbr: 15000, vbr: 15000, fileSize: 225 * MB })),
    format("335", "webm", video(1920, 1080, "vp9.2", { fps: 60, tbr: 5000, vbr: 5000, dynamicRange: "HDR10" })),
    format("401", "mp4", video(3840, 2160, "av01.0.12M.08", { fps: 30, tbr: 12000, vbr: 12000, fileSize: 180 * MB })),
    format("139", "m4a", audio("mp4a.40.5", 48, { asr: 22050, audioChannels: 2, fileSize: 0.7 * MB })),
    format("140", "m4a", audio("mp4a.40.2", 129.5, { asr: 44100, audioChannels: 2, fileSize: 2 * MB, language: "en" })),
    format(
      "140-de",
      "m4a",
      audio("mp4a.40.2", 129.5, { asr: 44100, audioChannels: 2, language: "de", languagePreference: -10 }),
    ),
    format("249", "webm", audio("opus", 50, { asr: 48000, audioChannels: 2, fileSize: 0.8 * MB })),
    format("251", "webm", audio("opus", 145, { asr: 48000, audioChannels: 2, fileSize: 2.2 * MB })),
    format("sb0", "mhtml", { width: 160, height: 90, vcodec: "none", acodec: "none", note: "storyboard" }),
    format("525", "mp4", video(7680, 4320, "avc1.640028", { tbr: 30000, locked: "Widevine" })),
  ],
  /** Whole variants, and one sound apart, in segments. */
  hls: [
    format("a-hi", "mp4", audio("mp4a.40.2", 192, { container: "aac", language: "en" }), "hls"),
    format("500", "mp4", whole(640, 360, 500, { container: "ts" }), "hls"),
    format("1500", "mp4", whole(1280, 720, 1500, { container: "ts" }), "hls"),
    format("3000", "mp4", whole(1920, 1080, 3000, { container: "ts" }), "hls"),
  ],
  /** Whole variants only, with known rates of their sound. */
  variants: [
    format("low", "mp4", whole(640, 360, 696, { abr: 96, container: "ts" }), "hls"),
    format("mid", "mp4", whole(1280, 720, 1628, { abr: 128, container: "ts" }), "hls"),
    format("high", "mp4", whole(1920, 1080, 3392, { abr: 392, container: "ts" }), "hls"),
  ],
  /** A podcast in several qualities. */
  podcast: [
    format("mp3-320", "mp3", audio("mp3", 320)),
    format("mp3-128", "mp3", audio("mp3", 128)),
    format("vorbis", "ogg", audio("vorbis", 192)),
    format("lossless", "flac", audio("flac", 900)),
  ],
  /** Pictures without sound. */
  silent: [
    format("s1", "mp4", video(640, 360, "avc1", { tbr: 400 })),
    format("s2", "webm", video(1280, 720, "vp9", { tbr: 900 })),
  ],
  /** Nobody says anything. */
  bare: [format("0", "mp4", {}), format("1", "webm", {})],
  /** Pictures that stand upright, and one without a height. */
  upright: [
    format("u360", "mp4", whole(360, 640, 700)),
    format("u720", "mp4", whole(720, 1280, 1700)),
    format("u1080", "mp4", whole(1080, 1920, 3700)),
  ],
  /** All of it is locked. */
  shut: [
    format("d1", "mp4", video(1280, 720, "avc1", { locked: "Widevine" })),
    format("d2", "m4a", audio("mp4a.40.2", 128, { locked: "Widevine" })),
  ],
  /** Ids that mean something in the grammar, or look like it. */
  names: [
    format("best", "mp4", whole(640, 360, 500)),
    format("mp4", "webm", whole(1280, 720, 900)),
    format("a/b+c", "mp4", whole(320, 180, 200)),
    format("hls-1080.v2", "mp4", whole(1920, 1080, 3000)),
  ],
} as const satisfies Record<string, readonly MediaFormat[]>;

const subtitle = (language: string, ext: Subtitle["ext"], automatic = false): Subtitle => ({
  language,
  ext,
  ...(automatic && { automatic: true }),
  track: () => Promise.reject(new Error(`nobody fetches ${language} here`)),
});

const SUBTITLES: readonly Subtitle[] = [
  subtitle("en", "ttml"),
  subtitle("en", "vtt"),
  subtitle("de-AT", "vtt"),
  subtitle("de-DE", "srt"),
  subtitle("live_chat", "vtt"),
  subtitle("fr", "vtt", true),
];

/** The media of a shelf. */
export function mediaOf(shelf: Shelf): Media {
  return {
    kind: "media",
    details: { id: shelf, title: `All of ${shelf}`, extractor: "test", webpageUrl: "https://media.example/watch" },
    formats: SHELVES[shelf],
    subtitles: SUBTITLES,
    live: false,
  };
}

type More = Omit<SelectorCase, "shelf" | "format" | "chooses">;

const picks = (
  shelf: Shelf,
  format: string | undefined,
  chooses: string | readonly string[],
  more: More = {},
): SelectorCase => ({
  shelf,
  ...(format !== undefined && { format }),
  chooses: typeof chooses === "string" ? [chooses] : chooses,
  ...more,
});
const wrong = (format: string, position: number, differs?: string): SelectorCase => ({
  shelf: "tube",
  format,
  error: "FORMAT_INVALID",
  position,
  ...(differs !== undefined && { differs }),
});
const sorts = (quality: string, chooses: string, format = "bv"): SelectorCase =>
  picks("tube", format, chooses, { quality });
const none = (shelf: Shelf, format: string): SelectorCase => ({ shelf, format, error: "FORMAT_UNAVAILABLE" });

const STRICT = "yt-dlp lets it pass";
const TYPED = "yt-dlp knows no types of fields";
const TARGET = "a target, which yt-dlp has not";
const SOUNDS = "several sounds are kept; yt-dlp wants --audio-multistreams for it";
const LOCKED = "yt-dlp calls it unavailable";
const QUOTED = "yt-dlp has no quoted ids";

/** The table. */
export const SELECTOR_CASES: readonly SelectorCase[] = [
  // What is taken if nothing is said.
  picks("tube", undefined, "401+251", { ext: "webm" }),
  picks("hls", undefined, "3000", { ext: "mp4" }),
  picks("podcast", undefined, "lossless", { ext: "flac" }),
  picks("silent", undefined, "s2", { ext: "webm" }),
  picks("bare", undefined, "0", { ext: "mp4" }),
  picks("upright", undefined, "u1080", { ext: "mp4" }),
  // Words.
  picks("tube", "best", "22", { ext: "mp4" }),
  picks("tube", "b", "22"),
  picks("tube", "worst", "18"),
  picks("tube", "w", "18"),
  picks("tube", "bestvideo", "401"),
  picks("tube", "bv", "401"),
  picks("tube", "worstvideo", "136"),
  picks("tube", "wv", "136"),
  picks("tube", "bestaudio", "251", { ext: "webm" }),
  picks("tube", "ba", "251"),
  picks("tube", "worstaudio", "140-de"),
  picks("tube", "wa", "140-de"),
  picks("tube", "bv*", "401"),
  picks("tube", "wv*", "18"),
  picks("hls", "ba*", "3000"),
  picks("tube", "b*", "401"),
  picks("tube", "w*", "140-de"),
  picks("hls", "bestaudio*", "3000"),
  picks("hls", "worstaudio*", "a-hi"),
  picks("tube", "bv.2", "313"),
  picks("tube", "bestvideo.3", "335"),
  picks("tube", "ba.2", "249"),
  picks("tube", "w.2", "22"),
  none("tube", "best.3"),
  picks("silent", "best", "s2"),
  picks("silent", "worst", "s1"),
  none("silent", "ba"),
  none("silent", "b*[acodec!=none]"),
  picks("podcast", "best", "lossless"),
  picks("bare", "b", "0"),
  none("bare", "bv"),
  picks("bare", "bv*", "0"),
  // Ids and extensions.
  picks("tube", "137", "137", { ext: "mp4" }),
  picks("tube", "140-de", "140-de"),
  picks("names", "hls-1080.v2", "hls-1080.v2"),
  none("tube", "999"),
  picks("tube", "mp4", "22"),
  none("tube", "webm"),
  picks("silent", "webm", "s2"),
  picks("tube", "m4a", "140", { ext: "m4a" }),
  picks("podcast", "mp3", "mp3-320", { ext: "mp3" }),
  picks("podcast", "flac", "lossless"),
  picks("names", "best", "hls-1080.v2"),
  picks("names", '"best"', "best", { differs: QUOTED }),
  picks("names", "'mp4'", "mp4", { differs: QUOTED }),
  picks("names", '"a/b+c"', "a/b+c", { differs: QUOTED }),
  // Together.
  picks("tube", "bv+ba", "401+251", { ext: "webm" }),
  picks("tube", "137+140", "137+140", { ext: "mp4" }),
  picks("tube", "137+251", "137+251", { ext: "mkv" }),
  picks("tube", "248+251", "248+251", { ext: "webm" }),
  picks("tube", "bv*+ba", "401+251"),
  picks("tube", "b+ba", "22"),
  picks("hls", "bv*+ba", "3000"),
  picks("tube", "137+sb0", "137"),
  picks("tube", "137+136+140", "137+140"),
  picks("tube", "bv+ba+140-de", "401+251+140-de", { ext: "mkv", differs: SOUNDS }),
  picks("tube", "137+140+140-de", "137+140+140-de", { ext: "mp4", differs: SOUNDS }),
  picks("tube", "137+140+140", "137+140"),
  none("tube", "bv+999"),
  picks("tube", "( 137 + 140 )", "137+140"),
  // The first that is there.
  picks("tube", "999/137", "137"),
  picks("tube", "999/998/b", "22"),
  picks("tube", "bv+999/18", "18"),
  picks("tube", "999/bv+ba", "401+251"),
  picks("tube", "(999/136)+ba", "136+251"),
  picks("tube", "(bv[ext=mp4]/bv)+(ba[ext=m4a]/ba)", "401+140", { ext: "mp4" }),
  none("tube", "999/998"),
  // Several.
  picks("tube", "137,140", ["137", "140"]),
  picks("tube", "bv,ba/b", ["401", "251"]),
  picks("tube", "137,999", ["137"]),
  picks("tube", "137+(140,251)", ["137+140", "137+251"]),
  picks("podcast", "all", ["lossless", "vorbis", "mp3-320", "mp3-128"]),
  picks("silent", "all[height>400]", ["s2"]),
  picks("tube", "mergeall[format_id~='^(137|140)$']", "137+140"),
  // Filters.
  picks("tube", "bv[height<=720]", "136"),
  picks("tube", "bv[height<1080]", "136"),
  picks("tube", "bv[height=1080][fps=60]", "335"),
  picks("tube", "bv[height>=1080][height!=2160][vcodec^=avc1]", "137"),
  picks("tube", "bv[width>1920][ext=webm]", "313"),
  picks("tube", "b[filesize<50M]", "18"),
  picks("tube", "b[filesize<?50M]", "22"),
  picks("tube", "bv[filesize<40M]", "248"),
  picks("tube", "bv[filesize<37Mi]", "136"),
  picks("tube", "bv[filesize<=35000000]", "136"),
  picks("tube", "[height<=360]", "18"),
  picks("tube", "bv[vcodec^=vp9][fps>30]", "335"),
  picks("tube", "bv[vcodec$=.2]", "335"),
  picks("tube", "bv[vcodec*=01]", "401"),
  picks("tube", "bv[vcodec~='^avc1\\.6']", "137"),
  picks("tube", "bv[vcodec!^=av]", "313"),
  picks("tube", "bv[vcodec!*=9][ext=mp4]", "401"),
  picks("tube", "ba[acodec!=opus]", "140"),
  picks("tube", "ba[language=de]", "140-de"),
  picks("tube", "ba[language!=?en]", "251"),
  picks("tube", "ba[asr<=44.1k]", "140", { differs: "yt-dlp reads no fraction with a unit of samples" }),
  picks("tube", "ba[abr<100]", "249"),
  picks("tube", "bv[tbr>3M][ext=mp4][height<2000]", "137", { differs: "a rate with a unit is one of bits" }),
  picks("tube", "bv[ height <= 1080 ][ ext = mp4 ]", "137"),
  picks("tube", "(bv+ba)[ext=webm]", "313+251"),
  picks("tube", '(mp4/webm)[format_id="18"]', "18"),
  picks("tube", "bv[dynamic_range=HDR10]", "335"),
  picks("hls", "b[protocol^=m3u8]", "3000"),
  picks("hls", "b[protocol=hls]", "3000", { differs: "a name of ours" }),
  picks("tube", "b[format_id=22]", "22", { differs: TYPED }),
  none("tube", "b[vbr>100000]"),
  // Sorting.
  sorts("res:720", "136"),
  sorts("res:1080", "335"),
  sorts("res:1080,vcodec:h264", "137"),
  sorts("res~1000,+br", "248"),
  sorts("+res", "136"),
  sorts("+size,+br", "136"),
  sorts("fps", "335"),
  sorts("vcodec:vp9", "313"),
  sorts("ext", "401"),
  sorts("+ext:webm", "313"),
  sorts("+tbr:3000", "303"),
  sorts("br~4100", "303"),
  sorts("hdr", "335"),
  sorts("filesize:50M", "248"),
  sorts("abr:100", "249", "ba"),
  sorts("acodec:aac", "140", "ba"),
  sorts("codec:h264:aac", "137"),
  sorts("asr", "251", "ba"),
  sorts("+asr,abr", "139", "ba[language!=?de]"),
  sorts("lang,+abr", "139", "ba"),
  // Targets.
  picks("tube", undefined, "22", { quality: "720p", differs: TARGET }),
  picks("tube", undefined, "335+251", { quality: "1080p60", differs: TARGET }),
  picks("tube", undefined, "401+251", { quality: "4k", differs: TARGET }),
  picks("upright", undefined, "u720", { quality: "720p", differs: TARGET }),
  picks("tube", undefined, "251", { quality: "320k", differs: TARGET, ext: "webm" }),
  picks("tube", undefined, "140", { quality: "130k", differs: TARGET, ext: "m4a" }),
  picks("tube", "bestaudio", "249", { quality: "64k", differs: TARGET }),
  picks("tube", undefined, "139", { quality: "20k", differs: TARGET }),
  picks("podcast", "bestaudio", "mp3-320", { quality: "320k", differs: TARGET, ext: "mp3" }),
  picks("podcast", "ba/b", "vorbis", { quality: "200k", differs: TARGET }),
  picks("hls", "bestaudio", "a-hi", { quality: "320k", differs: TARGET, ext: "m4a" }),
  picks("variants", "bestaudio", "mid", { quality: "320k", differs: TARGET, ext: "m4a" }),
  picks("tube", "bv+ba", "248+251", { quality: "3M", differs: TARGET }),
  picks("tube", undefined, "18", { quality: "worst", differs: TARGET }),
  picks("tube", "ba", "251", { quality: "best", differs: TARGET }),
  // Kinds of sound.
  picks("tube", "mp3", "251", { differs: TARGET, ext: "mp3", transcode: "mp3 145" }),
  picks("tube", "mp3", "251", { quality: "130k", differs: TARGET, ext: "mp3", transcode: "mp3 130" }),
  picks("tube", "opus", "251", { differs: TARGET, ext: "opus" }),
  picks("tube", "flac", "251", { differs: TARGET, ext: "flac", transcode: "flac" }),
  picks("podcast", "m4a", "lossless", { quality: "256k", differs: TARGET, ext: "m4a", transcode: "aac 256" }),
  picks("podcast", "wav", "lossless", { differs: TARGET, ext: "wav", transcode: "wav" }),
  picks("variants", "m4a", "high", { differs: TARGET, ext: "m4a" }),
  picks("variants", "mp3", "high", { differs: TARGET, ext: "mp3", transcode: "mp3 320" }),
  none("silent", "mp3"),
  // What is locked.
  { shelf: "tube", format: "525", error: "MEDIA_LOCKED", differs: LOCKED },
  picks("tube", "525/137", "137"),
  picks("tube", "bv[height>2160]/18", "18"),
  { shelf: "shut", error: "MEDIA_LOCKED", differs: LOCKED },
  { shelf: "shut", format: "ba", error: "MEDIA_LOCKED", differs: LOCKED },
  // What cannot be read.
  wrong("", 1, STRICT),
  wrong("bestvideo,,best", 11),
  wrong("+bestaudio", 1),
  wrong("bestvideo+", 11),
  wrong("/", 1),
  wrong("best/", 6, STRICT),
  wrong("best,", 6, STRICT),
  wrong("(bv+ba", 1, STRICT),
  wrong("bv+ba)", 6, STRICT),
  wrong("bv()", 3),
  wrong("best video", 6, STRICT),
  wrong("bv[height<=720", 3),
  wrong("bv]", 3, STRICT),
  wrong("bv[]", 4),
  wrong("bv[heigth<720]", 4, TYPED),
  wrong("[720<height]", 2),
  wrong("bv[height<=tall]", 12),
  wrong("bv[height^=7]", 10, TYPED),
  wrong("bv[vcodec<avc1]", 10),
  wrong("bv[vcodec^=]", 12),
  wrong("bv[vcodec~='(']", 12, "yt-dlp fails with an error of Python"),
  wrong("bv[vcodec='avc1]", 11),
  wrong("bv[height<720]best", 15, STRICT),
  { shelf: "tube", quality: "720", error: "FORMAT_INVALID", position: 1, differs: TARGET },
  { shelf: "tube", quality: "res:720,wat", error: "FORMAT_INVALID", position: 9, differs: STRICT },
  { shelf: "tube", quality: "res:tall", error: "FORMAT_INVALID", position: 5, differs: STRICT },
  { shelf: "tube", quality: "res,,fps", error: "FORMAT_INVALID", position: 5, differs: STRICT },
];
