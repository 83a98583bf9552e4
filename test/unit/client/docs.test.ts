import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { cliDocs } from "../../../scripts/cli-docs.ts";

test("docs/CLI.md says what the program's help says (else: node scripts/cli-docs.ts)", () => {
  assert.equal(readFileSync("docs/CLI.md", "utf8"), cliDocs());
});

test("every command has an example, its own or in the command above it", () => {
  const sections = cliDocs()
    .split(/^## (?=snatchctl )/m)
    .slice(1);
  assert.ok(sections.length > 20);
  for (const section of sections) {
    const [path = ""] = section.split("\n");
    const above = sections.find((other) => other.startsWith(`${path.split(" ").slice(0, -1).join(" ")}\n`));
    assert.match(section + (above ?? ""), /Examples:/, path);
  }
});
