/** Ends at the worst moments of the store stage, brought about by a disk that fails right there. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { failure } from "../../src/daemon/core/errors.ts";
import type { StepFactory } from "../../src/daemon/core/ports/media.ts";
import { DiskFileStore } from "../../src/daemon/disk/file-store.ts";
import { DownloadManager } from "../../src/daemon/download/manager.ts";
import type { DownloadSettings } from "../../src/daemon/download/settings.ts";
import { UndiciClient } from "../../src/daemon/http/client.ts";
import { HttpSourceFactory } from "../../src/daemon/http/source.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { DirectResolver } from "../../src/daemon/resolve/direct.ts";
import { SessionManager } from "../../src/daemon/session/session-manager.ts";
import { MemoryKeyValue } from "../support/memory-key-value.ts";
import { ORIGIN_BYTES, startOrigin } from "../support/origins/catalogue.ts";
import { resourceOf, serve } from "../support/origins/origin.ts";
import { RecordLogger } from "../support/record-logger.ts";

/** Puts the file in place, and then fails once, as if the process had died before it could say so. */
class DiesAfterRename extends DiskFileStore {
  failures = 1;

  override async place(...args: Parameters<DiskFileStore["place"]>): ReturnType<DiskFileStore["place"]> {
    const placed = await super.place(...args);
    if (this.failures-- > 0) throw failure("IO_ERROR", "the disk went away behind the rename");
    return placed;
  }
}

/** The same a moment earlier. */
class DiesBeforeRename extends DiskFileStore {
  failures = 1;

  override async place(...args: Parameters<DiskFileStore["place"]>): ReturnType<DiskFileStore["place"]> {
    if (this.failures > 0) {
      this.failures--;
      throw failure("IO_ERROR", "the disk went away before the rename");
    }
    return super.place(...args);
  }
}

/** A step that turns every bit over, and makes the file a little longer. */
const inverted = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(bytes.map((byte) => byte ^ 0xff)), Buffer.from("!")]);
const INVERT: StepFactory = {
  steps: (names) =>
    names.map((name) => ({
      name,
      async run({ path }, output) {
        const made = `${output}.bin`;
        await writeFile(made, inverted(await readFile(path)));
        return { path: made };
      },
    })),
};

async function engine(files: DiskFileStore, directory: string, steps?: StepFactory) {
  const clock = new SystemClock();
  const logger = new RecordLogger();
  const sessions = new SessionManager({
    store: new MemoryKeyValue(),
    clock,
    logger,
    options: { keepDays: 1, keepCount: 100, milestones: [100], eventsKept: 100 },
  });
  await sessions.start();
  const client = new UndiciClient({ userAgent: "test" }, { clock, logger });
  const settings: DownloadSettings = {
    downloadDir: directory,
    maxConcurrent: 2,
    chunkSize: 16 * 1024,
    maxRetries: 3,
    retryDelay: 0.01,
    enableResume: true,
    verifyChunks: true,
    connections: 2,
    limit: 0,
    timeout: 5,
    ifExists: "rename",
    minFreeSpace: 0,
    memoryHeadroom: () => 1e9,
  };
  const sources = new HttpSourceFactory({ client, clock });
  const manager = new DownloadManager(
    {
      store: sessions,
      files,
      sources,
      resolvers: [new DirectResolver(sources)],
      clock,
      logger,
      ...(steps && { steps }),
    },
    () => settings,
  );
  await manager.start();
  return {
    manager,
    async [Symbol.asyncDispose]() {
      await manager[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
      await sessions[Symbol.asyncDispose]();
    },
  };
}

describe("the store stage, cut short", () => {
  for (const [chunks, bytes] of [
    ["one chunk", ORIGIN_BYTES.subarray(0, 10_000)],
    ["several chunks", ORIGIN_BYTES],
  ] as const) {
    test(`behind the rename, ${chunks}: the file is known again, nothing is fetched or named twice`, async () => {
      const directory = await mkdtemp(join(tmpdir(), "snatch-crash-"));
      await using origin = await startOrigin("well-behaved", {
        bytes: Buffer.from(bytes),
        etag: '"v1"',
        lastModified: "Mon, 06 Jan 2020 10:00:00 GMT",
      });
      const files = new DiesAfterRename();
      await using made = await engine(files, directory);
      const [result] = await made.manager.download([origin.url]);
      assert.equal(result?.status, "completed", result?.error?.message);
      assert.equal(files.failures, 0, "the failure has taken place");
      assert.deepEqual(await readdir(directory), ["file.bin"]);
      assert.deepEqual(await readFile(join(directory, "file.bin")), Buffer.from(bytes));
      const asked = origin.requests.length;
      assert.ok(asked <= Math.ceil(bytes.length / (16 * 1024)), `${asked} requests`);
      await rm(directory, { recursive: true });
    });
  }

  for (const Files of [DiesBeforeRename, DiesAfterRename])
    test(`what a step made is never gone on with as if the origin had sent it: ${Files.name}`, async () => {
      const directory = await mkdtemp(join(tmpdir(), "snatch-crash-"));
      await using origin = await startOrigin("well-behaved", {
        bytes: ORIGIN_BYTES,
        etag: '"v1"',
        lastModified: "Mon, 06 Jan 2020 10:00:00 GMT",
      });
      const files = new Files();
      await using made = await engine(files, directory, INVERT);
      const [result] = await made.manager.download([origin.url], { audio: ["invert"] });
      assert.equal(result?.status, "completed", result?.error?.message);
      assert.equal(files.failures, 0, "the failure has taken place");
      assert.deepEqual(await readdir(directory), ["file.bin"]);
      assert.ok((await readFile(join(directory, "file.bin"))).equals(inverted(ORIGIN_BYTES)));
      await rm(directory, { recursive: true });
    });

  for (const [when, Files] of [
    ["behind the rename", DiesAfterRename],
    ["behind the record, before the rename", DiesBeforeRename],
  ] as const)
    test(`${when} of a whole that replaces an older part: nothing of either is left`, async () => {
      const directory = await mkdtemp(join(tmpdir(), "snatch-crash-"));
      const resource = resourceOf(ORIGIN_BYTES);
      await using origin = await serve(resource, (call) => {
        // The connection breaks: until it is made anew, what has come is recorded.
        if (call.seen.number === 4) call.raw("", "reset");
        else if (call.seen.number < 4) call.answer();
        else call.send(200, { etag: resource.etag }, resource.bytes);
      });
      const files = new Files();
      await using made = await engine(files, directory);
      const [result] = await made.manager.download([origin.url]);
      assert.equal(result?.status, "completed", result?.error?.message);
      assert.equal(files.failures, 0, "the failure has taken place");
      assert.deepEqual(await readdir(directory), ["file.bin"]);
      assert.deepEqual(await readFile(join(directory, "file.bin")), ORIGIN_BYTES);
      await rm(directory, { recursive: true });
    });

  test("a file of somebody else under the name is not taken for ours", async () => {
    const directory = await mkdtemp(join(tmpdir(), "snatch-crash-"));
    await using origin = await startOrigin("well-behaved");
    const files = new (class extends DiesAfterRename {
      override async place(...args: Parameters<DiskFileStore["place"]>): ReturnType<DiskFileStore["place"]> {
        return super.place(...args).catch(async (error: unknown) => {
          await writeFile(args[1], Buffer.alloc(ORIGIN_BYTES.length, 7));
          throw error;
        });
      }
    })();
    await using made = await engine(files, directory);
    const [result] = await made.manager.download([origin.url]);
    assert.equal(result?.path, join(directory, "file (1).bin"));
    assert.deepEqual(await readFile(result.path), ORIGIN_BYTES);
    assert.deepEqual(await readFile(join(directory, "file.bin")), Buffer.alloc(ORIGIN_BYTES.length, 7));
    await rm(directory, { recursive: true });
  });
});
