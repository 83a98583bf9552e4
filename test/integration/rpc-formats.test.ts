/** ResolveService over a Unix socket and over TCP, and `snatchctl formats` against it. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, beforeEach, describe, test } from "node:test";
import { credentials, Metadata, status } from "@grpc/grpc-js";
import type { Resolved } from "../../src/daemon/core/plan.ts";
import type { Media } from "../../src/daemon/core/resolved.ts";
import type { DownloadRequest } from "../../src/daemon/core/session.ts";
import { ResolveServiceClient } from "../../src/gen/snatch/v1/resolve_service.ts";
import { DownloadOptions } from "../../src/gen/snatch/v1/session.ts";
import { call, errorOf, type RpcFixture, rpcFixture } from "../support/rpc-server.ts";
import { detailsOf } from "../support/rpc-status.ts";
import { mediaOf } from "../support/selector-cases.ts";
import { snatchctl } from "../support/snatchctl.ts";

const URL_PAGE = "https://media.example/watch?sig=geheim";

let fixture: RpcFixture;
let local: ResolveServiceClient;
let remote: ResolveServiceClient;
let withToken: Metadata;
/** What the URL means, and what was asked of who knows it. */
let meaning: Resolved;
const asked: DownloadRequest[] = [];

const tube = (): Media => {
  const media = mediaOf("tube");
  return {
    ...media,
    details: { ...media.details, title: "A\u001b[2J film", webpageUrl: URL_PAGE, durationSeconds: 83.5 },
  };
};

before(async () => {
  fixture = await rpcFixture({ listen: ["127.0.0.1:0"] });
  fixture.daemon.resolvers.push({
    name: "test",
    claims: () => true,
    resolve: (request) => {
      asked.push(request);
      return Promise.resolve(meaning);
    },
  });
  await fixture.server.start();
  local = new ResolveServiceClient(`unix:${fixture.socket}`, credentials.createInsecure());
  remote = new ResolveServiceClient(fixture.tcp()[0] ?? "", credentials.createInsecure());
  withToken = new Metadata();
  withToken.set("authorization", `Bearer ${(await readFile(fixture.tokenFile, "utf8")).trim()}`);
});
after(async () => {
  for (const client of [local, remote]) client.close();
  await fixture[Symbol.asyncDispose]();
});
beforeEach(() => {
  meaning = tube();
  asked.length = 0;
});

const optionsOf = (fields: Partial<DownloadOptions>): DownloadOptions => ({
  ...DownloadOptions.fromPartial({}),
  ...fields,
});
const ask = (options?: DownloadOptions, url = URL_PAGE) => call(local.getFormats.bind(local, { url, options }));

describe("GetFormats", () => {
  test("lists what there is, the best first, and what would be fetched", async () => {
    const { media, formats, choices, refusal, subtitles } = await ask();
    assert.deepEqual([media?.extractor, media?.live, media?.duration], ["test", false, { seconds: 83, nanos: 5e8 }]);
    assert.equal(media?.webpageUrl, "https://media.example/watch?sig=***");
    assert.equal(formats.length, tube().formats.length);
    assert.equal(formats.find(({ id }) => id === "525")?.locked, "Widevine");
    const sound = formats.find(({ id }) => id === "140");
    assert.deepEqual(
      [sound?.vcodec, sound?.acodec, sound?.abr, sound?.resolution, sound?.fileSize],
      ["none", "mp4a.40.2", 129.5, "audio only", 2_000_000],
    );
    // Nobody merges here: there is no FFmpeg.
    assert.deepEqual(
      choices.map(({ formatIds, ext, quality }) => [formatIds, ext, quality]),
      [[["22"], "mp4", "720p"]],
    );
    assert.equal(refusal, undefined);
    assert.equal(subtitles.length, 6);
  });

  for (const [what, publishedAt, durationSeconds] of [
    ["beyond the year 9999", 253_402_300_800_000, 1e300],
    ["no dates", Number.NaN, Number.POSITIVE_INFINITY],
    ["beyond all dates", 8.64e15 + 1, 315_576_000_001],
  ] as const)
    test(`leaves out times that are ${what}`, async () => {
      const media = tube();
      meaning = { ...media, details: { ...media.details, publishedAt, durationSeconds } };
      const { media: told } = await ask();
      assert.deepEqual([told?.extractor, told?.publishTime, told?.duration], ["test", undefined, undefined]);
    });

  test("says what a format, a quality and languages would come to", async () => {
    const { choices } = await ask(
      optionsOf({ format: "mp3", quality: "320k", subtitles: { languages: ["de-*", "it"], embed: false } }),
    );
    const [choice] = choices;
    assert.deepEqual([choice?.transcodeCodec, choice?.transcodeKbps, choice?.ext], ["mp3", 145, "mp3"]);
    assert.deepEqual(choice?.subtitleLanguages, ["de-AT", "de-DE"]);
    assert.deepEqual(choice?.notes.length, 2);
  });

  test("lists what there is also where nothing of it is as it was asked for", async () => {
    const { formats, choices, refusal } = await ask(optionsOf({ format: "999" }));
    assert.deepEqual([formats.length > 0, choices, refusal?.code], [true, [], "FORMAT_UNAVAILABLE"]);
  });

  test("refuses what cannot be read before anybody is asked", async () => {
    const error = await errorOf(ask(optionsOf({ format: "bv[heigth<720]" })));
    const { info } = detailsOf(error);
    assert.deepEqual(
      [error.code, info?.reason, info?.metadata["position"]],
      [status.INVALID_ARGUMENT, "FORMAT_INVALID", "4"],
    );
    assert.deepEqual(asked, []);
  });

  test("says that a URL leads to several things", async () => {
    const items = [1, 2, 3].map((at) => ({ url: `https://u:geheim@media.example/${at}`, title: `Part ${at}` }));
    meaning = { kind: "expansion", namedBy: URL_PAGE, items };
    const { media, entries, entryCount } = await ask();
    assert.deepEqual(
      [media, entryCount, entries[0]],
      [undefined, 3, { url: "https://u:***@media.example/1", title: "Part 1" }],
    );
  });

  test("refuses a URL that is none, and one without media", async () => {
    assert.equal((await errorOf(ask(undefined, ""))).code, status.INVALID_ARGUMENT);
    assert.equal((await errorOf(ask(undefined, "nonsense"))).code, status.INVALID_ARGUMENT);
    meaning = { candidates: [{ url: URL_PAGE, headers: [] }], final: true };
    assert.equal(detailsOf(await errorOf(ask())).info?.reason, "MEDIA_NOT_FOUND");
  });

  test("over TCP nothing is asked that its caller may not reach, and nothing without the token", async () => {
    assert.equal(
      (await errorOf(call(remote.getFormats.bind(remote, { url: URL_PAGE, options: undefined })))).code,
      status.UNAUTHENTICATED,
    );
    await call(remote.getFormats.bind(remote, { url: URL_PAGE, options: undefined }), { metadata: withToken });
    await ask();
    assert.deepEqual(
      asked.map(({ options }) => [options.remote, options.media]),
      [
        [true, true],
        [undefined, true],
      ],
    );
  });
});

describe("snatchctl formats", () => {
  const run = (...words: string[]) =>
    snatchctl(["--address", `unix:${fixture.socket}`, ...words, URL_PAGE], { cwd: fixture.folder });

  test("prints a table, and marks what would be fetched", async () => {
    const { code, stdout, stderr } = await run("formats", "--format", "137+140");
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /^A\\x1b\[2J film \(test, 1 min 24 s\)\n\n {3}ID +EXT +RESOLUTION +FPS +SIZE +RATE +VIDEO +AUDIO +LANG +NOTE\n/,
    );
    assert.match(stdout, /^\* {2}137 +mp4 +1920x1080 +30 +62\.9 MiB +4400k +avc1\.640028 +- +http$/m);
    assert.match(stdout, /^\* {2}140 +m4a +audio only +1\.91 MiB +130k +- +mp4a\.40\.2 +en +http$/m);
    assert.match(stdout, /^ {3}525 .* locked: Widevine, http$/m);
    assert.match(stdout, /^\* 137\+140 as \.mp4, 1080p, 130k$/m);
    assert.match(stdout, /^subtitles: en, de-AT, de-DE, live_chat, fr \(by machine\)$/m);
  });

  test("prints one object with --json", async () => {
    const { code, stdout } = await run("--json", "formats", "--quality", "320k");
    const found = JSON.parse(stdout);
    assert.equal(code, 0);
    assert.deepEqual(found.choices, [
      { format_ids: ["251"], ext: "webm", format: "251", quality: "145k", subtitle_languages: [], notes: [] },
    ]);
    assert.equal(found.media.duration_seconds, 83.5);
    assert.deepEqual(
      found.formats.find(({ id }: { id: string }) => id === "18"),
      {
        id: "18",
        ext: "mp4",
        protocol: "http",
        vcodec: "avc1.42001E",
        acodec: "mp4a.40.2",
        resolution: "640x360",
        width: 640,
        height: 360,
        fps: 30,
        tbr: 600,
        audio_channels: 2,
        file_size: 10_000_000,
      },
    );
  });

  test("exits with what stands in the way", async () => {
    const [none, wrong] = await Promise.all([run("formats", "--format", "999"), run("formats", "--format", "bv[")]);
    assert.deepEqual([none.code, wrong.code], [4, 2]);
    assert.match(none.stdout, /^ {3}137 /m);
    assert.match(none.stderr, /^snatchctl: FORMAT_UNAVAILABLE: there is no format "999"/);
    assert.match(wrong.stderr, /^snatchctl: FORMAT_INVALID: format "bv\[", character 4: /);
  });

  test("lists the things that a URL leads to", async () => {
    meaning = { kind: "expansion", namedBy: URL_PAGE, items: [{ url: "https://media.example/1", title: "One" }] };
    const { code, stdout, stderr } = await run("formats");
    assert.deepEqual(
      [code, stdout, stderr],
      [0, "https://media.example/1  One\n", "it leads to one thing: ask for its formats by its own URL\n"],
    );
  });
});
