/** What a Metalink makes Snatch ask for, and how much of one it reads. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SourceFactory } from "../../../src/daemon/core/ports/sources.ts";
import type { DownloadOptions } from "../../../src/daemon/core/session.ts";
import { DirectResolver } from "../../../src/daemon/resolve/direct.ts";
import { MetalinkResolver } from "../../../src/daemon/resolve/metalink-resolver.ts";

const { signal } = new AbortController();
const URL_OF_METALINK = "http://public.example/a.meta4";

/** Serves documents by their URLs, and notes who named what was asked for. */
function resolverOf(documents: Readonly<Record<string, string>>) {
  const asked: Record<string, string | undefined> = {};
  const sources: SourceFactory = {
    http: (url, { namedBy }) => ({
      id: url,
      open: () => {
        asked[url] = namedBy;
        const bytes = Buffer.from(documents[url] ?? "");
        return Promise.resolve({
          start: 0,
          resource: { finalUrl: url, ranges: false },
          pipe: async (sink) => sink(bytes),
          cancel: () => undefined,
        });
      },
    }),
  };
  return {
    asked,
    resolver: new MetalinkResolver(sources, new DirectResolver(sources), (part) => part.replaceAll(":", "_")),
  };
}

const metalink = (inner: string) => `<metalink xmlns="urn:ietf:params:xml:ns:metalink">${inner}</metalink>`;
const SUMS = `${"a".repeat(64)}  disk.iso\n`;

describe("what a Metalink names", () => {
  const inside = "http://10.0.0.1/disk.iso";
  const documents = { [URL_OF_METALINK]: metalink(`<file name="disk.iso"><url>${inside}</url></file>`) };

  test("is asked as named by it, and so is what lies beside", async () => {
    const { asked, resolver } = resolverOf({ ...documents, [`${inside}.sha256`]: SUMS });
    const plan = await resolver.resolve(
      { url: URL_OF_METALINK, mirrors: [], options: { checksumFile: "auto" } },
      signal,
    );
    assert.ok(plan.kind !== "expansion");
    assert.equal(plan.candidates[0].namedBy, URL_OF_METALINK);
    assert.deepEqual(asked, { [URL_OF_METALINK]: undefined, [`${inside}.sha256`]: URL_OF_METALINK });
  });

  test("but a checksum file that a person named is that person's", async () => {
    const sums = "http://10.0.0.2/sums";
    const { asked, resolver } = resolverOf({ ...documents, [sums]: SUMS });
    await resolver.resolve({ url: URL_OF_METALINK, mirrors: [], options: { checksumFile: sums } }, signal);
    assert.deepEqual(asked, { [URL_OF_METALINK]: undefined, [sums]: undefined });
  });
});

describe("a Metalink of several files", () => {
  const digest = "ab".repeat(32);
  const files = `<file name="dir/a:1.iso"><size>7</size><hash type="sha-256">${digest}</hash>
    <url priority="2">http://m.example/a</url><url priority="1">http://public.example/a</url></file>
    <file name="../../b.iso"><url>http://m.example/b</url></file><file name="c"><url>ftp://m.example/c</url></file>`;
  const resolve = async (options: DownloadOptions) => {
    const { resolver } = resolverOf({ [URL_OF_METALINK]: metalink(files) });
    const resolved = await resolver.resolve({ url: URL_OF_METALINK, mirrors: [], options }, signal);
    assert.ok(resolved.kind === "expansion");
    assert.equal(resolved.namedBy, URL_OF_METALINK);
    return resolved.items;
  };

  test("is each of them, with its places, size, digest and name", async () => {
    const headers = [["X-Key", "k"]] as const;
    const followed = { followMetalink: false, media: false };
    assert.deepEqual(await resolve({ directory: "/d", headers }), [
      {
        url: "http://public.example/a",
        mirrors: ["http://m.example/a"],
        options: {
          ...followed,
          size: 7,
          checksum: { algorithm: "sha-256", value: digest },
          output: "/d/dir/a_1.iso",
          headers,
        },
      },
      { url: "http://m.example/b", options: { ...followed, output: "/d/b.iso", headers: [] } },
    ]);
  });

  test("makes no folders for a caller over TCP", async () => {
    const [first] = await resolve({ directory: "/d", remote: true });
    assert.equal(first?.options?.output, "/d/a_1.iso");
  });

  test("none of which can be had is refused", async () => {
    const { resolver } = resolverOf({ [URL_OF_METALINK]: metalink('<file name="a"/><file name="b"/>') });
    const resolved = resolver.resolve({ url: URL_OF_METALINK, mirrors: [], options: {} }, signal);
    await assert.rejects(resolved, { code: "METALINK_INVALID", message: /no place of its 2 files/ });
  });
});

describe("a description that nobody asked for", () => {
  const file = `<file name="a"><url>http://h/a</url>`;
  const describe_ = (document: string) => {
    const { resolver } = resolverOf({ [URL_OF_METALINK]: document });
    const resource = { finalUrl: "http://h/a", ranges: true };
    return resolver.describe(URL_OF_METALINK, { url: "http://h/a", mirrors: [], options: {} }, resource, signal);
  };

  test("may have the hashes of a DVD's pieces", async () => {
    const hash = `<hash>${"a".repeat(40)}</hash>`;
    const pieces = `<pieces length="262144" type="sha-1">${hash.repeat(18_000)}</pieces>`;
    assert.deepEqual((await describe_(metalink(`${file}${pieces}</file>`)))?.urls, ["http://h/a"]);
  });

  test("has not many elements, and not many bytes", async () => {
    const many = metalink(`${file}${"<a/>".repeat(20_001)}</file>`);
    await assert.rejects(describe_(many), { code: "METALINK_INVALID", message: /more than 20000 elements/ });
    const long = metalink(`${file}<!--${" ".repeat(2 * 1024 * 1024)}--></file>`);
    await assert.rejects(describe_(long), { code: "PROTOCOL_ERROR", message: /is longer than/ });
  });
});
