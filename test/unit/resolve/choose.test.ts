import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { chooseFormats } from "../../../src/daemon/resolve/choose.ts";
import { mediaOf, SELECTOR_CASES, type SelectorCase } from "../../support/selector-cases.ts";

const nameOf = ({ shelf, format = "(none)", quality }: SelectorCase): string =>
  `${shelf}: ${format}${quality === undefined ? "" : ` at ${quality}`}`;

describe("the table of selectors", () => {
  it("has eighty rows, and no two alike", () => {
    const names = SELECTOR_CASES.map(nameOf);
    assert.deepEqual(
      names.filter((name, at) => names.indexOf(name) !== at),
      [],
    );
    assert.ok(names.length >= 80, `${names.length}`);
  });

  for (const row of SELECTOR_CASES) {
    const { shelf, format, quality, chooses, ext, transcode, error, position } = row;
    const choose = () =>
      chooseFormats(
        mediaOf(shelf),
        { ...(format !== undefined && { format }), ...(quality !== undefined && { quality }) },
        undefined,
      );
    it(nameOf(row), () => {
      if (error !== undefined) {
        assert.throws(choose, (thrown) => {
          assert.ok(thrown instanceof DownloadError, String(thrown));
          assert.equal(thrown.code, error, thrown.message);
          assert.equal(
            thrown.metadata["position"],
            position === undefined ? undefined : String(position),
            thrown.message,
          );
          return true;
        });
        return;
      }
      const found = choose();
      assert.deepEqual(
        found.map(({ formats }) => formats.map(({ id }) => id).join("+")),
        chooses,
      );
      const [first] = found;
      if (ext !== undefined) assert.equal(first.ext, ext);
      const made =
        first.transcode && [first.transcode.codec, first.transcode.kbps].filter((each) => each !== undefined);
      assert.equal(made?.join(" "), transcode);
    });
  }
});
