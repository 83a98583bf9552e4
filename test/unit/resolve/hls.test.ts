/** What a URL that leads to a playlist of HLS means. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Media, MediaFormat } from "../../../src/daemon/core/resolved.ts";
import { DirectResolver } from "../../../src/daemon/resolve/direct.ts";
import { HlsResolver } from "../../../src/daemon/resolve/hls.ts";
import { documentSources, type Served } from "../../support/documents.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";

const { signal } = new AbortController();
const MASTER = "https://cdn.example/film/master.m3u8";
const MEDIA = `#EXTM3U
#EXT-X-TARGETDURATION:4
#EXTINF:4,
a.ts
#EXTINF:2.5,
b.ts
#EXT-X-ENDLIST
`;

function setUp(documents: Readonly<Record<string, Served | (() => Served)>>) {
  const { sources, asked } = documentSources(documents);
  const clock = new TestClock();
  const logger = new RecordLogger();
  const direct = new DirectResolver(sources);
  const resolver = new HlsResolver({
    sources,
    clock,
    logger,
    direct,
    list: {
      resolve: (request) =>
        Promise.resolve({ kind: "expansion", namedBy: request.url, items: [{ url: "http://h/1" }] }),
    },
  });
  const media = async (url = MASTER, options = {}): Promise<Media> => {
    const found = await resolver.resolve({ url, mirrors: [], options }, signal);
    assert.equal(found.kind, "media");
    return found as Media;
  };
  return { asked, clock, logger, resolver, media };
}

const master = (...lines: readonly string[]): string => ["#EXTM3U", ...lines, ""].join("\n");
const plain = ({ track, ...rest }: MediaFormat) => rest;
const invalid = (text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Error && "code" in error);
  assert.equal(error.code, "PLAYLIST_INVALID", error.message);
  assert.match(error.message, text);
  return true;
};

describe("claims", () => {
  const { resolver } = setUp({});
  for (const [url, expected] of [
    ["https://h/a.m3u8", true],
    ["https://h/a.M3U8?token=1", true],
    ["https://h/proxy?u=https%3A%2F%2Fx%2Fb.m3u8%3Fs%3D1", true],
    ["https://h/play?file=master.m3u8", true],
    ["https://h/a.m3u8.html", false],
    ["https://h/list.m3u", false],
    ["https://h/a?m3u8=1", false],
    ["ftp://h/a.m3u8", false],
    ["a.m3u8", false],
  ] as const)
    test(`${url}: ${expected}`, () => assert.equal(resolver.claims(url), expected));

  for (const [contentType, finalUrl, expected] of [
    ["application/vnd.apple.mpegurl", "https://h/x", true],
    ["application/x-mpegURL; charset=utf-8", "https://h/x", true],
    ["audio/mpegurl", "https://h/x", true],
    ["audio/x-mpegurl", "https://h/x", true],
    ["text/plain", "https://h/x.m3u8", true],
    ["text/plain", "https://h/x", false],
    ["text/html", "https://h/x.m3u8", false],
    ["audio/mpeg", "https://h/x", false],
  ] as const)
    test(`${contentType} from ${finalUrl}: ${expected}`, () => {
      const resource = { contentType, finalUrl, ranges: false };
      const asked = { url: "https://h/go", mirrors: [] };
      assert.equal(resolver.claimsAnswer({ ...asked, options: {} }, resource), expected);
      assert.equal(resolver.claimsAnswer({ ...asked, options: { media: false } }, resource), false);
    });
});

describe("a master playlist", () => {
  const documents = {
    [MASTER]: master(
      '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="English",LANGUAGE="en",DEFAULT=YES,CHANNELS="2",URI="en.m3u8"',
      '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="Commentary, long",LANGUAGE="en",URI="c.m3u8"',
      '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="sub",NAME="Deutsch",LANGUAGE="de",URI="de.m3u8"',
      '#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC",INSTREAM-ID="CC1"',
      '#EXT-X-STREAM-INF:BANDWIDTH=1500000,AVERAGE-BANDWIDTH=1280000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="aud",VIDEO-RANGE=PQ',
      "v720.m3u8",
      '#EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=640x360',
      "v360.m3u8",
      '#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.5"',
      "sound.m3u8",
      '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100000,URI="iframe.m3u8"',
    ),
    "https://cdn.example/film/v720.m3u8": MEDIA,
    "https://cdn.example/film/en.m3u8": MEDIA,
    "https://cdn.example/film/de.m3u8": MEDIA.replaceAll(".ts", ".vtt"),
  };

  test("its variants and renditions are formats, in yt-dlp's words", async () => {
    const { media } = setUp(documents);
    const { formats, live, details } = await media();
    assert.equal(live, false);
    assert.deepEqual(details, {
      id: "master",
      title: "film",
      extractor: "hls",
      webpageUrl: MASTER,
      durationSeconds: 6.5,
    });
    const common = { protocol: "hls", container: "ts" };
    const sound = { ...common, ext: "m4a", vcodec: "none", acodec: "mp4a.40.2", language: "en" };
    assert.deepEqual(formats.map(plain), [
      { ...sound, id: "hls-aud-English", audioChannels: 2, languagePreference: 10, note: "English" },
      { ...sound, id: "hls-aud-Commentary__long", languagePreference: -1, note: "Commentary, long" },
      {
        ...common,
        id: "hls-1280",
        ext: "mp4",
        vcodec: "avc1.64001f",
        acodec: "none",
        width: 1280,
        height: 720,
        fps: 29.97,
        dynamicRange: "HDR10",
        tbr: 1280,
        fileSizeApprox: 1_040_000,
        note: "up to 1500k",
      },
      {
        ...common,
        id: "hls-1280-1",
        ext: "mp4",
        vcodec: "avc1.64001f",
        acodec: "mp4a.40.2",
        width: 640,
        height: 360,
        tbr: 1280,
        fileSizeApprox: 1_040_000,
      },
      {
        ...common,
        id: "hls-64",
        ext: "m4a",
        vcodec: "none",
        acodec: "mp4a.40.5",
        tbr: 64,
        abr: 64,
        fileSizeApprox: 52_000,
      },
    ]);
  });

  test("tracks are read when they are opened, named by the playlist that led there", async () => {
    const { media, asked } = setUp(documents);
    const { formats, subtitles } = await media(MASTER, { headers: [["X-Key", "1"]] });
    const track = await formats[0]?.track(signal);
    assert.deepEqual(track, {
      kind: "audio",
      container: "ts",
      language: "en",
      segments: [
        { url: "https://cdn.example/film/a.ts", durationSeconds: 4 },
        { url: "https://cdn.example/film/b.ts", durationSeconds: 2.5 },
      ],
      namedBy: "https://cdn.example/film/en.m3u8",
      headers: [["X-Key", "1"]],
    });
    assert.equal((await formats[2]?.track(signal))?.kind, "video");
    const [words] = subtitles;
    assert.deepEqual([words?.language, words?.name, words?.ext], ["de", "Deutsch", "vtt"]);
    const spoken = await words?.track(signal);
    assert.deepEqual([spoken?.kind, spoken?.container, spoken?.segments.length], ["subtitle", "webvtt", 2]);
    assert.deepEqual(
      asked.map(({ url, namedBy }) => [url.split("/").at(-1), namedBy]),
      [
        ["master.m3u8", undefined],
        ["v720.m3u8", MASTER],
        ["en.m3u8", MASTER],
        ["v720.m3u8", MASTER],
        ["de.m3u8", MASTER],
      ],
    );
  });

  test("header fields go to the origin that they were given for only", async () => {
    const { media, asked } = setUp({
      [MASTER]: master("#EXT-X-STREAM-INF:BANDWIDTH=1", "https://other.example/v.m3u8"),
      "https://other.example/v.m3u8": MEDIA,
    });
    const track = await (await media(MASTER, { headers: [["Authorization", "secret"]] })).formats[0]?.track(signal);
    assert.deepEqual(track?.headers, []);
    assert.deepEqual(
      asked.map(({ headers }) => headers.length),
      [1, 0, 0],
    );
  });

  test("URLs are relative to where the playlist came from after redirects", async () => {
    const { media } = setUp({
      [MASTER]: { body: master("#EXT-X-STREAM-INF:BANDWIDTH=1", "v.m3u8"), url: "https://far.example/x/m.m3u8" },
      "https://far.example/x/v.m3u8": { body: MEDIA, url: "https://far.example/y/v.m3u8" },
    });
    const { formats, namedBy } = await media();
    assert.equal(namedBy, "https://far.example/x/m.m3u8");
    const track = await formats[0]?.track(signal);
    assert.equal(track?.segments[0]?.url, "https://far.example/y/a.ts");
  });

  test("without CODECS a variant is complete, whatever group it names", async () => {
    const { media } = setUp({
      [MASTER]: master(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="a.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO="a"',
        "v.m3u8",
      ),
      "https://cdn.example/film/v.m3u8": MEDIA,
    });
    const format = (await media()).formats[1];
    assert.deepEqual([format?.vcodec, format?.acodec], [undefined, undefined]);
    assert.equal((await format?.track(signal))?.kind, "both");
  });

  test("a variant that is gone does not hide the others", async () => {
    const { media } = setUp({
      [MASTER]: master("#EXT-X-STREAM-INF:BANDWIDTH=1", "gone.m3u8", "#EXT-X-STREAM-INF:BANDWIDTH=2", "v.m3u8"),
      "https://cdn.example/film/v.m3u8": MEDIA,
    });
    const { formats, details } = await media();
    assert.equal(details.durationSeconds, 6.5);
    await assert.rejects(async () => await formats[0]?.track(signal), { code: "HTTP_NOT_FOUND" });
    assert.equal((await formats[1]?.track(signal))?.segments.length, 2);
  });

  test("locked by a session key, it is shown with the name of the lock", async () => {
    const { media } = setUp({
      [MASTER]: master(
        '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://1",KEYFORMAT="com.apple.streamingkeydelivery"',
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "v.m3u8",
      ),
      "https://cdn.example/film/v.m3u8": MEDIA,
    });
    assert.equal((await media()).formats[0]?.locked, "SAMPLE-AES with FairPlay");
  });

  for (const [key, name] of [
    ['METHOD=SAMPLE-AES,URI="k"', "SAMPLE-AES"],
    [
      'METHOD=SAMPLE-AES-CTR,URI="data:x",KEYFORMAT="urn:uuid:EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED"',
      "SAMPLE-AES-CTR with Widevine",
    ],
    ['METHOD=SAMPLE-AES,URI="data:x",KEYFORMAT="com.microsoft.playready"', "SAMPLE-AES with PlayReady"],
    ['METHOD=AES-128,URI="k",KEYFORMAT="org.example.lock"', "AES-128 with org.example.lock"],
    ['METHOD=AES-256,URI="k"', "AES-256"],
  ] as const)
    test(`locked segments (${name}) are refused by name`, async () => {
      const { media } = setUp({
        [MASTER]: master("#EXT-X-STREAM-INF:BANDWIDTH=1", "v.m3u8"),
        "https://cdn.example/film/v.m3u8": MEDIA.replace("#EXTINF:4", `#EXT-X-KEY:${key}\n#EXTINF:4`),
      });
      const [format] = (await media()).formats;
      assert.equal(format?.locked, name);
      await assert.rejects(async () => await format?.track(signal), {
        code: "MEDIA_LOCKED",
        message: new RegExp(name),
      });
    });

  test("that leads to itself, or to another master playlist, is refused", async () => {
    const { media, asked } = setUp({ [MASTER]: master("#EXT-X-STREAM-INF:BANDWIDTH=1", "master.m3u8") });
    await assert.rejects(media(), invalid(/leads to another master playlist/));
    assert.equal(asked.length, 2);
  });

  test("variables are handed on to the playlists that import them", async () => {
    const { media } = setUp({
      [`${MASTER}?auth=s3cret`]: master(
        '#EXT-X-DEFINE:NAME="host",VALUE="https://cdn.example/d"',
        '#EXT-X-DEFINE:QUERYPARAM="auth"',
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "{$host}/v.m3u8?a={$auth}",
      ),
      "https://cdn.example/d/v.m3u8?a=s3cret": MEDIA.replace(
        "#EXTINF:4",
        '#EXT-X-DEFINE:IMPORT="auth"\n#EXTINF:4',
      ).replace("a.ts", "{$auth}/{$auth}.ts"),
    });
    const track = await (await media(`${MASTER}?auth=s3cret`)).formats[0]?.track(signal);
    assert.equal(track?.segments[0]?.url, "https://cdn.example/d/s3cret/s3cret.ts");
  });
});

describe("a media playlist", () => {
  const at = "https://h/v/list.m3u8";

  test("is one format", async () => {
    const { media, asked } = setUp({ [at]: MEDIA });
    const { formats, details } = await media(at);
    assert.deepEqual(formats.map(plain), [{ id: "hls", ext: "mp4", protocol: "hls", container: "ts" }]);
    assert.deepEqual([details.id, details.title], ["list", "list"]);
    assert.equal((await formats[0]?.track(signal))?.segments.length, 2);
    assert.equal(asked.length, 1, "it is not asked for again");
  });

  test("of packed audio has no picture", async () => {
    const { media } = setUp({ [at]: MEDIA.replaceAll(".ts", ".aac") });
    const [format] = (await media(at)).formats;
    assert.deepEqual([format?.ext, format?.vcodec, format?.container], ["aac", "none", "aac"]);
  });

  test("the first bytes of a segment say what its name does not", async () => {
    const ts = Buffer.alloc(376);
    ts[0] = ts[188] = 0x47;
    const { media } = setUp({ [at]: MEDIA.replaceAll(".ts", ""), "https://h/v/b": ts });
    assert.equal((await media(at)).formats[0]?.container, "ts");
  });

  for (const [what, body, text] of [
    ["without a segment", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-ENDLIST\n", /names no segment/],
    ["that is cut off", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n", /line 3: .*truncated/],
    ["that points at a file", MEDIA.replace("a.ts", "file:///etc/passwd"), /line 4: .*file:/],
    ["that points at data", MEDIA.replace("a.ts", "data:text/plain,x"), /line 4: .*data:/],
    ["that points nowhere", MEDIA.replace("a.ts", "http://[/"), /line 4: .*no URL/],
    [
      "with variables that nobody defined",
      MEDIA.replace("a.ts", "{$a}.ts").replace("#EXTINF", '#EXT-X-DEFINE:NAME="b",VALUE=""\n#EXTINF'),
      /line 5: the variable a/,
    ],
  ] as const)
    test(`${what} is refused, with the place`, async () => {
      const { media } = setUp({ [at]: body });
      await assert.rejects(media(at), invalid(text));
    });

  test("with a missing segment is refused, with the place", async () => {
    const { media } = setUp({ [at]: MEDIA.replace("b.ts", "#EXT-X-GAP\nb.ts") });
    const { formats } = await media(at);
    await assert.rejects(
      async () => await formats[0]?.track(signal),
      invalid(/line 7: segment 1 is missing.*EXT-X-GAP/),
    );
  });
});

describe("what only looks like one", () => {
  const url = "https://h/x.m3u8";

  test("a list of ordinary files goes to who reads lists", async () => {
    const { resolver } = setUp({ [url]: "#EXTM3U\n#EXTINF:1,Song\nsong.mp3\n" });
    assert.equal((await resolver.resolve({ url, mirrors: [], options: {} }, signal)).kind, "expansion");
  });

  test("another file is itself the file", async () => {
    const { resolver } = setUp({ [url]: Buffer.alloc(100_000, 1) });
    assert.deepEqual(await resolver.resolve({ url, mirrors: [], options: {} }, signal), {
      candidates: [{ url, headers: [] }],
      final: true,
    });
  });

  test("a page is still to be looked at", async () => {
    const { resolver } = setUp({ [url]: "<!doctype html><html></html>" });
    assert.deepEqual(await resolver.resolve({ url, mirrors: [], options: {} }, signal), {
      candidates: [{ url, headers: [] }],
    });
  });

  test("the playlist itself is the file if that is wanted", async () => {
    const { resolver, asked } = setUp({ [url]: MEDIA });
    const plan = await resolver.resolve({ url, mirrors: [], options: { media: false } }, signal);
    assert.deepEqual(plan, { candidates: [{ url, headers: [] }], final: true });
    assert.equal(asked.length, 0);
  });

  test("opened by name, what is none is refused", async () => {
    const { resolver } = setUp({ [url]: "<html>" });
    await assert.rejects(
      resolver.open(url, { url: "https://h/page", mirrors: [], options: {} }, "https://h/page", signal),
      invalid(/does not begin with #EXTM3U/),
    );
  });
});
