/** Hooks on real downloads: what they are told and when, what they decide, and that they hold nothing up. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { HookMetadata } from "../../src/daemon/core/hooks.ts";
import { libraryHome } from "../support/library.ts";
import { resourceOf, serve } from "../support/origins/origin.ts";
import { RecordLogger } from "../support/record-logger.ts";
import { waitFor } from "../support/wait.ts";

const SIZE = 600_000;
const resource = resourceOf(randomBytes(SIZE));
const named = { "content-type": "application/x-iso", "content-disposition": 'attachment; filename="disk.iso"' };

describe("preDownload", () => {
  test("is told what the origin has, when nothing of it is on disk", async () => {
    await using origin = await serve(resource, (call) =>
      call.seen.path === "/old" ? call.send(302, { location: "/new" }) : call.answer(named),
    );
    await using home = await libraryHome();
    const manager = home.manager();
    const told: HookMetadata[] = [];
    const present: string[][] = [];
    manager.registerHooks("witness", {
      async preDownload(_url, metadata) {
        told.push(metadata);
        present.push(await home.files());
      },
    });
    const [result] = await manager.download([`${origin.base}/old`], { format: "bestaudio" });
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(told, [
      {
        sessionId: result.sessionId,
        format: "bestaudio",
        size: SIZE,
        contentType: "application/x-iso",
        filename: "disk.iso",
        finalUrl: `${origin.base}/new`,
      },
    ]);
    assert.deepEqual(present, [[]]);
  });

  test("a veto leaves nothing behind, and is not asked again", async () => {
    await using origin = await serve(resource, (call) => call.answer());
    await using home = await libraryHome();
    const manager = home.manager();
    manager.registerHooks("small", {
      preDownload(_url, { size = 0 }) {
        if (size > 1000) throw new Error(`${size} bytes are too many`);
      },
    });
    const [result] = await manager.download([origin.url]);
    assert.deepEqual(
      [result?.error?.code, result?.error?.message],
      ["VETOED", 'the hook "small" refused the download: 600000 bytes are too many'],
    );
    assert.equal(origin.requests.length, 1);
    assert.deepEqual(await home.files(), []);
  });

  test("also when an earlier run is gone on with", async () => {
    let broken = true;
    await using origin = await serve(resource, (call) => {
      if (broken && (call.seen.range?.start ?? 0) > 0) call.send(503, {});
      else call.answer();
    });
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 0, connections_per_download: 1 });
    const sizes: (number | undefined)[] = [];
    manager.registerHooks("witness", { preDownload: (_url, { size }) => void sizes.push(size) });
    const [first] = await manager.download([origin.url]);
    assert.equal(first?.status, "failed");
    broken = false;
    const before = origin.requests.length;
    const asked = sizes.splice(0).length;
    assert.ok(asked > 0);
    const again = await manager.resumeDownload(first.sessionId);
    assert.equal(again.status, "completed", again.error?.message);
    assert.deepEqual(sizes, [SIZE]);
    assert.ok(origin.requests.slice(before).every(({ range }) => (range?.start ?? 0) > 0));
  });

  test("one that hangs does not hold up a pause", async () => {
    await using origin = await serve(resource, (call) => call.answer());
    await using home = await libraryHome();
    const manager = home.manager();
    let asked = false;
    manager.registerHooks("sleeper", {
      preDownload() {
        asked = true;
        return new Promise(() => undefined);
      },
    });
    const [session] = await manager.enqueue([origin.url]);
    await waitFor("the hook is asked", () => asked);
    const started = performance.now();
    await manager.pause({ all: true });
    await waitFor("paused", async () => (await manager.sessions.get(session?.id ?? ""))?.status === "paused");
    assert.ok(performance.now() - started < 5000);
  });
});

describe("onError", () => {
  test("wait: at another time", async () => {
    let calls = 0;
    await using origin = await serve(resource, (call) => (calls++ === 0 ? call.send(403, {}) : call.answer()));
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 0 });
    const seen: unknown[] = [];
    manager.registerHooks("patient", {
      onError(url, error, attempt) {
        seen.push([url, error.code, attempt]);
        return { action: "wait", seconds: 0.05 };
      },
    });
    const [result] = await manager.download([origin.url]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(seen, [[origin.url, "HTTP_FORBIDDEN", 1]]);
  });

  test("fail: at once, whatever would be tried otherwise", async () => {
    await using origin = await serve(resource, (call) => call.send(503, {}));
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 100 });
    manager.registerHooks("strict", { onError: () => ({ action: "fail" }) });
    const [result] = await manager.download([origin.url]);
    assert.deepEqual([result?.status, result?.error?.code], ["failed", "HTTP_SERVER_ERROR"]);
    assert.equal(origin.requests.length, 1);
  });

  test("one that throws or hangs leaves it to the ordinary policy", async () => {
    let calls = 0;
    await using origin = await serve(resource, (call) => (calls++ === 0 ? call.send(503, {}) : call.answer()));
    await using home = await libraryHome();
    const logger = new RecordLogger();
    const manager = home.manager({}, { logger });
    manager.registerHooks("thrower", {
      onError() {
        throw new Error("oh");
      },
    });
    const [result] = await manager.download([origin.url]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.ok(logger.lines.some(({ message }) => message === 'hook "thrower", onError: threw: Error: oh'));
  });
});

describe("session hooks", () => {
  test("the life of a session, in order, all of it told before the end", async () => {
    let calls = 0;
    await using origin = await serve(resource, (call) => (calls++ === 0 ? call.send(503, {}) : call.answer()));
    await using home = await libraryHome();
    const life: string[] = [];
    {
      await using manager = home.manager({ connections_per_download: 1, chunk_size: 64 * 1024 });
      manager.registerHooks("diary", {
        onCreated: ({ status }) => void life.push(`created ${status}`),
        async onUpdated({ status }, previous) {
          // Slower than the download.
          await sleep(5);
          if (status !== previous.status) life.push(`${previous.status} → ${status}`);
        },
        onProgress: (_session, milestone) => void life.push(`${milestone} %`),
        onSessionError: ({ error }) => void life.push(error?.code ?? ""),
        onCleaned: ({ status }) => void life.push(`cleaned ${status}`),
      });
      const [result] = await manager.download([origin.url]);
      assert.equal(result?.status, "completed", result?.error?.message);
      await manager.remove({ ids: [result.sessionId] });
    }
    assert.deepEqual(life, [
      "created queued",
      "queued → active",
      "active → waiting",
      "HTTP_SERVER_ERROR",
      "waiting → active",
      "25 %",
      "50 %",
      "75 %",
      "100 %",
      "active → completed",
      "cleaned completed",
    ]);
  });
});

/** Something that is awaited like a promise and is none. */
function thenable(then: (done: (value: unknown) => void) => void): object {
  const name: string = "then";
  return { [name]: then };
}

test("whatever hooks do, the file is right", async () => {
  /** Ways to be a bad guest; all but to refuse, and to hang where it is waited for. */
  const spoil = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const key of Object.keys(value)) Reflect.set(value, key, -1);
    Reflect.set(value, "code", "NO_SUCH_CODE");
    Reflect.set(value, "retryable", "perhaps");
  };
  const behaviours = {
    spoils: (...given: unknown[]) => given.forEach(spoil),
    "spoils later": async (...given: unknown[]) => {
      await sleep(1);
      given.forEach(spoil);
    },
    throws: () => assert.fail("oh"),
    rejects: () => Promise.reject(undefined),
    answers: () => ({ action: "retry", headers: 7 }),
    "answers a thenable": () => thenable((done) => done({ action: { toString: null } })),
    "throws in a thenable": () => thenable(() => assert.fail("oh")),
  };
  const points = ["postChunk", "postDownload", "onError", "onCreated", "onUpdated", "onProgress", "onSessionError"];
  const guest = fc.dictionary(fc.constantFrom(...points), fc.constantFrom(...Object.keys(behaviours)));
  await fc.assert(
    fc.asyncProperty(fc.array(guest, { minLength: 1, maxLength: 4 }), fc.boolean(), async (guests, trouble) => {
      let calls = 0;
      await using origin = await serve(resource, (call) =>
        trouble && calls++ % 3 === 0 ? call.send(503, {}) : call.answer(),
      );
      await using home = await libraryHome();
      const manager = home.manager({ max_retries: 10, retry_delay: 0.001, chunk_size: 64 * 1024 });
      for (const [at, guest] of guests.entries()) {
        const hooks = Object.entries(guest).map(([point, name]) => [point, Reflect.get(behaviours, name)]);
        manager.registerHooks(`guest ${at}`, {
          preDownload: (_url, metadata) => spoil(metadata),
          ...Object.fromEntries(hooks),
        });
      }
      const [result] = await manager.download([origin.url]);
      assert.equal(result?.status, "completed", result?.error?.message);
      assert.deepEqual(await readFile(result.path ?? ""), resource.bytes);
    }),
    { numRuns: 15 },
  );
});

test("a POST is sent with its body, and not redirected", async () => {
  const { UndiciClient } = await import("../../src/daemon/http/client.ts");
  const { SystemClock } = await import("../../src/daemon/os/clock.ts");
  await using origin = await serve(resource, (call) => call.send(307, { location: "/other" }));
  await using client = new UndiciClient(
    { userAgent: "snatch-test" },
    { clock: new SystemClock(), logger: new RecordLogger() },
  );
  const answer = await client.request({ url: origin.url, method: "POST", body: "héllo" });
  answer.cancel();
  assert.equal(answer.status, 307);
  assert.deepEqual(
    origin.requests.map(({ method, path, headers }) => [method, path, headers["content-length"]]),
    [["POST", "/file.bin", "6"]],
  );
});
