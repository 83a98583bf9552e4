import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ListParser, type ListPosition, type ParsedEntry } from "../../../src/daemon/intake/list-parser.ts";
import { encodeShareCode } from "../../../src/shared/share-code.ts";

const DIGEST = "ab".repeat(32);
const URL1 = "http://h/1";

function parse(text: string | Uint8Array, cuts: readonly number[] = [], from?: ListPosition, allowed?: string[]) {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  const parser = new ListParser({ directory: "/d", ...(allowed && { allowedDirectories: allowed }) }, from);
  const entries: ParsedEntry[] = [];
  let start = 0;
  for (const end of [...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    // A copy that is spoilt afterwards: the parser may not keep what it was lent.
    const chunk = Uint8Array.from(bytes.subarray(start, end));
    entries.push(...parser.push(chunk));
    chunk.fill(0x78);
    start = end;
  }
  entries.push(...parser.end());
  return entries;
}

const plain = (entries: readonly ParsedEntry[]) =>
  entries.map((entry) => ({
    ...entry,
    ...("error" in entry && { error: `${entry.error.code}: ${entry.error.message}` }),
  }));

const urls = (entries: readonly ParsedEntry[]) =>
  entries.map((entry) => ("error" in entry ? entry.error.code : entry.urls));

function only(text: string, allowed?: string[]) {
  const [entry, more] = parse(text, [], undefined, allowed);
  assert.ok(entry && !more, "one entry was expected");
  return entry;
}

describe("lines", () => {
  test("a code may stand without its scheme, if it is right", () => {
    const code = encodeShareCode(Buffer.alloc(15, 0x5c));
    const link = [`snatch:${code}`];
    const text = [code, `  ${code.toLowerCase()}`, code.replaceAll("-", ""), code.replaceAll("-", " ")].join("\n");
    assert.deepEqual(urls(parse(text)), [link, link, link, link]);
    const slip = code.replace(/.$/, (last) => (last === "7" ? "8" : "7"));
    assert.deepEqual(urls(parse(`${slip}\n${code}\thttp://h/1\n`)), [[slip], [code, "http://h/1"]]);
  });

  for (const [name, text, expected] of [
    ["URLs", "http://a/1\nhttp://a/2\n", [["http://a/1"], ["http://a/2"]]],
    ["no line feed at the end", "http://a/1\nhttp://a/2", [["http://a/1"], ["http://a/2"]]],
    ["CRLF, blank lines and comments", "\r\n# c\r\nhttp://a/1\r\n\r\n  # c\r\n \t \r\n", [["http://a/1"]]],
    [
      "a byte order mark, also of a second list",
      "\ufeffhttp://a/1\n\ufeffhttp://a/2\n",
      [["http://a/1"], ["http://a/2"]],
    ],
    ["mirrors after TABs", "http://a/1\thttp://b/1\t\t http://c/1 \t\n", [["http://a/1", "http://b/1", "http://c/1"]]],
    ["an indented URL", "  http://a/1?out=x\n\thttp://a/2\n", [["http://a/1?out=x"], ["http://a/2"]]],
    ["a fragment is no comment", "http://a/1#x\n", [["http://a/1#x"]]],
    ["a comment in Latin-1", Buffer.from("# caf\xe9\nhttp://a/1\n", "latin1"), [["http://a/1"]]],
    ["a line in Latin-1", Buffer.from("http://a/\xe9\nhttp://a/1\n", "latin1"), ["LIST_NOT_TEXT", ["http://a/1"]]],
    ["a NUL", "http://a/\0\nhttp://a/1\n", ["LIST_NOT_TEXT", ["http://a/1"]]],
    ["an option line without a URL", "  out=x\nhttp://a/1\n", ["LIST_LINE_INVALID", ["http://a/1"]]],
    ["a long comment", `#${"x".repeat(200_000)}\nhttp://a/1\n`, [["http://a/1"]]],
    ["the longest line", `http://a/${"x".repeat(65_527)}\r\n`.replace("\r", ""), [[`http://a/${"x".repeat(65_527)}`]]],
    ["a longer one", `http://a/${"x".repeat(65_528)}\nhttp://a/1\n`, ["LIST_LINE_INVALID", ["http://a/1"]]],
    ["nothing", "", []],
  ] as const) {
    test(name, () => assert.deepEqual(urls(parse(text)), expected));
  }

  test("line numbers and offsets name the line behind each entry", () => {
    const entries = parse("\ufeff# c\r\nhttp://a/1\r\n  out=x\r\n\r\n# c\nhttp://a/é\n");
    assert.deepEqual(
      entries.map(({ lineNumber, next }) => [lineNumber, next]),
      [
        [2, { offset: 35, line: 6 }],
        [6, { offset: 47, line: 7 }],
      ],
    );
  });

  test("a line that never ends is not kept", () => {
    const parser = new ListParser({ directory: "/d" });
    const chunk = Buffer.alloc(1024 * 1024, "x");
    const before = process.memoryUsage().rss;
    for (let megabyte = 0; megabyte < 256; megabyte++) assert.deepEqual([...parser.push(chunk)], []);
    assert.ok(process.memoryUsage().rss - before < 100 * 1024 * 1024, "256 MiB without a line feed were kept");
    const [entry] = parser.end();
    assert.ok(entry && "error" in entry && entry.error.code === "LIST_LINE_INVALID");
    assert.ok(entry.text.length < 300);
  });

  test("a list that breaks off refuses its last entry and the rest", () => {
    const parser = new ListParser({ directory: "/d" });
    const before = [...parser.push(Buffer.from("http://a/1\nhttp://a/2\n  out=b\nhttp://a/half"))];
    const after = [...parser.breakOff(new TypeError("cut") as never)];
    assert.deepEqual([before.length, after.map(({ lineNumber }) => lineNumber)], [1, [2, 4]]);
    assert.ok(after.every((entry) => "error" in entry));
  });
});

describe("option lines", () => {
  for (const [lines, expected] of [
    ["out=a.iso", { output: "/d/a.iso" }],
    ["out=sub/a b.iso", { output: "/d/sub/a b.iso" }],
    ["out=a.iso\n  dir=x", { output: "/d/x/a.iso" }],
    ["dir=x", { directory: "/d/x" }],
    ["dir=/elsewhere\n\tout=a", { output: "/elsewhere/a" }],
    [
      `checksum=SHA-256=${DIGEST.toUpperCase()}`,
      { directory: "/d", checksum: { algorithm: "sha-256", value: DIGEST } },
    ],
    ["checksum-file=auto", { directory: "/d", checksumFile: "auto" }],
    [
      "checksum-file=SHA256SUMS\n follow-metalink=false",
      { directory: "/d", checksumFile: "SHA256SUMS", followMetalink: false },
    ],
    [
      "header=A: b: c\n  header=Cookie: x=y\n  referer=http://r/\n  user-agent=U a",
      {
        directory: "/d",
        headers: [
          ["A", "b: c"],
          ["Cookie", "x=y"],
          ["User-Agent", "U a"],
          ["Referer", "http://r/"],
        ],
      },
    ],
    ["referer=http://u:p@r/a?b#c", { directory: "/d", headers: [["Referer", "http://r/a?b"]] }],
    ["referer=*", { directory: "/d", headers: [["Referer", URL1]] }],
    ["max-download-limit=1M", { directory: "/d", limit: 1024 * 1024 }],
    ["split=8\n  max-connection-per-server=4", { directory: "/d", connections: 4 }],
    ["split=64", { directory: "/d", connections: 32 }],
    ["max-tries=1\n  retry-wait=30\n  timeout=60", { directory: "/d", maxRetries: 0, retryDelay: 30, timeout: 60 }],
    ["max-tries=0", { directory: "/d", maxRetries: 1_000_000 }],
    ["allow-overwrite=true\n  auto-file-renaming=true", { directory: "/d", ifExists: "overwrite" }],
    ["allow-overwrite=false", { directory: "/d", ifExists: "rename" }],
    ["auto-file-renaming=false", { directory: "/d", ifExists: "skip" }],
    ["continue=true\n\n# between\n  out = spaced ", { output: "/d/spaced" }],
  ] as const) {
    test(JSON.stringify(lines), () => {
      const entry = only(`${URL1}\n  ${lines}\n`);
      assert.ok("options" in entry, "error" in entry ? entry.error.message : "");
      assert.deepEqual(entry.options, expected);
    });
  }

  for (const [lines, code, message] of [
    ["bt-stop-timeout=1", "LIST_LINE_INVALID", /^line 2: the option "bt-stop-timeout"/],
    ["out=x\n  nonsense", "LIST_LINE_INVALID", /^line 3: "nonsense" is not an option/],
    ["constructor=1", "LIST_LINE_INVALID", /"constructor"/],
    ["continue=false", "LIST_LINE_INVALID", /"continue"/],
    ["checksum=sha-256=abc", "LIST_LINE_INVALID", /64 hexadecimal digits/],
    ["checksum=crc=abc", "LIST_LINE_INVALID", /sha-256/],
    ["header=no colon", "LIST_LINE_INVALID", /Name: value/],
    ["split=0", "LIST_LINE_INVALID", /at least 1/],
    ["out=", "LIST_LINE_INVALID", /no value/],
    ["out=../a", "TARGET_NOT_ALLOWED", /leads out of \/d/],
    ["out=x/../../a", "TARGET_NOT_ALLOWED", /leads out of \/d/],
    ["out=/etc/passwd", "TARGET_NOT_ALLOWED", /absolute/],
    ["dir=../x", "TARGET_NOT_ALLOWED", /leads out of \/d/],
    ["dir=/e\n  out=../x", "TARGET_NOT_ALLOWED", /leads out of \/e/],
    ["out=sub/", "NAME_INVALID", /folder/],
    ["out=sub/..", "NAME_INVALID", /folder/],
    [`out=${"é".repeat(150)}`, "NAME_INVALID", /300 bytes/],
    ["out=a\0b", "LIST_NOT_TEXT", /line 2/],
  ] as const) {
    test(`${JSON.stringify(lines).slice(0, 40)} is refused as ${code}`, () => {
      const entry = only(`${URL1}\n  ${lines}\n`);
      assert.ok("error" in entry);
      assert.equal(entry.error.code, code);
      assert.match(entry.error.message, message);
      assert.ok(entry.text.startsWith(`${URL1}\n`), "the URL goes back with its options");
    });
  }

  test("a bad option refuses its own entry only", () => {
    assert.deepEqual(urls(parse("http://a/1\n  x=y\nhttp://a/2\n")), ["LIST_LINE_INVALID", ["http://a/2"]]);
  });

  test("targets stay in the folders that are allowed", () => {
    assert.ok("options" in only(`${URL1}\n dir=/ok/sub\n`, ["/d", "/ok"]));
    const entry = only(`${URL1}\n dir=/okay\n`, ["/d", "/ok"]);
    assert.ok("error" in entry && entry.error.code === "TARGET_NOT_ALLOWED");
  });

  test("an entry with endless options is refused and not kept", () => {
    const entry = only(`${URL1}\n${`  header=A: ${"x".repeat(1000)}\n`.repeat(2000)}`);
    assert.ok("error" in entry && entry.error.code === "LIST_LINE_INVALID");
    assert.ok(entry.text.length < 300_000);
  });
});

describe("whatever the bytes", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "\n",
      "\r\n",
      "\r",
      "\t",
      " ",
      "#",
      "\ufeff",
      "http://h/",
      "  out=x",
      "  dir=/x",
      "  split=3",
      "\0",
      "\n  ",
    ),
    fc.string(),
    fc.uint8Array({ maxLength: 20 }),
  );
  const list = fc
    .array(piece, { maxLength: 60 })
    .map((pieces) => Buffer.concat(pieces.map((part) => Buffer.from(part))));

  test("the cut of the chunks changes nothing", () => {
    fc.assert(
      fc.property(list, fc.array(fc.nat(2000), { maxLength: 30 }), (bytes, cuts) => {
        assert.deepEqual(plain(parse(bytes, cuts)), plain(parse(bytes)));
      }),
      { numRuns: 500 },
    );
  });

  test("parsing goes on behind any entry as if it had never stopped", () => {
    fc.assert(
      fc.property(list, fc.nat(50), (bytes, at) => {
        const whole = parse(bytes);
        const stop = whole[at % Math.max(1, whole.length)];
        if (stop === undefined) return;
        const rest = parse(bytes.subarray(stop.next.offset), [], stop.next);
        assert.deepEqual(plain(rest), plain(whole.slice(whole.indexOf(stop) + 1)));
      }),
      { numRuns: 500 },
    );
  });

  test("what is refused can be put into a list again", () => {
    fc.assert(
      fc.property(list, (bytes) => {
        for (const entry of parse(bytes)) {
          const again = parse(`${entry.text}\n`);
          assert.ok(again.length <= 1, entry.text);
          if ("urls" in entry)
            assert.deepEqual(
              again.map((one) => "urls" in one && one.urls),
              [entry.urls],
            );
        }
      }),
      { numRuns: 500 },
    );
  });
});
