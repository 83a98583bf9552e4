/** The bench, with tiny sizes: every row can be run, and what it prints and keeps is whole. Its figures mean nothing here. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { runProgram } from "../support/run-program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { missing } from "../support/tools.ts";

const TINY = {
  BENCH_LARGE_MIB: "1",
  BENCH_LIMITED_MIB: "0.25",
  BENCH_SMALL_COUNT: "20",
  BENCH_TINY_COUNT: "20",
  BENCH_QUEUED_COUNT: "50",
  BENCH_MEDIA_SEGMENTS: "6",
  BENCH_QUIET_S: "0.1",
  BENCH_LIST_RUNS: "1",
  BENCH_RESTARTS: "1",
  BENCH_IDLE_S: "0.2",
  BENCH_ROUNDS: "1",
  BENCH_CACHE_ENTRIES: "300",
};

test("every row of the bench measures", {
  skip: missing("nginx", "curl", "aria2c", "wget2", "time", "ffmpeg", "yt-dlp"),
}, async (t) => {
  await using results = await temporaryFolder();
  const run = async (place: string, ...args: readonly string[]): Promise<string> => {
    const env = { ...process.env, ...TINY, BENCH_PLACES: place, BENCH_RESULTS: results.path };
    const { code, stdout, stderr } = await runProgram(process.execPath, ["bench/run.ts", ...args], { env });
    t.diagnostic(stdout);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /NOT THE FULL BENCH/);
    assert.doesNotMatch(stdout, /NOT MEASURED|COULD NOT BE RUN|failed:/);
    return stdout.slice(stdout.indexOf("summary"));
  };
  const [inMemory, onDisk] = await Promise.all([run("tmpfs"), run("disk", "--only", "7,10")]);
  for (const row of [1, 2, 3, 4, 5, 6, 8, 9]) assert.match(inMemory, new RegExp(`^ +${row}  tmpfs`, "m"));
  for (const row of [7, 10]) assert.match(onDisk, new RegExp(`^ +${row}  disk`, "m"));
  for (const name of await readdir(results.path)) {
    const kept: unknown = JSON.parse(await readFile(join(results.path, name), "utf8"));
    assert.ok(typeof kept === "object" && kept !== null && "rows" in kept && Array.isArray(kept.rows));
    assert.ok(kept.rows.length > 0);
  }
});

test("the bench names a row that there is not", async () => {
  const { code, stderr } = await runProgram(process.execPath, ["bench/run.ts", "--only", "1,99"]);
  assert.equal(code, 2);
  assert.match(stderr, /no row 99: 1 one file/);
});
