/** Digests and mirrors in an answer's fields: what is said of the whole is read, nonsense and doubt are left alone. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { originDigests } from "../../../src/daemon/http/digest-fields.ts";
import { descriptionLink, duplicateLinks } from "../../../src/daemon/http/link-field.ts";

const of = (algorithm: string): Buffer => createHash(algorithm).update("hello").digest();
const b64 = (algorithm: string): string => of(algorithm).toString("base64");
const SHA256 = of("sha256").toString("hex");

/** As `algorithm=hex` of what was found. */
function found(fields: Readonly<Record<string, string>>, complete = true): string[] {
  return originDigests(new Map(Object.entries(fields)), complete).map(
    ({ algorithm, value }) => `${algorithm}=${value}`,
  );
}

describe("digest fields", () => {
  test("Repr-Digest: the strongest first, also beside a part", () => {
    const value = `md5=:${b64("md5")}:, sha-256=:${b64("sha256")}:;q=1, sha-512=:${b64("sha512")}:, sha=:${b64("sha1")}:`;
    for (const complete of [true, false])
      assert.deepEqual(found({ "repr-digest": value }, complete), [
        `sha-512=${of("sha512").toString("hex")}`,
        `sha-256=${SHA256}`,
        `sha-1=${of("sha1").toString("hex")}`,
        `md5=${of("md5").toString("hex")}`,
      ]);
  });

  test("each field, and who said it", () => {
    for (const [name, value, algorithm, from] of [
      ["repr-digest", `sha-256=:${b64("sha256")}:`, "sha-256", "Repr-Digest"],
      ["content-digest", `sha-512=:${b64("sha512")}:`, "sha-512", "Content-Digest"],
      ["digest", `SHA-256=${b64("sha256")},unixsum=30637`, "sha-256", "Digest"],
      ["digest", `id-sha-512=${b64("sha512")}`, "sha-512", "Digest"],
      ["digest", `SHA=${b64("sha1")}`, "sha-1", "Digest"],
      ["content-md5", ` ${b64("md5")} `, "md5", "Content-MD5"],
      ["x-goog-hash", `crc32c=mnG7TA==, md5=${b64("md5")}`, "md5", "x-goog-hash"],
    ] as const) {
      const [digest] = originDigests(new Map([[name, value]]), true);
      assert.deepEqual([digest?.algorithm, digest?.from], [algorithm, from], value);
    }
    assert.deepEqual(found({ "x-goog-hash": "crc32c=mnG7TA==" }), ["crc32c=9a71bb4c"]);
  });

  test("what is about a message's content says nothing about the whole that it is a part of", () => {
    const fields = { "content-digest": `sha-256=:${b64("sha256")}:`, "content-md5": b64("md5") };
    assert.deepEqual(found(fields, false), []);
    assert.equal(found(fields).length, 2);
  });

  test("an ETag is no digest", () => assert.deepEqual(found({ etag: `"${of("md5").toString("hex")}"` }), []));

  test("where two fields differ about one algorithm, neither is believed", () => {
    const other = createHash("sha256").update("other").digest("base64");
    assert.deepEqual(
      found({ "repr-digest": `sha-256=:${b64("sha256")}:, md5=:${b64("md5")}:`, digest: `sha-256=${other}` }),
      [`md5=${of("md5").toString("hex")}`],
    );
  });

  test("Google's hash of what is kept compressed is none of what is sent", () => {
    const hash = { "x-goog-hash": `md5=${b64("md5")}` };
    assert.deepEqual(found({ ...hash, "x-goog-stored-content-encoding": "gzip" }), []);
    assert.equal(found({ ...hash, "x-goog-stored-content-encoding": "identity" }).length, 1);
  });

  for (const value of [
    "",
    "sha-256",
    `sha-256=${b64("sha256")}`,
    `sha-256=:${b64("sha256")}`,
    `sha-256=:${b64("sha1")}:`,
    `sha-256=:${SHA256}:`,
    `sha-256=:${b64("sha256")}:,`,
    `sha-256=:${b64("sha256")}: junk`,
    `SHA-256=:${b64("sha256")}:`,
    "sha-256=(:aa:)",
  ])
    test(`Repr-Digest ${JSON.stringify(value)} says nothing`, () =>
      assert.deepEqual(found({ "repr-digest": value }), []));

  test("members of other types are stepped over; the last of one key counts", () => {
    const value = `a=?1, b=12.5, c="x\\", y=:z:", d=tok/en, e, sha-256=:AAAA:, sha-256=:${b64("sha256")}:;p`;
    assert.deepEqual(found({ "repr-digest": value }), [`sha-256=${SHA256}`]);
  });

  test("any text in any field is read without an error, in no time", () => {
    const text = fc.oneof(
      fc.string({ maxLength: 300 }),
      fc
        .array(fc.constantFrom("sha-256=", ":", "=", ",", " ", '"', "\\", ";", "AAAA", "md5", "(", "?1", "<", ">"), {
          maxLength: 200,
        })
        .map((parts) => parts.join("")),
    );
    const name = fc.constantFrom("repr-digest", "content-digest", "digest", "content-md5", "x-goog-hash");
    fc.assert(
      fc.property(fc.dictionary(name, text), fc.boolean(), (fields, complete) => {
        for (const { value } of originDigests(new Map(Object.entries(fields)), complete))
          assert.match(value, /^[0-9a-f]+$/);
        duplicateLinks(fields["digest"], "http://h/");
      }),
    );
    const begun = performance.now();
    for (const long of [`a=:${"A".repeat(60_000)}`, "a=1,".repeat(20_000), `a${"; a".repeat(20_000)}!`]) {
      found({ "repr-digest": long, digest: long });
      duplicateLinks(long, "http://h/");
      duplicateLinks(`<x>${long}`, "http://h/");
      duplicateLinks(`<x>; rel="${long}`, "http://h/");
    }
    assert.ok(performance.now() - begun < 500);
  });
});

describe("Link rel=duplicate (RFC 6249)", () => {
  const base = "https://a.example/dir/file.iso";

  test("by preference, relative ones resolved, each once", () => {
    const value =
      '<http://c.example/f>; rel=duplicate; pri=2; geo=de, <http://b.example/f,g>;rel="next duplicate";pri=1, ' +
      "<../f>; REL=Duplicate, <http://c.example/f>; rel=duplicate";
    assert.deepEqual(duplicateLinks(value, base), [
      "http://b.example/f,g",
      "http://c.example/f",
      "https://a.example/f",
    ]);
  });

  test("nothing else is a mirror", () => {
    for (const value of [
      undefined,
      "<http://b/f>; rel=describedby",
      "<http://b/f>; title=duplicate",
      "<ftp://b/f>; rel=duplicate",
      "<file:///etc/passwd>; rel=duplicate",
      "<http://u:p@b/f>; rel=duplicate",
      '<http://b/f>; rel=duplicate; anchor="#x"',
      "<file.iso>; rel=duplicate",
      "http://b/f; rel=duplicate",
    ])
      assert.deepEqual(duplicateLinks(value, base), [], value);
  });

  test("a Metalink that describes the resource", () => {
    const link =
      '<f.asc>; rel=describedby; type="application/pgp-signature", <f.meta4>; rel="describedby"; type="application/metalink4+xml"';
    assert.equal(descriptionLink(link, base), "https://a.example/dir/f.meta4");
    assert.equal(descriptionLink("<f.meta4>; rel=describedby", base), undefined);
    assert.equal(descriptionLink(undefined, base), undefined);
  });

  test("no more than a few", () => {
    const value = Array.from({ length: 500 }, (_, index) => `<http://m${index}/f>; rel=duplicate`).join(", ");
    assert.equal(duplicateLinks(value, base).length, 16);
  });
});
