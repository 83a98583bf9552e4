import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, EXIT, errorEntry } from "../../../src/shared/errors.ts";

test("every row of the table is whole", () => {
  const exits: readonly number[] = Object.values(EXIT);
  for (const [code, entry] of Object.entries(ERRORS)) {
    assert.match(code, /^[A-Z][A-Z_]*[A-Z]$/);
    assert.match(entry.meaning, /^[A-Z].*\.$/, code);
    assert.match(entry.hint, /^[A-Z].*[.…]$/, code);
    assert.ok(exits.includes(entry.exit) && entry.exit !== EXIT.ok, code);
  }
  assert.equal(new Set(exits).size, exits.length, "exit codes are distinct");
});

test("a code from elsewhere is looked up safely", () => {
  assert.equal(errorEntry("HTTP_NOT_FOUND")?.exit, EXIT.resource);
  for (const code of ["FROM_THE_FUTURE", "constructor", "__proto__", ""]) assert.equal(errorEntry(code), undefined);
});
