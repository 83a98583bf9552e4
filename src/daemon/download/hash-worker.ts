/** The thread that hashes chunks where they lie: the slabs are shared memory, so that none of their bytes are copied. */
import { hash } from "node:crypto";
import { parentPort } from "node:worker_threads";

/** A chunk to hash. */
export interface HashJob {
  readonly job: number;
  readonly memory: SharedArrayBuffer;
  readonly length: number;
}

parentPort?.on("message", ({ job, memory, length }: HashJob) => {
  parentPort?.postMessage({ job, sha256: hash("sha256", new Uint8Array(memory, 0, length), "hex") });
});
