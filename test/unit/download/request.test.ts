import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import type { DownloadOptions } from "../../../src/daemon/core/session.ts";
import { checkRequest } from "../../../src/daemon/download/request.ts";
import type { DownloadSettings } from "../../../src/daemon/download/settings.ts";

const settings = { downloadDir: "/downloads" } as DownloadSettings;
const web = (url: string) => /^https?:/.test(url);
const check = (urls: readonly string[], options: DownloadOptions = {}) => checkRequest(urls, options, settings, web);

describe("request", () => {
  test("a URL and its mirrors, with the folder filled in and the fragment dropped", () => {
    assert.deepEqual(check([" http://a.test/x#part ", "http://b.test/x"]), {
      url: "http://a.test/x",
      mirrors: ["http://b.test/x"],
      options: { directory: "/downloads" },
    });
  });

  for (const [urls, code, said] of [
    [[], "INVALID_URL", /no URL/],
    [["not a url"], "INVALID_URL", /is not a URL/],
    [["example.org/file.iso"], "INVALID_URL", /did you mean https:\/\/example.org\/file.iso/],
    [["ftp://a.test/x"], "UNSUPPORTED_SCHEME", /ftp:/],
    [["file:///etc/passwd"], "UNSUPPORTED_SCHEME", /file:/],
    [["javascript:alert(1)"], "UNSUPPORTED_SCHEME", /javascript:/],
    [["http://a.test/ok", "gopher://b.test/x"], "UNSUPPORTED_SCHEME", /gopher:/],
    [[`http://a.test/${"x".repeat(70_000)}`], "INVALID_URL", /70014 characters/],
  ] as const) {
    test(`${JSON.stringify(urls).slice(0, 60)}: ${code}`, () =>
      assert.throws(
        () => check(urls),
        (error: DownloadError) => error.code === code && said.test(error.message),
      ));
  }

  for (const [options, code, position] of [
    [{ format: "bv[heigth<720]" }, "FORMAT_INVALID", "4"],
    [{ quality: "720" }, "FORMAT_INVALID", "1"],
    [{ template: "%(title)s/../x" }, "TEMPLATE_INVALID", "11"],
  ] as const) {
    test(`${JSON.stringify(options)} cannot be read: ${code}`, () =>
      assert.throws(
        () => check(["http://a.test/x"], options),
        (error: DownloadError) => error.code === code && error.metadata["position"] === position,
      ));
  }

  test("a preset is a format, and so is what a preset stands for", () => {
    const presets = { ...settings, formats: { "my-music": { format: "ba", quality: "128k" } } };
    const options = { format: "my-music" };
    assert.equal(checkRequest(["http://a.test/x"], options, presets, web).options.format, "my-music");
    assert.throws(() => checkRequest(["http://a.test/x"], { format: "(my" }, presets, web), { code: "FORMAT_INVALID" });
  });

  test("an error shows no password, however long it is", () => {
    const url = `ftp://u:${"geheim".repeat(100)}@a.test/x`;
    assert.throws(() => check([url]), { code: "UNSUPPORTED_SCHEME", message: /: ftp:\/\/u:\*\*\*@a\.test\/x$/ });
    assert.throws(
      () => check([url.replace("a.test", "a test")]),
      (error: Error) => !/gehe/.test(error.message),
    );
  });

  for (const [name, options] of [
    ["output", { output: "relative/path" }],
    ["directory", { directory: "../up" }],
    ["output", { output: "/a\0b" }],
    ["connections", { connections: 0 }],
    ["connections", { connections: 1.5 }],
    ["limit", { limit: -1 }],
    ["limit", { limit: Number.NaN }],
    ["timeout", { timeout: 0 }],
    ["max_retries", { maxRetries: Number.POSITIVE_INFINITY }],
    ["headers", { headers: [["Bad Name", "x"]] }],
    ["headers", { headers: [["X-A", "one\r\nX-B: two"]] }],
    ["checksum", { checksum: { algorithm: "sha-256", value: "abc" } }],
    ["checksum", { checksum: { algorithm: "md5", value: "z".repeat(32) } }],
  ] as const satisfies readonly (readonly [string, DownloadOptions])[]) {
    test(`${JSON.stringify(options)} is refused by the field's name`, () =>
      assert.throws(
        () => check(["http://a.test/"], options),
        (error: DownloadError) => error.code === "INVALID_ARGUMENT" && error.metadata["field"] === name,
      ));
  }

  test("a digest in capitals is the same digest", () => {
    const value = "AB".repeat(32);
    const { options } = check(["http://a.test/"], { checksum: { algorithm: "sha-256", value } });
    assert.equal(options.checksum?.value, value.toLowerCase());
  });

  test("any text is a request or a DownloadError", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.webUrl()), (text) => {
        try {
          assert.ok(web(check([text]).url));
        } catch (error) {
          assert.ok(error instanceof DownloadError);
        }
      }),
    );
  });
});
