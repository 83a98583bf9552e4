/** What a page says that it has: read as it is written, hostile pages too. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Media } from "../../../src/daemon/core/resolved.ts";
import type { DownloadOptions } from "../../../src/daemon/core/session.ts";
import { readHtml } from "../../../src/daemon/resolve/html-page.ts";
import { PageResolver } from "../../../src/daemon/resolve/page.ts";
import { readPageMedia } from "../../../src/daemon/resolve/page-media.ts";
import { type Served, servedDocuments } from "../../support/resolve-sources.ts";

const { signal } = new AbortController();
const PAGE = "https://films.example/watch/one.html";

/** A master playlist with two renditions, as whoever reads HLS would answer. */
const master = (url: string): Media => ({
  kind: "media",
  details: { id: "m", title: "manifest", extractor: "hls", webpageUrl: url, durationSeconds: 61 },
  formats: [1, 2].map((n) => ({
    id: `hls-${n}`,
    ext: "mp4",
    protocol: "hls",
    height: n * 360,
    track: () => Promise.reject(new Error("not opened here")),
  })),
  subtitles: [],
  live: false,
});

function pageOf(html: Served, options: DownloadOptions = { media: true }, failing = false) {
  const { asked, sources } = servedDocuments({ [PAGE]: html });
  const opened: (readonly [string, string | undefined])[] = [];
  const opener = {
    open: (url: string, _request: unknown, namedBy: string | undefined) => {
      opened.push([url, namedBy]);
      return failing ? Promise.reject(new Error("404")) : Promise.resolve(master(url));
    },
  };
  const feeds: (readonly [string, string | undefined])[] = [];
  const feed = {
    resolve: ({ url, options: { namedBy } }: { url: string; options: DownloadOptions }) => {
      feeds.push([url, namedBy]);
      return Promise.resolve({ kind: "expansion" as const, namedBy: url, items: [] });
    },
  };
  const resolver = new PageResolver({ sources, manifests: { hls: opener, dash: opener }, feed });
  return {
    asked,
    opened,
    feeds,
    resolver,
    resolve: () => resolver.resolve({ url: PAGE, mirrors: [], options }, signal),
  };
}

async function mediaOf(html: Served, options?: DownloadOptions): Promise<Media> {
  const resolved = await pageOf(html, options).resolve();
  assert.equal(resolved.kind, "media");
  return resolved as Media;
}

const ld = (value: unknown) => `<script type="application/ld+json">${JSON.stringify(value)}</script>`;

describe("which answers are pages", () => {
  const { resolver } = pageOf("");
  const claims = (options: DownloadOptions, contentType?: string) =>
    resolver.claimsAnswer(
      { url: PAGE, mirrors: [], options },
      { finalUrl: PAGE, ranges: false, ...(contentType !== undefined && { contentType }) },
    );
  for (const [options, type, expected] of [
    [{}, "text/html", false],
    [{ media: true }, "text/html; charset=utf-8", true],
    [{ format: "best" }, "application/xhtml+xml", true],
    [{ quality: "320k" }, "TEXT/HTML", true],
    [{ template: "%(title)s" }, "text/html", true],
    [{ newest: 2 }, "text/html", true],
    [{ media: false, format: "best" }, "text/html", false],
    [{ media: true }, "text/plain", false],
    [{ media: true }, undefined, false],
  ] as const)
    test(`${JSON.stringify(options)} ${type}: ${expected}`, () => assert.equal(claims(options, type), expected));
});

describe("JSON-LD", () => {
  test("a VideoObject with a manifest and a file: both are offered, dressed with what the page says", async () => {
    const { resolve, opened } = pageOf(
      ld({
        "@context": "https://schema.org",
        "@type": "VideoObject",
        name: "The first film",
        description: "Made of light",
        uploadDate: "2026-03-04T05:06:07Z",
        duration: "PT1H2M3.5S",
        thumbnailUrl: ["/thumbs/1.jpg", "/thumbs/2.jpg"],
        author: { "@type": "Person", name: "Ada" },
        publisher: { "@type": "Organization", name: "Films" },
        contentUrl: ["/media/master.m3u8", "/media/one.mp4"],
        width: { "@type": "QuantitativeValue", value: 1280 },
        height: "720px",
        caption: { "@type": "MediaObject", contentUrl: "one.de.vtt", inLanguage: "de" },
        hasPart: [
          { "@type": "Clip", name: "End", startOffset: 60, endOffset: 90 },
          { "@type": "Clip", name: "Begin", startOffset: 0, endOffset: 60 },
        ],
      }),
    );
    const { details, formats, subtitles, namedBy } = (await resolve()) as Media;
    assert.deepEqual(opened, [["https://films.example/media/master.m3u8", PAGE]]);
    assert.deepEqual(
      formats.map(({ id, height }) => [id, height]),
      [
        ["hls-1", 360],
        ["hls-2", 720],
        ["file-2", 720],
      ],
    );
    assert.equal(formats[2]?.file?.[0].namedBy, PAGE);
    assert.deepEqual(details, {
      id: "one",
      title: "The first film",
      description: "Made of light",
      uploader: "Ada",
      channel: "Films",
      publishedAt: Date.parse("2026-03-04T05:06:07Z"),
      durationSeconds: 3723.5,
      thumbnail: "https://films.example/thumbs/1.jpg",
      chapters: [
        { title: "Begin", start: 0, end: 60 },
        { title: "End", start: 60, end: 90 },
      ],
      extractor: "page",
      webpageUrl: PAGE,
    });
    assert.deepEqual(
      subtitles.map(({ language, ext }) => [language, ext]),
      [["de", "vtt"]],
    );
    assert.equal(namedBy, PAGE);
  });

  test("an episode tells of the audio inside of it", async () => {
    const { details, formats } = await mediaOf(
      ld({
        "@graph": [
          { "@type": "WebSite", name: "Site" },
          {
            "@type": ["PodcastEpisode"],
            name: "Of bees",
            episodeNumber: "12",
            datePublished: "2026-01-02",
            partOfSeries: { "@type": "PodcastSeries", name: "Insects" },
            partOfSeason: { "@type": "PodcastSeason", seasonNumber: 3 },
            associatedMedia: {
              "@type": "MediaObject",
              contentUrl: "bees.mp3",
              encodingFormat: "audio/mpeg",
              contentSize: "12.5 MB",
              bitrate: "192 kbps",
            },
          },
        ],
      }),
    );
    assert.equal(details.title, "Of bees");
    assert.deepEqual([details.series, details.season, details.episode], ["Insects", 3, 12]);
    const [format] = formats;
    assert.deepEqual(
      [format?.ext, format?.vcodec, format?.acodec, format?.abr, format?.fileSizeApprox],
      ["mp3", "none", "mp3", 192, 12_500_000],
    );
    assert.equal(format?.file?.[0].url, "https://films.example/watch/bees.mp3");
  });

  test("the main entity comes before what stands before it", async () => {
    const { details } = await mediaOf(
      ld([
        { "@type": "VideoObject", name: "advert", contentUrl: "ad.mp4" },
        { "@type": "WebPage", mainEntity: { "@type": "schema:VideoObject", name: "main", contentUrl: "main.mp4" } },
      ]),
    );
    assert.equal(details.title, "main");
  });

  test("what is broken, or only embedded, is passed over", async () => {
    const { formats } = await mediaOf(
      `<script type="application/ld+json">{"@type": "VideoObject", </script>
       ${ld({ "@type": "VideoObject", name: "x", embedUrl: "https://p.example/embed/1" })}
       ${ld({ "@type": "VideoObject", contentUrl: "file:///etc/passwd" })}
       <video src="a.webm"></video>`,
    );
    assert.deepEqual(
      formats.map(({ ext, file }) => [ext, file?.[0].url]),
      [["webm", "https://films.example/watch/a.webm"]],
    );
  });
});

describe("OpenGraph and Twitter", () => {
  test("arrays with structured properties, and the address over TLS", async () => {
    const { formats, details } = await mediaOf(`
      <title>Head</title>
      <meta property="og:title" content="Two &amp; one"><meta property="og:site_name" content="Site">
      <meta property="og:image" content="/p.png"><meta property="og:video:duration" content="90">
      <meta property="og:video" content="http://cdn.example/a.mp4">
      <meta property="og:video:secure_url" content="https://cdn.example/a.mp4">
      <meta property="og:video:type" content="video/mp4; codecs=&quot;avc1.64001f, mp4a.40.2&quot;">
      <meta property="og:video:width" content="1920"><meta property="og:video:height" content="1080">
      <meta property="og:video:url" content="https://cdn.example/a-small.mp4"><meta property="og:video:height" content="360">
      <meta property="og:video" content="https://player.example/embed"><meta property="og:video:type" content="text/html">`);
    assert.deepEqual(
      formats.map(({ file, width, height, vcodec, acodec }) => [file?.[0].url, width, height, vcodec, acodec]),
      [
        ["https://cdn.example/a.mp4", 1920, 1080, "avc1.64001f", "mp4a.40.2"],
        ["https://cdn.example/a-small.mp4", undefined, 360, undefined, undefined],
      ],
    );
    assert.deepEqual(
      [details.title, details.channel, details.thumbnail, details.durationSeconds],
      ["Two & one", "Site", "https://films.example/p.png", 90],
    );
  });

  test("Twitter's player stream", async () => {
    const { formats } = await mediaOf(`<meta name="twitter:player" content="https://p.example/card">
      <meta name="twitter:player:stream" content="https://cdn.example/s?id=1">
      <meta name="twitter:player:stream:content_type" content="video/mp4">`);
    assert.deepEqual(
      formats.map(({ ext, file }) => [ext, file?.[0].url]),
      [["mp4", "https://cdn.example/s?id=1"]],
    );
  });
});

describe("elements", () => {
  test("sources, candidates, tracks and the base", async () => {
    const { formats, subtitles, details } = await mediaOf(`<base href="/deep/er/"><h1>A heading</h1>
      <video poster="p.jpg" controls>
        <source src="a.webm" type="video/webm; codecs=vp9" label="1080p">
        <source src="a.mp4#t=1" type="video/mp4" res="720">
        <source srcset="a-480.mp4 480w, a-320.mp4 320w">
        <source src="blob:https://films.example/1">
        <track kind="subtitles" src="a.en.vtt" srclang="en" default><track src="a.fr.srt" srclang="fr">
        <track kind="chapters" src="ch.vtt" srclang="en">
      </video>`);
    assert.deepEqual(
      formats.map(({ file, height, width }) => [
        file?.[0].url.replace("https://films.example/deep/er/", ""),
        height,
        width,
      ]),
      [
        ["a.webm", 1080, undefined],
        ["a.mp4", 720, undefined],
        ["a-480.mp4", undefined, 480],
        ["a-320.mp4", undefined, 320],
      ],
    );
    assert.deepEqual(
      subtitles.map(({ language, ext }) => [language, ext]),
      [
        ["en", "vtt"],
        ["fr", "srt"],
      ],
    );
    assert.equal(details.title, "A heading");
    assert.equal(details.thumbnail, "https://films.example/deep/er/p.jpg");
  });

  test("a picture that moves in the background is not the page's medium", async () => {
    const { formats } = await mediaOf(`<video src="bg.mp4" muted autoplay loop></video><audio src="talk.ogg"></audio>`);
    assert.deepEqual(
      formats.map(({ ext, vcodec }) => [ext, vcodec]),
      [["ogg", "none"]],
    );
  });
});

describe("more than one thing, or none", () => {
  const two = `<title>Both</title><video src="a.mp4" title="A"></video><video src="b.mp4"></video>`;

  test("a page means its main medium", async () => {
    assert.equal((await mediaOf(two)).formats.length, 1);
  });

  test("with newest, so many of its media; headers stay with their origin", async () => {
    const html = `${two}<audio src="https://cdn.example/c.mp3"></audio>`;
    const headers = [["Authorization", "secret"]] as const;
    const expansion = await pageOf(html, { newest: 3, headers }).resolve();
    assert.equal(expansion.kind, "expansion");
    if (expansion.kind !== "expansion") return;
    assert.deepEqual(
      expansion.items.map(({ url, title, options }) => [url, title, options?.headers]),
      [
        ["https://films.example/watch/a.mp4", "A", headers],
        ["https://films.example/watch/b.mp4", "Both 2", headers],
        ["https://cdn.example/c.mp3", "Both 3", []],
      ],
    );
  });

  test("with newest, the feed that goes with it", async () => {
    const { resolve, feeds } = pageOf(
      `${two}<link rel="alternate" type="application/rss+xml" href="http://10.0.0.1/feed">`,
      { newest: 1 },
    );
    await resolve();
    assert.deepEqual(feeds, [["http://10.0.0.1/feed", PAGE]]);
  });

  test("nothing: the message says what there is instead", async () => {
    const html = `<link rel="alternate" type="application/atom+xml" href="/feed"><iframe src="https://p.example/"></iframe>`;
    await assert.rejects(pageOf(html).resolve(), {
      code: "MEDIA_NOT_FOUND",
      message: /has a feed: https:\/\/films\.example\/feed/,
    });
  });

  test("a manifest that cannot be opened: its file is left, or its failure told", async () => {
    const file = await pageOf(
      ld({ "@type": "VideoObject", contentUrl: ["a.m3u8", "a.mp4"] }),
      undefined,
      true,
    ).resolve();
    assert.equal((file as Media).formats.length, 1);
    await assert.rejects(
      pageOf(ld({ "@type": "VideoObject", contentUrl: "a.m3u8" }), undefined, true).resolve(),
      /404/,
    );
  });
});

describe("how it is written", () => {
  const title = (bytes: Uint8Array, type?: string) => readPageMedia(readHtml(bytes, PAGE, type)).about.title;
  for (const [name, bytes, type] of [
    ["UTF-8 without a word", Buffer.from("<title>Käse</title>")],
    ["Windows-1252 without a word", Buffer.from("<title>Käse</title>", "latin1")],
    ["by the header", Buffer.from("<title>Käse</title>", "latin1"), "text/html; charset=ISO-8859-1"],
    ["by meta charset", Buffer.from('<meta charset="iso-8859-15"><title>Käse</title>', "latin1")],
    [
      "by meta http-equiv",
      Buffer.from('<meta http-equiv=Content-Type content="text/html; charset=latin1"><title>Käse</title>', "latin1"),
    ],
    ["UTF-16 by its mark", Buffer.from("\uFEFF<title>Käse</title>", "utf16le"), "text/html; charset=utf-8"],
    ["an unknown charset", Buffer.from("<title>Käse</title>"), "text/html; charset=x-nothing"],
  ] as const)
    test(name, () => assert.equal(title(bytes, type), "Käse"));
});

describe("hostile pages", () => {
  const read = (html: string) => readPageMedia(readHtml(Buffer.from(html), PAGE));

  test("deep nesting is read as far as it takes no time, then refused", () => {
    const nested = (depth: number) => `${"<div>".repeat(depth)}<video src=a.mp4>`;
    assert.equal(read(nested(10_000)).media.length, 1);
    for (const page of [nested(20_001), "<li></x><td></x>".repeat(10_001)])
      assert.throws(() => read(page), { code: "PAGE_INVALID", message: /20000 elements of the page do not end/ });
  });

  test("too many tags are refused", () => {
    assert.throws(() => read("<p></p>".repeat(200_001)), { code: "PAGE_INVALID", message: /400000 tags/ });
  });

  test("deep and wide JSON-LD ends", () => {
    const deep = `${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`;
    const wide = JSON.stringify(
      Array.from({ length: 100_000 }, () => ({ "@type": "VideoObject", contentUrl: "a.mp4" })),
    );
    const html = `<script type="application/ld+json">${deep}</script><script type="application/ld+json">${wide}</script>`;
    assert.ok(read(html).media.length <= 500);
  });

  test("whatever it is, what comes out is http, bounded and never thrown", () => {
    const piece = fc.constantFrom(
      "<video src=",
      "<source srcset='a 1w, b 2w'",
      '<script type="application/ld+json">',
      '{"@type":"VideoObject","contentUrl":',
      '"javascript:alert(1)"',
      "file:///etc/passwd",
      "</script>",
      "<base href='//evil.example/'>",
      "<base href='javascript:1'>",
      "<meta property=og:video content=",
      "<!--",
      "]]>",
      ">",
      "'",
      '"',
      "}",
      "a.mp4",
      "&#x0;",
      "<svg><title>",
      "<template>",
      "<track kind src srclang>",
    );
    fc.assert(
      fc.property(
        fc.array(fc.oneof(piece, fc.string({ unit: "binary", maxLength: 8 })), { maxLength: 60 }),
        (pieces) => {
          for (const { files, about } of read(pieces.join("")).media) {
            assert.ok(files.length > 0);
            for (const { url } of files) assert.match(url, /^https?:\/\//);
            if (about.thumbnail !== undefined) assert.match(about.thumbnail, /^https?:\/\//);
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});
