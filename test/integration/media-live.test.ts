/** Recordings of live streams: as long as was asked for, gone on with after a pause and after a death. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import type { ConfigInput } from "../../src/daemon/config/schema.ts";
import { libraryHome } from "../support/library.ts";
import { packets, playlistOf, segmentOrigin } from "../support/segment-origin.ts";
import { waitFor } from "../support/wait.ts";

const JOINED: ConfigInput = { ffmpeg: { path: "/nonexistent/ffmpeg" } };
const WINDOW = 4;

/** A stream whose window moves on with every second look; a second of media each. */
async function liveOrigin(total: number) {
  const segments = Array.from({ length: total }, () => packets(20));
  const origin = await segmentOrigin();
  for (const [index, bytes] of segments.entries()) origin.files.set(`/seg/${index}.ts`, bytes);
  const stream = { first: 0, step: 2, ended: false };
  origin.misbehave = (path, _times, _request, response) => {
    if (path !== "/live.m3u8") return false;
    const { first } = stream;
    stream.first = Math.min(first + stream.step, total - WINDOW);
    const list = playlistOf(WINDOW, { first, ended: stream.ended && first === total - WINDOW })
      .replaceAll("4.0,", "0.2,")
      .replace("DURATION:4", "DURATION:1");
    response.writeHead(200, { "Content-Type": "application/vnd.apple.mpegurl" }).end(list);
    return true;
  };
  return { origin, segments, stream };
}

test("--for ends a recording by the length of what was recorded", async () => {
  const { origin, segments } = await liveOrigin(40);
  await using _ = origin;
  await using home = await libraryHome();
  const manager = home.manager(JOINED);
  const [result] = await manager.download([`${origin.url}/live.m3u8`], { recordFor: 1.2 });
  assert.equal(result?.status, "completed", result?.error?.message);
  const bytes = await readFile(result.path ?? "");
  const at = segments.findIndex((segment) => segment.equals(bytes.subarray(0, segment.length)));
  assert.ok(at >= 0, "it begins with a segment");
  assert.ok(Buffer.concat(segments.slice(at, at + 6)).equals(bytes), `${bytes.length / (20 * 188)} segments`);
});

test("paused and resumed: what was recorded stays, new segments go behind it, a gap is no error", async () => {
  const { origin, segments, stream } = await liveOrigin(60);
  await using _ = origin;
  await using home = await libraryHome();
  const manager = home.manager(JOINED);
  await manager.start();
  const [session] = await manager.enqueue([`${origin.url}/live.m3u8`]);
  const id = session?.id ?? "";
  const count = async () => (await manager.sessions.get(id))?.progress.segments?.done ?? 0;
  await waitFor("five segments", async () => (await count()) >= 5);
  await manager.pause({ ids: [id] });
  const paused = await manager.sessions.get(id);
  assert.equal(paused?.status, "paused");
  // What was sent meanwhile is gone.
  stream.first = 30;
  stream.ended = true;
  stream.step = 4;
  const result = await manager.resumeDownload(id);
  assert.equal(result.status, "completed", result.error?.message);
  const bytes = await readFile(result.path ?? "");
  const order: number[] = [];
  for (let start = 0; start < bytes.length; start += 20 * 188)
    order.push(segments.findIndex((segment) => segment.equals(bytes.subarray(start, start + 20 * 188))));
  assert.ok(!order.includes(-1), "segments only");
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
    "in order",
  );
  assert.equal(new Set(order).size, order.length, "none twice");
  const gap = order.findIndex((index, at) => at > 0 && index > (order[at - 1] ?? 0) + 1);
  assert.ok(gap >= 5, `recorded before the pause: ${order.slice(0, gap)}`);
  assert.equal(order.at(-1), 59, "up to its end");
});

test("paused and resumed at once: nothing twice, nothing lost", async () => {
  const { origin, segments, stream } = await liveOrigin(12);
  await using _ = origin;
  await using home = await libraryHome();
  const manager = home.manager(JOINED);
  await manager.start();
  const [session] = await manager.enqueue([`${origin.url}/live.m3u8`]);
  const id = session?.id ?? "";
  await waitFor("segments", async () => ((await manager.sessions.get(id))?.progress.segments?.done ?? 0) >= 2);
  await manager.pause({ ids: [id] });
  stream.ended = true;
  const result = await manager.resumeDownload(id);
  assert.equal(result.status, "completed", result.error?.message);
  const bytes = await readFile(result.path ?? "");
  const at = segments.findIndex((segment) => segment.equals(bytes.subarray(0, segment.length)));
  assert.ok(Buffer.concat(segments.slice(at)).equals(bytes));
});
