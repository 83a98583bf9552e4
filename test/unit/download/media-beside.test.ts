/** Files beside another one, placed twice: the other's name was taken, and it is placed once more. */
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { DiskFileStore } from "../../../src/daemon/disk/file-store.ts";
import { placeBeside } from "../../../src/daemon/download/media/beside.ts";
import type { Run } from "../../../src/daemon/download/run.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("what is in place is not put there again, empty", async () => {
  await using folder = await temporaryFolder();
  const run = {
    engine: { files: new DiskFileStore() },
    session: { options: {} },
    settings: { ifExists: "rename" },
    logger: new RecordLogger(),
  } as unknown as Run;
  const path = join(folder.path, "film.part.s0.vtt");
  await writeFile(path, "WEBVTT\n");
  const besides = [{ path, ending: "en.vtt" }];
  await placeBeside(run, join(folder.path, "film.mp4"), besides);
  await placeBeside(run, join(folder.path, "film (1).mp4"), besides);
  assert.deepEqual(await readdir(folder.path), ["film.en.vtt"]);
  assert.equal(await readFile(join(folder.path, "film.en.vtt"), "utf8"), "WEBVTT\n");
});
