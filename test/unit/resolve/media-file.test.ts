/** Files that are media: what their URL, their type and a list tell, and when they are taken for media. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DownloadOptions } from "../../../src/daemon/core/session.ts";
import { fileFormat, manifestKind, subtitleFile } from "../../../src/daemon/resolve/media-file.ts";
import { MediaFileResolver } from "../../../src/daemon/resolve/media-file-resolver.ts";
import { isoDuration, playTime } from "../../../src/daemon/resolve/media-time.ts";
import { servedDocuments } from "../../support/resolve-sources.ts";

const URL_ = "https://cdn.example/show/ep%201.mp3?x=1";
const { signal } = new AbortController();
const request = (options: DownloadOptions, url = URL_) => ({ url, mirrors: [], options });

describe("a format of a file", () => {
  for (const [url, type, expected] of [
    ["/a.mp3", undefined, ["mp3", "none", "mp3", "mp3"]],
    ["/a", "audio/mp4; codecs=mp4a.40.2", ["m4a", "none", "mp4a.40.2", "mp4"]],
    ["/a.M4A", "audio/mpeg", ["m4a", "none", "mp3", "mp3"]],
    ["/a.webm", 'video/webm; codecs="vp9, opus"', ["webm", "vp9", "opus", "webm"]],
    ["/a.php", "video/x-matroska", ["mkv", undefined, undefined, "other"]],
    ["/a.php", "video/mp2t", ["ts", undefined, undefined, "ts"]],
    ["/a", undefined, ["mp4", undefined, undefined, "mp4"]],
  ] as const)
    test(`${url} ${type}`, async () => {
      const format = fileFormat("f", { url: `https://h.example${url}`, ...(type && { type }) }, request({}));
      const { ext, vcodec, acodec, container } = format;
      assert.deepEqual([ext, vcodec, acodec, container], expected);
      assert.equal((await format.track(signal)).kind, vcodec === "none" ? "audio" : "both");
    });

  test("headers go to the origin that they were given for", () => {
    const headers = [["X-Key", "k"]] as const;
    const asked = request({ headers });
    assert.deepEqual(fileFormat("f", { url: "https://cdn.example/b.mp3" }, asked).file?.[0].headers, headers);
    assert.deepEqual(fileFormat("f", { url: "https://other.example/b.mp3" }, asked).file?.[0].headers, []);
  });

  for (const [url, type, kind] of [
    ["https://h/a.m3u8?x", undefined, "hls"],
    ["https://h/a", "application/vnd.apple.mpegurl", "hls"],
    ["https://h/a", "audio/x-mpegURL; charset=utf-8", "hls"],
    ["https://h/a.MPD", undefined, "dash"],
    ["https://h/a", "application/dash+xml", "dash"],
    ["https://h/a.mp4", "video/mp4", undefined],
  ] as const)
    test(`${url} ${type} is a manifest of ${kind}`, () => assert.equal(manifestKind(url, type), kind));

  test("subtitles of kinds that nobody reads are left out", () => {
    const named = (url: string, type?: string) =>
      subtitleFile({ url, language: "en", ...(type !== undefined && { type }) }, request({}), URL_)?.ext;
    assert.deepEqual(
      [
        named("https://h/a.vtt"),
        named("https://h/a.dfxp"),
        named("https://h/a", "application/ttml+xml"),
        named("https://h/a"),
      ],
      ["vtt", "ttml", "ttml", "vtt"],
    );
  });
});

describe("the resolver", () => {
  test("what a list told of it is not asked for", async () => {
    const { sources, asked } = servedDocuments({});
    const resolver = new MediaFileResolver(sources);
    const about = { title: "One", id: "g1", episode: 4, type: "audio/mpeg", fileSizeApprox: 99 };
    const options = { about, namedBy: "https://feed.example/" };
    assert.equal(resolver.claims(URL_, options), true);
    const media = await resolver.resolve({ url: URL_, mirrors: ["https://m.example/1.mp3"], options }, signal);
    assert.deepEqual(asked, []);
    const { title, id, episode, webpageUrl } = media.details;
    assert.deepEqual([title, id, episode, webpageUrl], ["One", "g1", 4, URL_]);
    const [format] = media.formats;
    assert.deepEqual([format?.fileSize, format?.fileSizeApprox], [undefined, 99]);
    assert.deepEqual(
      format?.file?.map(({ url, namedBy }) => [url, namedBy]),
      [
        [URL_, "https://feed.example/"],
        ["https://m.example/1.mp3", "https://feed.example/"],
      ],
    );
  });

  test("what nobody told is asked: its type and size", async () => {
    const { sources, asked } = servedDocuments({ [URL_]: { body: "12345", type: "audio/ogg" } });
    const media = await new MediaFileResolver(sources).resolve(request({ format: "best", remote: true }), signal);
    assert.deepEqual(asked, [{ url: URL_, headers: [], remote: true }]);
    const [format] = media.formats;
    assert.deepEqual([format?.fileSize, media.details.title], [5, "ep 1"]);
  });

  test("which answers and URLs are its own", () => {
    const resolver = new MediaFileResolver(servedDocuments({}).sources);
    const claims = (options: DownloadOptions, contentType: string) =>
      resolver.claimsAnswer(request(options), { finalUrl: URL_, ranges: false, contentType });
    assert.equal(claims({}, "audio/mpeg"), false);
    assert.equal(claims({ quality: "320k" }, "audio/mpeg"), true);
    assert.equal(claims({ template: "%(id)s" }, "video/mp4; codecs=avc1"), true);
    assert.equal(claims({ format: "best" }, "audio/x-mpegurl"), false);
    assert.equal(claims({ format: "best" }, "text/html"), false);
    const about = { type: "audio/mpeg" };
    assert.equal(resolver.claims(URL_), false);
    assert.equal(resolver.claims(URL_, { about: {} }), false);
    assert.equal(resolver.claims(URL_, { about, media: false }), false);
    assert.equal(resolver.claims(URL_, { about, checksumFile: "auto" }), false);
    assert.equal(resolver.claims("ftp://h/a.mp3", { about }), false);
  });
});

describe("lengths of time", () => {
  for (const [text, seconds] of [
    ["PT1H2M3.5S", 3723.5],
    ["P1DT1S", 86_401],
    ["P2W", 1_209_600],
    ["pt90s", 90],
    ["PT0S", undefined],
    ["1:30", undefined],
    ["P1Y", undefined],
    ["PT99999999S", undefined],
  ] as const)
    test(`ISO ${text}: ${seconds}`, () => assert.equal(isoDuration(text), seconds));
  for (const [text, seconds] of [
    ["90", 90],
    ["1:30", 90],
    ["01:02:03.250", 3723.25],
    ["0", 0],
    ["1:2:3:4", undefined],
    ["x", undefined],
  ] as const)
    test(`play time ${text}: ${seconds}`, () => assert.equal(playTime(text), seconds));
});
