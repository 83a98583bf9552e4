/** URLs that lead to Metalinks, against real servers. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { libraryHome, sha256Of } from "../support/library.ts";
import { type Origin, resourceOf, serve } from "../support/origins/origin.ts";
import { waitFor } from "../support/wait.ts";

const bytes = randomBytes(600 * 1024);
const rotten = Buffer.from(bytes).fill(0, 5, 50);

interface Described {
  readonly name?: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly urls: readonly string[];
}

function metalink(...files: readonly Described[]): string {
  const described = files.map(
    ({ name = "../evil/right.bin", size, sha256, urls }) =>
      `<file name="${name}">${size === undefined ? "" : `<size>${size}</size>`}${sha256 === undefined ? "" : `<hash type="sha-256">${sha256}</hash>`}` +
      `${urls.map((url, index) => `<url priority="${index + 1}">${url}</url>`).join("")}</file>`,
  );
  return `<?xml version="1.0"?><metalink xmlns="urn:ietf:params:xml:ns:metalink">${described.join("")}</metalink>`;
}

/** Serves one document. */
function page(text: () => string, path: string, type = "application/octet-stream"): Promise<Origin> {
  return serve(resourceOf(Buffer.alloc(0)), (call) => call.send(200, { "content-type": type }, text()), path);
}

const file = (content: Buffer, version = "1"): Promise<Origin> =>
  serve(resourceOf(content, version), (call) => call.answer(), "/mirror.bin");

describe("a URL of a Metalink", () => {
  for (const [how, path, type] of [
    ["by its ending", "/a.meta4?x=1", undefined],
    ["by its ending, version 3's", "/a.metalink", undefined],
    ["by its media type", "/download", "application/metalink4+xml; charset=utf-8"],
    ["by its media type, version 3's", "/download", "application/metalink+xml"],
  ] as const)
    test(`${how}: means the file, from whatever place is right`, async () => {
      await using home = await libraryHome();
      await using wrongSize = await file(bytes.subarray(5));
      await using bad = await file(rotten);
      await using good = await file(bytes, "2");
      const urls = ["ftp://f/x", wrongSize.url, bad.url, good.url];
      const text = metalink({ size: bytes.length, sha256: sha256Of(bytes), urls });
      await using origin = await page(() => text, path, type);
      const manager = home.manager();
      const [result] = await manager.download([origin.url], { headers: [["X-Mine", "1"]] });
      assert.equal(result?.status, "completed", result?.error?.message);
      assert.equal(result?.path, join(home.downloads, "right.bin"), "its name, without the way out");
      assert.deepEqual(await readFile(result.path), bytes);
      assert.deepEqual(await home.files(), ["right.bin"]);
      const digests = (await manager.sessions.get(result.sessionId))?.resource?.digests;
      assert.deepEqual(digests, [{ algorithm: "sha-256", value: sha256Of(bytes), from: "the Metalink" }]);
      assert.ok([...good.requests, ...bad.requests].every(({ headers }) => headers["x-mine"] === undefined));
    });

  test("is gone on with after a restart", async () => {
    await using home = await libraryHome();
    let stuck = true;
    await using mirror = await serve(resourceOf(bytes), (call) => {
      if (!stuck || (call.seen.range?.start ?? 0) === 0) call.answer();
    });
    await using origin = await page(() => metalink({ urls: [mirror.url] }), "/a", "application/metalink4+xml");
    const before = home.manager();
    const [session] = await before.enqueue([origin.url]);
    const id = session?.id ?? "";
    await waitFor("a chunk", async () => ((await before.sessions.get(id))?.progress.downloadedBytes ?? 0) > 0);
    await before[Symbol.asyncDispose]();
    stuck = false;
    const asked = mirror.requests.length;
    const after = home.manager();
    await after.start();
    const done = await waitFor("its end", async () => {
      const now = await after.sessions.get(id);
      return now?.status === "completed" ? now : undefined;
    });
    assert.deepEqual(await readFile(done.file?.path ?? ""), bytes);
    assert.ok(
      mirror.requests.slice(asked).every(({ range }) => (range?.start ?? 0) > 0),
      "what was here is not asked for",
    );
  });

  test("fetches the Metalink itself if that is wanted", async () => {
    await using home = await libraryHome();
    const text = metalink({ urls: ["http://127.0.0.1:1/never"] });
    const manager = home.manager();
    for (const [path, type] of [
      ["/a.meta4", undefined],
      ["/b.xml", "application/metalink4+xml"],
    ] as const) {
      await using origin = await page(() => text, path, type);
      const [result] = await manager.download([origin.url], { followMetalink: false });
      assert.equal(result?.status, "completed", result?.error?.message);
      assert.equal(await readFile(result?.path ?? "", "utf8"), text);
    }
  });

  for (const [what, text, code] of [
    ["all places have another size", (url: string) => metalink({ size: 7, urls: [url] }), "SIZE_MISMATCH"],
    [
      "all places have other bytes",
      (url: string) => metalink({ sha256: sha256Of(rotten), urls: [url] }),
      "CHECKSUM_MISMATCH",
    ],
    ["it names no place", () => metalink({ urls: ["ftp://a/b"] }), "METALINK_INVALID"],
    ["it is a page", () => "<!doctype html><p>404</p>", "METALINK_INVALID"],
  ] as const)
    test(`fails where ${what}`, async () => {
      await using home = await libraryHome();
      await using mirror = await file(bytes);
      await using origin = await page(() => text(mirror.url), "/a.meta4");
      const [result] = await home.manager().download([origin.url]);
      assert.equal(result?.error?.code, code, result?.error?.message);
    });
});
