import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { watchFoldersCheck } from "../../../src/daemon/watch/check.ts";

test("the watch folders' check", async () => {
  const home = await mkdtemp(join(tmpdir(), "snatch-watch-check-"));
  try {
    await writeFile(join(home, "file"), "");
    const run = (...folders: string[]) => watchFoldersCheck(folders).run(AbortSignal.timeout(1000));
    assert.equal((await run()).status, "skipped");
    assert.equal((await run(home, join(home, "later"))).status, "ok");
    const failed = await run(home, join(home, "file"), join(home, "file", "below"));
    assert.equal(failed.status, "failed");
    assert.match(failed.message, /file: not a folder; .*below: ENOTDIR/);
  } finally {
    await rm(home, { recursive: true });
  }
});
