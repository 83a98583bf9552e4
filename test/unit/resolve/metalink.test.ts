/** Metalinks: both versions, names that would lead elsewhere, and documents that mean harm. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { safeName } from "../../../src/daemon/disk/filename.ts";
import { readMetalink } from "../../../src/daemon/resolve/metalink.ts";
import { parseXml, XmlError } from "../../../src/daemon/resolve/xml.ts";

const SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const SHA1 = "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3";
const NAMESPACE = "urn:ietf:params:xml:ns:metalink";

const v4 = (files: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<metalink xmlns="${NAMESPACE}">${files}</metalink>\n`;

describe("a Metalink", () => {
  test("version 4: places by priority, the strongest hash, the size", () => {
    const [first, second] = readMetalink(
      v4(`<generator>x</generator>
        <file name="example.ext"><size> 14471447 </size><identity>Example</identity>
          <hash type="md5">d41d8cd98f00b204e9800998ecf8427e</hash>
          <hash type="sha-256">${SHA256.toUpperCase()}</hash>
          <pieces length="262144" type="sha-1"><hash>${SHA1}</hash></pieces>
          <url>http://last.example/e</url>
          <url location="de" priority="2">ftp://ftp.example/e</url>
          <url location="fr" priority="2">http://two.example/e?a=1&amp;b=2</url>
          <url priority="1"><![CDATA[https://one.example/e]]></url>
          <metaurl mediatype="torrent">http://x.example/e.torrent</metaurl>
        </file>
        <file name="bare"/>`),
    );
    assert.deepEqual(first, {
      name: "example.ext",
      size: 14_471_447,
      digest: { algorithm: "sha-256", value: SHA256, from: "the Metalink" },
      urls: ["https://one.example/e", "http://two.example/e?a=1&b=2", "http://last.example/e"],
    });
    assert.deepEqual(second, { name: "bare", urls: [] });
  });

  test("version 3: places by preference", () => {
    const [file] = readMetalink(`<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="a.iso">
      <size>5</size><verification><hash type="sha1">${SHA1}</hash></verification>
      <resources><url type="http" preference="10">http://ten/a</url><url type="bittorrent" preference="100">http://t/a.torrent</url>
      <url type="http" preference="90">http://ninety/a</url></resources></file></files></metalink>`);
    assert.equal(file?.size, 5);
    assert.deepEqual(file?.digest?.value, SHA1);
    assert.deepEqual(file?.urls, ["http://ninety/a", "http://ten/a"]);
  });

  test("with a prefix, and with elements of others in between", () => {
    const [file] = readMetalink(
      `<m:metalink xmlns:m="${NAMESPACE}" xmlns:o="urn:o"><m:file name="a"><o:url>http://other/</o:url><m:url>http://a/a</m:url></m:file></m:metalink>`,
    );
    assert.deepEqual(file?.urls, ["http://a/a"]);
  });

  test("each part of a name is made safe by whoever puts files there", () => {
    const document = v4(`<file name="../.ssh/-rf/~x/a\u202egpj.exe"><url>http://a/a</url></file>`);
    assert.equal(readMetalink(document, undefined, safeName)[0]?.name, "ssh/rf/x/agpj.exe");
  });

  for (const [name, safe] of [
    ["../../etc/passwd", "etc/passwd"],
    ["/etc/passwd", "etc/passwd"],
    ["..\\..\\boot.ini", "boot.ini"],
    ["dir/./sub/../file", "dir/sub/file"],
    ["..", ""],
    ["a&#10;b", "ab"],
    ["", ""],
  ] as const)
    test(`the name ${JSON.stringify(name)} becomes ${JSON.stringify(safe)}`, () =>
      assert.equal(readMetalink(v4(`<file name="${name}"/>`))[0]?.name, safe));

  for (const [what, document] of [
    ["nothing", ""],
    ["a page", "<!doctype html><html><body>404</body></html>"],
    ["another root", "<rss/>"],
    ["no file", v4("")],
    ["entities", `<!DOCTYPE metalink [<!ENTITY a "aaaa">]><metalink><file name="&a;"/></metalink>`],
    ["an entity that nobody declared", v4('<file name="&a;"/>')],
    ["an outer entity", `<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><metalink/>`],
    ["another coding", `<?xml version="1.0" encoding="UTF-16"?><metalink/>`],
    ["an end too few", "<metalink><file>"],
    ["an end too many", `${v4("<file/>")}</metalink>`],
    ["ends crossed", v4("<file><url></file></url>")],
    ["depth", "<a>".repeat(100)],
    ["an attribute twice", v4('<file name="a" name="b"/>')],
    ["a bare ampersand", v4("<file>a & b</file>")],
    ["text behind", `${v4("<file/>")}x`],
    ["an unfinished comment", "<!-- <metalink/>"],
  ] as const)
    test(`${what}: refused`, () => {
      assert.throws(
        () => readMetalink(document),
        (error) => error instanceof DownloadError && error.code === "METALINK_INVALID",
      );
    });

  test("any text is read, or refused as what it is; in time that grows with its length only", () => {
    const pieces = fc.constantFrom(
      "<metalink>",
      "</metalink>",
      "<file name='",
      "'>",
      "</file>",
      "<url priority='1'>",
      "http://a/",
      "</url>",
      "<!--",
      "-->",
      "<![CDATA[",
      "]]>",
      "<?",
      "?>",
      "&amp;",
      "&#x0;",
      "&#xD800;",
      "<",
      ">",
      '"',
      "=",
      "<size>",
      "1e9",
      "</size>",
      "<!DOCTYPE",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 5 })), { maxLength: 60 }), (parts) => {
        try {
          for (const { name, urls } of readMetalink(parts.join(""))) {
            assert.ok(!name.split("/").includes("..") && !name.startsWith("/"));
            for (const url of urls) assert.match(url, /^https?:/);
          }
        } catch (error) {
          assert.ok(error instanceof DownloadError, String(error));
        }
      }),
    );
    const begun = performance.now();
    for (const document of [
      "<".repeat(500_000),
      `<a ${"b='c' ".repeat(200_000)}`,
      `<a>${"&".repeat(500_000)}`,
      "<!--".repeat(200_000),
      `<a${" ".repeat(500_000)}`,
      `<a>${"<b/>".repeat(200_000)}`,
    ])
      assert.throws(() => parseXml(document), XmlError);
    assert.ok(performance.now() - begun < 2000);
  });

  test("what was written is read back", () => {
    const escaped = (text: string): string =>
      text.replace(/[&<>"'\t\n\r]/g, (character) => `&#${character.codePointAt(0)};`);
    const text = fc.string({ unit: "grapheme", maxLength: 40 });
    fc.assert(
      fc.property(text, text, (attribute, content) => {
        const root = parseXml(`<a b="${escaped(attribute)}">${escaped(content)}</a>`);
        assert.equal(root.text, content);
        assert.equal(root.attributes.get("b"), attribute);
      }),
    );
  });

  test("of very many places the best hundred stay", () => {
    const urls = Array.from(
      { length: 5000 },
      (_, index) => `<url priority="${5000 - index}">http://h${index}/</url>`,
    ).join("");
    const found = readMetalink(v4(`<file name="a">${urls}</file>`))[0]?.urls ?? [];
    assert.equal(found.length, 100);
    assert.equal(found[0], "http://h4999/");
  });
});
