/**
 * One segment on its way: received, deciphered, hashed, and kept in memory until it is its turn to be written. Where the
 * connection breaks it is gone on with, if the origin can tell its versions apart; otherwise it begins again.
 */
import { createDecipheriv, createHash, type Decipheriv, type Hash } from "node:crypto";
import { failure } from "../../core/errors.ts";
import type { ChunkSource, RangeStream } from "../../core/ports.ts";
import type { Segment as Described } from "../../core/resolved.ts";
import type { ResourceInfo } from "../../core/session.ts";
import { canResume } from "../sources.ts";

/** What a login page or an error page is sent as; never a segment. */
const A_PAGE = /^(text\/html|application\/xhtml\+xml)\s*(;|$)/i;

/** What a segment needs of its track. */
export interface SegmentInit {
  readonly described: Described;
  readonly source: ChunkSource;
  /** Of an encrypted segment. */
  readonly key?: Buffer;
  /** The version of the resource that other ranges of it came from. */
  readonly version?: ResourceInfo;
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
  #pieces: Buffer[] = [];
  #buffered = 0;
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

  /** Bytes in memory. */
  get buffered(): number {
    return this.#buffered;
  }

  /** Received in this version. */
  get received(): number {
    return this.#received;
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

  /** Takes what is in memory. */
  take(): Buffer[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#buffered = 0;
    return pieces;
  }

  /** Asks for what is missing and receives it. @throws NetworkError, ResourceError, the signal's reason */
  async receive(signal: AbortSignal): Promise<void> {
    const { source } = this.#init;
    const resource = this.#resource;
    if (this.#received > 0 && !(resource && canResume(resource))) this.restart();
    const start = this.#start + this.#received;
    const going = this.#received > 0 ? this.#resource : this.#init.version;
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
    } catch (error) {
      stream.cancel();
      throw error;
    }
    this.#resource ??= stream.resource;
    await stream.pipe((bytes) => this.#accept(bytes));
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

  #accept(bytes: Uint8Array): Promise<void> | undefined {
    this.#received += bytes.length;
    if (this.#end !== undefined && this.#received > this.#end - this.#start)
      throw failure("RANGE_INVALID", `${this.#init.source.id} sends more than the range that it was asked for`);
    // The buffer is only lent.
    const plain = this.#decipher ? this.#decipher.update(bytes) : Buffer.from(bytes);
    this.#keep(plain);
    const limit = this.#init.onBytes(bytes.length);
    const room = this.#init.onReady();
    return limit && room ? Promise.all([limit, room]).then(() => undefined) : (limit ?? room);
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#hash.update(bytes);
    this.#pieces.push(bytes);
    this.#buffered += bytes.length;
    this.#length += bytes.length;
  }

  #complete(): void {
    const wanted = this.#end === undefined ? this.#resource?.size : this.#end - this.#start;
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
    this.#pieces = [];
    this.#buffered = 0;
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
