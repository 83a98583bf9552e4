/** Templates of file names, and what they come to. The unit test, the acceptance and the comparison with yt-dlp go through it. */
import type { MediaChoice, MediaDetails, MediaFormat } from "../../src/daemon/core/resolved.ts";

/** A row of the table. */
export interface TemplateCase {
  readonly template?: string;
  /** Over those of {@link TEMPLATE_DETAILS}. */
  readonly details?: Partial<MediaDetails>;
  readonly gives?: string;
  /** TEMPLATE_INVALID: where in the text, from 1. */
  readonly position?: number;
  /** Why yt-dlp comes to something else, or is not asked. */
  readonly differs?: string;
}

const track = () => Promise.reject(new Error("nobody fetches it here"));

const VIDEO: MediaFormat = {
  id: "137",
  ext: "mp4",
  protocol: "dash",
  vcodec: "avc1.640028",
  acodec: "none",
  width: 1920,
  height: 1080,
  fps: 30,
  tbr: 4400,
  vbr: 4400,
  fileSize: 66_000_000,
  note: "1080p",
  track,
};
const AUDIO: MediaFormat = {
  id: "140",
  ext: "m4a",
  protocol: "dash",
  vcodec: "none",
  acodec: "mp4a.40.2",
  abr: 129.5,
  tbr: 129.5,
  asr: 44_100,
  audioChannels: 2,
  fileSize: 2_000_000,
  note: "medium",
  language: "en",
  track,
};

/** What was chosen. */
export const TEMPLATE_CHOICE: MediaChoice = {
  formats: [VIDEO, AUDIO],
  subtitles: [],
  ext: "mp4",
  asked: {},
  had: { format: "137+140" },
};

/** What is told of it. */
export const TEMPLATE_DETAILS: MediaDetails = {
  id: "x7Gq_2",
  title: "A winter journey",
  extractor: "page",
  webpageUrl: "https://media.example/watch/winter",
  uploader: "Schubert",
  channel: "Lieder",
  series: "Journeys",
  season: 2,
  episode: 7,
  publishedAt: Date.UTC(2026, 6, 4, 5, 6, 7),
  durationSeconds: 3723,
  chapters: [
    { title: "Good night", start: 0, end: 320 },
    { title: "The weather vane", start: 320 },
  ],
  playlist: { title: "All of it", index: 3, count: 120 },
};

type More = Omit<TemplateCase, "template" | "gives">;

const gives = (template: string | undefined, name: string, more: More = {}): TemplateCase => ({
  ...(template !== undefined && { template }),
  gives: name,
  ...more,
});
/** The same with this title. */
const titled = (title: string, name: string, template = "%(title)s.%(ext)s"): TemplateCase =>
  gives(template, name, { details: { title }, differs: "names are made safe here" });
const wrong = (template: string, position: number): TemplateCase => ({ template, position, differs: "refused here" });

const FLOATS = "yt-dlp breaks on it: its numbers are floats";
const NEWER = "not yet in the version that Debian has";
const NO_LIST = "a list that is not there";

/** The table. */
export const TEMPLATE_CASES: readonly TemplateCase[] = [
  gives(undefined, "A winter journey [x7Gq_2].mp4"),
  gives("%(id)s", "x7Gq_2"),
  gives("%(title)s.%(ext)s", "A winter journey.mp4"),
  gives("100%% %(id)s", "100% x7Gq_2"),
  gives("%(title)s/%(id)s.%(ext)s", "A winter journey/x7Gq_2.mp4"),
  gives("%(playlist_title)s/%(series)s/%(id)s", "All of it/Journeys/x7Gq_2"),
  // What is not known.
  gives("%(album)s", "NA"),
  gives("%(nonsense)s", "NA"),
  gives("%(album|no album)s", "no album"),
  gives("%(album|)s%(id)s", "x7Gq_2"),
  gives("%(album,artist|-)s%(id)s", "x7Gq_2", { differs: "no name begins with a dash here" }),
  gives("%(album,uploader)s", "Schubert"),
  gives("%(album,artist,uploader|nobody)s", "Schubert"),
  gives("%(album)05d", "NA"),
  gives("%(title)05d", "NA"),
  gives("%(title|x)d", "x"),
  // Numbers.
  gives("%(height)d", "1080"),
  gives("%(height)06d", "001080"),
  gives("%(height)+d", "+1080"),
  gives("h%(height)-6dx", "h1080  x"),
  gives("h%(height)6d", "h  1080"),
  gives("%(abr)d", "129"),
  gives("%(abr)s", "129.5"),
  gives("%(abr).2f", "129.50"),
  gives("%(abr)010.3f", "000129.500"),
  gives("%(tbr)e", "4.529500e+03"),
  gives("%(tbr).3g", "4.53e+03"),
  gives("%(height)x", "438", { differs: FLOATS }),
  gives("%(height)#X", "0X438", { differs: FLOATS }),
  gives("%(height)o", "2070", { differs: FLOATS }),
  gives("%(filesize)D", "68M"),
  gives("%(filesize).2D", "68.00M", { differs: "its version puts the precision elsewhere" }),
  gives("%(filesize)#D", "64Mi"),
  // Texts.
  gives("%(title).8s", "A winter"),
  gives("%(title).0s%(id)s", "x7Gq_2"),
  gives("[%(id)10s]", "[    x7Gq_2]"),
  gives("[%(id)-10s]", "[x7Gq_2    ]"),
  gives("%(id)c", "x"),
  gives("%(title).4B", "grün".slice(0, 3), { details: { title: "grün und grau" } }),
  gives("%(title).3s", "日本の", { details: { title: "日本の歌" } }),
  gives("%(title).1s", "😀", { details: { title: "😀😀" } }),
  gives("%(title)U", "e\u0301".normalize("NFC"), { details: { title: "e\u0301" } }),
  gives("%(chapters.:.title)l", "NA", { differs: "no walk through lists here" }),
  gives("%(id)j", "_x7Gq_2_", { differs: "names are made safe here" }),
  // Parts.
  gives("%(title.2:8)s", "winter"),
  gives("%(title.:1)s%(title.-7:)s", "Ajourney"),
  gives("%(title.::-1)s", "yenruoj retniw A"),
  gives("%(chapters.0.title)s", "Good night"),
  gives("%(chapters.-1.title)s", "The weather vane"),
  gives("%(chapters.9.title)s", "NA"),
  // Arithmetic.
  gives("%(playlist_index+10)d", "13"),
  gives("%(playlist_index-1)03d", "002"),
  gives("%(playlist_index*2+1)d", "7", { differs: NEWER }),
  gives("%(playlist_count-playlist_index)d", "117"),
  gives("%(height+album)d", "NA"),
  gives("%(-height)d", "1080", { differs: "no name begins with a dash here" }),
  gives("%(height*0.5)d", "540", { differs: NEWER }),
  // Places in a list have the digits of the last one.
  gives("%(playlist_index)s", "003"),
  gives("%(playlist_index)02d", "03"),
  gives("%(playlist_index)s %(playlist_count)s", "3 9", {
    details: { playlist: { index: 3, count: 9 } },
  }),
  // Dates.
  gives("%(upload_date)s", "20260704"),
  gives("%(upload_date>%Y-%m-%d)s", "2026-07-04"),
  gives("%(upload_date>%d. %B %Y)s", "04. July 2026"),
  gives("%(timestamp>%H-%M-%S)s", "05-06-07"),
  gives("%(timestamp>%a %b %j %U %W %V %y %p %I)s", "Sat Jul 185 26 26 27 26 AM 05"),
  gives("%(upload_date>%Y\\, %m)s", "2026, 07"),
  gives("%(album>%Y,upload_date>%Y|x)s", "2026"),
  gives("%(title>%Y)s", "NA"),
  gives("%(duration>%H-%M-%S)s", "01-02-03"),
  gives("%(duration_string)s", "1-02-03"),
  // What stands in for it.
  gives("%(chapters&has chapters|no chapters)s", "has chapters"),
  gives("%(album&has one|none)s", "none"),
  gives("%(uploader&by {}|)s", "by Schubert", { differs: NEWER }),
  gives("%(season_number&S{}|)s%(episode_number&E{}|)s", "S2E7", { differs: NEWER }),
  // Formats.
  gives("%(format_id)s %(resolution)s %(vcodec)s %(acodec)s", "137+140 1920x1080 avc1.640028 mp4a.40.2"),
  gives("%(fps)d %(asr)d %(audio_channels)d %(language)s", "30 44100 2 en"),
  gives("%(season)s %(episode)s", "Season 2 Episode 7"),
  gives("%(webpage_url_domain)s %(webpage_url_basename)s", "media.example winter"),
  // What comes from a stranger.
  titled("a/b\\c", "a_b_c.mp4"),
  titled("../../etc/passwd", "_.._etc_passwd.mp4"),
  titled("..", "_.mp4"),
  titled("", "NA.mp4"),
  titled("a\u0000b\u001bc\u202edcba\u2066x", "abcdcbax.mp4"),
  titled("two\nlines", "two lines.mp4"),
  titled("CON", "CON_.mp4"),
  titled('<b>"hot" | *cold*?', "_b_hot_ _ _cold_.mp4"),
  titled(".hidden", "hidden.mp4"),
  titled("-rf", "rf.mp4"),
  titled("~root", "root.mp4"),
  titled("dots...   ", "dots/x.mp4", "%(title)s/x.%(ext)s"),
  titled("%(id)s", "%(id)s.mp4"),
  titled("..", "_/x.mp4", "%(title)s/x.%(ext)s"),
  titled("ä".repeat(300), `${"ä".repeat(109)}.mp4`),
  titled("ä".repeat(300), `${"ä".repeat(105)} [x7Gq_2].mp4`, "%(title)s [%(id)s].%(ext)s"),
  gives("%(title)s/%(id)s", `${"x".repeat(223)}/x7Gq_2`, { details: { title: "x".repeat(4000) }, differs: "cut here" }),
  gives("%(album|)s/%(id)s", "x7Gq_2", { differs: NO_LIST }),
  gives("a//%(id)s", "a/x7Gq_2", { differs: NO_LIST }),
  // What cannot be used.
  wrong("", 1),
  wrong("   ", 1),
  wrong("/etc/%(id)s", 1),
  wrong("~/%(id)s", 1),
  wrong("C:\\%(id)s", 1),
  wrong("../%(id)s", 1),
  wrong("a/../../%(id)s", 3),
  wrong("a/./%(id)s", 3),
  wrong("%(id)s/..", 8),
  wrong("%(id)s/", 8),
  wrong("%(id", 1),
  wrong("%(id)", 6),
  wrong("%(id)z", 6),
  wrong("%(id)q", 6),
  wrong("%()s", 3),
  wrong("50% of %(id)s", 3),
  wrong("%id", 1),
  wrong("%(id+)s", 6),
  wrong("%(id.)s", 6),
  wrong("%(id!)s", 5),
  wrong("%(upload_date>)s", 15),
  wrong("%(upload_date>%Q)s", 1),
  wrong("%(id&{0})s", 6),
  wrong("%(id)9999s", 10),
];
