import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { fillTemplate } from "../../../src/daemon/resolve/template.ts";
import { TEMPLATE_CASES, TEMPLATE_CHOICE, TEMPLATE_DETAILS } from "../../support/template-cases.ts";

/** Bytes of a name, and what is put behind it: the suffix of a part file, with room to set it aside, and of its tracks. */
const NAME_MAX = 255;
const SUFFIXES = ".12345678.whole.part.s10.vtt".length;

function assertPosition(thrown: unknown, position: number | undefined): true {
  assert.ok(thrown instanceof DownloadError, String(thrown));
  assert.equal(thrown.code, "TEMPLATE_INVALID", thrown.message);
  assert.equal(thrown.metadata["position"], String(position), thrown.message);
  return true;
}

describe("the table of templates", () => {
  it("has forty rows", () => assert.ok(TEMPLATE_CASES.length >= 40, `${TEMPLATE_CASES.length}`));

  for (const { template, details, gives, position } of TEMPLATE_CASES) {
    const told = details ? ` of ${JSON.stringify(details).slice(0, 60)}` : "";
    it(`${JSON.stringify(template) ?? "(none)"}${told}`, () => {
      const fill = () => fillTemplate(template, { ...TEMPLATE_DETAILS, ...details }, TEMPLATE_CHOICE);
      if (gives === undefined) assert.throws(fill, (thrown) => assertPosition(thrown, position));
      else assert.equal(fill(), gives);
    });
  }
});

describe("names by template", () => {
  it("do not hold what opens the page", () => {
    const webpageUrl = "https://me:hunter2@site.test/watch?v=1&token=abcdef";
    for (const field of ["webpage_url", "original_url"]) {
      const name = fillTemplate(`%(${field})s`, { ...TEMPLATE_DETAILS, webpageUrl }, TEMPLATE_CHOICE);
      assert.doesNotMatch(name, /hunter2|abcdef/);
      assert.match(name, /site\.test/);
    }
  });

  it("are safe, whatever a stranger writes", () => {
    const hostile = fc.string({
      unit: fc.constantFrom(...'aé日😀./\\~-%()\n\0\u202e\u2066\ud800 :*?"<>|'.split(""), "..", "CON"),
      maxLength: 400,
    });
    fc.assert(
      fc.property(hostile, hostile, (title, id) => {
        const path = fillTemplate(
          "%(title)s/%(id)s - %(title)s.%(ext)s",
          { ...TEMPLATE_DETAILS, title, id },
          TEMPLATE_CHOICE,
        );
        const names = path.split("/");
        assert.equal(names.length, 2, path);
        for (const name of names) {
          assert.notEqual(name, "");
          assert.ok(Buffer.byteLength(name) + SUFFIXES <= NAME_MAX, `${Buffer.byteLength(name)} bytes`);
          assert.doesNotMatch(name, /^[.~\-\s]|[\s.]$|[\\:*?"<>|\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
          assert.ok(name.isWellFormed());
        }
        assert.ok(path.endsWith(".mp4"), path);
      }),
      { numRuns: 300 },
    );
  });

  it("come of any text, or are refused with a place in it", () => {
    const pieces = fc.constantFrom(
      "%(",
      "%",
      ")",
      "title",
      "id",
      "s",
      "d",
      ".",
      "5",
      "/",
      "..",
      ">",
      "%Y",
      ",",
      "&",
      "{}",
      "|",
      "+",
      "-",
      "*",
      ":",
      "#",
      " ",
      "\\",
      "😀",
      "playlist_index",
      "chapters",
    );
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: pieces, maxLength: 30 }), fc.string({ unit: "binary", maxLength: 60 })),
        (template) => {
          try {
            const path = fillTemplate(template, TEMPLATE_DETAILS, TEMPLATE_CHOICE);
            assert.ok(
              path !== "" && !path.startsWith("/") && !path.split("/").some((name) => /^\.{0,2}$/.test(name)),
              path,
            );
          } catch (thrown) {
            if (!(thrown instanceof DownloadError)) throw thrown;
            assert.equal(thrown.code, "TEMPLATE_INVALID");
            const position = Number(thrown.metadata["position"]);
            assert.ok(position >= 1 && position <= [...template].length + 1, `${position}`);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
