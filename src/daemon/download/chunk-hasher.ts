/**
 * SHA-256 of chunks in a thread of its own. `subtle.digest` would copy every chunk on the main thread first: 0.45 s for each
 * GiB, about as long as receiving it takes. The thread begins with the first large chunk and ends when none comes any more.
 */
import { hash } from "node:crypto";
import { Worker } from "node:worker_threads";
import { failure } from "../core/errors.ts";
import type { Clock } from "../core/ports/runtime.ts";
import type { HashJob } from "./hash-worker.ts";
import { workerUrl } from "./worker-url.ts";

/** Below this many bytes a trip to the thread costs more than the digest itself (about 1.8 GB/s). */
const INLINE_BYTES = 64 * 1024;

/** Milliseconds without a chunk after which the thread ends: it costs some megabytes. */
const IDLE_MS = 3000;

/** Memory of a chunk that the thread can see too. */
export type SharedBytes = Buffer<SharedArrayBuffer>;

/** Hashes chunks. */
export class ChunkHasher implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #jobs = new Map<number, PromiseWithResolvers<string>>();
  #worker: Worker | undefined;
  #next = 0;
  #cancelEnd: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** SHA-256 of memory that begins where its buffer does, lower-case hex. The memory must stay as it is meanwhile. */
  sha256(bytes: SharedBytes): string | Promise<string> {
    if (bytes.length <= INLINE_BYTES) return hash("sha256", bytes, "hex");
    this.#cancelEnd?.();
    this.#cancelEnd = undefined;
    this.#worker ??= this.#start();
    const job = this.#next++;
    const answer = Promise.withResolvers<string>();
    this.#jobs.set(job, answer);
    this.#worker.postMessage({ job, memory: bytes.buffer, length: bytes.length } satisfies HashJob);
    return answer.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cancelEnd?.();
    await this.#worker?.terminate();
  }

  #end(worker: Worker): void {
    // From here on the next chunk begins another one.
    this.#worker = undefined;
    void worker.terminate();
  }

  #start(): Worker {
    const worker = new Worker(workerUrl("hash-worker"));
    // Alone it keeps no program alive.
    worker.unref();
    worker.on("message", ({ job, sha256 }: { readonly job: number; readonly sha256: string }) => {
      this.#jobs.get(job)?.resolve(sha256);
      this.#jobs.delete(job);
      if (this.#jobs.size === 0) this.#cancelEnd = this.#clock.timer(IDLE_MS, () => this.#end(worker));
    });
    const ended = (why: unknown): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      for (const { reject } of this.#jobs.values())
        reject(failure("INTERNAL", "the thread that hashes chunks has ended", { cause: why }));
      this.#jobs.clear();
    };
    worker.on("error", ended);
    worker.on("exit", ended);
    return worker;
  }
}
