/** Playlists of HLS as they are read: ranges, maps, keys, variables; and what is refused, or cannot do harm. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Segment } from "../../../src/daemon/core/resolved.ts";
import { readAttributes } from "../../../src/daemon/resolve/hls-lines.ts";
import { readPlaylist } from "../../../src/daemon/resolve/hls-playlist.ts";
import { PlaylistFollower } from "../../../src/daemon/resolve/hls-track.ts";
import type { MediaPlaylist } from "../../../src/daemon/resolve/hls-types.ts";
import { longPlaylist } from "../../support/long-playlist.ts";
import { RecordLogger } from "../../support/record-logger.ts";

const AT = "https://h/v/list.m3u8?q=1&empty=";

async function media(...lines: readonly string[]): Promise<MediaPlaylist> {
  const playlist = await readPlaylist(
    ["#EXTM3U", "#EXT-X-TARGETDURATION:4", ...lines, "#EXT-X-ENDLIST"].join("\n"),
    AT,
  );
  assert.equal(playlist.kind, "media");
  return playlist as MediaPlaylist;
}

async function segments(...lines: readonly string[]): Promise<readonly Segment[]> {
  return new PlaylistFollower(new RecordLogger()).take(await media(...lines));
}

const shown = (found: readonly Segment[]): readonly string[] =>
  found.map(({ url, range, key, discontinuity }) =>
    [
      url.replace("https://h/v/", ""),
      range && `${range.start}-${range.end}`,
      key && `${key.url.replace("https://h/v/", "")}:${key.iv}`,
      discontinuity && "!",
    ]
      .filter(Boolean)
      .join(" "),
  );

const invalid = (text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Error && "code" in error, String(error));
  assert.equal(error.code, "PLAYLIST_INVALID", error.message);
  assert.match(error.message, text);
  return true;
};

const zeros = (last: string) => last.padStart(32, "0");

describe("segments", () => {
  for (const [what, lines, expected] of [
    [
      "with byte ranges, given and implied",
      [
        "#EXTINF:4,",
        "#EXT-X-BYTERANGE:100",
        "a",
        "#EXTINF:4,",
        "#EXT-X-BYTERANGE:50",
        "a",
        "#EXTINF:4,",
        "#EXT-X-BYTERANGE:10@500",
        "a",
        "#EXTINF:4,",
        "#EXT-X-BYTERANGE:5",
        "a",
        "#EXTINF:4,",
        "b",
      ],
      ["a 0-100", "a 100-150", "a 500-510", "a 510-515", "b"],
    ],
    [
      "behind a map, which comes again when it changes",
      [
        '#EXT-X-MAP:URI="i",BYTERANGE="20@10"',
        "#EXTINF:4,",
        "a",
        "#EXTINF:4,",
        "b",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="j"',
        "#EXTINF:4,",
        "c",
        '#EXT-X-MAP:URI="j"',
        "#EXTINF:4,",
        "d",
      ],
      ["i 10-30", "a", "b", "j !", "c", "d"],
    ],
    [
      "with a discontinuity",
      ["#EXT-X-DISCONTINUITY", "#EXTINF:4,", "a", "#EXT-X-DISCONTINUITY", "#EXTINF:4,", "b", "#EXTINF:4,", "c"],
      ["a", "b !", "c"],
    ],
    [
      "with keys: the media sequence number is the vector where none is given",
      [
        "#EXT-X-MEDIA-SEQUENCE:254",
        '#EXT-X-KEY:METHOD=AES-128,URI="k"',
        "#EXTINF:4,",
        "a",
        "#EXTINF:4,",
        "b",
        "#EXTINF:4,",
        "c",
        '#EXT-X-KEY:METHOD=AES-128,URI="/l",IV=0xABCDEF',
        "#EXTINF:4,",
        "d",
        "#EXT-X-KEY:METHOD=NONE",
        "#EXTINF:4,",
        "e",
      ],
      [`a k:${zeros("fe")}`, `b k:${zeros("ff")}`, `c k:${zeros("100")}`, `d https://h/l:${zeros("abcdef")}`, "e"],
    ],
    [
      "with an encrypted map",
      ['#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x01', '#EXT-X-MAP:URI="i"', "#EXT-X-KEY:METHOD=NONE", "#EXTINF:4,", "a"],
      [`i k:${zeros("1")}`, "a"],
    ],
    [
      "that several keys open, one of which is known",
      [
        '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x1',
        '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"',
        "#EXTINF:4,",
        "a",
      ],
      [`a k:${zeros("1")}`],
    ],
    [
      "with variables in names and attributes",
      [
        '#EXT-X-DEFINE:NAME="p",VALUE="x/$&y"',
        '#EXT-X-DEFINE:QUERYPARAM="q"',
        '#EXT-X-DEFINE:QUERYPARAM="empty"',
        '#EXT-X-MAP:URI="{$p}{$empty}i"',
        "#EXTINF:4,",
        "{$p}{$p}{$q}",
      ],
      ["x/$&yi", "x/$&yx/$&y1"],
    ],
    [
      "among tags of low latency, and others that are not known",
      [
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES",
        "#EXT-X-PART-INF:PART-TARGET=1",
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=3",
        '#EXT-X-PART:DURATION=1,URI="p"',
        "#EXTINF:4,",
        "a",
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p2"',
        '#EXT-X-RENDITION-REPORT:URI="r"',
        "#EXT-X-WHAT:EVER",
        "# remark",
      ],
      ["a"],
    ],
  ] as const)
    test(what, async () => assert.deepEqual(shown(await segments(...lines)), expected));

  for (const [what, lines, text] of [
    [
      "a range that follows from nothing",
      ["#EXTINF:4,", "#EXT-X-BYTERANGE:5@0", "a", "#EXTINF:4,", "#EXT-X-BYTERANGE:5", "b"],
      /line 8: .*no beginning/,
    ],
    [
      "a range at the beginning of what began before",
      ["#EXT-X-MEDIA-SEQUENCE:7", "#EXTINF:4,", "#EXT-X-BYTERANGE:5", "b"],
      /line 6: .*no beginning/,
    ],
    ["a range that is none", ["#EXTINF:4,", "#EXT-X-BYTERANGE:x", "a"], /line 4: .*byte range/],
    ["a map without a URI", ["#EXT-X-MAP:BYTERANGE=1", "#EXTINF:4,", "a"], /line 3: .*URI/],
    [
      "a map with a range that is none",
      ['#EXT-X-MAP:URI="i",BYTERANGE="-1"', "#EXTINF:4,", "a"],
      /line 3: .*byte range/,
    ],
    [
      "an encrypted map without a vector",
      ['#EXT-X-KEY:METHOD=AES-128,URI="k"', '#EXT-X-MAP:URI="i"', "#EXTINF:4,", "a"],
      /line 3: .*IV/,
    ],
    ["a key without a method", ['#EXT-X-KEY:URI="k"', "#EXTINF:4,", "a"], /line 3: .*METHOD/],
    ["a key without a URI", ["#EXT-X-KEY:METHOD=AES-128", "#EXTINF:4,", "a"], /line 3: .*URI/],
    ["a key at a file", ['#EXT-X-KEY:METHOD=AES-128,URI="file:///k"', "#EXTINF:4,", "a"], /line 3: .*file:/],
    ["a vector that is none", ['#EXT-X-KEY:METHOD=AES-128,URI="k",IV=12', "#EXTINF:4,", "a"], /line 3: .*IV/],
    ["attributes that are none", ["#EXT-X-KEY:METHOD", "#EXTINF:4,", "a"], /line 3: .*malformed/],
    ["a variable without a value", ['#EXT-X-DEFINE:QUERYPARAM="no"'], /line 3: .*no value .* no/],
    ["a variable from nowhere", ['#EXT-X-DEFINE:IMPORT="no"'], /line 3: .*no value/],
    ["a variable twice", ['#EXT-X-DEFINE:NAME="a",VALUE="1"', '#EXT-X-DEFINE:NAME="a",VALUE="1"'], /line 4: .*twice/],
    ["a definition of nothing", ['#EXT-X-DEFINE:VALUE="1"'], /line 3: .*one of/],
    ["segments in a master playlist", ["#EXT-X-STREAM-INF:BANDWIDTH=1", "v", "#EXTINF:4,", "a"], /line 6: .*master/],
  ] as const)
    test(`${what}: refused, with the place`, async () => await assert.rejects(segments(...lines), invalid(text)));
});

test("a byte order mark, carriage returns and a missing last line end do no harm", async () => {
  const playlist = await readPlaylist(
    "\uFEFF#EXTM3U\r\n#EXT-X-TARGETDURATION:4\r\n#EXTINF:1.5,x\r\na.ts\r\n#EXT-X-ENDLIST",
    AT,
  );
  assert.ok(playlist.kind === "media" && playlist.ended);
  assert.deepEqual(
    playlist.segments.map(({ url, duration, line }) => [url, duration, line]),
    [["https://h/v/a.ts", 1.5, 4]],
  );
});

describe("attribute lists", () => {
  for (const [text, expected] of [
    ['A=1,B="x,y=z",C=a b', { A: "1", B: "x,y=z", C: "a b" }],
    [' A = "" , B=2', undefined],
    ['A="", B=2', { A: "", B: "2" }],
    ["A=1,A=2", { A: "1" }],
    ["A=1,", { A: "1" }],
    ["__proto__=1", { ["__proto__"]: "1" }],
    ["", {}],
    ['A="open', undefined],
    ["A", undefined],
  ] as const)
    test(JSON.stringify(text), () => {
      if (expected === undefined) assert.throws(() => readAttributes(text, 1), invalid(/line 1/));
      else assert.deepEqual([...readAttributes(text, 1)], Object.entries(expected));
    });
});

describe("hostile playlists", () => {
  test("no name reaches the prototype of objects", async () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    await readPlaylist(
      [
        "#EXTM3U",
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="__proto__",NAME="polluted",URI="a"',
        '#EXT-X-MEDIA:TYPE=__proto__,GROUP-ID="x",NAME="polluted",URI="a"',
        '#EXT-X-DATERANGE:ID="__proto__",START-DATE="2026-01-01T00:00:00Z",X-POLLUTED="1"',
        '#EXT-X-DEFINE:NAME="__proto__",VALUE="1"',
        "#EXT-X-STREAM-INF:BANDWIDTH=1,__proto__=2",
        "v",
      ].join("\n"),
      AT,
    );
    assert.deepEqual(Object.getOwnPropertyNames(Object.prototype), before);
  });

  for (const [what, text, message] of [
    ["too many segments", `#EXTM3U\n${"a\n".repeat(250_001)}`, /line 250002: more than 250000 segments/],
    ["too many variants", `#EXTM3U\n${"#EXT-X-STREAM-INF:BANDWIDTH=1\na\n".repeat(1001)}`, /more than 1000 variants/],
    [
      "too many renditions",
      `#EXTM3U\n${'#EXT-X-MEDIA:TYPE=AUDIO,URI="a"\n'.repeat(1001)}`,
      /more than 1000 renditions/,
    ],
    ["a line without end", `#EXTM3U\n#EXT-X-KEY:${"A".repeat(70_000)}`, /line 2: .*longer than 65536/],
    [
      "variables that grow",
      `#EXTM3U\n#EXT-X-DEFINE:NAME="v0",VALUE="0123456789"\n${Array.from({ length: 30 }, (_, index) => `#EXT-X-DEFINE:NAME="v${index + 1}",VALUE="{$v${index}}{$v${index}}"`).join("\n")}`,
      /longer than 65536/,
    ],
    [
      "variables without end",
      `#EXTM3U\n${Array.from({ length: 1001 }, (_, index) => `#EXT-X-DEFINE:NAME="v${index}",VALUE=""`).join("\n")}`,
      /more than 1000 variables/,
    ],
    [
      "a sequence number beyond all numbers",
      "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:99999999999999999999\n#EXTINF:1,\na\n",
      /sequence number/,
    ],
  ] as const)
    test(what, async () => await assert.rejects(readPlaylist(text, AT), invalid(message)));

  test("time grows with the length only", async () => {
    const lines = [
      ",=".repeat(30_000),
      `${'"'.repeat(60_000)}`,
      "A=,".repeat(20_000),
      "{$".repeat(30_000),
      " ".repeat(60_000),
    ];
    const began = performance.now();
    for (const line of lines)
      for (const tag of ["#EXT-X-KEY:METHOD=NONE,", "#EXT-X-STREAM-INF:", "#EXTINF:", "#EXT-X-BYTERANGE:", ""])
        await readPlaylist(`#EXTM3U\n#EXT-X-DEFINE:NAME="a",VALUE="b"\n${tag}${line}\n`, AT).catch(() => undefined);
    assert.ok(performance.now() - began < 2000);
  });

  test("whatever comes, it is read or refused by name", async () => {
    const word = fc.constantFrom(
      ...[
        "#EXTM3U",
        "#EXTINF:",
        "#EXT-X-KEY:",
        "#EXT-X-MAP:",
        "#EXT-X-BYTERANGE:",
        "#EXT-X-STREAM-INF:",
        "#EXT-X-MEDIA:",
        "#EXT-X-GAP",
      ],
      ...[
        "#EXT-X-DEFINE:",
        "#EXT-X-MEDIA-SEQUENCE:",
        "#EXT-X-TARGETDURATION:",
        "#EXT-X-ENDLIST",
        "#EXT-X-SESSION-KEY:",
        "METHOD=AES-128",
        "URI=",
      ],
      ...[
        '"',
        ",",
        "=",
        "a.ts",
        "\n",
        "\r\n",
        "{$a}",
        "@",
        "5",
        "-1",
        "0x",
        "TYPE=AUDIO",
        "GROUP-ID=",
        "NAME=",
        "VALUE=",
        "http://",
        "\uFEFF",
        "\0",
      ],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(word, fc.string({ maxLength: 4 })), { maxLength: 40 }), async (words) => {
        try {
          const playlist = await readPlaylist(words.join(""), AT);
          if (playlist.kind === "media") new PlaylistFollower(new RecordLogger()).take(playlist);
        } catch (error) {
          assert.ok(error instanceof Error && "code" in error, String(error));
          assert.match(String(error.code), /^(PLAYLIST_INVALID|MEDIA_LOCKED)$/);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a real playlist with any one byte changed, or cut anywhere, is read or refused by name", async () => {
    const text = longPlaylist(3).replace(
      "#EXTINF",
      '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXT-X-MAP:URI="i",BYTERANGE="5@5"\n#EXTINF',
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(text.length - 1), fc.string({ maxLength: 2 }), fc.boolean(), async (at, by, cut) => {
        const changed = cut ? text.slice(0, at) : `${text.slice(0, at)}${by}${text.slice(at + 1)}`;
        await readPlaylist(changed, AT).catch(invalid(/./));
      }),
      { numRuns: 300 },
    );
  });
});
