/** How many connections, to which places: against origins that are slow, stuck, touchy, wrong or gone. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { libraryHome, sha256Of } from "../support/library.ts";
import { type Call, type Origin, resourceOf, serve } from "../support/origins/origin.ts";
import { waitFor } from "../support/wait.ts";

const MIB = 1024 * 1024;

/** Answers the range that was asked for, a piece at a time. */
function drip({ seen, response, state }: Call, piece: number, everyMs: number): void {
  const { bytes, etag, lastModified } = state.resource;
  const { start, end } = seen.range ?? { start: 0, end: bytes.length };
  response.writeHead(206, {
    etag,
    "last-modified": lastModified,
    "content-length": end - start,
    "content-range": `bytes ${start}-${end - 1}/${bytes.length}`,
  });
  let at = start;
  const timer = setInterval(() => {
    const next = Math.min(at + piece, end);
    response.write(bytes.subarray(at, next));
    at = next;
    if (at < end) return;
    clearInterval(timer);
    response.end();
  }, everyMs);
  response.on("close", () => clearInterval(timer));
}

/** The most answers that were open at once. */
function countOpen(): { readonly most: () => number; readonly now: () => number; readonly add: (call: Call) => void } {
  let open = 0;
  let most = 0;
  return {
    most: () => most,
    now: () => open,
    add: ({ response }) => {
      most = Math.max(most, ++open);
      response.on("close", () => void open--);
    },
  };
}

describe("the number of connections", () => {
  test("grows where each of them is slow, and the end does not wait for one of them", async () => {
    const resource = resourceOf(randomBytes(8 * MIB));
    const open = countOpen();
    await using origin = await serve(resource, (call) => {
      open.add(call);
      // The first connection is the slowest: what it was given is taken over.
      drip(call, call.seen.number === 1 ? 4096 : 32 * 1024, 20);
    });
    await using home = await libraryHome();
    const begun = performance.now();
    const [result] = await home.manager({ connections_per_download: 8, chunk_size: MIB }).download([origin.url]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(await readFile(result?.path ?? ""), resource.bytes);
    assert.ok(open.most() >= 4, `${open.most()} connections at once`);
    // One connection would need 5 s for it, and the first one alone 40 s.
    assert.ok(performance.now() - begun < 4000, `${performance.now() - begun} ms`);
  });

  test("is one where one is quick", async () => {
    const open = countOpen();
    await using origin = await serve(resourceOf(randomBytes(16 * MIB)), (call) => {
      open.add(call);
      call.answer();
    });
    await using home = await libraryHome();
    const [result] = await home.manager({ connections_per_download: 8 }).download([origin.url]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.equal(open.most(), 1);
  });

  test("shrinks to the one that the origin allows", async () => {
    const resource = resourceOf(randomBytes(4 * MIB));
    const open = countOpen();
    await using origin = await serve(resource, (call) => {
      if (open.now() >= 1) return call.send(503, {});
      open.add(call);
      drip(call, 32 * 1024, 20);
    });
    await using home = await libraryHome();
    const [result] = await home.manager({ connections_per_download: 8, max_retries: 0 }).download([origin.url]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(await readFile(result?.path ?? ""), resource.bytes);
    assert.ok(origin.requests.length < 40, `${origin.requests.length} requests: it was not hammered`);
  });

  test("a connection that is stuck at the end is made anew", async () => {
    const resource = resourceOf(randomBytes(4 * MIB));
    let stuck = false;
    await using origin = await serve(resource, (call) => {
      if (!stuck && (call.seen.range?.start ?? 0) > 0) {
        stuck = true;
        call.response.writeHead(206, {
          etag: resource.etag,
          "content-length": (call.seen.range?.end ?? 0) - (call.seen.range?.start ?? 0),
          "content-range": `bytes ${call.seen.range?.start}-${(call.seen.range?.end ?? 0) - 1}/${resource.bytes.length}`,
        });
        call.response.flushHeaders();
        return;
      }
      drip(call, 16 * 1024, 20);
    });
    await using home = await libraryHome();
    const begun = performance.now();
    const [result] = await home.manager({ timeout: 60, chunk_size: 64 * 1024 }).download([origin.url]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(await readFile(result?.path ?? ""), resource.bytes);
    assert.ok(performance.now() - begun < 30_000, "the timeout was not waited for");
  });
});

const checksumOf = (bytes: Buffer) => ({ checksum: { algorithm: "sha-256" as const, value: sha256Of(bytes) } });

describe("mirrors", () => {
  /** A slow origin and a mirror at another server. */
  async function two(theirs: Buffer, ours = theirs, tag = "other"): Promise<{ origin: Origin; mirror: Origin }> {
    const answer = (call: Call): void => drip(call, 32 * 1024, 20);
    return {
      origin: await serve(resourceOf(ours), answer),
      mirror: await serve(resourceOf(theirs, tag), answer),
    };
  }

  for (const how of ["a digest will tell", "they name the version by the same tag"])
    test(`join in when a piece of theirs is the same, and ${how}`, async () => {
      const bytes = randomBytes(8 * MIB);
      const { origin, mirror } = await two(bytes, bytes, how.includes("tag") ? "1" : "other");
      await using _origin = origin;
      await using _mirror = mirror;
      await using home = await libraryHome();
      const options = how.includes("digest") ? checksumOf(bytes) : {};
      const [result] = await home.manager({ chunk_size: 256 * 1024 }).download([[origin.url, mirror.url]], options);
      assert.deepEqual(await readFile(result?.path ?? ""), bytes, result?.error?.message);
      assert.ok(origin.requests.length > 1 && mirror.requests.length > 1, "both were asked");
    });

  test("that share their beginning only are never mixed: nobody could tell afterwards", async () => {
    const beginning = randomBytes(4 * MIB);
    const ours = Buffer.concat([beginning, randomBytes(4 * MIB)]);
    const { origin, mirror } = await two(Buffer.concat([beginning, randomBytes(4 * MIB)]), ours);
    await using _origin = origin;
    await using _mirror = mirror;
    await using home = await libraryHome();
    const [result] = await home.manager({ chunk_size: 256 * 1024 }).download([[origin.url, mirror.url]]);
    assert.deepEqual(await readFile(result?.path ?? ""), ours, result?.error?.message);
  });

  test("are asked for all of it when the origin says no for good in the middle", async () => {
    const bytes = randomBytes(MIB);
    let begun = false;
    await using origin = await serve(resourceOf(bytes), (call) => {
      if (begun) return call.send(403, {});
      begun = true;
      call.response.writeHead(206, {
        etag: '"v1"',
        "content-range": `bytes 0-${256 * 1024 - 1}/${bytes.length}`,
        "content-length": 256 * 1024,
      });
      call.response.write(bytes.subarray(0, 1000), () => call.response.destroy());
    });
    const theirs = randomBytes(MIB);
    await using mirror = await serve(resourceOf(theirs, "other"), (call) => call.answer());
    await using home = await libraryHome();
    const [result] = await home.manager().download([[origin.url, mirror.url]]);
    assert.deepEqual(await readFile(result?.path ?? ""), theirs, result?.error?.message);
  });

  test("take over from an origin that is away, after a while", async () => {
    const bytes = randomBytes(2 * MIB);
    let away = false;
    const origin = await serve(resourceOf(bytes), (call) => {
      if (away || (call.seen.range?.start ?? 0) >= MIB) {
        away = true;
        return call.raw("", "reset");
      }
      call.answer();
    });
    await using _origin = origin;
    await using mirror = await serve(resourceOf(bytes, "other"), (call) => call.answer());
    await using home = await libraryHome();
    const manager = home.manager({ max_retries: 8, connections_per_download: 1 });
    const [result] = await manager.download([[origin.url, mirror.url]]);
    assert.deepEqual(await readFile(result?.path ?? ""), bytes, result?.error?.message);
  });

  test("of other content are never mixed in", async () => {
    const bytes = randomBytes(8 * MIB);
    const { origin, mirror } = await two(randomBytes(8 * MIB), bytes);
    await using _origin = origin;
    await using _mirror = mirror;
    await using home = await libraryHome();
    const [result] = await home.manager({ chunk_size: 256 * 1024 }).download([[origin.url, mirror.url]]);
    assert.deepEqual(await readFile(result?.path ?? ""), bytes, result?.error?.message);
    assert.equal(mirror.requests.length, 1, "one look was enough");
  });

  test("go on where the origin died, from what is there", async () => {
    const bytes = randomBytes(4 * MIB);
    const mirrored = await serve(resourceOf(bytes, "other"), (call) => call.answer());
    await using mirror = mirrored;
    const origin = await serve(resourceOf(bytes), (call) => {
      if ((call.seen.range?.start ?? 0) < 2 * MIB && call.seen.number < 6) drip(call, 64 * 1024, 5);
      else call.raw("", "reset");
    });
    await using _origin = origin;
    await using home = await libraryHome();
    const manager = home.manager({ chunk_size: 256 * 1024, connections_per_download: 2 });
    const [result] = await manager.download([[origin.url, mirror.url]], checksumOf(bytes));
    assert.deepEqual(await readFile(result?.path ?? ""), bytes, result?.error?.message);
    assert.ok(mirror.requests.every(({ range }) => (range?.end ?? 0) > 0));
    assert.ok(!mirror.requests.some(({ range }) => range === undefined), "it was not begun anew");
  });

  test("take the place of an origin that does not answer at all", async () => {
    const bytes = randomBytes(MIB);
    await using mirror = await serve(resourceOf(bytes), (call) => call.answer());
    await using origin = await serve(resourceOf(bytes), (call) => call.send(404, {}));
    await using home = await libraryHome();
    const [result] = await home.manager().download([[origin.url, mirror.url]]);
    assert.deepEqual(await readFile(result?.path ?? ""), bytes, result?.error?.message);
  });
});

describe("an origin that begins to ignore ranges", () => {
  test("what was won stays until the whole has come in one stream", async () => {
    const resource = resourceOf(randomBytes(4 * MIB));
    let mode: "ranges" | "broken" | "whole" = "ranges";
    await using origin = await serve(resource, (call) => {
      if (mode === "ranges") return (call.seen.range?.start ?? 0) < 2 * MIB ? call.answer() : drip(call, 1024, 50);
      const { response } = call;
      response.writeHead(200, { etag: resource.etag, "content-length": resource.bytes.length });
      if (mode === "whole") return void response.end(resource.bytes);
      response.write(resource.bytes.subarray(0, MIB), () => response.destroy());
    });
    await using home = await libraryHome();
    const manager = home.manager({ chunk_size: 256 * 1024, connections_per_download: 1, max_retries: 50 });
    const [session] = await manager.enqueue([origin.url]);
    const id = session?.id ?? "";
    const progress = async () => (await manager.sessions.get(id))?.progress.downloadedBytes ?? 0;
    await waitFor("half of it", async () => (await progress()) >= 2 * MIB);
    await manager.pause({ ids: [id] });
    mode = "broken";
    await manager.resume({ ids: [id] });
    await waitFor("an attempt failed", async () => (await manager.sessions.get(id))?.status === "waiting");
    assert.ok((await progress()) >= 2 * MIB, "what was won is still there");
    assert.equal((await home.files()).length, 1, "and nothing else");
    mode = "whole";
    const ended = await waitFor("it ended", async () => {
      const now = await manager.sessions.get(id);
      return now?.status === "completed" ? now : undefined;
    });
    assert.deepEqual(await readFile(ended.file?.path ?? ""), resource.bytes);
    assert.deepEqual(await home.files(), ["file.bin"]);
    assert.equal(ended.file?.path, join(home.downloads, "file.bin"));
  });
});
