/** What feeds bring, in each of the formats; what is hostile is refused, and 100,000 items end in time. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { DownloadOptions } from "../../../src/daemon/core/session.ts";
import { stableUrl } from "../../../src/daemon/resolve/address.ts";
import { FeedResolver } from "../../../src/daemon/resolve/feed.ts";
import { readFeed } from "../../../src/daemon/resolve/feed-read.ts";
import { type Served, servedDocuments } from "../../support/resolve-sources.ts";

const { signal } = new AbortController();
const FEED = "https://pod.example/feeds/main.xml";

const read = (text: string | Uint8Array, wanted: DownloadOptions = {}, contentType?: string) =>
  readFeed({ bytes: Buffer.from(text), url: FEED, ...(contentType !== undefined && { contentType }) }, wanted, signal);

const RSS = (items: string, channel = "", attributes = "") =>
  `<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" xmlns:podcast="https://podcastindex.org/namespace/1.0"
 xmlns:psc="http://podlove.org/simple-chapters" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:media="http://search.yahoo.com/mrss/" ${attributes}>
<channel><title>The &amp; Show</title><link>https://pod.example/</link><description>d</description>
<itunes:author>Ada</itunes:author><itunes:image href="/cover.jpg"/>${channel}${items}</channel></rss>`;

const PODCAST = RSS(`
<item><title>Old</title><guid isPermaLink="false">ep-1</guid><pubDate>Mon, 05 Jan 2026 06:00:00 +0000</pubDate>
  <enclosure url="https://cdn.example/1.mp3?token=a&amp;x=1" length="1000" type="audio/mpeg"/></item>
<item><title><![CDATA[New <b>&</b> long]]></title><guid>https://pod.example/?p=2</guid><pubDate>Mon, 12 Jan 2026 06:00:00 GMT</pubDate>
  <description>&lt;p&gt;Of bees&lt;/p&gt;</description><itunes:season>2</itunes:season><itunes:episode>7</itunes:episode>
  <itunes:duration>01:02:03</itunes:duration><itunes:image href="https://cdn.example/2.png"/>
  <psc:chapters version="1.2"><psc:chapter start="00:10:00.500" title="Second"/><psc:chapter start="0" title="First"/></psc:chapters>
  <podcast:chapters url="https://pod.example/2.json" type="application/json+chapters"/>
  <enclosure url="/media/2.mp3" length="5000" type="audio/mpeg"/>
  <podcast:alternateEnclosure type="audio/flac" length="90000" bitrate="900000">
    <podcast:source uri="https://a.example/2.flac"/><podcast:source uri="https://b.example/2.flac"/><podcast:source uri="ipfs://Qm"/>
    <podcast:integrity type="sri" value="sha256-${Buffer.alloc(32, 7).toString("base64")}"/>
  </podcast:alternateEnclosure>
  <podcast:alternateEnclosure type="video/mp4" length="900000"><podcast:source uri="https://a.example/2.mp4"/></podcast:alternateEnclosure>
</item>
<item><title>Only words</title><guid>ep-3</guid><link>https://pod.example/3</link></item>`);

describe("a podcast", () => {
  test("the newest first, with what is told of each; what brings no file is left out", async () => {
    const { title, items } = await read(PODCAST);
    assert.equal(title, "The & Show");
    assert.deepEqual(
      items.map(({ key, url }) => [key, url]),
      [
        ["https://pod.example/?p=2", "https://pod.example/media/2.mp3"],
        ["ep-1", "https://cdn.example/1.mp3?token=a&x=1"],
      ],
    );
    const { id, ...about } = items[0]?.about ?? {};
    assert.equal(id, "2");
    assert.deepEqual(about, {
      title: "New & long",
      description: "Of bees",
      uploader: "Ada",
      series: "The & Show",
      season: 2,
      episode: 7,
      durationSeconds: 3723,
      publishedAt: Date.parse("2026-01-12T06:00:00Z"),
      thumbnail: "https://cdn.example/2.png",
      chapters: [
        { title: "First", start: 0 },
        { title: "Second", start: 600.5 },
      ],
      type: "audio/mpeg",
      fileSizeApprox: 5000,
    });
    assert.equal(items[1]?.about.thumbnail, "https://pod.example/cover.jpg");
  });

  for (const [options, url] of [
    [{}, "https://pod.example/media/2.mp3"],
    [{ format: "bestaudio" }, "https://a.example/2.flac"],
    [{ quality: "128k" }, "https://a.example/2.flac"],
    [{ format: "bestvideo" }, "https://a.example/2.mp4"],
    [{ format: "best" }, "https://a.example/2.mp4"],
  ] as const)
    test(`${JSON.stringify(options)}: ${url}`, async () =>
      assert.equal((await read(PODCAST, options)).items[0]?.url, url));

  test("an alternate brings its places and its digest", async () => {
    const [item] = (await read(PODCAST, { format: "ba" })).items;
    assert.deepEqual(item?.mirrors, ["https://b.example/2.flac"]);
    assert.deepEqual(item?.checksum, { algorithm: "sha-256", value: "07".repeat(32) });
  });

  test("of several enclosures the largest that is media", async () => {
    const { items } = await read(
      RSS(`<item><title>x</title><enclosure url="/a.jpg" length="99999" type="image/jpeg"/>
        <enclosure url="/a.mp3" length="10" type="audio/mpeg"/><enclosure url="/a.opus" length="20" type="audio/opus"/></item>`),
    );
    assert.equal(items[0]?.url, "https://pod.example/a.opus");
  });
});

describe("what an item is known by", () => {
  test("without an identifier: its address without what passes", async () => {
    const item = (query: string) =>
      RSS(
        `<item><title>x</title><enclosure url="https://c.example/x.mp3?${query}" length="1" type="audio/mpeg"/></item>`,
      );
    const keys = await Promise.all(
      ["id=5&amp;X-Amz-Signature=a&amp;Expires=1", "Expires=2&amp;X-Amz-Signature=b&amp;id=5", "id=6"].map(
        async (query) => (await read(item(query))).items[0]?.key,
      ),
    );
    assert.equal(keys[0], keys[1]);
    assert.notEqual(keys[0], keys[2]);
    assert.equal(stableUrl("https://u:p@h.example/a?token=1"), "https://h.example/a");
  });

  test("one identifier for all of them tells nothing", async () => {
    const item = (n: number) =>
      `<item><title>${n}</title><guid>same</guid><enclosure url="/${n}.mp3" length="1" type="audio/mpeg"/></item>`;
    assert.equal((await read(RSS(item(1) + item(2) + item(2)))).items.length, 2);
  });

  test("what has no date keeps its place", async () => {
    const item = (n: number, date = "") =>
      `<item><title>${n}</title>${date && `<pubDate>${date}</pubDate>`}<enclosure url="/${n}.mp3" length="1" type="audio/mpeg"/></item>`;
    const { items } = await read(RSS([item(1), item(2), item(3)].join("")));
    assert.deepEqual(
      items.map(({ about }) => about.title),
      ["1", "2", "3"],
    );
    const dated = [item(1, "Mon, 05 Jan 2026 06:00:00 GMT"), item(2), item(3, "Tue, 06 Jan 2026 06:00:00 GMT")];
    assert.deepEqual(
      (await read(RSS(dated.join("")))).items.map(({ about }) => about.title),
      ["3", "1", "2"],
    );
  });
});

describe("other formats", () => {
  test("Atom", async () => {
    const { title, items } = await read(`<?xml version="1.0"?><!-- c --><feed xmlns="http://www.w3.org/2005/Atom">
      <title>Atoms</title><id>urn:1</id><updated>2026-01-01T00:00:00Z</updated><author><name>Bo</name></author>
      <entry><id>urn:e1</id><title type="html">One &amp;lt;b&amp;gt;</title><updated>2026-01-01T00:00:00Z</updated>
        <link href="https://a.example/1"/><link rel="enclosure" type="video/mp4" length="77" href="one.mp4"/></entry></feed>`);
    assert.equal(title, "Atoms");
    assert.deepEqual(
      items.map(({ key, url, about }) => [key, url, about.uploader, about.fileSizeApprox, about.publishedAt]),
      [["urn:e1", "https://pod.example/feeds/one.mp4", "Bo", 77, Date.UTC(2026, 0)]],
    );
  });

  test("RDF, whose items link to files", async () => {
    const { title, items } =
      await read(`<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">
      <channel rdf:about="https://r.example/"><title>Old</title><link>https://r.example/</link><description>d</description></channel>
      <item rdf:about="https://r.example/a.ogg"><title>A</title><link>https://r.example/a.ogg</link><dc:date>2026-02-03</dc:date></item>
      <item rdf:about="https://r.example/b"><title>B</title><link>https://r.example/b</link></item></rdf:RDF>`);
    assert.equal(title, "Old");
    assert.deepEqual(
      items.map(({ url, about }) => [url, about.title]),
      [["https://r.example/a.ogg", "A"]],
    );
  });

  test("JSON Feed", async () => {
    const { title, items } = await read(
      JSON.stringify({
        version: "https://jsonfeed.org/version/1.1",
        title: "Json",
        items: [
          {
            id: "1",
            title: "One",
            date_published: "2026-01-01T00:00:00Z",
            attachments: [{ url: "1.m4a", mime_type: "audio/x-m4a", size_in_bytes: 9, duration_in_seconds: 60 }],
          },
        ],
      }),
    );
    assert.equal(title, "Json");
    assert.deepEqual(
      items.map(({ key, url, about }) => [key, url, about.durationSeconds]),
      [["1", "https://pod.example/feeds/1.m4a", 60]],
    );
  });

  test("as it is written: Latin-1, and a document type that only names the language", async () => {
    const text = `<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE rss PUBLIC "-//Netscape//DTD RSS 0.91//EN" "http://x/rss.dtd"><rss version="0.91"><channel><title>Käse</title><item><title>ü</title><link>http://h.example/a.mp3</link></item></channel></rss>`;
    const { title, items } = await read(Buffer.from(text, "latin1"));
    assert.deepEqual([title, items[0]?.about.title], ["Käse", "ü"]);
  });

  test("content that is not quite XML hides no items", async () => {
    const item = (n: number) =>
      `<item><title>${n}</title><description>a <br> 1 < 2 <p></description><enclosure url="/${n}.mp3" length="1" type="audio/mpeg"/></item>`;
    const comments = "<!-- <item> --><![CDATA[ <item> ]]>";
    assert.equal((await read(RSS(`${item(1)}${comments}${item(2)}`))).items.length, 2);
  });
});

describe("the resolver", () => {
  const resolverOf = (served: Served) => {
    const { sources, asked } = servedDocuments({ [FEED]: served });
    const resolver = new FeedResolver(sources);
    return {
      asked,
      resolver,
      resolve: (options: DownloadOptions) => resolver.resolve({ url: FEED, mirrors: [], options }, signal),
    };
  };

  test("an expansion in order, with the playlist told to each, and no more than the newest", async () => {
    const expansion = await resolverOf(PODCAST).resolve({ media: true, headers: [["X-Key", "k"]] });
    assert.ok(expansion.kind === "expansion");
    assert.equal(expansion.namedBy, FEED);
    assert.deepEqual(
      expansion.items.map(({ url, title, options }) => [url, title, options?.about?.playlist, options?.headers]),
      [
        [
          "https://pod.example/media/2.mp3",
          "New & long",
          { index: 1, count: 2, title: "The & Show" },
          [["X-Key", "k"]],
        ],
        ["https://cdn.example/1.mp3?token=a&x=1", "Old", { index: 2, count: 2, title: "The & Show" }, []],
      ],
    );
    const newest = await resolverOf(PODCAST).resolve({ newest: 1 });
    assert.ok(newest.kind === "expansion");
    assert.deepEqual(
      newest.items.map(({ title }) => title),
      ["New & long"],
    );
  });

  test("a plain name for XML of another kind is no reason to refuse it", async () => {
    const plan = await resolverOf("<data><item/></data>").resolve({ template: "%(title)s.%(ext)s" });
    assert.ok(plan.kind === undefined && plan.final);
    await assert.rejects(resolverOf("<data/>").resolve({ media: true }), { code: "FEED_INVALID", message: /no feed/ });
  });

  test("a feed of words only", async () => {
    const words = RSS("<item><title>x</title><link>https://h.example/x</link></item>");
    await assert.rejects(resolverOf(words).resolve({ media: true }), { code: "MEDIA_NOT_FOUND" });
  });

  test("which answers are feeds", () => {
    const { resolver } = resolverOf("");
    const claims = (options: DownloadOptions, contentType: string) =>
      resolver.claimsAnswer({ url: FEED, mirrors: [], options }, { finalUrl: FEED, ranges: false, contentType });
    assert.equal(claims({}, "application/rss+xml"), false);
    assert.equal(claims({ media: true }, "application/rss+xml; charset=utf-8"), true);
    assert.equal(claims({ newest: 1 }, "text/xml"), true);
    assert.equal(claims({ media: false, newest: 1 }, "text/xml"), false);
    assert.equal(resolver.claims("https://h.example/a.rss"), false);
    assert.equal(resolver.claims("https://h.example/a.rss?x", { media: true }), true);
  });
});

describe("hostile feeds", () => {
  const bomb = `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><rss version="2.0"><channel><title>&b;</title></channel></rss>`;
  for (const [name, text, message] of [
    ["defines entities", bomb, /defines entities .* \(at character 21\)/],
    ["is cut short in an item", `${RSS("").slice(0, -16)}<item><title>x`, /ends inside of <item>/],
    ["is cut short in a tag", '<rss version="2.0"><channel', /a tag does not end/],
    ["is nested without end", `<rss version="2.0">${"<a>".repeat(1001)}`, /nested more than 1000 deep/],
    ["is nested in an item", RSS(`<item>${"<a>".repeat(1001)}</item>`), /nested more than 1000 deep/],
    ["has a comment without an end", RSS("<!-- x"), /a comment does not end \(at character/],
    ["ends what was not begun", '<rss version="2.0"></channel></rss>', /<\/channel> where nothing/],
    ["has too many items", RSS("<item/>".repeat(100_001)), /more than 100000 items/],
    ["is broken JSON", '{"version": "https://jsonfeed.org/version/1", ', /not JSON/],
    ["is empty", "", /no feed/],
    ["is a page", "<!doctype html><html></html>", /no feed/],
    ["begins with many comments", `${"<!---->".repeat(10_000)}<html>`, /no feed/],
  ] as const)
    test(`one that ${name}`, async () => {
      await assert.rejects(read(text), { code: "FEED_INVALID", message });
    });

  test("whatever it is: read, or refused as such", async () => {
    const piece = fc.constantFrom(
      '<rss version="2.0"><channel>',
      "<feed xmlns='http://www.w3.org/2005/Atom'>",
      "<item>",
      "</item>",
      "<entry>",
      "</entry>",
      "</channel></rss>",
      "</feed>",
      "<![CDATA[",
      "]]>",
      "<!--",
      "-->",
      "<!DOCTYPE x>",
      "&#0;",
      "&lol;",
      "<__proto__>",
      "<constructor/>",
      "<enclosure url='file:///etc/passwd' type='audio/mpeg'/>",
      "<enclosure url='a.mp3'",
      "/>",
      "<guid>",
      "</guid>",
      "<title>x</title>",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(piece, fc.string({ unit: "binary", maxLength: 8 })), { maxLength: 40 }),
        async (pieces) => {
          try {
            const { items } = await read(`<rss version="2.0"><channel>${pieces.join("")}`);
            for (const { url } of items) assert.match(url, /^https?:/);
          } catch (error) {
            assert.equal((error as { code?: string }).code, "FEED_INVALID");
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test("100,000 items are read, and others get their turn meanwhile", async () => {
    const items = Array.from(
      { length: 100_000 },
      (_, n) =>
        `<item><title>Episode ${n}</title><guid>g-${n}</guid><pubDate>${new Date(n * 3_600_000).toUTCString()}</pubDate><description>About ${n}</description><enclosure url="https://cdn.example/${n}.mp3" length="${n}" type="audio/mpeg"/></item>`,
    );
    const bytes = Buffer.from(RSS(items.join("\n")));
    let turns = 0;
    const counting = setInterval(() => turns++, 1);
    const feed = await read(bytes);
    clearInterval(counting);
    assert.equal(feed.items.length, 100_000);
    assert.equal(feed.items[0]?.key, "g-99999");
    assert.ok(turns >= 20, `others got ${turns} turns`);
  });

  test("it can be called off", async () => {
    const control = new AbortController();
    const items = "<item><title>x</title></item>".repeat(20_000);
    const reading = readFeed({ bytes: Buffer.from(RSS(items)), url: FEED }, {}, control.signal);
    setImmediate(() => control.abort(new Error("called off")));
    await assert.rejects(reading, /called off/);
  });
});
