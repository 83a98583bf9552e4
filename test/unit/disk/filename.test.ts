/** Names from strangers: whatever comes in, what goes out is one safe name. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MAX_NAME_BYTES, numberedName, safeName } from "../../../src/daemon/disk/filename.ts";

describe("safe names", () => {
  for (const [text, name] of [
    ["file.iso", "file.iso"],
    ["über uns – 1.txt", "über uns – 1.txt"],
    ["u\u0308ber.txt", "über.txt"], // NFC
    ["../../etc/passwd", "etc_passwd"],
    ["/etc/passwd", "etc_passwd"],
    ["..\\..\\evil.exe", "evil.exe"],
    ["a/b\\c.txt", "a_b_c.txt"],
    ["nul\0byte.txt", "nulbyte.txt"],
    ["line\nbreak\r.txt", "linebreak.txt"],
    [".htaccess", "htaccess"],
    ["-rf", "rf"],
    ["~root", "root"],
    ["trailing. . .", "trailing"],
    ["CON", "CON_"],
    ["con.txt", "con_.txt"],
    ["LPT1.tar.gz", "LPT1_.tar.gz"],
    ['a<b>c:d"e|f?g*h', "a_b_c_d_e_f_g_h"],
    ["evil\u202egpj.exe", "evilgpj.exe"], // a right-to-left override
    ["zero\u200bwidth\ufeff.txt", "zerowidth.txt"],
    ["👩‍💻.png", "👩‍💻.png"], // the joiner stays
    ["\ud800lone.txt", "_lone.txt"],
    ["", "download"],
    ["..", "download"],
    [" . ", "download"],
    ["---", "download"],
    ["\u202e", "download"],
  ] as const)
    test(JSON.stringify(text), () => assert.equal(safeName(text), name));

  test("too long is cut in the stem, by bytes, at a code point; the extension stays", () => {
    assert.equal(safeName(`${"n".repeat(300)}.bin`), `${"n".repeat(MAX_NAME_BYTES - 4)}.bin`);
    assert.equal(safeName(`${"n".repeat(300)}.tar.gz`), `${"n".repeat(MAX_NAME_BYTES - 7)}.tar.gz`);
    const cut = safeName(`${"ü".repeat(300)}.bin`);
    assert.match(cut, /^ü+\.bin$/);
    assert.ok(Buffer.byteLength(cut) >= MAX_NAME_BYTES - 1);
    assert.equal(Buffer.byteLength(safeName(`a.${"x".repeat(300)}`)), MAX_NAME_BYTES);
  });

  for (const [what, text, name] of [
    ["spaces before the extension", `a${" ".repeat(60_000)}.bin`, "a"],
    ["spaces at the end", `a.bin${" ".repeat(60_000)}`, "a.bin"],
    ["dots between spaces", `a${" .".repeat(30_000)}b`, "a"],
    ["leading dots", `${"./".repeat(30_000)}a.bin`, "a.bin"],
    ["separators", `a${"/".repeat(60_000)}.bin`, "a"],
    ["characters that are not seen", `${"\u200b".repeat(60_000)}a.bin`, "a.bin"],
  ] as const)
    test(`60,000 ${what} take no time`, () => {
      const began = performance.now();
      assert.match(safeName(text), new RegExp(`^${name}`));
      assert.match(safeName(text), text.includes(".bin") ? /\.bin$/ : /./);
      const took = performance.now() - began;
      assert.ok(took < 250, `${took} ms`);
    });

  test("whatever comes in, one safe name comes out, and stays as it is", () => {
    const hostile = fc.string({
      unit: fc.constantFrom(
        "a",
        ".",
        "-",
        "/",
        "\\",
        "\0",
        " ",
        "ü",
        "💾",
        "\ud800",
        "\u202e",
        "\u200d",
        ":",
        "~",
        "CON",
        "\n",
      ),
      maxLength: 400,
    });
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 400 }), hostile), (text) => {
        const name = safeName(text);
        assert.ok(name.length > 0 && Buffer.byteLength(name) <= MAX_NAME_BYTES);
        assert.ok(name.isWellFormed());
        assert.doesNotMatch(name, /[/\\<>:"|?*]|^[.\-~ ]|[. ]$/);
        assert.doesNotMatch(name, /(?![\u200c\u200d])[\p{Cc}\p{Cf}]/u);
        assert.doesNotMatch(name, /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i);
        assert.equal(safeName(name), name);
      }),
      { numRuns: 500 },
    );
  });
});

describe("numbered names", () => {
  for (const [name, number, expected] of [
    ["a.txt", 1, "a (1).txt"],
    ["a.tar.gz", 2, "a (2).tar.gz"],
    ["a", 3, "a (3)"],
    ["v1.2 final cut", 1, "v1.2 final cut (1)"],
  ] as const)
    test(expected, () => assert.equal(numberedName(name, number), expected));

  test("always fit", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 300 }), fc.integer({ min: 1, max: 1e9 }), (text, number) => {
        const name = numberedName(safeName(text), number);
        assert.ok(Buffer.byteLength(name) <= 255);
        assert.ok(name.includes(` (${number})`) && name.isWellFormed());
      }),
    );
  });
});
