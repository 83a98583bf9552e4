/** The database on a disk that fills up, and has room again. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Store } from "../../../src/daemon/store/store.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { needsMount, temporaryFolder, temporaryMount } from "../../support/temporary-folder.ts";

test("what is acknowledged after a full disk survives the death of the process", needsMount, async () => {
  await using disk = await temporaryMount(4 * 1024 * 1024);
  await using elsewhere = await temporaryFolder();
  const directory = join(disk.path, "db");
  const filler = join(disk.path, "filler");
  await using store = new Store({ directory, logger: new RecordLogger() });
  await store.start();
  const put = (key: string, value: string) =>
    store.keyValue.write([{ type: "put", space: "s", key, value }], { sync: true });
  const fill = () => {
    try {
      for (;;) writeFileSync(filler, Buffer.alloc(16 * 1024), { flag: "a" });
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
    }
  };

  await put("before", "kept");
  for (const round of [1, 2]) {
    fill();
    for (const key of ["full-1", "full-2"])
      await assert.rejects(put(key, "x".repeat(300_000)), { code: "DISK_FULL" }, `round ${round}`);
    assert.equal(await store.keyValue.get("s", "before"), "kept", "reading goes on");
    rmSync(filler);
    await put(`after-${round}`, "kept");
    await put(`last-${round}`, "kept");
  }

  // As kill -9 leaves it: the files as they are, the lock gone.
  const image = join(elsewhere.path, "db");
  await cp(directory, image, { recursive: true, filter: (path) => !path.endsWith("LOCK") });
  const logger = new RecordLogger();
  await using reopened = new Store({ directory: image, logger });
  await reopened.start();
  const keys = ["before", "after-1", "last-1", "after-2", "last-2", "full-1"];
  assert.deepEqual(await reopened.keyValue.getMany("s", keys), [...Array(5).fill("kept"), undefined]);
  assert.deepEqual(await readdir(disk.path), ["db"], "nothing is left beside it");
});
