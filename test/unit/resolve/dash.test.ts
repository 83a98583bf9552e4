/** What a URL that leads to a manifest of DASH means. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { Media, MediaFormat, Track } from "../../../src/daemon/core/resolved.ts";
import { DashResolver } from "../../../src/daemon/resolve/dash.ts";
import { DirectResolver } from "../../../src/daemon/resolve/direct.ts";
import { documentSources, type Served } from "../../support/documents.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";

const { signal } = new AbortController();
const AT = "https://cdn.example/film/manifest.mpd";

function setUp(documents: Readonly<Record<string, Served | (() => Served)>>, clock = new TestClock()) {
  const { sources, asked } = documentSources(documents);
  const logger = new RecordLogger();
  const resolver = new DashResolver({ sources, clock, logger, direct: new DirectResolver(sources) });
  const media = async (url = AT, options = {}): Promise<Media> => {
    const found = await resolver.resolve({ url, mirrors: [], options }, signal);
    assert.equal(found.kind, "media");
    return found as Media;
  };
  return { asked, clock, logger, resolver, media };
}

const mpd = (inner: string, attributes = 'type="static" mediaPresentationDuration="PT10S"'): string =>
  `<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" ${attributes}>${inner}</MPD>`;
const set = (inner: string, attributes = 'mimeType="video/mp4" codecs="avc1.64001f"'): string =>
  `<AdaptationSet ${attributes}>${inner}</AdaptationSet>`;
const video = (inner: string, attributes = 'id="v" bandwidth="1000000"'): string =>
  set(`<Representation ${attributes}>${inner}</Representation>`);
const one = (inner: string, attributes?: string): string => mpd(`<Period>${inner}</Period>`, attributes);
const plain = ({ track, ...rest }: MediaFormat) => rest;

async function trackOf(document: string, index = 0): Promise<Track> {
  const { formats } = await setUp({ [AT]: document }).media();
  const format = formats[index];
  assert.ok(format);
  return await format.track(signal);
}

/** The segments, as short as can be. */
const shown = ({ segments }: Track): readonly string[] =>
  segments.map(({ url, range, durationSeconds, discontinuity }) =>
    [
      url.replace("https://cdn.example/film/", ""),
      range && `${range.start}-${range.end}`,
      durationSeconds !== undefined && `${durationSeconds}s`,
      discontinuity && "!",
    ]
      .filter(Boolean)
      .join(" "),
  );

const invalid = (text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Error && "code" in error);
  assert.equal(error.code, "PLAYLIST_INVALID", error.message);
  assert.match(error.message, text);
  return true;
};

describe("claims", () => {
  const { resolver } = setUp({});
  for (const [contentType, finalUrl, expected] of [
    ["application/dash+xml", "https://h/x", true],
    ["video/vnd.mpeg.dash.mpd", "https://h/x", true],
    ["text/xml", "https://h/x.mpd", true],
    ["text/xml", "https://h/x.xml", false],
    ["text/html", "https://h/x.mpd", false],
  ] as const)
    test(`${contentType} from ${finalUrl}: ${expected}`, () => {
      const asked = { url: "https://h/go", mirrors: [], options: {} };
      assert.equal(resolver.claimsAnswer(asked, { contentType, finalUrl, ranges: false }), expected);
    });
  test("the name's ending", () => {
    assert.equal(resolver.claims("https://h/a.mpd?x"), true);
    assert.equal(resolver.claims("https://h/a.mpd.html"), false);
    assert.equal(resolver.claims("file:///a.mpd"), false);
  });
});

describe("formats", () => {
  test("are the representations, in yt-dlp's words", async () => {
    const { media } = setUp({
      [AT]: one(
        set(
          `<Representation id="v1" bandwidth="2000000" width="1280" height="720" frameRate="30000/1001"><SupplementalProperty schemeIdUri="urn:mpeg:mpegB:cicp:TransferCharacteristics" value="16"/><BaseURL>v.mp4</BaseURL></Representation>`,
        ) +
          set(
            `<AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="2"/><Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/><Label>Original</Label><Representation id="a 1" bandwidth="128000" audioSamplingRate="48000"><BaseURL>a.mp4</BaseURL></Representation>`,
            'mimeType="audio/mp4" codecs="mp4a.40.2" lang="en"',
          ) +
          set(
            `<Representation id="o" bandwidth="96000"><BaseURL>o.webm</BaseURL></Representation>`,
            'mimeType="audio/webm" codecs="opus" lang="und"',
          ) +
          set(`<Representation id="w"><BaseURL>w.vtt</BaseURL></Representation>`, 'mimeType="text/vtt" lang="de"') +
          set(
            `<Representation id="t"><BaseURL>t.xml</BaseURL></Representation>`,
            'mimeType="application/ttml+xml" lang="fr"',
          ) +
          set(`<Representation id="i"><BaseURL>i.jpg</BaseURL></Representation>`, 'mimeType="image/jpeg"') +
          set(
            `<EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode" value="1"/><Representation id="x"><BaseURL>x.mp4</BaseURL></Representation>`,
          ),
      ),
    });
    const { formats, subtitles, details, live } = await media();
    const file = (name: string) => [{ url: `https://cdn.example/film/${name}`, headers: [], namedBy: AT }];
    const common = { protocol: "dash" };
    assert.deepEqual(formats.map(plain), [
      {
        ...common,
        id: "dash-v1",
        ext: "mp4",
        vcodec: "avc1.64001f",
        acodec: "none",
        container: "fmp4",
        width: 1280,
        height: 720,
        fps: 30000 / 1001,
        dynamicRange: "HDR10",
        tbr: 2000,
        fileSizeApprox: 2_500_000,
        note: "DASH video",
        file: file("v.mp4"),
      },
      {
        ...common,
        id: "dash-a_1",
        ext: "m4a",
        vcodec: "none",
        acodec: "mp4a.40.2",
        container: "fmp4",
        tbr: 128,
        abr: 128,
        asr: 48_000,
        audioChannels: 2,
        fileSizeApprox: 160_000,
        language: "en",
        languagePreference: 10,
        note: "Original",
        file: file("a.mp4"),
      },
      {
        ...common,
        id: "dash-o",
        ext: "webm",
        vcodec: "none",
        acodec: "opus",
        container: "webm",
        tbr: 96,
        abr: 96,
        fileSizeApprox: 120_000,
        languagePreference: -1,
        note: "DASH audio",
        file: file("o.webm"),
      },
    ]);
    assert.deepEqual(
      subtitles.map(({ language, ext }) => [language, ext]),
      [
        ["de", "vtt"],
        ["fr", "ttml"],
      ],
    );
    const [words] = await Promise.all(subtitles.map((each) => each.track(signal)));
    assert.deepEqual(
      [words?.kind, words?.container, words?.segments],
      ["subtitle", "webvtt", [{ url: "https://cdn.example/film/w.vtt" }]],
    );
    assert.deepEqual([details.title, details.durationSeconds, live], ["film", 10, false]);
  });

  test("a picture without codecs has sound in it, unless there is sound beside it", async () => {
    const alone = set('<Representation id="v"><BaseURL>v</BaseURL></Representation>', 'mimeType="video/mp4"');
    const beside = set('<Representation id="a"><BaseURL>a</BaseURL></Representation>', 'mimeType="audio/mp4"');
    assert.equal((await setUp({ [AT]: one(alone) }).media()).formats[0]?.acodec, undefined);
    assert.equal((await setUp({ [AT]: one(alone + beside) }).media()).formats[0]?.acodec, "none");
  });

  test("several base URLs are places with the same bytes", async () => {
    const { formats } = await setUp({
      [AT]: mpd(
        `<BaseURL>https://one.example/</BaseURL><BaseURL>https://two.example/</BaseURL><Period>${video("<BaseURL>v.mp4</BaseURL>")}</Period>`,
      ),
    }).media(AT, { headers: [["Cookie", "1"]] });
    assert.deepEqual(
      formats[0]?.file?.map(({ url, headers }) => [url, headers.length]),
      [
        ["https://one.example/v.mp4", 0],
        ["https://two.example/v.mp4", 0],
      ],
    );
  });

  for (const [protection, name] of [
    [
      '<ContentProtection schemeIdUri="urn:mpeg:dash:mp4protection:2011" value="cenc"/><ContentProtection schemeIdUri="urn:uuid:EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED"/><ContentProtection schemeIdUri="urn:uuid:9a04f079-9840-4286-ab92-e65be0885f95"/>',
      "cenc with Widevine, PlayReady",
    ],
    ['<ContentProtection schemeIdUri="urn:mpeg:dash:mp4protection:2011" value="cbcs"/>', "cbcs"],
    [
      '<ContentProtection schemeIdUri="urn:uuid:11111111-2222-3333-4444-555555555555"/>',
      "urn:uuid:11111111-2222-3333-4444-555555555555",
    ],
  ] as const)
    test(`locked ones (${name}) are shown, and refused by name`, async () => {
      const { formats } = await setUp({ [AT]: one(video(`${protection}<BaseURL>v.mp4</BaseURL>`)) }).media();
      assert.equal(formats[0]?.locked, name);
      await assert.rejects(async () => await formats[0]?.track(signal), {
        code: "MEDIA_LOCKED",
        message: new RegExp(name),
      });
    });
});

describe("segments", () => {
  for (const [what, information, expected, attributes] of [
    [
      "of a template with numbers",
      '<SegmentTemplate media="$RepresentationID$/$Bandwidth$-$Number%05d$.m4s" initialization="$RepresentationID$/i$$.mp4" duration="4" startNumber="7"/>',
      ["v/i$.mp4", "v/1000000-00007.m4s 4s", "v/1000000-00008.m4s 4s", "v/1000000-00009.m4s 4s"],
    ],
    [
      "up to an end number",
      '<SegmentTemplate media="$Number$" duration="1" startNumber="3" endNumber="4"/>',
      ["3 1s", "4 1s"],
    ],
    [
      "whose number was rounded in the manifest",
      '<SegmentTemplate media="$Number$" duration="2000" timescale="1000"/>',
      ["1 2s", "2 2s", "3 2s", "4 2s", "5 2s"],
      'mediaPresentationDuration="PT10.001S"',
    ],
    [
      "of a template with times",
      '<SegmentTemplate media="$Time$.m4s" timescale="10" presentationTimeOffset="5"><SegmentTimeline><S t="5" d="20" r="1"/><S d="30"/><S t="100" d="10"/></SegmentTimeline></SegmentTemplate>',
      ["5.m4s 2s", "25.m4s 2s", "45.m4s 3s", "100.m4s 1s"],
    ],
    [
      "repeated up to the next entry, and to the end",
      '<SegmentTemplate media="$Time$" timescale="1"><SegmentTimeline><S t="0" d="2" r="-1"/><S t="6" d="2" r="-1"/></SegmentTimeline></SegmentTemplate>',
      ["0 2s", "2 2s", "4 2s", "6 2s", "8 2s"],
    ],
    [
      "at times of 64 bits",
      '<SegmentTemplate media="$Time$" timescale="10000000"><SegmentTimeline><S t="17000000000000001" d="20000000" r="1"/></SegmentTimeline></SegmentTemplate>',
      ["17000000000000001 2s", "17000000020000001 2s"],
    ],
    ["of a template without a length", '<SegmentTemplate media="all-$Number$.mp4"/>', ["all-1.mp4 10s"]],
    [
      "of a list",
      '<SegmentList duration="5" timescale="2"><Initialization range="0-99"/><SegmentURL mediaRange="100-199"/><SegmentURL media="b.mp4"/></SegmentList>',
      ["manifest.mpd 0-100", "manifest.mpd 100-200 2.5s", "b.mp4 2.5s"],
    ],
    [
      "of a list that is longer than the presentation",
      '<SegmentList duration="6"><SegmentURL media="a"/><SegmentURL media="b"/><SegmentURL media="c"/></SegmentList>',
      ["a 6s", "b 6s"],
    ],
    [
      "of a list with a time line",
      '<SegmentList timescale="1"><SegmentTimeline><S t="0" d="3"/><S d="4"/></SegmentTimeline><SegmentURL media="a"/><SegmentURL media="b"/></SegmentList>',
      ["a 3s", "b 4s"],
    ],
  ] as const)
    test(what, async () => assert.deepEqual(shown(await trackOf(one(video(information), attributes))), expected));

  test("the innermost time line counts", async () => {
    const line = (entry: string) =>
      `<SegmentTemplate media="$Time$"><SegmentTimeline>${entry}</SegmentTimeline></SegmentTemplate>`;
    const inner = `<Representation id="v">${line('<S t="7" d="1"/>')}</Representation><Representation id="w"/>`;
    const document = one(set(line('<S t="1" d="1"/>') + inner));
    assert.deepEqual(shown(await trackOf(document, 0)), ["7 1s"]);
    assert.deepEqual(shown(await trackOf(document, 1)), ["1 1s"]);
  });

  test("the last one that was only counted is left out if the origin has none", async () => {
    const document = one(video('<SegmentTemplate media="$Number$.m4s" duration="3"/>'));
    const last = "https://cdn.example/film/4.m4s";
    for (const [served, count] of [
      [{}, 3],
      [{ [last]: "bytes" }, 4],
      [{ [last]: failure("HTTP_SERVER_ERROR", "busy") }, 4],
    ] as const) {
      const { media, asked } = setUp({ [AT]: document, ...served });
      const track = await (await media()).formats[0]?.track(signal);
      assert.equal(track?.segments.length, count);
      assert.deepEqual([asked.length, asked[1]?.url, asked[1]?.namedBy], [2, last, AT]);
    }
  });

  const template = (name: string, more = "") =>
    `<SegmentTemplate media="${name}$Number$" initialization="${name}i" duration="5"${more}/>`;

  test("periods follow each other, each with its own beginning", async () => {
    const document = mpd(
      `<Period duration="PT10S">${video(template("a"))}</Period><Period duration="PT5S">${video(template("b"))}</Period>`,
      "",
    );
    assert.deepEqual(shown(await trackOf(document)), ["ai", "a1 5s", "a2 5s", "bi !", "b1 5s"]);
  });

  test("a period lasts until the next one begins; what goes on may have another id", async () => {
    const other = video(template("b"), 'id="other" bandwidth="1"');
    const document = mpd(
      `<Period start="PT0S">${video(template("a"))}</Period><Period start="PT5S">${other}</Period>`,
      'mediaPresentationDuration="PT15S"',
    );
    assert.deepEqual(shown(await trackOf(document)), ["ai", "a1 5s", "bi !", "b1 5s", "b2 5s"]);
  });

  test("periods that do not fit are refused", async () => {
    const hevc = set(
      `<Representation id="v">${template("b")}</Representation>`,
      'mimeType="video/mp4" codecs="hvc1.1"',
    );
    const document = mpd(
      `<Period duration="PT5S">${video(template("a"))}</Period><Period duration="PT5S">${hevc}</Period>`,
      "",
    );
    await assert.rejects(trackOf(document), invalid(/period 2 has nothing that goes on with format dash-v/));
  });
});

describe("a file with an index", () => {
  /** Version 0, timescale 1000, two references. */
  function sidx(references: readonly number[]): Buffer {
    const box = Buffer.alloc(32 + references.length * 12);
    box.writeUInt32BE(box.length, 0);
    box.write("sidx", 4, "latin1");
    box.writeUInt32BE(1000, 16);
    box.writeUInt16BE(references.length, 30);
    for (const [index, size] of references.entries()) {
      box.writeUInt32BE(size, 32 + index * 12);
      box.writeUInt32BE(2500, 36 + index * 12);
    }
    return box;
  }
  const index = sidx([300, 400]);
  const head = Buffer.alloc(100);
  const body = Buffer.concat([head, index, Buffer.alloc(700)]);
  const range = `100-${100 + index.length - 1}`;
  const document = one(video(`<BaseURL>v.mp4</BaseURL><SegmentBase indexRange="${range}"/>`));
  const file = "https://cdn.example/film/v.mp4";

  test("comes in pieces that cover it", async () => {
    const { media, asked } = setUp({ [AT]: document, [file]: body });
    const track = await (await media()).formats[0]?.track(signal);
    assert.ok(track);
    assert.deepEqual(shown(track), ["v.mp4 0-156", "v.mp4 156-456 2.5s", "v.mp4 456-856 2.5s"]);
    const { start, end, namedBy } = asked.at(-1) ?? {};
    assert.deepEqual({ start, end, namedBy }, { start: 100, end: 156, namedBy: AT });
  });

  for (const [what, served] of [
    ["leads to other indexes", Buffer.concat([head, sidx([0x8000_0001, 400])])],
    ["is damaged", Buffer.alloc(1000)],
    ["is cut off", body.subarray(0, 120)],
    ["is not there", new Error("gone")],
  ] as const)
    test(`is one piece if the index ${what}`, async () => {
      const track = await (await setUp({ [AT]: document, [file]: served }).media()).formats[0]?.track(signal);
      assert.deepEqual(track?.segments, [{ url: file }]);
    });
});

describe("refused, with the place", () => {
  const list = (inner: string, attributes = ""): string =>
    one(video(`<SegmentTemplate media="$Time$" ${attributes}>${inner}</SegmentTemplate>`));
  for (const [what, document, text] of [
    [
      "a document that is cut off",
      one(video("")).slice(0, 150),
      /manifest cannot be used: .*(ends|malformed|does not end)/,
    ],
    ["a document type", `<!DOCTYPE MPD [<!ENTITY a "b">]>${one(video(""))}`, /document type/],
    ["another root", "<NOTMPD/><!-- <MPD > -->", /<NOTMPD>/],
    ["no period", mpd(""), /cannot be used/],
    ["nothing to fetch", one(""), /names nothing/],
    ["parts elsewhere", mpd('<Period xmlns:xlink="x" xlink:href="http://h/p"/>'), /xlink/],
    ["a file", one(video("<BaseURL>file:///etc/passwd</BaseURL>")), /file:\/\/\/etc\/passwd/],
    ["base URLs that are none", one(video("<BaseURL>http://[/</BaseURL>")), /cannot be used/],
    ["too many representations", one(set("<Representation/>".repeat(2001))), /2001 representations/],
    [
      "words only",
      one(set('<Representation id="w"><BaseURL>w</BaseURL></Representation>', 'mimeType="text/vtt"')),
      /neither pictures nor sound/,
    ],
  ] as const)
    test(what, async () => await assert.rejects(setUp({ [AT]: document }).media(), invalid(text)));

  for (const [what, document, text] of [
    [
      "a time line that repeats without end",
      list('<SegmentTimeline><S t="0" d="1" r="4000000000"/></SegmentTimeline>'),
      /more than 250000 segments/,
    ],
    [
      "a time line without time",
      list('<SegmentTimeline><S t="0" d="0" r="5"/></SegmentTimeline>'),
      /entry 1 .* no duration/,
    ],
    ["segments of no length to speak of", list("", 'duration="1" timescale="1000000"'), /more than 250000 segments/],
    ["an unreachable end number", list("", 'duration="1" endNumber="99999999999999"'), /more than 250000 segments/],
    ["a timescale of nothing", list("", 'duration="1" timescale="0"'), /timescale/],
    [
      "a length beyond all numbers",
      one(
        video('<SegmentTemplate media="$Number$" duration="5" timescale="9007199254740991"/>'),
        `type="static" mediaPresentationDuration="PT1${"0".repeat(300)}S"`,
      ),
      /a length of 1e\+300 seconds/,
    ],
    [
      "live segments of no length",
      one(
        video('<SegmentTemplate media="$Number$" duration="1" timescale="10000000"/>'),
        'type="dynamic" availabilityStartTime="2026-11-22T12:00:00Z"',
      ).replace("<Period", '<Period start="PT0S"'),
      /too short/,
    ],
    ["segments at a file", one(video('<SegmentTemplate media="file:///$Number$" duration="5"/>')), /file:/],
    ["no length at all", one(video('<SegmentTemplate media="$Number$" duration="5"/>'), ""), /how long period 1 is/],
  ] as const)
    test(what, async () => await assert.rejects(trackOf(document), invalid(text)));

  test("lists that would be copied without end", async () => {
    const urls = '<SegmentURL media="a"/>'.repeat(30_000);
    const inner =
      '<Representation><SegmentList duration="1"><SegmentURL media="b"/></SegmentList></Representation>'.repeat(100);
    const document = one(set(`<SegmentList duration="1">${urls}</SegmentList>${inner}`));
    await assert.rejects(setUp({ [AT]: document }).media(), invalid(/too long to be repeated/));
  });

  test("base URLs that would multiply: those of the outermost level count", async () => {
    const urls = (level: string) =>
      [1, 2, 3, 4].map((each) => `<BaseURL>https://h${each}/${level}/</BaseURL>`).join("");
    const document = mpd(
      `${urls("mpd")}<Period>${urls("period")}${video("<BaseURL>v.mp4</BaseURL><BaseURL>w.mp4</BaseURL>")}</Period>`,
    );
    const { formats } = await setUp({ [AT]: document }).media();
    assert.deepEqual(
      formats[0]?.file?.map(({ url }) => url),
      ["https://h1/period/v.mp4"],
    );
  });

  test("long lists and flat manifests are read, or refused, in little time", async () => {
    const template = (count: number) =>
      `<SegmentTemplate media="$Time$"><SegmentTimeline>${'<S d="1"/>'.repeat(count)}</SegmentTimeline></SegmentTemplate>`;
    const all = "<BaseURL>https://a/</BaseURL><BaseURL>https://b/</BaseURL><BaseURL>https://c/</BaseURL>";
    const hostile = [
      one(set(`${template(10_000)}${"<Representation/>".repeat(2000)}`)),
      mpd("<Period/>".repeat(20_000)),
      one("<AdaptationSet/>".repeat(20_000)),
      mpd(`${all}<Period>${all}${set(`${all}${`<Representation>${all}</Representation>`.repeat(2000)}`)}</Period>`),
    ];
    const began = performance.now();
    for (const document of hostile)
      await setUp({ [AT]: document })
        .media()
        .catch(invalid(/./));
    assert.ok(performance.now() - began < 5000);
    await assert.rejects(setUp({ [AT]: one("<AdaptationSet/>".repeat(150_000)) }).media(), invalid(/150000 elements/));
  });

  test("names that every object has are no attributes", async () => {
    const document = one(
      video("<BaseURL>v</BaseURL>", 'id="v" constructor="1" toString="2" __proto__="3" hasOwnProperty="4"'),
    );
    assert.equal((await setUp({ [AT]: document }).media()).formats.length, 1);
    assert.equal(Object.getPrototypeOf({}), Object.prototype);
  });
});

test("a real manifest with anything put into it, or cut anywhere, is read or refused by name", async () => {
  const folder = new URL("../../../node_modules/mpd-parser/test/manifests/", import.meta.url);
  const names = readdirSync(folder).filter((name) => name.endsWith(".mpd"));
  const texts = names.map((name) => readFileSync(new URL(name, folder), "utf8"));
  const value = fc.constantFrom(
    "-1",
    "0",
    "4000000000",
    "NaN",
    "1e99",
    "",
    "$",
    "$Number%099d$",
    "file:///x",
    "PT",
    "P9999999Y",
    "<",
    "&a;",
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...texts), fc.nat(), value, fc.boolean(), async (text, seed, by, cut) => {
      const values = [...text.matchAll(/"[^"]*"/g)];
      const { index, 0: written } = values[seed % values.length] ?? { index: 0, 0: "" };
      const changed = cut
        ? text.slice(0, seed % text.length)
        : `${text.slice(0, index)}"${by}"${text.slice(index + written.length)}`;
      try {
        const { formats } = await setUp({ [AT]: changed }).media();
        for (const format of formats) await format.track(signal);
      } catch (error) {
        if (error instanceof assert.AssertionError) return;
        assert.ok(error instanceof Error && "code" in error, String(error));
        assert.match(String(error.code), /^(PLAYLIST_INVALID|MEDIA_LOCKED)$/, error.message);
      }
    }),
    { numRuns: 300 },
  );
});

describe("what only looks like one", () => {
  for (const [body, final] of [
    ["<!doctype html><title>x</title>", false],
    ['{"a":1}', false],
    ["plain text", true],
  ] as const)
    test(`${body}: final ${final}`, async () => {
      const { resolver } = setUp({ [AT]: body });
      assert.deepEqual(await resolver.resolve({ url: AT, mirrors: [], options: {} }, signal), {
        candidates: [{ url: AT, headers: [] }],
        ...(final && { final }),
      });
      await assert.rejects(
        resolver.open(AT, { url: AT, mirrors: [], options: {} }, undefined, signal),
        invalid(/no <MPD>/),
      );
    });
});

describe("a live presentation", () => {
  const start = Date.parse("2026-11-22T12:00:00Z");
  const dynamic = (inner: string, more = "") =>
    mpd(
      `<Period id="p" start="PT0S">${inner}</Period>`,
      `type="dynamic" availabilityStartTime="2026-11-22T12:00:00Z" minimumUpdatePeriod="PT2S" ${more}`,
    );

  test("is joined near its end, and followed by the clock", async () => {
    const clock = new TestClock(start + 21_000);
    const document = dynamic(video('<SegmentTemplate media="$Number$" initialization="i" duration="2"/>'));
    const { media } = setUp({ [AT]: document }, clock);
    const { formats, live } = await media();
    assert.equal(live, true);
    const track = await formats[0]?.track(signal);
    assert.ok(track?.more);
    assert.deepEqual(shown(track), ["i", "8 2s", "9 2s", "10 2s"]);
    const more = track.more(signal);
    await clock.advance(5000);
    assert.deepEqual(shown({ ...track, segments: (await more) ?? [] }), ["11 2s"]);
  });

  test("is asked for under the name of what named it; where it has moved, under its own", async () => {
    const page = "https://www.example/watch";
    const moved = "https://other.example/a.mpd";
    const again = "https://third.example/b.mpd";
    const words = video('<SegmentTemplate media="$Number$" duration="2"/>');
    const at = (location: string) => dynamic(words).replace("<Period", `<Location>${location}</Location><Period`);
    const clock = new TestClock(start + 21_000);
    const { resolver, asked } = setUp({ [AT]: at(moved), [moved]: at(again), [again]: dynamic(words) }, clock);
    const { formats } = await resolver.open(AT, { url: page, mirrors: [], options: {} }, page, signal);
    const track = await formats[0]?.track(signal);
    const more = track?.more?.(signal);
    await clock.advance(5000);
    await more;
    assert.deepEqual(
      asked.map(({ url, namedBy }) => [url, namedBy]),
      [
        [AT, page],
        [moved, AT],
        [again, moved],
      ],
    );
  });

  test("that stays where it is, under the name of what named it each time", async () => {
    const page = "https://www.example/watch";
    const clock = new TestClock(start + 21_000);
    const document = dynamic(video('<SegmentTemplate media="$Number$" duration="2"/>'));
    const { resolver, asked } = setUp({ [AT]: document }, clock);
    const { formats } = await resolver.open(AT, { url: page, mirrors: [], options: {} }, page, signal);
    const track = await formats[0]?.track(signal);
    const more = track?.more?.(signal);
    await clock.advance(5000);
    await more;
    assert.ok(asked.length >= 3);
    assert.deepEqual(new Set(asked.map(({ namedBy }) => namedBy)), new Set([page]));
  });

  test("is followed by its time line until it says that it has ended", async () => {
    const clock = new TestClock(start + 100_000);
    const line = (from: number, count: number, type = "dynamic") =>
      dynamic(
        video(
          `<SegmentTemplate media="$Time$"><SegmentTimeline><S t="${from}" d="2" r="${count - 1}"/></SegmentTimeline></SegmentTemplate>`,
        ),
      ).replace('type="dynamic"', `type="${type}"`);
    let now = line(0, 5);
    const { media, logger } = setUp({ [AT]: () => now }, clock);
    const track = await (await media()).formats[0]?.track(signal);
    assert.ok(track?.more);
    assert.deepEqual(shown(track), ["4 2s", "6 2s", "8 2s"]);
    const next = async () => {
      const more = track.more?.(signal);
      await clock.advance(2000);
      const found = await more;
      return found && shown({ ...track, segments: found });
    };
    now = line(4, 4);
    assert.deepEqual(await next(), ["10 2s"]);
    now = line(20, 2);
    assert.deepEqual(await next(), ["20 2s", "22 2s"]);
    assert.deepEqual(
      logger.lines.map(({ fields }) => fields["missedSeconds"]),
      [8],
    );
    now = line(20, 3, "static");
    assert.deepEqual(await next(), ["24 2s"]);
    assert.equal(await next(), undefined);
  });

  test("goes on over periods, whatever their ids", async () => {
    const clock = new TestClock(start + 100_000);
    const period = (from: number, id: string, count: number, codec = "avc1.64001f") =>
      `<Period start="PT${from}S">${set(
        `<Representation id="${id}" height="360"><SegmentTemplate media="${id}-$Time$" initialization="${id}"><SegmentTimeline><S t="0" d="2" r="${count - 1}"/></SegmentTimeline></SegmentTemplate></Representation>`,
        `mimeType="video/mp4" codecs="${codec}"`,
      )}</Period>`;
    const live = (...periods: readonly string[]) =>
      mpd(periods.join(""), 'type="dynamic" availabilityStartTime="2026-11-22T12:00:00Z" minimumUpdatePeriod="PT2S"');
    let now = live(period(0, "a", 3));
    const { media } = setUp({ [AT]: () => now }, clock);
    const track = await (await media()).formats[0]?.track(signal);
    assert.ok(track?.more);
    assert.deepEqual(shown(track), ["a", "a-0 2s", "a-2 2s", "a-4 2s"]);
    const next = async (document: string, seconds = 2) => {
      now = document;
      const more = track.more?.(signal);
      more?.catch(() => undefined);
      await clock.advance(seconds * 1000);
      return shown({ ...track, segments: (await more) ?? [] });
    };
    assert.deepEqual(await next(live(period(0, "a", 4), period(8, "b", 1))), ["a-6 2s", "b !", "b-0 2s"]);
    assert.deepEqual(await next(live(period(8, "b", 2))), ["b-2 2s"]);
    await assert.rejects(
      next(live(period(8, "b", 2), period(12, "c", 1, "hvc1.1")), 90),
      invalid(/period 2 has nothing that goes on/),
    );
  });
});
