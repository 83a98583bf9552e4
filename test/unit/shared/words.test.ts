import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import fc from "fast-check";
import { splitWords } from "../../../src/shared/words.ts";

describe("words of a command line", () => {
  for (const [text, words] of [
    ["", []],
    ["  notify-send  done ", ["notify-send", "done"]],
    [`a 'b c' "d e" f\\ g`, ["a", "b c", "d e", "f g"]],
    [`x''y "" '\\' "\\"" "\\n"`, ["xy", "", "\\", '"', "\\n"]],
    ["echo $HOME * ; rm", ["echo", "$HOME", "*", ";", "rm"]],
  ] as const)
    test(JSON.stringify(text), () => assert.deepEqual(splitWords(text), words));

  for (const text of ["'a", 'a "b\\"', "a\\"])
    test(`${JSON.stringify(text)} is refused`, () => assert.throws(() => splitWords(text), Error));

  test("as a shell takes them", () => {
    const piece = fc.constantFrom("a", "bc", " ", "  ", "'x y'", '"x y"', '"\\""', "\\'", "\\ ", "''", '""', "é");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join("");
        const shell = execFileSync("/bin/sh", ["-c", `printf '%s\\0' begin ${text}`], { encoding: "utf8" });
        assert.deepEqual(["begin", ...splitWords(text)], shell.split("\0").slice(0, -1));
      }),
      { numRuns: 60 },
    );
  });
});
