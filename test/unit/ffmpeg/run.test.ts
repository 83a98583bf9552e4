/** The runner with programs that only pretend to be FFmpeg: what hangs, refuses to end, floods or dies. */
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { fakeFfmpeg, isAlive, pidIn, testRunner } from "../../support/ffmpeg.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";

/** The last argument is the output, as `file:PATH`. */
const OUTPUT = 'for last; do :; done; out=$(expr "$last" : "file:\\(.*\\)")';
const code = (wanted: string) => (error: unknown) => error instanceof DownloadError && error.code === wanted;

/** A folder with a fake, and one for the output. */
async function place(body: string) {
  const folder = await temporaryFolder();
  const program = await fakeFfmpeg(folder.path, `echo $$ > '${folder.path}/pid'\n${body}`);
  const output = await temporaryFolder();
  const target = join(output.path, "song.mp3");
  return {
    program,
    target,
    pid: () => pidIn(join(folder.path, "pid")),
    left: () => readdir(output.path),
    run: { inputs: [{ generate: "sine" }], output: { path: target, format: "mp3" } },
    async [Symbol.asyncDispose]() {
      await folder[Symbol.asyncDispose]();
      await output[Symbol.asyncDispose]();
    },
  };
}

describe("a run", () => {
  test("gives the file its name when it is whole, and not before", async () => {
    await using at = await place(`${OUTPUT}; printf whole > "$out"; while [ ! -e "$0.go" ]; do sleep 0.01; done`);
    await using runner = testRunner(at.program);
    const run = runner.run(at.run);
    await at.pid();
    const [hidden = ""] = await waitFor("the hidden file", async () => {
      const names = await at.left();
      return names.length > 0 && names;
    });
    assert.match(hidden, /^\.song\.mp3\.[0-9a-f]{12}\.making$/);
    await writeFile(`${at.program}.go`, "");
    await run;
    assert.deepEqual(await at.left(), ["song.mp3"]);
    assert.equal(await readFile(at.target, "utf8"), "whole");
  });

  test("that fails says its last lines, without secrets, and leaves nothing", async () => {
    const url = "https://me:hunter2@example.org/a?token=abcdef";
    await using at = await place(
      `${OUTPUT}; echo part > "$out"; echo first >&2; echo "cannot open ${url}" >&2; exit 3`,
    );
    await using runner = testRunner(at.program);
    await assert.rejects(runner.run(at.run), (error: DownloadError) => {
      assert.equal(error.code, "FFMPEG_FAILED");
      assert.equal(error.metadata["exit_code"], "3");
      assert.match(
        error.metadata["log"] ?? "",
        /^first\ncannot open https:\/\/me:\*\*\*@example\.org\/a\?token=\*\*\*$/,
      );
      assert.match(error.message, /exit code 3: cannot open/);
      return true;
    });
    assert.deepEqual(await at.left(), []);
  });

  test("that writes nothing is a failure, though it says that all is well", async () => {
    await using at = await place("exit 0");
    await using runner = testRunner(at.program);
    await assert.rejects(runner.run(at.run), code("FFMPEG_FAILED"));
    assert.deepEqual(await at.left(), []);
  });

  test("does not replace a file unless it is told to, and not before it is proved", async () => {
    await using at = await place(`${OUTPUT}; printf new > "$out"`);
    await using runner = testRunner(at.program);
    await writeFile(at.target, "old");
    await assert.rejects(runner.run(at.run), code("TARGET_EXISTS"));
    const output = { ...at.run.output, replace: true };
    const prove = async (path: string) => {
      assert.equal(await readFile(path, "utf8"), "new");
      throw new Error("not good enough");
    };
    await assert.rejects(runner.run({ ...at.run, output: { ...output, prove } }), /not good enough/);
    assert.equal(await readFile(at.target, "utf8"), "old");
    await runner.run({ ...at.run, output });
    assert.equal(await readFile(at.target, "utf8"), "new");
    assert.deepEqual(await at.left(), ["song.mp3"]);
  });

  test("does not replace a file that came while it ran", async () => {
    await using at = await place(`${OUTPUT}; printf new > "$out"; printf other > "$(dirname "$out")/song.mp3"`);
    await using runner = testRunner(at.program);
    await assert.rejects(runner.run(at.run), code("TARGET_EXISTS"));
    assert.equal(await readFile(at.target, "utf8"), "other");
    assert.deepEqual(await at.left(), ["song.mp3"]);
  });

  test("that is called off ends with the reason, when the process and its file are gone", async () => {
    await using at = await place(`${OUTPUT}; echo part > "$out"; exec sleep 600`);
    await using runner = testRunner(at.program);
    const control = new AbortController();
    const run = runner.run({ ...at.run, signal: control.signal });
    const pid = await at.pid();
    const why = new Error("enough");
    control.abort(why);
    await assert.rejects(run, (error) => error === why);
    assert.equal(await isAlive(pid), false);
    assert.deepEqual(await at.left(), []);
  });

  test("that takes no SIGTERM, and what it started, is killed", async () => {
    await using at = await place(
      `trap '' TERM; (trap '' TERM; echo $$ >/dev/null; sleep 600) & echo $! > "$0.child"; wait; sleep 600`,
    );
    await using runner = testRunner(at.program);
    const control = new AbortController();
    const run = runner.run({ ...at.run, signal: control.signal });
    const pids = [await at.pid(), await pidIn(`${at.program}.child`)];
    control.abort();
    await assert.rejects(run, { name: "AbortError" });
    for (const pid of pids) await waitFor(`end of ${pid}`, async () => !(await isAlive(pid)));
    assert.deepEqual(await at.left(), []);
  });

  test("that is killed with -9 from outside is a clean error, and nothing is left", async () => {
    await using at = await place(`${OUTPUT}; echo part > "$out"; exec sleep 600`);
    await using runner = testRunner(at.program);
    const run = runner.run(at.run);
    process.kill(await at.pid(), "SIGKILL");
    await assert.rejects(run, (error: DownloadError) => {
      assert.equal(error.code, "FFMPEG_FAILED");
      assert.equal(error.metadata["signal"], "SIGKILL");
      return true;
    });
    assert.deepEqual(await at.left(), []);
  });

  test("that takes too long is ended", async () => {
    await using at = await place("exec sleep 600");
    await using runner = testRunner(at.program);
    const run = runner.run({ ...at.run, timeoutMs: 300 });
    await assert.rejects(run, code("FFMPEG_TIMED_OUT"));
    assert.equal(await isAlive(await at.pid()), false);
  });

  test("that floods its log keeps the last lines only", async () => {
    await using at = await place(
      `${OUTPUT}; yes "a line of the log" | head -n 300000 >&2; printf x > "$out"; echo last >&2`,
    );
    await using runner = testRunner(at.program);
    const { log } = await runner.run(at.run);
    assert.equal(log.length, 30);
    assert.equal(log.at(-1), "last");
  });

  test("gets the progress of the output, with percent and time left", async () => {
    const blocks =
      "printf 'out_time_us=5000000\\nspeed=2.5x\\nprogress=continue\\nout_time_us=20000000\\nprogress=end\\n' >&3";
    await using at = await place(`${OUTPUT}; printf x > "$out"; ${blocks}`);
    await using runner = testRunner(at.program);
    const seen: object[] = [];
    const result = await runner.run({ ...at.run, durationSeconds: 20, onProgress: (progress) => seen.push(progress) });
    assert.deepEqual(seen, [
      { seconds: 5, percent: 25, speed: 2.5, etaSeconds: 6 },
      { seconds: 20, percent: 100, speed: 2.5, etaSeconds: 0 },
    ]);
    assert.equal(result.seconds, 20);
  });

  test("whose listener throws ends with what it threw", async () => {
    await using at = await place("echo hello >&2; exec sleep 600");
    await using runner = testRunner(at.program);
    const onLog = () => {
      throw new Error("the listener broke");
    };
    await assert.rejects(runner.run({ ...at.run, onLog }), /the listener broke/);
    assert.equal(await isAlive(await at.pid()), false);
  });

  test("that cannot be started is an error, and the process lives on, also with a warm cache", async () => {
    await using at = await place(`${OUTPUT}; printf x > "$out"`);
    await using runner = testRunner(at.program);
    await runner.run(at.run);
    const long = {
      ...at.run,
      output: { ...at.run.output, replace: true, options: ["-metadata", "x".repeat(200_000)] },
    };
    await assert.rejects(runner.run(long), code("FFMPEG_FAILED"));
    // Looked for and found, but gone when it is started: its interpreter is.
    await writeFile(at.program, "#!/nonexistent/sh\n");
    await assert.rejects(runner.run(at.run), code("FFMPEG_MISSING"));
    assert.deepEqual(await at.left(), ["song.mp3"]);
  });
});

describe("runs at once", () => {
  test("are limited, wait in order, and can be called off while they wait", async () => {
    await using at = await place("exec sleep 600");
    await using runner = testRunner(at.program, { processes: 1 });
    const first = new AbortController();
    const waiting = new AbortController();
    const one = runner.run({ ...at.run, signal: first.signal });
    await at.pid();
    const two = runner.run({ ...at.run, signal: waiting.signal });
    waiting.abort(new Error("no longer"));
    await assert.rejects(two, /no longer/);
    first.abort();
    await assert.rejects(one, { name: "AbortError" });
  });

  test("end with the runner, and none is taken after it", async () => {
    await using at = await place("exec sleep 600");
    const runner = testRunner(at.program, { processes: 1 });
    const runs = [runner.run(at.run), runner.run(at.run)].map((run) => assert.rejects(run, code("SHUTTING_DOWN")));
    const pid = await at.pid();
    await runner[Symbol.asyncDispose]();
    assert.equal(await isAlive(pid), false);
    await Promise.all(runs);
    await assert.rejects(runner.run(at.run), code("SHUTTING_DOWN"));
    assert.deepEqual(await at.left(), []);
  });
});
