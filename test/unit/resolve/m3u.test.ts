/** Plain lists of files, with what players write into them; hostile ones too. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ListResolver, readList } from "../../../src/daemon/resolve/m3u.ts";
import { documentSources } from "../../support/documents.ts";
import { servedDocuments } from "../../support/resolve-sources.ts";

const LIST = "https://music.example/lists/a.m3u";

describe("a list", () => {
  test("titles, lengths, relative addresses, any line ends", () => {
    const text =
      '\uFEFF#EXTM3U\r\n#PLAYLIST: Mine \r\n#EXTINF:123.5 tvg-name="x, y",Ada - Song, one\r\nsub/1.mp3\r\n\r\n# a comment\n/2.ogg\r#EXTINF:-1,Radio\nhttp://r.example/live#x\nlist.m3u';
    assert.deepEqual(readList(text, LIST), {
      title: "Mine",
      files: [
        { url: "https://music.example/lists/sub/1.mp3", title: "Ada - Song, one", durationSeconds: 123.5 },
        { url: "https://music.example/2.ogg" },
        { url: "http://r.example/live", title: "Radio" },
        { url: "https://music.example/lists/list.m3u" },
      ],
    });
  });

  test("the user that its URL names goes to the files of its own origin", async () => {
    const asked = LIST.replace("https://", "https://me:pw@");
    const list = "#EXTM3U\nx.mp3\nhttps://elsewhere.example/y.mp3\n";
    const { sources } = documentSources({ [asked]: { body: list, url: LIST } });
    const { signal } = new AbortController();
    const found = await new ListResolver(sources).resolve({ url: asked, mirrors: [], options: {} }, signal);
    const basic = [["Authorization", `Basic ${Buffer.from("me:pw").toString("base64")}`]];
    assert.deepEqual(
      found.items.map(({ options }) => options?.headers),
      [basic, undefined],
    );
  });

  test("becomes requests in its order; headers stay with their origin", async () => {
    const { sources } = servedDocuments({ [LIST]: "#EXTM3U\n#EXTINF:1,A\na.mp3\nhttps://b.example/b.mp3\nc.mp3" });
    const headers = [["X-Key", "k"]] as const;
    const { signal } = new AbortController();
    const request = { url: LIST, mirrors: [], options: { newest: 2, headers } };
    const expansion = await new ListResolver(sources).resolve(request, signal);
    assert.equal(expansion.namedBy, LIST);
    assert.deepEqual(expansion.items, [
      {
        url: "https://music.example/lists/a.mp3",
        title: "A",
        options: { headers, about: { title: "A", durationSeconds: 1, playlist: { index: 1, count: 2 } } },
      },
      { url: "https://b.example/b.mp3", options: { headers: [], about: { playlist: { index: 2, count: 2 } } } },
    ]);
  });

  for (const [what, text, message] of [
    ["a file of this machine", "#EXTM3U\n\nfile:///etc/passwd", /file:\/\/\/etc\/passwd, .* \(line 3\)/],
    ["a drive of another one", "C:\\Music\\a.mp3", /\(line 1\)/],
    ["nothing", "#EXTM3U\n#EXTINF:1,x", /names nothing/],
    ["too many", "a.mp3\n".repeat(100_001), /more than 100000 entries \(line 100001\)/],
  ] as const)
    test(`that names ${what} is refused, with the place`, () => {
      assert.throws(() => readList(text, LIST), { code: "PLAYLIST_INVALID", message });
    });

  test("quotes without an end take no time", () => {
    const { files } = readList(`#EXTINF:1 ${'"a'.repeat(9000)},x\na.mp3`, LIST);
    assert.equal(files.length, 1);
  });

  test("whatever it is: http, or refused", () => {
    const line = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.webUrl(),
      fc.constantFrom("#EXTINF:", "#EXTINF:,", "//h", "\0"),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        try {
          for (const { url } of readList(lines.join("\n"), LIST).files) assert.match(url, /^https?:/);
        } catch (error) {
          assert.equal((error as { code?: string }).code, "PLAYLIST_INVALID");
        }
      }),
    );
  });
});
