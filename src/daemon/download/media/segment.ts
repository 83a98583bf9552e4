/**
 * One segment on its way: received, deciphered, hashed, and kept in memory until it is its turn to be written. Where the
 * connection breaks it is gone on with, if the origin can tell its versions apart; otherwise it begins again.
 */
import { createDecipheriv, createHash, type Decipheriv, type Hash } from "node:crypto";
import { failure } from "../../core/errors.ts";
import type { ChunkSource, RangeStream } from "../../core/ports/sources.ts";
import type { Segment as Described } from "../../core/resolved.ts";
import type { ResourceInfo } from "../../core/session.ts";
import type { SharedBytes } from "../chunk-hasher.ts";
import type { Slabs } from "../slabs.ts";
import { canResume } from "../sources.ts";

/** What a login page or an error page is sent as; never a segment. */
const A_PAGE = /^(text\/html|application\/xhtml\+xml)\s*(;|$)/i;

/** Bytes of a block: segments are collected in them, used again and again. */
const BLOCK = 256 * 1024;

/** Some of a segment: the first bytes of a block, and the block, which is to be given back. */
export interface Piece {
  readonly bytes: Buffer;
  readonly block: SharedBytes;
}

/** What a segment needs of its track. */
export interface SegmentInit {
  readonly described: Described;
  readonly source: ChunkSource;
  /** Of an encrypted segment. */
  readonly key?: Buffer;
  /** The version of the resource that other ranges of it came from. */
  readonly version?: ResourceInfo;
  readonly slabs: Pick<Slabs, "take" | "give">;
  /** Called when an answer begins. What it throws ends it. */
  readonly onAnswer: (resource: ResourceInfo) => void;
  /** Called for bytes received; a promise holds the sender back. */
  readonly onBytes: (count: number) => Promise<void> | undefined;
  /** Called when there is something to take. A promise holds the sender back: memory is short, or it is being written. */
  readonly onReady: () => Promise<void> | undefined;
}

/** One segment. */
export class SegmentTransfer {
  readonly #init: SegmentInit;
  readonly #start: number;
  readonly #end: number | undefined;
  /** Received, counted from the segment's first byte. */
  #received = 0;
  #resource: ResourceInfo | undefined;
  /** Full, not yet taken. */
  #full: SharedBytes[] = [];
  /** Being filled. */
  #block: SharedBytes | undefined;
  #filled = 0;
  #length = 0;
  #hash: Hash = createHash("sha256");
  #decipher: Decipheriv | undefined;
  /** Counts how often it began again: what was taken before is then of no use. */
  #version = 0;
  #whole = false;

  constructor(init: SegmentInit) {
    this.#init = init;
    const { range } = init.described;
    this.#start = range?.start ?? 0;
    this.#end = range?.end;
    this.#decipher = this.#newDecipher();
  }

  /** Memory that it takes, in bytes. */
  get buffered(): number {
    return (this.#full.length + (this.#block ? 1 : 0)) * BLOCK;
  }

  /** Bytes that wait to be taken. */
  get untaken(): number {
    return this.#full.length * BLOCK + this.#filled;
  }

  /** Received in this version. */
  get received(): number {
    return this.#received;
  }

  /** What is here can be gone on with; otherwise it begins again. */
  get resumable(): boolean {
    return this.#resource !== undefined && canResume(this.#resource);
  }

  get whole(): boolean {
    return this.#whole;
  }

  /** Bytes in all; final once it is whole. */
  get length(): number {
    return this.#length;
  }

  get version(): number {
    return this.#version;
  }

  /** SHA-256 of what it came to, hex. Once only, when it is whole. */
  digest(): string {
    return this.#hash.digest("hex");
  }

  /** The version of the resource that it came from; undefined before the first answer. */
  get resource(): ResourceInfo | undefined {
    return this.#resource;
  }

  /** Takes the blocks that are full, and of one that is whole the last one too. They are the caller's to give back. */
  take(): Piece[] {
    const pieces = this.#full.map((block): Piece => ({ bytes: block, block }));
    this.#full = [];
    if (!this.#whole || !this.#block) return pieces;
    if (this.#filled > 0) pieces.push({ bytes: this.#block.subarray(0, this.#filled), block: this.#block });
    else this.#init.slabs.give(this.#block);
    this.#block = undefined;
    this.#filled = 0;
    return pieces;
  }

  /** Asks for what is missing and receives it. @throws NetworkError, ResourceError, the signal's reason */
  async receive(signal: AbortSignal): Promise<void> {
    const { source } = this.#init;
    if (this.#received > 0 && !this.resumable) this.restart();
    const resource = this.#resource;
    const start = this.#start + this.#received;
    const going = this.#received > 0 ? this.#resource : this.#init.version;
    // The connection ended behind its last byte.
    if (this.#received > 0 && this.#received === this.#wanted) return this.#complete();
    const stream = await source.open({
      start,
      ...(this.#end !== undefined
        ? { end: this.#end }
        : going && resource?.size !== undefined && { end: resource.size }),
      ...(going && { expected: going }),
      signal,
    });
    try {
      this.#checkAnswer(stream, start);
      this.#init.onAnswer(stream.resource);
    } catch (error) {
      stream.cancel();
      throw error;
    }
    this.#resource ??= stream.resource;
    // Straight into the blocks where that can be done; what is enciphered becomes other bytes on the way.
    if (stream.receive && !this.#decipher)
      await stream.receive({ space: () => this.#space(), filled: (count) => this.#arrived(count) });
    else await stream.pipe((bytes) => this.#accept(bytes));
    this.#complete();
  }

  #checkAnswer({ start: began, end, resource }: RangeStream, start: number): void {
    const { id } = this.#init.source;
    if (A_PAGE.test(resource.contentType ?? ""))
      throw failure("MEDIA_INVALID", `${id} is a page (${resource.contentType}), not a segment`, {
        metadata: { segment: id },
      });
    if (began === start && (this.#end === undefined || end === undefined || end <= this.#end)) return;
    // A range that was ignored: of a file of many segments the whole would have to be read for each.
    throw failure(
      "RANGE_INVALID",
      `${id} answered with bytes ${began}-${end ?? ""}, asked for ${start}-${this.#end ?? ""}: the origin gives no ranges`,
      { retryable: false },
    );
  }

  /** Bytes came by themselves; the buffer is only lent. */
  #accept(bytes: Uint8Array): Promise<void> | undefined {
    this.#count(bytes.length);
    this.#keep(this.#decipher ? this.#decipher.update(bytes) : bytes);
    return this.#told(bytes.length);
  }

  /** Bytes came into the last space. */
  #arrived(count: number): Promise<void> | undefined {
    this.#count(count);
    this.#took(count);
    return this.#told(count);
  }

  #count(bytes: number): void {
    this.#received += bytes;
    if (this.#end !== undefined && this.#received > this.#end - this.#start)
      throw failure("RANGE_INVALID", `${this.#init.source.id} sends more than the range that it was asked for`);
  }

  #told(bytes: number): Promise<void> | undefined {
    const limit = this.#init.onBytes(bytes);
    const room = this.#init.onReady();
    return limit && room ? Promise.all([limit, room]).then(() => undefined) : (limit ?? room);
  }

  #keep(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const space = this.#space();
      const count = Math.min(space.length, bytes.length - from);
      space.set(bytes.subarray(from, from + count));
      this.#took(count);
      from += count;
    }
  }

  /** Room for the next bytes; never empty. */
  #space(): Buffer {
    this.#block ??= this.#init.slabs.take(BLOCK);
    return this.#block.subarray(this.#filled);
  }

  /** So many bytes are in the last space. */
  #took(count: number): void {
    if (!this.#block || count === 0) return;
    this.#hash.update(this.#block.subarray(this.#filled, this.#filled + count));
    this.#filled += count;
    this.#length += count;
    if (this.#filled < BLOCK) return;
    this.#full.push(this.#block);
    this.#block = undefined;
    this.#filled = 0;
  }

  /** Bytes that have to be received in all, if anybody knows. */
  get #wanted(): number | undefined {
    return this.#end === undefined ? this.#resource?.size : this.#end - this.#start;
  }

  #complete(): void {
    const wanted = this.#wanted;
    if (wanted !== undefined && this.#received !== wanted)
      throw failure("TRUNCATED", `${this.#init.source.id} sent ${this.#received} of ${wanted} bytes`);
    if (this.#decipher) {
      try {
        this.#keep(this.#decipher.final());
      } catch (error) {
        throw failure(
          "MEDIA_INVALID",
          `${this.#init.source.id} cannot be deciphered: the key is wrong, or the segment`,
          {
            cause: error,
          },
        );
      }
    }
    this.#whole = true;
  }

  /** Begins again: what came does not count. */
  restart(): void {
    this.#version++;
    this.#received = 0;
    this.#resource = undefined;
    for (const block of this.#full) this.#init.slabs.give(block);
    this.#full = [];
    this.#filled = 0;
    this.#length = 0;
    this.#hash = createHash("sha256");
    this.#decipher = this.#newDecipher();
  }

  #newDecipher(): Decipheriv | undefined {
    const { key, described } = this.#init;
    if (!key || !described.key) return undefined;
    return createDecipheriv("aes-128-cbc", key, Buffer.from(described.key.iv, "hex"));
  }
}
