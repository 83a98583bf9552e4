/**
 * Records chunks, never before their bytes are safe: write → datasync → record. Chunks that arrive while a sync is under
 * way share the next one.
 */
import type { PartFile, SessionStore } from "../core/ports.ts";

/** A chunk whose bytes were written. */
interface Chunk {
  readonly index: number;
  readonly sha256: string;
  readonly length: number;
}

/** Records the chunks of one session's epoch. */
export class Recorder {
  readonly #part: PartFile;
  readonly #store: SessionStore;
  readonly #sessionId: string;
  readonly #epoch: number;
  readonly #done: Map<number, string>;
  readonly #onRecorded: (index: number, sha256: string, length: number) => void;
  #waiting: Chunk[] = [];
  #running: Promise<void> | undefined;

  /** @param done - gets the chunks as they are recorded */
  constructor(init: {
    part: PartFile;
    store: SessionStore;
    sessionId: string;
    epoch: number;
    done: Map<number, string>;
    onRecorded: (index: number, sha256: string, length: number) => void;
  }) {
    this.#part = init.part;
    this.#store = init.store;
    this.#sessionId = init.sessionId;
    this.#epoch = init.epoch;
    this.#done = init.done;
    this.#onRecorded = init.onRecorded;
  }

  /** Takes a chunk whose bytes have been written. @throws what the sync or the record of an earlier chunk threw */
  async add(index: number, sha256: string, length: number): Promise<void> {
    this.#waiting.push({ index, sha256, length });
    this.#running ??= this.#run();
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting;
        this.#waiting = [];
        await this.#part.sync();
        const entries = batch.map(({ index, sha256 }) => [index, sha256] as const);
        await this.#store.recordChunks(this.#sessionId, this.#epoch, entries);
        for (const { index, sha256, length } of batch) {
          this.#done.set(index, sha256);
          this.#onRecorded(index, sha256, length);
        }
      }
    } finally {
      // In the same turn as the last look at what waits: a chunk that comes a moment later begins a run of its own.
      this.#running = undefined;
    }
  }
}
