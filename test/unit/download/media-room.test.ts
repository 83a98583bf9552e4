/** A track whose look-ahead is full, and pieces that cross the blocks in which segments are collected. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { copyInto } from "../../../src/daemon/core/byte-target.ts";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { ChunkSource } from "../../../src/daemon/core/ports/sources.ts";
import { RateLimit } from "../../../src/daemon/core/rate-limit.ts";
import { DiskFileStore } from "../../../src/daemon/disk/file-store.ts";
import { ChunkHasher } from "../../../src/daemon/download/chunk-hasher.ts";
import { HookRunner } from "../../../src/daemon/download/hook-runner.ts";
import { SegmentKeys } from "../../../src/daemon/download/media/segment-keys.ts";
import { TrackFetch } from "../../../src/daemon/download/media/track-fetch.ts";
import { Meter } from "../../../src/daemon/download/meter.ts";
import { Run } from "../../../src/daemon/download/run.ts";
import { Slabs } from "../../../src/daemon/download/slabs.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { requestFor, sessionFixture } from "../../support/session-fixture.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const MIB = 1024 * 1024;

test("a piece that crosses two blocks while there is no room goes on when there is", { timeout: 20_000 }, async () => {
  await using folder = await temporaryFolder();
  const { sessions, logger } = await sessionFixture();
  const clock = new SystemClock();
  // The second fills the 32 MiB that may wait for the first; the third comes in one piece, when there is no room for any of it.
  const segments = [randomBytes(1000), randomBytes(34 * MIB), randomBytes(600_000)];
  const full = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const ways: readonly ((give: ReturnType<typeof copyInto>) => Promise<void>)[] = [
    async (give) => {
      await held.promise;
      await give(segments[0] ?? Buffer.alloc(0));
    },
    async (give) => {
      const all = segments[1] ?? Buffer.alloc(0);
      for (let from = 0; from < all.length; from += 100_000) {
        const room = give(all.subarray(from, from + 100_000));
        if (room) full.resolve();
        await room;
      }
    },
    async (give) => {
      await full.promise;
      const room = give(segments[2] ?? Buffer.alloc(0));
      assert.ok(room, "there is no room");
      held.resolve();
      await room;
    },
  ];
  const sourceOf = (url: string): ChunkSource => {
    const index = Number(new URL(url).pathname.slice(1));
    const way = ways[index];
    if (!way) throw failure("INTERNAL", "no such segment");
    return {
      id: url,
      open: ({ start }) =>
        Promise.resolve({
          start,
          resource: { finalUrl: url, ranges: false, size: segments[index]?.length ?? 0 },
          pipe: (sink) => way(sink as ReturnType<typeof copyInto>),
          receive: (target) => way(copyInto(target)),
          cancel: () => undefined,
        }),
    };
  };
  const [session] = await sessions.create([requestFor("track")]);
  assert.ok(session);
  const files = new DiskFileStore();
  await using hasher = new ChunkHasher(clock);
  const run = new Run({
    engine: {
      store: sessions,
      files,
      sources: { http: sourceOf },
      resolvers: [],
      clock,
      logger,
      intake: {
        check: () => requestFor("none"),
        accept: () => Promise.resolve([]),
      },
      hooks: new HookRunner(clock, logger),
      slabs: new Slabs(() => 0),
      hasher,
      limit: new RateLimit(clock),
      meter: new Meter(clock),
    },
    session,
    settings: {
      downloadDir: folder.path,
      maxConcurrent: 1,
      chunkSize: MIB,
      maxRetries: 0,
      retryDelay: 0,
      enableResume: true,
      verifyChunks: true,
      connections: 3,
      limit: 0,
      timeout: 5,
      ifExists: "rename",
      minFreeSpace: 0,
      memoryHeadroom: () => 1e9,
    },
    signal: new AbortController().signal,
    limit: new RateLimit(clock),
    meter: new Meter(clock),
  });
  const part = await files.openPart(join(folder.path, "track.part"));
  const listed = segments.map((_, index) => ({ url: `http://origin.test/${index}` }));
  const track = new TrackFetch({
    run,
    track: { kind: "both", container: "ts", segments: listed, headers: [] },
    part,
    epoch: 1,
    prefix: { recorded: [], segments: listed },
    keys: new SegmentKeys(sourceOf),
    atOnce: 3,
    onProgress: () => undefined,
    onConnections: () => undefined,
    failed: new AbortController(),
  });
  const lengths = await track.all();
  await part.close();
  assert.deepEqual(
    lengths,
    segments.map(({ length }) => length),
  );
  assert.ok((await readFile(part.path)).equals(Buffer.concat(segments)));
});
