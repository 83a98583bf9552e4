/** What a Metalink makes Snatch ask for, and how much of one it reads. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SourceFactory } from "../../../src/daemon/core/ports.ts";
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
  return { asked, resolver: new MetalinkResolver(sources, new DirectResolver(sources)) };
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
