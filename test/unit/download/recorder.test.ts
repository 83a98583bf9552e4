import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "../../../src/daemon/core/errors.ts";
import type { PartFile } from "../../../src/daemon/core/ports/files.ts";
import type { SessionStore } from "../../../src/daemon/core/ports/sessions.ts";
import { Recorder } from "../../../src/daemon/download/recorder.ts";

const chunk = (index: number) => ({ index, sha256: `${index}`, length: 1, sources: [] });

test("after a sync that failed nothing is recorded any more: the next sync would lie", async () => {
  const recorded: number[] = [];
  let syncs = 0;
  const part = {
    sync: () => (++syncs === 2 ? Promise.reject(failure("IO_ERROR", "EIO")) : Promise.resolve()),
  } as unknown as PartFile;
  const store = { recordChunks: () => Promise.resolve() } as unknown as SessionStore;
  const recorder = new Recorder({
    part,
    store,
    sessionId: "a",
    epoch: 1,
    onRecorded: ({ index }) => void recorded.push(index),
  });
  await recorder.add(chunk(0));
  await assert.rejects(recorder.add(chunk(1)), { code: "IO_ERROR" });
  await assert.rejects(recorder.add(chunk(2)), { code: "IO_ERROR" });
  assert.deepEqual(recorded, [0]);
});
