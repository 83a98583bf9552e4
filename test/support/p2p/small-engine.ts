/** The engine in small: fetches a file from a source over some lanes, and counts a chunk only if its digest is right. */
import { createHash } from "node:crypto";
import { asDownloadError, type DownloadError } from "../../../src/daemon/core/errors.ts";
import { chunkRange, type Manifest } from "../../../src/daemon/core/manifest.ts";
import type { ByteRange, ChunkSource, HeldPart, RangeStream } from "../../../src/daemon/core/ports/sources.ts";

/** How it fetches. */
export interface SmallEngineOptions {
  readonly lanes?: number;
  /** Failures in a row, of all lanes, after which it gives up. */
  readonly patience?: number;
  readonly signal?: AbortSignal;
  /** A promise for every so many pieces, as a slow disk gives them. */
  readonly holdEvery?: number;
  /** Waits between attempts. */
  readonly pause?: () => Promise<void>;
}

/** A file that is being fetched. */
export class SmallEngine implements HeldPart {
  readonly bytes: Buffer;
  readonly done = new Set<number>();
  readonly chunkSize: number;
  rejected = 0;
  failures: DownloadError[] = [];
  readonly #source: ChunkSource;
  readonly #manifest: Manifest;
  readonly #options: SmallEngineOptions;
  readonly #filled: Uint8Array;
  readonly #taken = new Set<number>();
  readonly #listeners = new Set<(index: number) => void>();
  #fruitless = 0;
  #pieces = 0;

  constructor(source: ChunkSource, manifest: Manifest, options: SmallEngineOptions = {}) {
    this.#source = source;
    this.#manifest = manifest;
    this.#options = options;
    this.chunkSize = manifest.chunkSize;
    this.bytes = Buffer.alloc(manifest.size);
    this.#filled = new Uint8Array(manifest.chunks.length);
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    return Buffer.from(this.bytes.subarray(position, position + length));
  }

  onGained(listener: (index: number) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Fetches all of it. @throws the last error when it gives up */
  async all(): Promise<Buffer> {
    using _attached = this.#source.attach?.(this);
    const lanes = Array.from({ length: this.#options.lanes ?? 3 }, () => this.#lane());
    await Promise.all(lanes);
    if (this.done.size < this.#manifest.chunks.length) throw this.failures.at(-1) ?? new Error("nothing came");
    return this.bytes;
  }

  async #lane(): Promise<void> {
    const { patience = 40, pause, signal = new AbortController().signal } = this.#options;
    for (;;) {
      const range = this.#take();
      if (!range) {
        if (this.#taken.size === 0 || this.done.size === this.#manifest.chunks.length) return;
        // Others are at the rest; they may fail.
        await new Promise((resolve) => setTimeout(resolve, 2));
        if (this.#fruitless >= patience) return;
        continue;
      }
      try {
        const stream = await this.#source.open({ start: range.start, end: range.end, signal });
        await this.#receive(stream, range);
        this.#fruitless = 0;
      } catch (error) {
        this.failures.push(asDownloadError(error));
        await pause?.();
        if (signal.aborted || ++this.#fruitless >= patience) return;
      } finally {
        for (let chunk = range.start / this.chunkSize; chunk * this.chunkSize < range.end; chunk++)
          this.#taken.delete(chunk);
      }
    }
  }

  /** What is asked for next: what the source would have, or two chunks in a row. */
  #take(): ByteRange | undefined {
    const gaps: ByteRange[] = [];
    const { size, chunks } = this.#manifest;
    for (let index = 0; index < chunks.length; index++) {
      if (this.done.has(index) || this.#taken.has(index)) continue;
      const { start, end } = chunkRange(index, size, this.chunkSize);
      const last = gaps.at(-1);
      if (last?.end === start) gaps[gaps.length - 1] = { start: last.start, end };
      else gaps.push({ start, end });
    }
    const [first] = gaps;
    if (!first) return undefined;
    const chosen = this.#source.choose?.(gaps) ?? first;
    const range = { start: chosen.start, end: Math.min(chosen.end, chosen.start + 2 * this.chunkSize) };
    for (let chunk = range.start / this.chunkSize; chunk * this.chunkSize < range.end; chunk++) this.#taken.add(chunk);
    return range;
  }

  async #receive(stream: RangeStream, range: ByteRange): Promise<void> {
    let position = range.start;
    // Everything of a chunk comes in one go: what another attempt has brought of it does not count.
    for (let chunk = range.start / this.chunkSize; chunk * this.chunkSize < range.end; chunk++) this.#filled[chunk] = 0;
    await stream.receive?.({
      space: () => this.bytes.subarray(position, Math.min(position + 10_000, this.#chunkEnd(position), range.end)),
      filled: (count) => {
        position += count;
        const chunk = Math.ceil(position / this.chunkSize) - 1;
        const { end } = chunkRange(chunk, this.#manifest.size, this.chunkSize);
        if (position === end && this.#filled[chunk] === 0) this.#judge(chunk);
        const { holdEvery } = this.#options;
        return holdEvery !== undefined && ++this.#pieces % holdEvery === 0
          ? new Promise((resolve) => setImmediate(resolve))
          : undefined;
      },
    });
  }

  #chunkEnd(position: number): number {
    return (Math.floor(position / this.chunkSize) + 1) * this.chunkSize;
  }

  #judge(chunk: number): void {
    this.#filled[chunk] = 1;
    const range = chunkRange(chunk, this.#manifest.size, this.chunkSize);
    const digest = createHash("sha256").update(this.bytes.subarray(range.start, range.end)).digest("hex");
    if (digest !== this.#manifest.chunks[chunk]) {
      this.rejected++;
      this.#source.reject?.(range);
      return;
    }
    this.done.add(chunk);
    for (const listener of [...this.#listeners]) listener(chunk);
  }
}
