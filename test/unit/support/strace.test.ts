import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStrace } from "../../support/strace.ts";

test("a trace is read with paths, failures, and calls that were interrupted", () => {
  const calls = parseStrace(
    [
      '101 pwrite64(21</d/.a.part>, "x\\"y"..., 8, 0) = 8',
      "102 fdatasync(21</d/.a.part> <unfinished ...>",
      '101 write(7</s/db/000003.log>, "z", 1 <unfinished ...>',
      "102 <... fdatasync resumed>)          = 0",
      "101 <... write resumed>) = 1",
      '103 rename("/d/.a.part", "/d/a") = 0',
      '103 rename("/d/b", "/d/c") = -1 ENOENT (No such file or directory)',
      "103 fsync(9</d>) = 0",
      "103 +++ exited with 0 +++",
    ].join("\n"),
  );
  assert.deepEqual(
    calls.map(({ name, paths, failed, begin, end }) => [name, paths, failed, begin, end]),
    [
      ["pwrite64", ["/d/.a.part"], false, 0, 0],
      ["fdatasync", ["/d/.a.part"], false, 1, 3],
      ["write", ["/s/db/000003.log"], false, 2, 4],
      ["rename", ["/d/.a.part", "/d/a"], false, 5, 5],
      ["rename", ["/d/b", "/d/c"], true, 6, 6],
      ["fsync", ["/d"], false, 7, 7],
    ],
  );
});
