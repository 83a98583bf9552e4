import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { escapeControls, jsonLine } from "../../../src/client/output.ts";
import { displayWidth, row, shorten } from "../../../src/client/table.ts";

describe("text from the network", () => {
  for (const [text, shown] of [
    ["file.iso", "file.iso"],
    ["\x1b[2Jgone", "\\x1b[2Jgone"],
    ["two\nlines\r", "two\\nlines\\x0d"],
    ["\x9b31m", "\\x9b31m"],
    ["gpj\u202eexe", "gpj\\u202eexe"],
    ["naïve 名前.iso", "naïve 名前.iso"],
  ] as const) {
    test(`${JSON.stringify(text)} is shown as ${shown}`, () => assert.equal(escapeControls(text), shown));
  }

  test("never leaves a control character, whatever comes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        assert.doesNotMatch(escapeControls(text), /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
      }),
    );
  });

  test("as JSON it is one line without control characters, and reads back as it was", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const line = jsonLine({ text });
        assert.doesNotMatch(line, /[\p{Cc}\u2028\u2029]/u);
        assert.deepEqual(JSON.parse(line), { text });
      }),
    );
  });
});

describe("tables", () => {
  test("count the cells that characters take", () => {
    assert.equal(displayWidth("file"), 4);
    assert.equal(displayWidth("名前"), 4);
    assert.equal(displayWidth("e\u0301"), 1);
  });

  test("shorten in the middle, so that the ending stays", () => {
    assert.equal(shorten("a-very-long-name.iso", 12), "a-very-l…iso");
    assert.equal(shorten("short.iso", 12), "short.iso");
  });

  test("a shortened text never takes more cells than there are", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 1, max: 40 }), (text, width) => {
        assert.ok(displayWidth(shorten(text, width)) <= width);
      }),
    );
  });

  test("the last column takes what is left", () => {
    const columns = [
      { title: "A", width: 3 },
      { title: "B", width: 4, right: true },
      { title: "C", width: 0 },
    ];
    assert.equal(row(columns, ["1", "22", "the rest"], undefined), "1      22  the rest");
    assert.equal(row(columns, ["1", "22", "a long rest of the row"], 22).length, 22);
  });
});
