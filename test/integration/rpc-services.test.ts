/** The services over a real Unix socket, called by the generated client. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { credentials, status } from "@grpc/grpc-js";
import { CacheKind, CacheServiceClient } from "../../src/gen/snatch/v1/cache_service.ts";
import { DaemonServiceClient } from "../../src/gen/snatch/v1/daemon_service.ts";
import {
  type AddListResponse,
  DownloadRequest,
  DownloadServiceClient,
  type FollowDownloadsResponse,
} from "../../src/gen/snatch/v1/download_service.ts";
import { DownloadOptions } from "../../src/gen/snatch/v1/session.ts";
import {
  type ImportSessionsResponse,
  SessionServiceClient,
  type WatchSessionsResponse,
} from "../../src/gen/snatch/v1/session_service.ts";
import { WatchFolderServiceClient } from "../../src/gen/snatch/v1/watch_folder_service.ts";
import { answer, call, errorOf, type RpcFixture, rpcFixture } from "../support/rpc-server.ts";
import { detailsOf } from "../support/rpc-status.ts";
import { waitFor } from "../support/wait.ts";

let fixture: RpcFixture;
let downloads: DownloadServiceClient;
let sessions: SessionServiceClient;
let folders: WatchFolderServiceClient;
let house: DaemonServiceClient;
let cache: CacheServiceClient;

before(async () => {
  fixture = await rpcFixture();
  await fixture.server.start();
  const address = `unix:${fixture.socket}`;
  downloads = new DownloadServiceClient(address, credentials.createInsecure());
  sessions = new SessionServiceClient(address, credentials.createInsecure());
  folders = new WatchFolderServiceClient(address, credentials.createInsecure());
  house = new DaemonServiceClient(address, credentials.createInsecure());
  cache = new CacheServiceClient(address, credentials.createInsecure());
});
after(async () => {
  for (const client of [downloads, sessions, folders, house, cache]) client.close();
  await fixture[Symbol.asyncDispose]();
});

const request = (url: string, options: Partial<DownloadOptions> = {}) => ({
  urls: [url],
  options: { ...DownloadOptions.fromPartial({}), ...options },
});
const add = (...wanted: DownloadRequest[]) => call(downloads.addDownloads.bind(downloads, { downloads: wanted }));
const list = (more: object = {}) =>
  call(
    sessions.listSessions.bind(sessions, {
      pageSize: 0,
      pageToken: "",
      filter: "",
      readMask: undefined,
      orderBy: "",
      ...more,
    }),
  );
const selectId = (id: string) => ({ selection: { sessionIds: [id], all: false, batchId: "" } });

describe("DownloadService", () => {
  test("takes requests in order; one that is refused does not stop the others", async () => {
    const given = await add(
      request("https://one.example/a"),
      request("no url"),
      request("https://u:geheim@two.example/b", { output: "relative.bin" }),
      DownloadRequest.fromPartial({}),
      request("https://u:geheim@two.example/b"),
    );
    assert.deepEqual(
      given.results.map(({ result }) => (result?.$case === "session" ? result.value.url : result?.value.code)),
      ["https://one.example/a", "INVALID_URL", "INVALID_ARGUMENT", "INVALID_ARGUMENT", "https://u:***@two.example/b"],
    );
    const refused = given.results[2]?.result;
    assert.ok(refused?.$case === "error");
    assert.equal(refused.value.metadata["field"], "downloads[2].options.output");
    assert.ok(refused.value.hint !== "");
    const { sessions: batch } = await list({ filter: `batch_id = "${given.batchId}"` });
    assert.equal(batch.length, 2);
    assert.equal((await add(request("https://single.example/"))).batchId, "");
  });

  test("an error carries its code, and the field to blame", async () => {
    const error = await errorOf(add());
    assert.equal(error.code, status.INVALID_ARGUMENT);
    const { info, badRequest } = detailsOf(error);
    assert.equal(info?.reason, "INVALID_ARGUMENT");
    assert.equal(info.domain, "snatch");
    assert.equal(badRequest?.fieldViolations[0]?.field, "downloads");
    const gone = await errorOf(call(downloads.pauseDownloads.bind(downloads, selectId("ffffffff"))));
    assert.equal(gone.code, status.NOT_FOUND);
    assert.equal(detailsOf(gone).info?.reason, "SESSION_NOT_FOUND");
  });

  test("what nobody expected is INTERNAL with an id and no stack", async () => {
    fixture.daemon.breakage = new TypeError("private matters");
    const error = await errorOf(call(downloads.pauseDownloads.bind(downloads, selectId("abcd"))));
    assert.equal(error.code, status.INTERNAL);
    assert.doesNotMatch(error.message + JSON.stringify(detailsOf(error)), /private|\.ts/);
    const incident = detailsOf(error).info?.metadata["incident"];
    assert.ok(fixture.logger.lines.some(({ fields }) => fields["incident"] === incident));
  });

  test("steers by id, by batch and all; moves; limits", async () => {
    const given = await add(request("https://steer.example/1"), request("https://steer.example/2"));
    const ids = given.results.map(({ result }) => (result?.$case === "session" ? result.value.sessionId : ""));
    const [first = "", second = ""] = ids;
    const { result: paused } = await call(downloads.pauseDownloads.bind(downloads, selectId(first.slice(0, 8))));
    assert.equal(paused?.changedCount, 1);
    assert.equal(paused.sessions[0]?.status, "SESSION_STATUS_PAUSED");
    const batch = { selection: { sessionIds: [], all: false, batchId: given.batchId } };
    assert.equal((await call(downloads.resumeDownloads.bind(downloads, batch))).result?.changedCount, 1);
    const moved = await call(
      downloads.moveDownload.bind(downloads, { sessionId: second, destination: { $case: "top", value: true } }),
    );
    assert.equal(moved.session?.queuePosition, 1);
    const limit = await call(downloads.setLimit.bind(downloads, { sessionId: "", bytesPerSecond: 1000 }));
    assert.equal(limit.bytesPerSecond, 1000);
    assert.equal((await call(house.getStatus.bind(house, {}))).limitBytesPerSecond, 1000);
    const { result: removed } = await call(downloads.removeDownloads.bind(downloads, selectId(first)));
    assert.equal(removed?.sessions[0]?.sessionId, first);
    const all = { selection: { sessionIds: [], all: true, batchId: "" } };
    assert.ok(((await call(downloads.cancelDownloads.bind(downloads, all))).result?.changedCount ?? 0) > 0);
    assert.ok(((await call(downloads.retryDownloads.bind(downloads, all))).result?.changedCount ?? 0) > 0);
  });

  test("takes a list as bytes, however it is cut", async () => {
    const taken = await sendList(["https://l.ex", "ample/1\nnonsense\nhttps://l.example/2\n"]);
    assert.equal(taken.acceptedCount, 2);
    assert.equal(taken.refusedCount, 1);
    assert.equal(taken.refused[0]?.lineNumber, 2);
    assert.equal(taken.refused[0].error?.code, "INVALID_URL");
    assert.equal(fixture.daemon.jobs.at(-1)?.name, "list.txt");
    assert.equal(fixture.daemon.jobs.at(-1)?.allowedDirectories, undefined);
  });

  test("a list without its header is refused", async () => {
    const error = await errorOf(
      answer<AddListResponse>((done) => {
        const stream = downloads.addList(done);
        stream.write({ part: { $case: "data", value: Buffer.from("x") } });
        stream.end();
      }),
    );
    assert.equal(detailsOf(error).badRequest?.fieldViolations[0]?.field, "header");
  });

  test("a list whose sender leaves never passes for a whole one", async () => {
    for (let round = 0; round < 20; round++) {
      const jobs = fixture.daemon.jobs.length;
      const left = downloads.addList(() => {});
      left.write({ part: { $case: "header", value: { name: "left", options: undefined } } });
      left.write({ part: { $case: "data", value: Buffer.from("https://left.example/cut-sh") } });
      const job = await waitFor("the list arrives", () => fixture.daemon.jobs[jobs]);
      left.cancel();
      await waitFor("the job is told", () => job.signal?.aborted === true);
      await waitFor("no stream is left", () => fixture.server.openStreams === 0);
    }
    assert.deepEqual((await list({ filter: 'url = "https://left.example/*"' })).sessions, []);
  });

  test("follows until the end", async () => {
    const { id } = fixture.daemon.add();
    const stream = downloads.followDownloads({ sessionIds: [id], batchId: "" });
    const messages: FollowDownloadsResponse[] = [];
    stream.on("data", (message: FollowDownloadsResponse) => messages.push(message));
    await once(stream, "data");
    fixture.daemon.change(id, { status: "active" });
    fixture.daemon.change(id, { status: "completed" });
    await once(stream, "end");
    assert.equal(messages[0]?.sessions[0]?.status, "SESSION_STATUS_QUEUED");
    assert.equal(messages.at(-1)?.summary?.completedCount, 1);
    const both = downloads.followDownloads({ sessionIds: [id], batchId: "b" });
    const [error] = await once(both, "error");
    assert.equal(error.code, status.INVALID_ARGUMENT);
  });
});

const sendList = (pieces: readonly string[]) =>
  answer<AddListResponse>((done) => {
    const stream = downloads.addList(done);
    stream.write({ part: { $case: "header", value: { name: "list.txt", options: undefined } } });
    for (const piece of pieces) stream.write({ part: { $case: "data", value: Buffer.from(piece) } });
    stream.end();
  });

describe("SessionService", () => {
  test("gives one session, by the beginning of its id and by a mask", async () => {
    const { id } = fixture.daemon.add("https://get.example/file?token=geheim");
    const get = (sessionId: string, readMask?: string[]) =>
      call(sessions.getSession.bind(sessions, { sessionId, readMask }));
    const { session } = await get(id.slice(0, 12));
    assert.equal(session?.sessionId, id);
    assert.equal(session.url, "https://get.example/file?token=***");
    assert.ok(session.queuePosition > 0);
    const masked = (await get(id, ["url", "progress.downloaded_bytes"])).session;
    assert.equal(masked?.sessionId, "");
    assert.equal(masked?.url, "https://get.example/file?token=***");
    assert.equal((await errorOf(get(id, ["nonsense"]))).code, status.INVALID_ARGUMENT);
  });

  test("lists by pages in the order of creation, and backwards", async () => {
    await call(downloads.removeDownloads.bind(downloads, { selection: { sessionIds: [], all: true, batchId: "" } }));
    const made = Array.from({ length: 7 }, () => fixture.daemon.add().id);
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await list({ pageSize: 3, pageToken });
      assert.ok(page.sessions.length <= 3);
      seen.push(...page.sessions.map(({ sessionId }) => sessionId));
      pageToken = page.nextPageToken;
      assert.equal(page.statusCounts["queued"], 7);
    } while (pageToken !== "");
    assert.deepEqual(seen, made);
    const newest = await list({ pageSize: 2, orderBy: "create_time desc" });
    assert.deepEqual(
      newest.sessions.map(({ sessionId }) => sessionId),
      made.slice(-2).reverse(),
    );
    for (const bad of [{ pageToken: "x" }, { pageSize: -1 }, { orderBy: "url" }, { filter: "colour = red" }])
      assert.equal((await errorOf(list(bad))).code, status.INVALID_ARGUMENT, JSON.stringify(bad));
  });

  test("more than a step of the store fits into a page", async () => {
    for (let i = 0; i < 600; i++) fixture.daemon.add(undefined, { status: "failed" });
    assert.equal((await list({ pageSize: 1000, filter: "status = failed" })).sessions.length, 600);
    assert.equal((await list({ filter: "status = failed" })).sessions.length, 100);
  });

  test("watches from now, from a number, and through a filter; leaves nothing behind", async () => {
    const stream = sessions.watchSessions({ filter: "status = queued" });
    const messages: WatchSessionsResponse[] = [];
    stream.on("data", (message: WatchSessionsResponse) => messages.push(message));
    stream.on("error", () => {});
    await once(stream, "data");
    const { id } = fixture.daemon.add();
    fixture.daemon.change(id, { status: "paused" });
    fixture.daemon.change(id, { status: "queued" });
    await waitFor("two events", () => messages.length === 3);
    assert.deepEqual(
      messages.map(({ event }) => event?.$case),
      ["start", "created", "updated"],
    );
    const last = messages[1]?.sequence ?? 0;
    stream.cancel();
    await waitFor("the stream is gone", () => fixture.server.openStreams === 0);

    const again = sessions.watchSessions({ afterSequence: last, filter: "" });
    again.on("error", () => {});
    const replayed: WatchSessionsResponse[] = [];
    again.on("data", (message: WatchSessionsResponse) => replayed.push(message));
    await waitFor("the events after it", () => replayed.length === 3);
    assert.deepEqual(
      replayed.slice(1).map(({ sequence }) => sequence),
      [last + 1, last + 2],
    );
    again.cancel();

    const lost = sessions.watchSessions({ afterSequence: 1, filter: "" });
    lost.on("error", () => {});
    const told: WatchSessionsResponse[] = [];
    lost.on("data", (message: WatchSessionsResponse) => told.push(message));
    await waitFor("a gap", () => told.length > 1);
    assert.deepEqual(told[1]?.event, { $case: "gap", value: { oldestSequence: fixture.daemon.events.oldest } });
    lost.cancel();
    await waitFor("no stream is left", () => fixture.server.openStreams === 0);
  });

  test("exports, and imports what is not here", async () => {
    const stream = sessions.exportSessions({ filter: "" });
    const pieces: Buffer[] = [];
    for await (const { data } of stream as AsyncIterable<{ data: Buffer }>) pieces.push(data);
    const text = Buffer.concat(pieces).toString();
    assert.ok(text.endsWith("\n"));
    const [first = ""] = text.split("\n");
    const fresh = first.replace(/"session_id":"[^"]*"/, '"session_id":"5d2c9f6e-0000-4000-8000-00000000beef"');
    const imported = await answer<ImportSessionsResponse>((done) => {
      const upload = sessions.importSessions(done);
      const bytes = Buffer.from(`${first}\n\nrubbish\n${fresh}`);
      upload.write({ data: bytes.subarray(0, 10) });
      upload.write({ data: bytes.subarray(10) });
      upload.end();
    });
    assert.deepEqual(imported, { importedCount: 1, skippedCount: 1, refused: ["not JSON: rubbish"] });
  });
});

describe("CacheService", () => {
  test("tells what is kept of each kind", async () => {
    const stats = await call(cache.getCacheStats.bind(cache, {}));
    assert.deepEqual([stats.enabled, stats.directory, stats.problem], [true, "/c/snatch", ""]);
    assert.equal(stats.lastCleanTime?.toISOString(), "2026-11-22T12:00:00.000Z");
    assert.equal(stats.lastCompactTime, undefined);
    assert.deepEqual(
      stats.kinds.map(({ kind, maxBytes, maxEntries, damaged }) => [kind, maxBytes, maxEntries, damaged]),
      [
        ["CACHE_KIND_METADATA", 1e6, undefined, 6],
        ["CACHE_KIND_SESSIONS", undefined, 1000, 0],
      ],
    );
  });

  test("cleans, compacts and clears, and says what was freed", async () => {
    const clear = (kind: CacheKind) => call(cache.clearCache.bind(cache, { kind }));
    for (const { freed } of [
      await call(cache.cleanCache.bind(cache, {})),
      await call(cache.compactCache.bind(cache, {})),
      await clear(CacheKind.UNSPECIFIED),
      await clear(CacheKind.THUMBNAILS),
    ])
      assert.deepEqual(freed, { entries: 2, bytes: 5000 });
    assert.deepEqual(fixture.daemon.cared, ["clean", "compact", "clear all", "clear thumbnails"]);
    assert.equal((await errorOf(clear(CacheKind.UNRECOGNIZED))).code, status.INVALID_ARGUMENT);
  });
});

describe("WatchFolderService and DaemonService", () => {
  test("adds, lists and removes folders", async () => {
    const { watchFolder } = await call(folders.addWatchFolder.bind(folders, { path: "/w/b", directory: "" }));
    assert.equal(watchFolder?.directory, "/d");
    await call(folders.addWatchFolder.bind(folders, { path: "/w/a", directory: "/e" }));
    const { watchFolders } = await call(folders.listWatchFolders.bind(folders, {}));
    assert.deepEqual(
      watchFolders.map(({ path }) => path),
      ["/w/a", "/w/b"],
    );
    await call(folders.removeWatchFolder.bind(folders, { path: "/w/a" }));
    const error = await errorOf(call(folders.removeWatchFolder.bind(folders, { path: "/w/a" })));
    assert.equal(detailsOf(error).info?.reason, "WATCH_FOLDER_INVALID");
    assert.equal((await errorOf(call(folders.addWatchFolder.bind(folders, { path: "w", directory: "" })))).code, 3);
  });

  test("tells how the daemon is", async () => {
    const given = await call(house.getStatus.bind(house, {}));
    assert.equal(given.pid, process.pid);
    assert.equal(given.downloadDirectory, "/d");
    assert.equal(given.startTime?.toISOString(), "2026-11-22T12:00:00.000Z");
    assert.deepEqual([given.memoryBytes, given.memoryPressure, given.memoryLimitedBy], [5e7, 1, "/box"]);
    assert.deepEqual([given.memoryLimitBytes, given.memoryUsedBytes], [1e9, 8.5e8]);
    assert.ok((given.statusCounts["queued"] ?? 0) > 0);
  });

  test("gets and sets the configuration, reloads, checks, and begins the end", async () => {
    const get = (...keys: string[]) => call(house.getConfig.bind(house, { keys }));
    assert.deepEqual(
      (await get("audio")).values.map(({ key }) => key),
      ["audio.on_download"],
    );
    assert.equal((await errorOf(get("nonsense"))).code, status.INVALID_ARGUMENT);
    const set = (valuesJson: Record<string, string>) => call(house.setConfig.bind(house, { valuesJson }));
    const { changes } = await set({ chunk_size: "4096" });
    assert.deepEqual(changes, [{ key: "chunk_size", oldJson: "8388608", newJson: "4096", needsRestart: false }]);
    assert.equal(detailsOf(await errorOf(set({ nope: "1" }))).info?.reason, "CONFIG_INVALID");
    assert.equal((await errorOf(set({ chunk_size: "{" }))).code, status.INVALID_ARGUMENT);
    assert.deepEqual((await call(house.reloadConfig.bind(house, {}))).changes, []);
    const { results } = await call(house.runChecks.bind(house, { checkIds: [] }));
    assert.equal(results[0]?.status, "CHECK_STATUS_OK");
    await call(house.shutdown.bind(house, { reason: "tired" }));
    assert.deepEqual(fixture.daemon.shutdowns, ["tired"]);
  });

  test("heeds the caller's deadline", async () => {
    const begun = performance.now();
    const error = await errorOf(
      call(house.runChecks.bind(house, { checkIds: ["endless"] }), { deadline: Date.now() + 100 }),
    );
    assert.equal(error.code, status.DEADLINE_EXCEEDED);
    assert.ok(performance.now() - begun < 5000);
  });
});

describe("hostile input", () => {
  const raw = (bytes: Buffer) =>
    errorOf(
      answer<Buffer | undefined>((done) =>
        downloads.makeUnaryRequest(
          "/snatch.v1.DownloadService/SetLimit",
          (value: Buffer) => value,
          (value) => value,
          bytes,
          (error, response) => done(error, response),
        ),
      ),
    );

  test("what cannot be decoded is the caller's error, not the daemon's", async () => {
    for (const bytes of [Buffer.from([0xff]), Buffer.from("0a7f", "hex"), Buffer.from("10ffffffffffffffff7f", "hex")]) {
      const error = await raw(bytes);
      assert.equal(error.code, status.INVALID_ARGUMENT, bytes.toString("hex"));
      assert.equal(detailsOf(error).info?.reason, "INVALID_ARGUMENT");
    }
  });

  test("a message of more than 4 MiB is refused and the connection lives on", async () => {
    const error = await raw(Buffer.alloc(5 * 1024 * 1024));
    assert.equal(error.code, status.RESOURCE_EXHAUSTED);
    await call(house.getStatus.bind(house, {}));
  });
});
