/**
 * One connection's way from the wire to the part file. Bytes are gathered in a slab of one chunk; a full slab is written
 * and hashed side by side while the next one fills. A chunk that is half full survives a broken connection: the next
 * request goes on behind its last byte.
 */
import type { PartFile, RangeStream } from "../core/ports.ts";
import { sha256 } from "./digest.ts";
import type { Run } from "./run.ts";
import type { Span } from "./spans.ts";

/** Slabs of a lane that may be on their way to the disk while another one fills. */
const IN_FLIGHT = 2;

/** Thrown into a stream whose remaining bytes were stolen by another connection. */
const STOLEN = new Error("the rest of this span was taken over");

/** What lanes of one file share. */
export interface Sheet {
  readonly run: Run;
  readonly part: PartFile;
  readonly chunkSize: number;
  /** Absent if nobody knows how long the file is. */
  readonly size?: number;
  /** Takes a chunk whose bytes are written. */
  readonly onChunk: (index: number, sha256: string, length: number) => Promise<void>;
}

/** Receives chunks over one connection at a time. */
export class Lane {
  readonly #sheet: Sheet;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #recording = new Set<Promise<void>>();
  #slab: Buffer<ArrayBuffer> | undefined;
  #slabIndex = -1;
  #filled = 0;
  #error: unknown;

  constructor(sheet: Sheet) {
    this.#sheet = sheet;
  }

  /** The byte at which the next request for this span begins. */
  position(span: Span): number {
    return span.next * this.#sheet.chunkSize + (this.#slabIndex === span.next ? this.#filled : 0);
  }

  /**
   * Receives a stream into the span's chunks and moves `span.next` on. Returns when the stream has ended, or when the
   * span has (it may have been cut meanwhile).
   */
  async receive(stream: RangeStream, span: Span): Promise<void> {
    if (this.#slabIndex !== span.next) this.#discard();
    const end = span.end;
    try {
      await stream.pipe((bytes) => this.#accept(bytes, span, end));
    } catch (error) {
      if (error !== STOLEN) throw error;
    }
  }

  /** Ends a stream: what is in the slab is the last chunk. @returns bytes received in all */
  finish(span: Span): number {
    const received = span.next * this.#sheet.chunkSize + this.#filled;
    // A last chunk that was complete is shorter than the others.
    const size = Math.min(received, this.#sheet.size ?? received);
    if (this.#slab && this.#filled > 0) {
      this.#complete(this.#slab.subarray(0, this.#filled), this.#slab, span);
      this.#slab = undefined;
      this.#filled = 0;
    }
    return size;
  }

  /** Waits until everything received is written and recorded. @throws what went wrong on the way */
  async drain(): Promise<void> {
    while (this.#inFlight.size > 0 || this.#recording.size > 0)
      await Promise.allSettled([...this.#inFlight, ...this.#recording]);
    if (this.#error !== undefined) throw this.#error;
  }

  /** Forgets a chunk that is not complete. */
  #discard(): void {
    if (this.#slab) this.#sheet.run.engine.slabs.give(this.#slab);
    this.#sheet.run.pendingBytes -= this.#filled;
    this.#slab = undefined;
    this.#slabIndex = -1;
    this.#filled = 0;
  }

  /** Lets go of the slab; what was in it has to be fetched again. */
  [Symbol.dispose](): void {
    this.#discard();
  }

  #accept(bytes: Uint8Array, span: Span, requestedEnd: number): void | Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    const { run } = this.#sheet;
    run.pendingBytes += bytes.length;
    run.meter.add(bytes.length);
    run.engine.meter.add(bytes.length);
    let offset = 0;
    while (offset < bytes.length) {
      if (span.next >= span.end) {
        run.pendingBytes -= bytes.length - offset;
        throw STOLEN;
      }
      this.#slab ??= this.#begin(span.next);
      const length = Math.min(bytes.length - offset, this.#slab.length - this.#filled);
      this.#slab.set(bytes.subarray(offset, offset + length), this.#filled);
      this.#filled += length;
      offset += length;
      if (this.#filled === this.#slab.length) {
        const full = this.#slab;
        this.#slab = undefined;
        this.#filled = 0;
        this.#complete(full, full, span);
      }
    }
    // Cut exactly here: more bytes are on the way, and none of them is ours.
    if (span.next >= span.end && span.end < requestedEnd) throw STOLEN;
    return this.#holdBack(bytes.length);
  }

  #begin(index: number): Buffer<ArrayBuffer> {
    const { chunkSize, size, run } = this.#sheet;
    this.#slabIndex = index;
    const length = size === undefined ? chunkSize : Math.min(chunkSize, size - index * chunkSize);
    return run.engine.slabs.take(length);
  }

  #complete(bytes: Buffer<ArrayBuffer>, slab: Buffer<ArrayBuffer>, span: Span): void {
    const { part, chunkSize, run, onChunk } = this.#sheet;
    const index = span.next++;
    const settled = (error: unknown): void => {
      this.#error ??= error;
    };
    const written = Promise.all([part.write(bytes, index * chunkSize), sha256(bytes)]).then(([, digest]) => {
      const length = bytes.length;
      run.engine.slabs.give(slab);
      const recorded = onChunk(index, digest, length)
        .catch(settled)
        .finally(() => {
          run.pendingBytes -= length;
          this.#recording.delete(recorded);
        });
      this.#recording.add(recorded);
    });
    const job = written.catch(settled).finally(() => this.#inFlight.delete(job));
    this.#inFlight.add(job);
  }

  /** Back-pressure: the disk first, then the limits. */
  #holdBack(bytes: number): void | Promise<void> {
    const { run } = this.#sheet;
    const own = run.limit.pass(bytes, run.signal);
    const all = run.engine.limit.pass(bytes, run.signal);
    const disk = this.#inFlight.size >= IN_FLIGHT ? Promise.race(this.#inFlight) : undefined;
    return own || all ? Promise.all([disk, own, all]).then(() => undefined) : disk;
  }
}
