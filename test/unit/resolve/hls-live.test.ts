/** Live playlists: what is new is fetched once, gaps are told, and the end is noticed. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { Segment } from "../../../src/daemon/core/resolved.ts";
import { DirectResolver } from "../../../src/daemon/resolve/direct.ts";
import { headersFor } from "../../../src/daemon/resolve/document.ts";
import { HlsResolver } from "../../../src/daemon/resolve/hls.ts";
import { documentSources, type Served } from "../../support/documents.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";

const AT = "https://h/live/list.m3u8";
const { signal } = new AbortController();

/** A window of a live stream of segments of four seconds. */
function playlist(sequence: number, count: number, ...more: readonly string[]): string {
  const lines = Array.from({ length: count }, (_, index) => `#EXTINF:4,\n${sequence + index}.ts`);
  return ["#EXTM3U", "#EXT-X-TARGETDURATION:4", `#EXT-X-MEDIA-SEQUENCE:${sequence}`, ...lines, ...more, ""].join("\n");
}

const shown = (found: readonly Segment[] | undefined) =>
  found?.map(
    ({ url, discontinuity }) => `${url.replace("https://h/live/", "").replace(".ts", "")}${discontinuity ? "!" : ""}`,
  );

/** A live stream whose playlist is what the test says. */
async function follow(first: Served) {
  let now: Served = first;
  const { sources, asked } = documentSources({ [AT]: () => now });
  const clock = new TestClock();
  const logger = new RecordLogger();
  const resolver = new HlsResolver({ sources, clock, logger, direct: new DirectResolver(sources) });
  const found = await resolver.resolve({ url: AT, mirrors: [], options: {} }, signal);
  assert.ok(found.kind === "media");
  const track = await found.formats[0]?.track(signal);
  assert.ok(track);
  return {
    asked,
    clock,
    logger,
    live: found.live,
    first: shown(track.segments),
    more: track.more?.bind(track),
    /** What comes within so many seconds with this playlist; "waiting" if nothing does. */
    next: async (served: Served, seconds = 4) => {
      now = served;
      const ended = new AbortController();
      const more = track.more?.(ended.signal).then(shown);
      const waited = new Promise((resolve) => void clock.sleep(seconds * 1000 + 1).then(() => resolve("waiting")));
      await clock.advance(seconds * 1000 + 1);
      const result = await Promise.race([more, waited]);
      if (result === "waiting") {
        more?.catch(() => undefined);
        ended.abort();
      }
      return result;
    },
  };
}

describe("a live playlist", () => {
  test("is joined three target durations before its end", async () => {
    const { first, live } = await follow(playlist(10, 8));
    assert.equal(live, true);
    assert.deepEqual(first, ["15", "16", "17"]);
    assert.deepEqual((await follow(playlist(10, 2))).first, ["10", "11"]);
  });

  test("gives each new segment once, a target duration after the last look", async () => {
    const { next, asked } = await follow(playlist(10, 3));
    const before = asked.length;
    assert.equal(await next(playlist(11, 3), 3), "waiting");
    assert.equal(asked.length, before, "not before its time");
    assert.deepEqual(await next(playlist(11, 3), 1), ["13"]);
    assert.deepEqual(await next(playlist(12, 5)), ["14", "15", "16"]);
  });

  test("that has not changed is looked at after half of one", async () => {
    const { next, asked } = await follow(playlist(10, 3));
    const before = asked.length;
    assert.equal(await next(playlist(10, 3), 4), "waiting");
    assert.equal(asked.length, before + 1);
    assert.deepEqual(await next(playlist(10, 4), 2), ["13"]);
  });

  test("an older copy of it brings nothing twice", async () => {
    const { next } = await follow(playlist(10, 5));
    assert.equal(await next(playlist(8, 5)), "waiting");
    assert.deepEqual(await next(playlist(11, 5), 2), ["15"]);
  });

  test("whose window went on too far has a gap, which is told", async () => {
    const { next, logger } = await follow(playlist(10, 3));
    assert.deepEqual(await next(playlist(20, 2)), ["20!", "21"]);
    assert.deepEqual(
      logger.lines.map(({ level, fields }) => [level, fields["missed"]]),
      [["warn", 7]],
    );
  });

  test("with a segment that the origin has not is gone on with, and that is told", async () => {
    const { next, logger } = await follow(playlist(10, 3));
    assert.deepEqual(
      await next(`${playlist(11, 3).replace("#EXTINF:4,\n13", "#EXT-X-GAP\n#EXTINF:4,\n13")}#EXTINF:4,\n14.ts\n`),
      ["14!"],
    );
    assert.deepEqual(
      logger.lines.map(({ level, fields }) => [level, fields["segment"]]),
      [["warn", 13]],
    );
  });

  test("that begins anew is gone on with, and that is told", async () => {
    const { next, logger } = await follow(playlist(1000, 3));
    assert.deepEqual(await next(playlist(0, 2)), ["0!", "1"]);
    assert.match(logger.lines[0]?.message ?? "", /begun anew/);
  });

  test("ends when it says so", async () => {
    const { next } = await follow(playlist(10, 3));
    assert.deepEqual(await next(playlist(10, 4, "#EXT-X-ENDLIST")), ["13"]);
    assert.equal(await next(playlist(10, 4, "#EXT-X-ENDLIST")), undefined);
  });

  test("ends when it has not changed for long", async () => {
    const { next, logger } = await follow(playlist(10, 3));
    assert.equal(await next(playlist(10, 3), 70), undefined);
    assert.match(logger.lines.at(-1)?.message ?? "", /counts as ended/);
  });

  test("ends when it has been gone for long", async () => {
    const { next } = await follow(playlist(10, 3));
    assert.equal(await next(failure("HTTP_NOT_FOUND", "gone"), 70), undefined);
  });

  test("that cannot be read for a while is gone on with; for long it is an error", async () => {
    const { next, more, clock } = await follow(playlist(10, 3));
    assert.equal(await next(failure("HTTP_SERVER_ERROR", "busy"), 10), "waiting");
    assert.deepEqual(await next(playlist(11, 3), 4), ["13"]);
    assert.equal(await next("#EXTM3U\n#EXTINF:4,", 10), "waiting");
    assert.deepEqual(await next(playlist(12, 3), 4), ["14"]);
    await next(failure("HTTP_SERVER_ERROR", "busy"), 30);
    const failed = assert.rejects(async () => await more?.(signal), { code: "HTTP_SERVER_ERROR" });
    await clock.advance(60_000);
    await failed;
  });

  test("that a page named is asked for under the page's name each time", async () => {
    const { sources, asked } = documentSources({ [AT]: playlist(10, 3) });
    const clock = new TestClock();
    const direct = new DirectResolver(sources);
    const resolver = new HlsResolver({ sources, clock, logger: new RecordLogger(), direct });
    const page = "https://h/page.html";
    const { formats } = await resolver.open(AT, { url: page, mirrors: [], options: {} }, page, signal);
    const track = await formats[0]?.track(signal);
    const ended = new AbortController();
    const more = track?.more?.(ended.signal).catch(() => undefined);
    await clock.advance(5000);
    ended.abort();
    await more;
    const named = asked.filter(({ url }) => url === AT).map(({ namedBy }) => namedBy);
    assert.ok(named.length >= 3);
    assert.deepEqual(new Set(named), new Set([page]));
  });

  test("gets the user that its URL names, and so do its segments, but nothing elsewhere does", async () => {
    const base = "https://h/live/";
    const list = playlist(10, 3).replace("#EXTINF:4,\n11", "#EXTINF:4,\nhttps://other.example/11");
    const served = () => ({ body: list, url: AT });
    const asked = AT.replace("h/", "user:p%40ss@h/");
    const { sources, asked: requests } = documentSources({ [asked]: served, [AT]: served });
    const clock = new TestClock();
    const direct = new DirectResolver(sources);
    const resolver = new HlsResolver({ sources, clock, logger: new RecordLogger(), direct });
    const request = { url: asked, mirrors: [], options: {} };
    const found = await resolver.resolve(request, signal);
    assert.ok(found.kind === "media");
    const track = await found.formats[0]?.track(signal);
    const basic = [["Authorization", `Basic ${Buffer.from("user:p@ss").toString("base64")}`]];
    assert.deepEqual(track?.headers, basic);
    assert.deepEqual(
      requests.map(({ url, headers }) => [url, headers]),
      [
        [asked, []],
        [AT, basic],
      ],
    );
    assert.deepEqual(headersFor(`${base}key`, request), basic);
    for (const other of [
      "https://other.example/11.ts",
      "http://h/live/1.ts",
      "https://h:444/1.ts",
      "https://me:x@h/1.ts",
    ])
      assert.deepEqual(headersFor(other, request), [], other);
    const own = { ...request, options: { headers: [["authorization", "Bearer b"]] as const } };
    assert.deepEqual(headersFor(`${base}key`, own), own.options.headers);
  });

  test("waiting for it can be called off", async () => {
    const { more, clock } = await follow(playlist(10, 3));
    const over = new AbortController();
    const waiting = assert.rejects(async () => await more?.(over.signal), { message: "enough" });
    over.abort(new Error("enough"));
    await waiting;
    assert.equal(clock.pending, 0);
  });

  test("of which everything stays (EVENT) is recorded from now on as well", async () => {
    const { first } = await follow(playlist(0, 50).replace("#EXT-X-MEDIA", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-MEDIA"));
    assert.deepEqual(first, ["47", "48", "49"]);
  });

  test("that will not change (VOD) is not live, even if it does not say that it ends", async () => {
    const vod = playlist(0, 5).replace("#EXT-X-MEDIA", "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA");
    const { live, first, more } = await follow(vod);
    assert.deepEqual([live, first?.length, more], [false, 5, undefined]);
  });

  test("without a segment is waited for", async () => {
    const { first, next } = await follow("#EXTM3U\n#EXT-X-TARGETDURATION:4\n");
    assert.deepEqual(first, []);
    assert.deepEqual(await next(playlist(0, 1)), ["0"]);
  });
});
