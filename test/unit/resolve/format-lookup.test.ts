import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DownloadError, failure } from "../../../src/daemon/core/errors.ts";
import type { FormatList, Resolver } from "../../../src/daemon/core/ports/resolve.ts";
import type { DownloadRequest, ResourceInfo } from "../../../src/daemon/core/session.ts";
import { FormatLookup, type LookupInit } from "../../../src/daemon/resolve/format-lookup.ts";
import { mediaOf } from "../../support/selector-cases.ts";

const URL_ASKED = "https://media.example/film";
const request: DownloadRequest = { url: URL_ASKED, mirrors: [], options: { headers: [["Cookie", "a"]], timeout: 5 } };
const never = new AbortController().signal;

/** Takes every URL as a file. */
const direct: Resolver = {
  name: "direct",
  claims: () => true,
  resolve: ({ url, options }) => Promise.resolve({ candidates: [{ url, headers: options.headers ?? [] }] }),
};
/** Knows what answers. */
const page: Resolver = {
  name: "page",
  claims: () => false,
  claimsAnswer: ({ options }, { contentType }) => options.media === true && contentType === "text/html",
  resolve: () => Promise.resolve(mediaOf("hls")),
};

function lookup(more: Partial<LookupInit> = {}, contentType = "text/html") {
  const opened: unknown[] = [];
  let cancelled = 0;
  const resource: ResourceInfo = { finalUrl: URL_ASKED, ranges: true, contentType };
  const init: LookupInit = {
    resolvers: [page, direct],
    sources: {
      http: (url, options) => ({
        id: url,
        open: ({ start, end }) => {
          opened.push({ url, options, start, end });
          return Promise.resolve({ start, resource, pipe: () => assert.fail(), cancel: () => void cancelled++ });
        },
      }),
    },
    presets: () => undefined,
    tool: { version: () => Promise.resolve({ path: "/usr/bin/ffmpeg", version: "5.1" }) },
    ...more,
  };
  return { formats: new FormatLookup(init), opened, cancelled: () => cancelled };
}

const listOf = async (found: ReturnType<FormatLookup["list"]>): Promise<FormatList> => {
  const list = await found;
  return "media" in list ? list : assert.fail("several things");
};

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    assert.ok(thrown instanceof DownloadError, String(thrown));
    return thrown.code;
  }
  return assert.fail("it succeeded");
}

describe("formats of a URL", () => {
  it("are found by what answers, which is let go at once", async () => {
    const { formats, opened, cancelled } = lookup();
    const { choices, formats: all } = await listOf(formats.list(request, never));
    assert.deepEqual(
      all.map(({ id }) => id),
      ["3000", "1500", "500", "a-hi"],
    );
    assert.deepEqual(
      choices.map(({ had }) => had.format),
      ["3000"],
    );
    const options = { headers: [["Cookie", "a"]], timeoutMs: 5000 };
    assert.deepEqual([opened, cancelled()], [[{ url: URL_ASKED, options, start: 0, end: 1 }], 1]);
  });

  it("are none of what is a file by itself", async () => {
    const { formats } = lookup({}, "application/zip");
    assert.equal(await codeOf(formats.list(request, never)), "MEDIA_NOT_FOUND");
  });

  it("are chosen by presets, and without FFmpeg whole", async () => {
    const tube: Resolver = { ...direct, resolve: () => Promise.resolve(mediaOf("tube")) };
    const presets = () => ({ small: { format: "bv[height<=720]+ba" } });
    const missing = { version: () => Promise.reject(failure("FFMPEG_MISSING", "there is none")) };
    const had = async (init: Partial<LookupInit>, format?: string) => {
      const options = format === undefined ? {} : { format };
      const { choices } = await listOf(
        lookup({ resolvers: [tube], ...init }).formats.list({ ...request, options }, never),
      );
      return choices.map((choice) => choice.had.format);
    };
    assert.deepEqual(await had({ presets }, "small"), ["136+251"]);
    assert.deepEqual([await had({}), await had({ tool: missing })], [["401+251"], ["22"]]);
  });

  it("are refused before anybody is asked, if what is wanted cannot be read", async () => {
    const { formats, opened } = lookup();
    assert.equal(await codeOf(formats.list({ ...request, options: { quality: "720" } }, never)), "FORMAT_INVALID");
    assert.deepEqual(opened, []);
  });

  it("are not looked for on and on", async () => {
    const endless: Resolver = { ...direct, claimsAnswer: () => true };
    const { formats, opened } = lookup({ resolvers: [endless] });
    assert.equal(await codeOf(formats.list(request, never)), "MEDIA_NOT_FOUND");
    assert.ok(opened.length <= 4, `${opened.length}`);
  });
});
