/**
 * Records chunks, never before their bytes are safe: write → datasync → record. Chunks that arrive while a sync is under
 * way share the next one.
 */
import type { PartFile } from "../core/ports/files.ts";
import type { RecordedChunk, SessionStore } from "../core/ports/sessions.ts";
import type { ChunkInfo } from "./assembly.ts";

/** A chunk, or a segment, with what no grid says of it. */
export interface Recordable extends ChunkInfo {
  readonly segment?: RecordedChunk[3];
}

/** Records the chunks of one session's epoch. */
export class Recorder<Chunk extends Recordable = Recordable> {
  readonly #part: PartFile;
  readonly #store: SessionStore;
  readonly #sessionId: string;
  readonly #epoch: number;
  readonly #onRecorded: (chunk: Chunk) => void;
  #waiting: Chunk[] = [];
  #running: Promise<void> | undefined;
  #failed: { readonly error: unknown } | undefined;

  constructor(init: {
    part: PartFile;
    store: SessionStore;
    sessionId: string;
    epoch: number;
    onRecorded: (chunk: Chunk) => void;
  }) {
    this.#part = init.part;
    this.#store = init.store;
    this.#sessionId = init.sessionId;
    this.#epoch = init.epoch;
    this.#onRecorded = init.onRecorded;
  }

  /** Takes a chunk whose bytes have been written. @throws what the sync or the record of an earlier chunk threw */
  async add(chunk: Chunk): Promise<void> {
    // A failed sync is told once only: the next one says that all is well, and may be wrong about what was written before.
    if (this.#failed) throw this.#failed.error;
    this.#waiting.push(chunk);
    this.#running ??= this.#run();
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting;
        this.#waiting = [];
        await this.#part.sync();
        const entries = batch.map(
          ({ index, sha256, sources, segment }): RecordedChunk =>
            segment ? [index, sha256, sources, segment] : [index, sha256, sources],
        );
        await this.#store.recordChunks(this.#sessionId, this.#epoch, entries);
        for (const chunk of batch) this.#onRecorded(chunk);
      }
    } catch (error) {
      this.#failed = { error };
      throw error;
    } finally {
      // In the same turn as the last look at what waits: a chunk that comes a moment later begins a run of its own.
      this.#running = undefined;
    }
  }
}
