/** The runner with the real FFmpeg: ended in mid-run in every way, fed and drained, and asked what it can do. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { DownloadError } from "../../src/daemon/core/errors.ts";
import { FfmpegTool } from "../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../src/daemon/os/clock.ts";
import { processesWith } from "../support/ffmpeg.ts";
import { hasProgram } from "../support/has-program.ts";
import { needsMount, type TemporaryFolder, temporaryFolder, temporaryMount } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

/** An hour of sound in an hour: a run that is certainly not over. */
const ENDLESS = { generate: "sine=d=3600", options: ["-re"] };

describe("FFmpeg", hasProgram("ffmpeg"), () => {
  let folder: TemporaryFolder;
  let tool: FfmpegTool;

  before(async () => {
    folder = await temporaryFolder();
    tool = new FfmpegTool({ path: "", processes: 2, timeoutMs: 60_000 }, { clock: new SystemClock() });
  });
  after(async () => {
    await tool[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  /** Begins an endless run and resolves when it has written something. */
  async function endless(name: string, signal?: AbortSignal) {
    const path = join(folder.path, name);
    const begun = Promise.withResolvers<void>();
    const run = tool.run({
      inputs: [ENDLESS],
      output: { path, format: "wav" },
      onProgress: () => begun.resolve(),
      ...(signal !== undefined && { signal }),
    });
    run.catch(() => begun.resolve());
    await begun.promise;
    const [pid = assert.fail("no process")] = processesWith(name);
    return { run, pid };
  }
  const nothingLeft = async (name: string) => {
    assert.deepEqual(processesWith(name), []);
    assert.deepEqual(await readdir(folder.path), []);
  };

  test("called off in mid-run: its reason, no file, no process", async () => {
    const control = new AbortController();
    const { run } = await endless("called-off.wav", control.signal);
    assert.deepEqual((await readdir(folder.path)).length, 1);
    control.abort(new Error("called off"));
    await assert.rejects(run, /^Error: called off$/);
    await nothingLeft("called-off.wav");
  });

  test("killed with -9: a clean error, no file, no process", async () => {
    const { run, pid } = await endless("killed.wav");
    process.kill(pid, "SIGKILL");
    await assert.rejects(
      run,
      (error: DownloadError) => error.code === "FFMPEG_FAILED" && error.metadata["signal"] === "SIGKILL",
    );
    await nothingLeft("killed.wav");
  });

  test("stopped (SIGSTOP) and then called off: no process", async () => {
    const control = new AbortController();
    const { run, pid } = await endless("stopped.wav", control.signal);
    process.kill(pid, "SIGSTOP");
    control.abort(new Error("called off"));
    await assert.rejects(run, /called off/);
    await nothingLeft("stopped.wav");
  });

  test("whose owner is killed with -9 does not outlive it", hasProgram("setpriv"), async () => {
    await using own = await temporaryFolder();
    const script = fileURLToPath(new URL("../support/ffmpeg-owner.ts", import.meta.url));
    const owner = spawn(process.execPath, [script, join(own.path, "orphan.wav")], { stdio: "inherit" });
    const [pid = 0] = await waitFor("FFmpeg", () => {
      const found = processesWith("orphan.wav").filter((pid) => pid !== owner.pid);
      return found.length > 0 && found;
    });
    owner.kill("SIGKILL");
    await once(owner, "exit");
    await waitFor(`end of ${pid}`, () => processesWith("orphan.wav").length === 0);
  });

  test("ends with the tool", async () => {
    await using other = new FfmpegTool({ path: "", processes: 1, timeoutMs: 60_000 }, { clock: new SystemClock() });
    const begun = Promise.withResolvers<void>();
    const path = join(folder.path, "ending.wav");
    const run = other.run({ inputs: [ENDLESS], output: { path, format: "wav" }, onProgress: () => begun.resolve() });
    const rejected = assert.rejects(run, { code: "SHUTTING_DOWN" });
    await begun.promise;
    await other[Symbol.asyncDispose]();
    await rejected;
    await nothingLeft("ending.wav");
  });

  test("is fed with bytes and drained of them, however slowly they are taken", async () => {
    const samples = Buffer.alloc(48_000 * 4);
    for (let index = 0; index < samples.length; index += 4) samples.writeFloatLE(Math.sin(index / 200) / 2, index);
    const source = async function* () {
      for (let at = 0; at < samples.length; at += 10_000) yield samples.subarray(at, at + 10_000);
    };
    const pieces: Uint8Array[] = [];
    const raw = ["-c:a", "pcm_f32le"];
    await tool.run({
      inputs: [{ bytes: source(), format: "f32le", options: ["-ar", "48000", "-ac", "1"] }],
      output: {
        format: "f32le",
        options: raw,
        async sink(bytes) {
          pieces.push(bytes);
          // The last ones are taken when FFmpeg has long ended.
          await sleep(pieces.length === 2 ? 1200 : 0);
        },
      },
    });
    assert.ok(pieces.length > 2);
    assert.ok(Buffer.concat(pieces).equals(samples));
  });

  test("that would read for ever ends when the sink or the source throws", async () => {
    const sink = () => {
      throw new Error("no more");
    };
    await assert.rejects(tool.run({ inputs: [ENDLESS], output: { sink, format: "wav" } }), /no more/);
    const source = async function* () {
      yield Buffer.alloc(1000);
      throw new Error("the source broke");
    };
    const inputs = [{ bytes: source(), format: "s16le" }];
    await assert.rejects(tool.run({ inputs, output: { nothing: true } }), /the source broke/);
  });

  test("that has enough before its input ends is no error", async () => {
    const source = async function* () {
      for (;;) yield Buffer.alloc(64 * 1024);
    };
    const inputs = [{ bytes: source(), format: "s16le" }];
    await tool.run({ inputs, output: { nothing: true, options: ["-t", "0.5"] } });
  });

  test("says how far it is", async () => {
    const seen: number[] = [];
    const path = join(folder.path, "long.flac");
    const result = await tool.run({
      inputs: [{ generate: "sine=d=600" }],
      output: { path, format: "flac" },
      durationSeconds: 600,
      onProgress: ({ percent }) => seen.push(percent ?? -1),
    });
    assert.equal(seen.at(-1), 100);
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
    assert.ok(Math.abs((result.seconds ?? 0) - 600) < 0.1);
    assert.equal((await readFile(path)).toString("latin1", 0, 4), "fLaC");
  });

  test("says what a chain lacks, and what it was built with", async () => {
    const trial = { kind: "audio" } as const;
    assert.equal(await tool.refusesChain("alimiter=limit=0.9,aformat=channel_layouts=mono", trial), undefined);
    assert.match((await tool.refusesChain("nosuchfilter=1", trial)) ?? "", /^No such filter: 'nosuchfilter'$/);
    assert.match((await tool.refusesChain("alimiter=nosuch=1", trial)) ?? "", /nosuch/);
    assert.equal(await tool.refusesChain("[0:a][1:a]amix=inputs=2", { kind: "audio", inputs: 2 }), undefined);
    assert.equal(await tool.refusesChain("scale=32:32", { kind: "video" }), undefined);
    assert.equal(await tool.has("encoder", "flac"), true);
    assert.equal(await tool.has("encoder", "nosuch"), false);
    assert.equal(await tool.has("demuxer", "mp4"), true);
    assert.equal(await tool.has("muxer", "matroska"), true);
    assert.equal(await tool.has("decoder", "aac"), true);
    assert.equal(await tool.has("filter", "loudnorm"), true);
    assert.equal(await tool.has("filter", "="), false);
  });

  test("on a full disk says so and leaves nothing", needsMount, async () => {
    await using small = await temporaryMount(256 * 1024);
    const output = { path: join(small.path, "big.wav"), format: "wav" };
    await assert.rejects(tool.run({ inputs: [{ generate: "sine=d=60" }], output }), { code: "DISK_FULL" });
    assert.deepEqual(await readdir(small.path), []);
    small.remount("ro");
    await assert.rejects(tool.run({ inputs: [{ generate: "sine=d=1" }], output }), { code: "READ_ONLY" });
  });
});
