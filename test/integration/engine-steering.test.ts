/** The engine when others interfere: names that collide, steering in the wrong moment, records that fail, hooks. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, statfs } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { failure } from "../../src/daemon/core/errors.ts";
import type { Session } from "../../src/daemon/core/session.ts";
import type { DownloadManager } from "../../src/daemon/library.ts";
import { libraryHome } from "../support/library.ts";
import { resourceOf, serve } from "../support/origins/origin.ts";
import { needsMount, temporaryMount } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

const MIB = 1024 * 1024;

/** Waits for a session to be where it is expected. */
function reaches(manager: DownloadManager, id: string, ...statuses: readonly Session["status"][]): Promise<Session> {
  return waitFor(`session is ${statuses.join(" or ")}`, async () => {
    const session = await manager.sessions.get(id);
    return session && statuses.includes(session.status) ? session : undefined;
  });
}

describe("targets", () => {
  test("many files of one name, each with a hiccup: none is lost, none is overwritten", async () => {
    const tries = new Map<string, number>();
    await using origin = await serve(resourceOf(randomBytes(600_000)), (call) => {
      const count = (tries.get(call.seen.path) ?? 0) + 1;
      tries.set(call.seen.path, count);
      if ((call.seen.range?.start ?? 0) > 0 && count <= 5) call.send(503, {});
      else call.answer();
    });
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 10, retry_delay: 0.02 });
    const urls = Array.from({ length: 30 }, (_, at) => `${origin.base}/${at}/download.bin`);
    const results = await manager.download(urls);
    assert.deepEqual(
      results.filter(({ status }) => status !== "completed").map(({ error }) => error?.message),
      [],
    );
    assert.equal(new Set(results.map(({ path }) => path)).size, 30);
    assert.equal((await home.files()).length, 30);
  });

  test("the name of a session that waits was taken meanwhile: it takes another, and keeps its bytes", async () => {
    const resource = resourceOf(randomBytes(MIB));
    let broken = true;
    await using origin = await serve(resource, (call) => {
      if (broken && call.seen.path.startsWith("/a/") && (call.seen.range?.start ?? 0) > 0) call.send(503, {});
      else call.answer();
    });
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 100, retry_delay: 0.1, connections_per_download: 1 });
    const [first] = await manager.enqueue([`${origin.base}/a/index.bin`]);
    await reaches(manager, first?.id ?? "", "waiting");
    const [second] = await manager.download([`${origin.base}/b/index.bin`]);
    assert.equal(second?.path, join(home.downloads, "index.bin"));
    broken = false;
    const ended = await reaches(manager, first?.id ?? "", "completed", "failed");
    assert.equal(ended.file?.path, join(home.downloads, "index (1).bin"), ended.error?.message);
    const probes = origin.requests.filter(({ path, range }) => path.startsWith("/a/") && range?.start === 0);
    assert.equal(probes.length, 1, "what was there was gone on with");
  });

  test("overwrite: whoever comes second to the same target waits for the first", async () => {
    let release: (() => void) | undefined;
    await using origin = await serve(resourceOf(randomBytes(1000)), (call) => {
      if (call.seen.path === "/slow") release = () => call.answer();
      else call.answer();
    });
    await using home = await libraryHome();
    const manager = home.manager({ if_exists: "overwrite" });
    const output = join(home.home, "one.bin");
    const [slow] = await manager.enqueue([`${origin.base}/slow`], { output });
    await waitFor("the first is under way", () => release);
    const held = await manager.sessions.get(slow?.id ?? "");
    assert.equal(held?.status, "active");
    // The first holds no name before its answer is here: this one gets it, the first then waits its turn.
    const [quick] = await manager.download([`${origin.base}/quick`], { output });
    assert.equal(quick?.status, "completed", quick?.error?.message);
    release?.();
    assert.equal((await reaches(manager, slow?.id ?? "", "completed", "failed")).status, "completed");
  });

  test("paused while the chunks of an earlier run are read back: the name is free again afterwards", async () => {
    const bytes = randomBytes(12 * MIB);
    let hold = true;
    await using origin = await serve(resourceOf(bytes), (call) => {
      if (hold && (call.seen.range?.start ?? 0) >= 8 * MIB) return;
      call.answer();
    });
    await using home = await libraryHome();
    const manager = home.manager({ connections_per_download: 1, chunk_size: 64 * 1024 });
    const [session] = await manager.enqueue([origin.url]);
    const id = session?.id ?? "";
    await waitFor("chunks", async () => ((await manager.sessions.get(id))?.progress.downloadedBytes ?? 0) > 2 * MIB);
    for (let turn = 0; turn < 3; turn++) {
      await manager.pause({ ids: [id] });
      await manager.resume({ ids: [id] });
      await reaches(manager, id, "active");
    }
    hold = false;
    await manager.pause({ ids: [id] });
    await manager.resume({ ids: [id] });
    const ended = await reaches(manager, id, "completed", "failed");
    assert.equal(ended.status, "completed", ended.error?.message);
    assert.deepEqual(await readFile(ended.file?.path ?? ""), bytes);
  });
});

describe("steering while things happen", () => {
  test("pause --all and resume --all while sessions end: no error, nothing lost", async () => {
    await using origin = await serve(resourceOf(randomBytes(2000)), (call) => call.answer());
    await using home = await libraryHome();
    const manager = home.manager({ max_concurrent_downloads: 64, connections_per_host: 64 });
    await manager.enqueue(Array.from({ length: 300 }, (_, at) => `${origin.base}/f${at}`));
    await waitFor("some are done", () => manager.sessions.counts().completed > 20);
    while (manager.sessions.counts().completed < 290) {
      await manager.pause({ all: true });
      await manager.resume({ all: true });
      const { completed } = manager.sessions.counts();
      await waitFor("more are done", () => manager.sessions.counts().completed > completed || completed >= 300);
    }
    await waitFor("all are done", () => manager.sessions.counts().completed === 300);
    assert.equal((await home.files()).length, 300);
  });

  test("two who ask again for what had failed get one run of it", async () => {
    await using origin = await serve(resourceOf(randomBytes(1000)), (call) =>
      call.seen.number === 1 ? call.send(404, {}) : call.answer(),
    );
    await using home = await libraryHome();
    const manager = home.manager();
    const [failed] = await manager.download([origin.url]);
    assert.equal(failed?.error?.code, "HTTP_NOT_FOUND");
    const { sessions } = manager;
    const archived = sessions.archived.bind(sessions);
    // Both see it as failed; the second one's look takes until the first one's run has ended.
    let looks = 0;
    sessions.archived = async (keys) => {
      const found = await archived(keys);
      if (++looks === 2) await reaches(manager, failed?.sessionId ?? "", "completed");
      return found;
    };
    const both = await Promise.all([manager.download([origin.url]), manager.download([origin.url])]);
    assert.deepEqual(
      both.map(([result]) => [result?.status, result?.sessionId]),
      [
        ["completed", failed?.sessionId],
        ["completed", failed?.sessionId],
      ],
    );
    assert.equal(origin.requests.length, 2);
  });

  test("whoever waits for a session that is forgotten is told", async () => {
    await using origin = await serve(resourceOf(randomBytes(1000)), () => undefined);
    await using home = await libraryHome();
    const manager = home.manager();
    const waiting = manager.download([origin.url]);
    await origin.seen(() => true);
    const { sessions } = await manager.sessions.list({}, { size: 1 });
    await manager.remove({ ids: [sessions[0]?.id ?? ""] });
    const [result] = await waiting;
    assert.deepEqual([result?.status, result?.error?.code], ["cancelled", "CANCELLED"]);
  });

  test("a raised limit is felt by who sleeps off the old one", async () => {
    await using origin = await serve(resourceOf(randomBytes(4 * MIB)), (call) => call.answer());
    await using home = await libraryHome();
    const manager = home.manager({ limit: 20_000 });
    const [session] = await manager.enqueue([origin.url]);
    await waitFor("bytes", () => (manager.live(session?.id ?? "")?.pendingBytes ?? 0) > 0);
    const begun = performance.now();
    await manager.setLimit(0);
    await reaches(manager, session?.id ?? "", "completed");
    assert.ok(performance.now() - begun < 10_000, "at the old limit it takes minutes");
  });
});

describe("attempts", () => {
  test("an origin that changes with every attempt is given up", async () => {
    const bytes = randomBytes(MIB);
    let version = 0;
    await using origin = await serve(resourceOf(bytes), (call) => {
      if (call.seen.headers["if-range"] === undefined) return call.answer();
      call.state.resource = resourceOf(bytes, `${++version}`);
      call.answer();
    });
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 2, connections_per_download: 1 });
    const [result] = await manager.download([origin.url]);
    assert.deepEqual([result?.status, result?.error?.code], ["failed", "RESOURCE_CHANGED"]);
  });

  test("without resume, an attempt that has to begin anew counts", async () => {
    await using origin = await serve(resourceOf(randomBytes(MIB)), (call) =>
      (call.seen.range?.start ?? 0) < 512 * 1024 ? call.answer() : call.send(500, {}),
    );
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 2, connections_per_download: 1, enable_resume: false });
    const [result] = await manager.download([origin.url]);
    assert.deepEqual([result?.status, result?.error?.code], ["failed", "HTTP_SERVER_ERROR"]);
  });

  test("a restart takes no attempt", async () => {
    await using origin = await serve(resourceOf(randomBytes(1000)), () => undefined);
    await using home = await libraryHome();
    let id = "";
    for (let start = 0; start < 3; start++) {
      await using manager = home.manager({ max_retries: 0 });
      await manager.start();
      if (start === 0) id = (await manager.enqueue([origin.url]))[0]?.id ?? "";
      const session = await reaches(manager, id, "active");
      assert.equal(session.attempt, 1);
    }
  });

  test("a host that asks for patience costs those who were not even tried no attempt", async () => {
    const held = new Set<string>();
    await using origin = await serve(resourceOf(randomBytes(1000)), (call) => {
      if (held.size >= 3 || call.seen.path !== "/1") return call.answer();
      held.add(`${call.seen.number}`);
      call.send(429, { "retry-after": "1" });
    });
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 0, max_concurrent_downloads: 1 });
    const urls = [1, 2, 3].map((name) => `${origin.base}/${name}`);
    const results = await manager.download(urls);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["failed", "completed", "completed"],
    );
  });

  test("a state that cannot be written is written as soon as it can be", async () => {
    let release: (() => void) | undefined;
    await using origin = await serve(resourceOf(randomBytes(1000)), (call) => {
      release = () => call.answer();
    });
    await using home = await libraryHome();
    const manager = home.manager();
    const [session] = await manager.enqueue([origin.url]);
    const id = session?.id ?? "";
    await reaches(manager, id, "active");
    await origin.seen(() => true);
    const { sessions } = manager;
    const update = sessions.update.bind(sessions);
    let refused = 0;
    sessions.update = () => {
      if (++refused > 2) sessions.update = update;
      return Promise.reject(failure("DISK_FULL", "the state folder is full"));
    };
    release?.();
    const ended = await reaches(manager, id, "completed", "waiting");
    assert.ok(refused > 2);
    assert.notEqual(ended.status, "active");
  });
});

describe("hooks that decide", () => {
  test("another URL with other fields, which only it gets", async () => {
    await using origin = await serve(resourceOf(randomBytes(1000)), (call) =>
      call.seen.headers["x-token"] === "new" ? call.answer() : call.send(403, {}),
    );
    await using home = await libraryHome();
    const manager = home.manager();
    manager.registerHooks("login", {
      onError: () => ({ action: "retry", url: `${origin.base}/other`, headers: [["X-Token", "new"]] }),
    });
    const [result] = await manager.download([origin.url], { headers: [["X-Mine", "secret"]] });
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(
      origin.requests.map(({ path, headers }) => [path, headers["x-token"], headers["x-mine"]]),
      [
        ["/file.bin", undefined, "secret"],
        ["/other", "new", undefined],
      ],
    );
  });

  test("a detour that leads nowhere ends with the attempts", async () => {
    await using origin = await serve(resourceOf(randomBytes(1000)), (call) => call.send(403, {}));
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 2 });
    manager.registerHooks("login", { onError: () => ({ action: "retry", url: `${origin.base}/other` }) });
    const [result] = await manager.download([origin.url]);
    assert.equal(result?.status, "failed");
  });

  test("a decision that makes no sense is named in the log, and the ordinary policy holds", async () => {
    await using origin = await serve(resourceOf(randomBytes(1000)), (call) => call.send(404, {}));
    await using home = await libraryHome();
    const manager = home.manager();
    manager.registerHooks("odd", { onError: () => ({ action: "wait", seconds: Number.NaN }) });
    const [result] = await manager.download([origin.url]);
    assert.deepEqual([result?.status, result?.error?.code], ["failed", "HTTP_NOT_FOUND"]);
  });
});

describe("room on the disk", needsMount, () => {
  test("what is to stay free stays free, also when nobody says how long the file is", async () => {
    await using mount = await temporaryMount(24 * MIB);
    await using origin = await serve(resourceOf(Buffer.alloc(32 * MIB, 7)), ({ response, state }) => {
      response.writeHead(200, {});
      response.end(state.resource.bytes);
    });
    await using home = await libraryHome();
    const manager = home.manager({ min_free_space: 12 * MIB });
    const [session] = await manager.enqueue([origin.url], { directory: mount.path });
    const waiting = await reaches(manager, session?.id ?? "", "waiting", "failed", "completed");
    assert.deepEqual([waiting.status, waiting.error?.code], ["waiting", "DISK_FULL"]);
    const { bavail, bsize } = await statfs(mount.path);
    assert.ok(bavail * bsize > 8 * MIB, `${bavail * bsize} bytes are free`);
  });

  test("a new version takes the room of the old one", async () => {
    await using mount = await temporaryMount(16 * MIB);
    const [first, second] = [randomBytes(10 * MIB), randomBytes(10 * MIB)];
    await using origin = await serve(resourceOf(first), (call) => {
      const late = (call.seen.range?.start ?? 0) >= 8 * MIB;
      if (late && call.state.resource.bytes === first) call.state.resource = resourceOf(second, "2");
      call.answer();
    });
    await using home = await libraryHome();
    const manager = home.manager({ connections_per_download: 1, chunk_size: MIB });
    const [session] = await manager.enqueue([origin.url], { directory: mount.path });
    const ended = await reaches(manager, session?.id ?? "", "completed", "failed", "waiting");
    assert.equal(ended.status, "completed", ended.error?.message);
    assert.deepEqual(await readFile(ended.file?.path ?? ""), second);
  });
});
