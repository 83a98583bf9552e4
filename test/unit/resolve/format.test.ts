import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import type { Media, MediaFormat, Subtitle } from "../../../src/daemon/core/resolved.ts";
import { chooseFormats } from "../../../src/daemon/resolve/choose.ts";
import { parseSelector, quoteId } from "../../../src/daemon/resolve/format-selector.ts";
import { sortFormats } from "../../../src/daemon/resolve/format-sort.ts";
import { mediaOf, SELECTOR_CASES } from "../../support/selector-cases.ts";

const track = () => Promise.reject(new Error("nobody fetches it here"));
const formatOf = (fields: Partial<MediaFormat>): MediaFormat => ({
  id: "f",
  ext: "mp4",
  protocol: "hls",
  track,
  ...fields,
});
const only = (...formats: MediaFormat[]): Media => ({ ...mediaOf("tube"), formats });
const choiceOf = (media: Media, format?: string, quality?: string) =>
  chooseFormats(
    media,
    { ...(format !== undefined && { format }), ...(quality !== undefined && { quality }) },
    undefined,
  )[0];

function failed(run: () => unknown): DownloadError {
  try {
    run();
  } catch (thrown) {
    assert.ok(thrown instanceof DownloadError, String(thrown));
    return thrown;
  }
  assert.fail("it succeeded");
}

describe("what is asked for and what was had", () => {
  it("is said of pictures and sounds", () => {
    const { asked, had } = choiceOf(mediaOf("tube"), "137+140", undefined);
    assert.deepEqual([asked, had], [{ format: "137+140" }, { format: "137+140", quality: "1080p, 130k" }]);
    assert.equal(choiceOf(mediaOf("tube"), "303").had.quality, "1080p60");
    assert.deepEqual(choiceOf(mediaOf("tube"), "bestaudio", "320k").asked, { format: "bestaudio", quality: "320k" });
    assert.deepEqual(choiceOf(mediaOf("variants"), "bestaudio", "320k").had, { format: "mid", quality: "128k" });
  });

  it("is said of what is encoded anew, and why it is less", () => {
    const less = choiceOf(mediaOf("tube"), "mp3", "320k");
    assert.deepEqual(less.transcode, { codec: "mp3", kbps: 145 });
    assert.deepEqual(less.had, { format: "251 as mp3", quality: "145k, of 145k" });
    assert.deepEqual(less.notes, ["145k in place of 320k: the source has 145k"]);
    assert.equal(choiceOf(mediaOf("tube"), "mp3", "96k").notes, undefined);
    assert.deepEqual(choiceOf(mediaOf("podcast"), "m4a", "1M").notes, ["320k in place of 1000k: aac has no more"]);
  });

  it("says that what is lossy stays so", () => {
    assert.match(choiceOf(mediaOf("tube"), "flac").notes?.[0] ?? "", /lossy/);
    assert.equal(choiceOf(mediaOf("podcast"), "wav").notes, undefined);
  });

  it("leaves the rate to the encoder if nobody knows that of the source", () => {
    const silent = formatOf({ acodec: "mp4a.40.2", vcodec: "none" });
    assert.deepEqual(choiceOf(only(silent), "mp3").transcode, { codec: "mp3" });
    assert.deepEqual(choiceOf(only(silent), "mp3", "128k").transcode, { codec: "mp3", kbps: 128 });
  });

  it("names what there is, when there is not what was asked for", () => {
    const error = failed(() => choiceOf(mediaOf("tube"), "999"));
    assert.match(
      error.message,
      /no format "999" here; there are 18 \(mp4 640x360\), 22 .*140 \(m4a 130k\).* and 3 more; 1 more are locked/,
    );
  });

  it("names the lock", () => {
    const error = failed(() => choiceOf(mediaOf("tube"), "525"));
    assert.deepEqual([error.code, error.message], ["MEDIA_LOCKED", "format 525 is locked: Widevine"]);
  });
});

describe("presets", () => {
  const presets = { music: { format: "mp3", quality: "128k" }, small: { format: "b[height<=360]" } };

  it("stand for a format and a quality", () => {
    const [choice] = chooseFormats(mediaOf("tube"), { format: "music" }, presets);
    assert.deepEqual([choice.transcode, choice.asked], [{ codec: "mp3", kbps: 128 }, { format: "music" }]);
    assert.equal(chooseFormats(mediaOf("tube"), { format: "small" }, presets)[0].had.format, "18");
  });

  it("give way to a quality that was asked for", () => {
    assert.equal(chooseFormats(mediaOf("tube"), { format: "music", quality: "64k" }, presets)[0].transcode?.kbps, 64);
  });
});

describe("without FFmpeg", () => {
  it("the best that is whole is taken, unless something was asked for", () => {
    const had = (format?: string) =>
      chooseFormats(mediaOf("tube"), format === undefined ? {} : { format }, undefined, false)[0].had.format;
    assert.deepEqual([had(), had("bv+ba")], ["22", "401+251"]);
  });
});

describe("containers", () => {
  const picture = (vcodec: string, ext = "mp4") => formatOf({ id: `v-${vcodec}`, ext, vcodec, acodec: "none" });
  const sound = (acodec: string, ext = "m4a") => formatOf({ id: `a-${acodec}`, ext, acodec, vcodec: "none" });
  for (const [formats, ext] of [
    [[picture("avc1.64"), sound("mp4a.40.2")], "mp4"],
    [[picture("hvc1.1.6"), sound("ec-3")], "mp4"],
    [[picture("vp9", "webm"), sound("opus", "webm")], "webm"],
    [[picture("av01.0"), sound("opus", "webm")], "webm"],
    [[picture("vp09.00"), sound("mp4a.40.2")], "mp4"],
    [[picture("avc1.64"), sound("opus", "webm")], "mkv"],
    [[picture("vp9", "webm"), sound("mp4a.40.2")], "mkv"],
    [[picture("theora", "ogv"), sound("vorbis", "ogg")], "mkv"],
    [[sound("mp4a.40.2", "mp4")], "m4a"],
    [[sound("ec-3", "mp4")], "mka"],
    [[sound("opus", "mp4")], "opus"],
    [[sound("mp4a.40.34", "ts")], "mp3"],
    [[sound("flac", "mp4")], "flac"],
    [[formatOf({ ext: "ts", container: "ts" })], "mp4"],
    [[formatOf({ ext: "webm", container: "webm" })], "webm"],
    [[formatOf({ ext: "avi", vcodec: "divx" })], "mkv"],
  ] as const)
    it(`${formats.map(({ vcodec, acodec, ext: own }) => `${vcodec}/${acodec} ${own}`).join(" + ")} → ${ext}`, () => {
      const asked = formats.map(({ id }) => quoteId(id)).join("+");
      assert.equal(choiceOf(only(...formats), asked).ext, ext);
    });

  it("a file keeps its name, unless something is put into it", () => {
    const file = formatOf({ ext: "avi", protocol: "http", file: [{ url: "http://media.example/a.avi", headers: [] }] });
    const media = { ...only(file), subtitles: [{ language: "en", ext: "vtt" as const, track }] };
    const ext = (languages: string[]) =>
      chooseFormats(media, { subtitles: { languages, embed: true } }, undefined)[0].ext;
    assert.deepEqual([ext([]), ext(["en"])], ["avi", "mkv"]);
  });
});

describe("subtitles by language", () => {
  const chosen = (...languages: string[]) => {
    const [choice] = chooseFormats(mediaOf("tube"), { subtitles: { languages, embed: false } }, undefined);
    return { texts: choice.subtitles.map((each: Subtitle) => `${each.language}.${each.ext}`), notes: choice.notes };
  };

  it("are one of each, in a form that can be used", () => {
    assert.deepEqual(chosen("en").texts, ["en.vtt"]);
    assert.deepEqual(chosen("de-*", "EN").texts, ["de-AT.vtt", "de-DE.srt", "en.vtt"]);
    assert.deepEqual(chosen("all", "-live_chat").texts, ["en.vtt", "de-AT.vtt", "de-DE.srt"]);
    assert.deepEqual(chosen("all", "-*-*").texts, ["en.vtt", "live_chat.vtt"]);
    assert.deepEqual(chosen().texts, []);
  });

  it("of a machine only by name", () => {
    assert.deepEqual([chosen("fr").texts, chosen("f*").texts], [["fr.vtt"], []]);
  });

  it("are missed by name", () => {
    assert.match(chosen("it").notes?.[0] ?? "", /no subtitles in "it": there are en, de-AT/);
    assert.equal(chosen("en").notes, undefined);
  });
});

describe("rates", () => {
  const order = (...formats: Partial<MediaFormat>[]) =>
    sortFormats(formats.map(formatOf), [{ field: "abr", reverse: false, closest: false }]).map(({ id }) => id);

  it("that are not said follow from the others", () => {
    assert.deepEqual(
      order(
        { id: "a", tbr: 1000, vbr: 900 },
        { id: "b", acodec: "aac", vcodec: "none", tbr: 150 },
        { id: "c", abr: 120 },
      ),
      ["c", "a", "b"],
    );
  });
});

describe("hostile selectors", () => {
  it("have limits", () => {
    const many = only(
      ...Array.from({ length: 300 }, (_, at) =>
        formatOf({ id: `f${at}`, vcodec: at % 2 ? "none" : "avc1", acodec: at % 2 ? "aac" : "none" }),
      ),
    );
    for (const text of [
      "all+all+all+all",
      "(all,all)+(all,all)+(all,all)",
      "a/".repeat(300).concat("b"),
      "(".repeat(50),
      "x".repeat(5000),
    ])
      assert.equal(failed(() => choiceOf(many, text)).code, "FORMAT_INVALID", text.slice(0, 40));
    assert.equal(failed(() => choiceOf(many, undefined, "res,".repeat(100).concat("fps"))).code, "FORMAT_INVALID");
  });

  it("do not hang by a pattern", () => {
    const slow = only(formatOf({ note: `${"a".repeat(40)}!` }));
    const begun = performance.now();
    const error = failed(() => choiceOf(slow, "b*[format_note~='^(a+)+$']"));
    assert.deepEqual([error.code, error.metadata["position"]], ["FORMAT_INVALID", "17"]);
    assert.match(error.message, /longer than/);
    assert.ok(performance.now() - begun < 5000);
  });

  it("are chosen by or refused with a place, whatever they are", () => {
    const words = [...new Set(SELECTOR_CASES.flatMap(({ format, quality }) => [format ?? "", quality ?? ""]))];
    const pieces = fc.constantFrom(
      "+",
      "/",
      ",",
      "(",
      ")",
      "[",
      "]",
      "<",
      "=",
      "!",
      "?",
      "~=",
      "^=",
      "'",
      '"',
      "\\",
      " ",
      "best",
      "bv",
      "ba",
      "all",
      ".2",
      "*",
      "height",
      "tbr",
      "720",
      "k",
      "😀",
      "137",
      ":",
      "~",
    );
    const text = fc.oneof(
      fc.string({ unit: pieces, maxLength: 24 }),
      fc.string({ unit: "binary", maxLength: 40 }),
      fc.constantFrom(...words),
    );
    const media = mediaOf("tube");
    fc.assert(
      fc.property(text, fc.option(text, { nil: undefined }), (format, quality) => {
        try {
          for (const { formats, ext } of chooseFormats(
            media,
            { format, ...(quality !== undefined && { quality }) },
            undefined,
          )) {
            assert.ok(ext !== "" && formats.every(({ locked }) => locked === undefined));
            assert.equal(new Set(formats).size, formats.length);
          }
        } catch (thrown) {
          if (!(thrown instanceof DownloadError)) throw thrown;
          assert.match(thrown.code, /^(FORMAT_(INVALID|UNAVAILABLE)|MEDIA_LOCKED)$/);
          const position = Number(thrown.metadata["position"] ?? 1);
          const whole = "quality" in thrown.metadata ? (quality ?? "") : format;
          assert.ok(position >= 1 && position <= [...whole].length + 1, thrown.message);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("name any id in quotes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 40 }), (id) => {
        assert.deepEqual(parseSelector(quoteId(id)), { type: "word", word: id, quoted: true, filters: [] });
        assert.equal(choiceOf(only(formatOf({ id })), quoteId(id)).formats[0].id, id);
      }),
    );
  });
});
