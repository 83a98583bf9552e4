/** Media made by FFmpeg and served by nginx: it comes out with the right length, streams and frames. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { DownloadOptions } from "../../src/daemon/core/session.ts";
import { libraryHome, sha256File } from "../support/library.ts";
import { framesMd5, makeSite, probe, SITE_SECONDS } from "../support/media-site.ts";
import { type Nginx, needsNginx, startNginx } from "../support/nginx.ts";

describe("media from nginx", needsNginx, () => {
  let root: string;
  let nginx: Nginx;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), "snatch-site-"));
    makeSite(root);
    nginx = await startNginx({ root });
  });
  after(async () => {
    await nginx?.stop();
    if (root) await rm(root, { recursive: true, force: true });
  });

  async function fetched(path: string, options: DownloadOptions = {}) {
    const home = await libraryHome();
    const manager = home.manager();
    const [result] = await manager.download([`${nginx.http}/${path}`], options);
    assert.equal(result?.status, "completed", result?.error?.message);
    const session = await manager.sessions.get(result.sessionId);
    return { home, path: result.path ?? "", session, [Symbol.asyncDispose]: () => home[Symbol.asyncDispose]() };
  }

  const kinds = (path: string): string[] =>
    probe(path)
      .streams.map(({ codec_type, codec_name }) => `${codec_type}:${codec_name}`)
      .sort();

  for (const folder of ["ts", "fmp4", "ranges", "aes"])
    test(`HLS ${folder}: frames as they were`, async () => {
      await using got = await fetched(`${folder}/index.m3u8`);
      assert.deepEqual(kinds(got.path), ["audio:aac", "video:h264"]);
      assert.ok(Math.abs(probe(got.path).seconds - SITE_SECONDS) < 0.3, String(probe(got.path).seconds));
      const source = join(root, folder, folder === "aes" ? "index.m3u8" : "index.m3u8");
      assert.equal(framesMd5(got.path, "v"), framesMd5(source, "v"));
      assert.equal((await readdir(got.home.downloads)).length, 1);
    });

  for (const folder of ["dash", "dash-template"])
    test(`DASH ${folder}: separate tracks become one file`, async () => {
      await using got = await fetched(`${folder}/index.mpd`);
      assert.deepEqual(kinds(got.path), ["audio:aac", "video:h264"]);
      assert.ok(Math.abs(probe(got.path).seconds - SITE_SECONDS) < 0.3, String(probe(got.path).seconds));
    });

  test("a master: the best video with its audio, subtitles beside it", async () => {
    await using got = await fetched("master.m3u8", { subtitles: { languages: ["en"], embed: false } });
    assert.deepEqual(kinds(got.path), ["audio:aac", "video:h264"]);
    assert.equal(probe(got.path).streams.find(({ codec_type }) => codec_type === "video")?.height, 180);
    const names = await readdir(got.home.downloads);
    const words = names.find((name) => name.endsWith(".en.vtt"));
    assert.equal(names.length, 2, names.join());
    const text = await readFile(join(got.home.downloads, words ?? ""), "utf8");
    assert.match(text, /Words 0[\s\S]*Words 1/);
    assert.equal(text.match(/WEBVTT/g)?.length, 1);
  });

  test("subtitles in the file", async () => {
    await using got = await fetched("master.m3u8", { subtitles: { languages: ["en"], embed: true } });
    assert.ok(
      kinds(got.path).some((kind) => kind.startsWith("subtitle:")),
      kinds(got.path).join(),
    );
    assert.equal((await readdir(got.home.downloads)).length, 1);
  });

  test("a smaller one by a filter", async () => {
    await using got = await fetched("master.m3u8", { format: "bv*[height<=100]+ba/b[height<=100]" });
    assert.equal(probe(got.path).streams.find(({ codec_type }) => codec_type === "video")?.height, 90);
  });

  test("a page: bestaudio at 320k is the audio, with its tags, asked and had", async () => {
    await using got = await fetched("page.html", { format: "bestaudio", quality: "320k" });
    assert.deepEqual(kinds(got.path), ["audio:aac", "video:png"], "the cover is in it");
    const { seconds, tags } = probe(got.path);
    assert.ok(Math.abs(seconds - SITE_SECONDS) < 0.3);
    assert.equal(tags["title"], "A Film: of bars");
    assert.equal(tags["artist"], "Jane Doe");
    assert.equal(got.session?.options.format, "bestaudio");
    assert.equal(got.session?.options.quality, "320k");
    assert.ok(got.session?.metadata.format);
    assert.match(got.session?.metadata.quality ?? "", /^1[0-4]\dk$/, "what it has, not what was asked for");
  });

  test("a plain page is saved as it is", async () => {
    await using got = await fetched("page.html");
    assert.equal(await sha256File(got.path), await sha256File(join(root, "page.html")));
  });

  test("several formats beside each other become several files", async () => {
    const home = await libraryHome();
    await using _ = home;
    const [result] = await home.manager().download([`${nginx.http}/master.m3u8`], { format: "bv,ba" });
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.equal(result?.items?.length, 2);
    assert.equal((await home.files()).length, 2, (await home.files()).join());
  });

  test("without FFmpeg: tracks that have to be put together are refused before anything is fetched", async () => {
    await nginx.clearRequests();
    await using home = await libraryHome();
    const manager = home.manager({ ffmpeg: { path: "/nonexistent/ffmpeg" } });
    const [result] = await manager.download([`${nginx.http}/master.m3u8`]);
    assert.equal(result?.error?.code, "FFMPEG_MISSING", result?.error?.message);
    const requests = await nginx.waitForRequests((all) => all.length > 0);
    assert.ok(requests.every(({ uri }) => !uri.endsWith(".ts")));
    const [joined] = await manager.download([`${nginx.http}/fmp4/index.m3u8`]);
    assert.equal(joined?.status, "completed", joined?.error?.message);
    assert.match(joined.path ?? "", /\.mp4$/);
    assert.ok(Math.abs(probe(joined.path ?? "").seconds - SITE_SECONDS) < 0.3);
  });

  test("a receipt has both manifests, and the file is whole", async () => {
    await using home = await libraryHome();
    const manager = home.manager();
    const [result] = await manager.download([`${nginx.http}/ts/index.m3u8`]);
    const receipt = await manager.sessions.receipts.byPath(result?.path ?? "");
    assert.ok(receipt);
    assert.notEqual(receipt.manifests.source.root, receipt.manifests.file.root);
    assert.equal(receipt.manifests.file.size, result?.bytes);
  });
});
