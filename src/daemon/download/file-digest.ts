/**
 * Digests of a large file in a thread of its own, begun while the file still comes: what is whole from the first byte on is
 * read at once, while it is in memory anyway, so that little is left to do at the end.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { asDownloadError, failure } from "../core/errors.ts";
import type { DigestAlgorithm } from "../core/session.ts";
import type { Digests } from "./digester.ts";
import { workerUrl } from "./worker-url.ts";

/** Bytes below which the thread is not told of more. */
const STEP = 4 * 1024 * 1024;

interface Answer {
  readonly digests?: Digests;
  readonly message?: string;
  readonly code?: string;
}

/** Digests of one file. The thread begins with the first bytes that are there; disposal ends it. */
export class FileDigest implements AsyncDisposable {
  /** Threads that run now. */
  static #threads = 0;

  /** True while there are as many threads as can be of use: each costs memory, and more are no quicker. */
  static get busy(): boolean {
    return FileDigest.#threads >= availableParallelism();
  }

  readonly #path: string;
  readonly #algorithms: readonly DigestAlgorithm[];
  readonly #found = Promise.withResolvers<Digests>();
  #worker: Worker | undefined;
  #told = 0;

  constructor(path: string, algorithms: readonly DigestAlgorithm[]) {
    this.#path = path;
    this.#algorithms = algorithms;
    // Whoever waits hears of it; nobody may.
    this.#found.promise.catch(() => undefined);
  }

  /** True if the thread has begun. */
  get running(): boolean {
    return this.#worker !== undefined;
  }

  /** The bytes before `position` are written, and stay as they are. */
  reached(position: number): void {
    if (position - this.#told >= STEP && (this.#worker || !FileDigest.busy)) this.#tell(position, false);
  }

  /**
   * The file is whole. To be called once.
   *
   * @param size - its bytes
   * @throws FileSystemError; the signal's reason
   */
  async finish(size: number, signal: AbortSignal): Promise<Digests> {
    signal.throwIfAborted();
    const stopped = Promise.withResolvers<never>();
    const onAbort = (): void => stopped.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      this.#tell(size, true);
      return await Promise.race([this.#found.promise, stopped.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      await this[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate();
  }

  #tell(whole: number, last: boolean): void {
    this.#told = whole;
    this.#worker ??= this.#start();
    this.#worker.postMessage({ whole, last });
  }

  #start(): Worker {
    const { resolve, reject } = this.#found;
    const worker = new Worker(workerUrl("digest-worker"), {
      workerData: { path: this.#path, algorithms: this.#algorithms },
    });
    FileDigest.#threads++;
    worker.on("error", reject);
    worker.on("exit", (code) => {
      FileDigest.#threads--;
      reject(failure("INTERNAL", `the thread that reads ${this.#path} ended with ${code}`));
    });
    worker.on("message", ({ digests, message, code }: Answer) => {
      if (digests) resolve(digests);
      else if (code === "ENOENT") reject(failure("IO_ERROR", `reading ${this.#path} failed: it is not there`));
      else reject(asDownloadError(Object.assign(new Error(message), { code })));
    });
    return worker;
  }
}
