/** Checksum files: every form that tools write, and any other text. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseChecksumFile } from "../../../src/daemon/resolve/checksum-file.ts";

const SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const MD5 = "d41d8cd98f00b204e9800998ecf8427e";
const entry = { algorithm: "sha-256", value: SHA256 } as const;

describe("a checksum file", () => {
  for (const [line, expected] of [
    [`${SHA256}  a b.iso`, { ...entry, name: "a b.iso" }],
    [`${SHA256} *a.iso`, { ...entry, name: "a.iso" }],
    [`${SHA256} a.iso`, { ...entry, name: "a.iso" }],
    [`${SHA256.toUpperCase()}\ta.iso`, { ...entry, name: "a.iso" }],
    [`${SHA256}  ./dir/a.iso`, { ...entry, name: "./dir/a.iso" }],
    [`\\${SHA256}  a\\nb\\\\c\\rd`, { ...entry, name: "a\nb\\c\rd" }],
    [SHA256, entry],
    [`${SHA256} \r`, entry],
    [`SHA256 (a (1).iso) = ${SHA256}`, { ...entry, name: "a (1).iso" }],
    [`\\SHA256 (a\\nb) = ${SHA256}`, { ...entry, name: "a\nb" }],
    [`MD5 (a.iso) = ${MD5}`, { algorithm: "md5", value: MD5, name: "a.iso" }],
    [`\uFEFF${MD5}  a.iso`, { algorithm: "md5", value: MD5, name: "a.iso" }],
  ] as const)
    test(JSON.stringify(line.slice(0, 90)), () => assert.deepEqual(parseChecksumFile(line), [expected]));

  for (const line of [
    "",
    "# comment",
    "-----BEGIN PGP SIGNED MESSAGE-----",
    "Hash: SHA256",
    "<!doctype html><title>404</title>",
    `${SHA256.slice(1)}  odd.iso`,
    `SHA3-256 (a.iso) = ${SHA256}`,
    `MD5 (a.iso) = ${SHA256}`,
    `  ${SHA256}  indented.iso`,
    `${SHA256}  ${"x".repeat(9000)}`,
  ])
    test(`${JSON.stringify(line.slice(0, 60))} is no line of one`, () => assert.deepEqual(parseChecksumFile(line), []));

  test("reads any text", () => {
    const pieces = fc.constantFrom(SHA256, MD5, " ", " *", "\\", "\n", "SHA256 (", ") = ", "\0", "a.iso");
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 40 }), (parts) => {
        for (const { value } of parseChecksumFile(parts.join(""))) assert.match(value, /^[0-9a-f]+$/);
      }),
    );
    const begun = performance.now();
    parseChecksumFile(`SHA256 (${") = ".repeat(250_000)}`);
    parseChecksumFile("SHA256 (a) = \n".repeat(70_000));
    assert.ok(performance.now() - begun < 500);
  });
});
