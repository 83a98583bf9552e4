/** A taker for tests of givers: asks over a channel, and keeps what comes. */
import { setImmediate as breathe } from "node:timers/promises";
import type { DownloadError } from "../../../src/daemon/core/errors.ts";
import {
  type Channel,
  type ChannelHandlers,
  FRAME,
  type FrameType,
  type Offer,
} from "../../../src/daemon/p2p/types.ts";

/** What came of a request. */
export interface Taken {
  readonly pieces: Buffer[];
  /** Bytes. */
  length: number;
  ended: boolean;
  refused: { readonly code: string; readonly message: string } | undefined;
}

/** Integers of 32 bits in a row. */
export function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, 4 * index);
  return bytes;
}

/** The payload of a request. */
export function requestOf(id: number, file: number, start: number, length: number, credit: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(id, 0);
  bytes.writeUInt32BE(file, 4);
  bytes.writeBigUInt64BE(BigInt(start), 8);
  bytes.writeBigUInt64BE(BigInt(length), 16);
  bytes.writeUInt32BE(credit, 24);
  return bytes;
}

/** The taker's end of a channel. */
export class Taking implements ChannelHandlers {
  readonly channel: Channel;
  readonly requests = new Map<number, Taken>();
  /** In the order in which their data came. */
  readonly order: number[] = [];
  readonly held: (readonly [file: number, bits: string])[] = [];
  readonly gained: (readonly [file: number, chunk: number])[] = [];
  readonly catalogue: Buffer[] = [];
  offer: Offer | undefined;
  reason: DownloadError | undefined;
  receivedBytes = 0;
  /** False: data is counted and not kept. */
  readonly #keep: boolean;
  /** Credit is granted again as data comes. */
  readonly #grants: boolean;
  #news = Promise.withResolvers<void>();
  #next = 1;

  constructor(channel: Channel, options: { readonly keep?: boolean; readonly grants?: boolean } = {}) {
    this.channel = channel;
    this.#keep = options.keep ?? true;
    this.#grants = options.grants ?? true;
    channel.start(this);
  }

  frame(type: FrameType, payload: Buffer): void {
    if (type === FRAME.offer) this.offer = JSON.parse(payload.toString()) as Offer;
    if (type === FRAME.catalogue) this.catalogue.push(Buffer.from(payload));
    if (type === FRAME.haveMap) this.held.push([payload.readUInt32BE(0), bits(payload.subarray(4))]);
    if (type === FRAME.have) this.gained.push([payload.readUInt32BE(0), payload.readUInt32BE(4)]);
    if (type === FRAME.end) this.#of(payload).ended = true;
    if (type === FRAME.refuse) this.#of(payload).refused = JSON.parse(payload.subarray(4).toString());
    this.#tell();
  }

  data(id: number, bytes: Buffer): void {
    const taken = this.requests.get(id);
    if (!taken) throw new Error(`data of request ${id}, which there is not`);
    if (this.order.at(-1) !== id) this.order.push(id);
    taken.length += bytes.length;
    this.receivedBytes += bytes.length;
    if (this.#keep) taken.pieces.push(Buffer.from(bytes));
    if (this.#grants) void this.channel.send(FRAME.credit, numbers(id, bytes.length));
    this.#tell();
  }

  closed(reason: DownloadError): void {
    this.reason = reason;
    this.#tell();
  }

  /** Asks. @returns the request's number */
  ask(file: number, start: number, length: number, credit = 1024 * 1024): number {
    const id = this.#next++;
    this.requests.set(id, { pieces: [], length: 0, ended: false, refused: undefined });
    void this.channel.send(FRAME.request, requestOf(id, file, start, length, credit));
    return id;
  }

  /** Asks, and waits for all of it. @throws Error if it is refused, or the channel ends */
  async take(file: number, start: number, length: number): Promise<Buffer> {
    const id = this.ask(file, start, length);
    const taken = this.requests.get(id) as Taken;
    await this.until(() => taken.ended || taken.refused !== undefined);
    if (taken.refused) throw new Error(taken.refused.code);
    return Buffer.concat(taken.pieces);
  }

  /** Fetches the catalogue. */
  async takeCatalogue(): Promise<Buffer> {
    await this.until(() => this.offer !== undefined);
    void this.channel.send(FRAME.catalogueRequest, numbers(0));
    const size = this.offer?.catalogueSize ?? 0;
    await this.until(() => this.catalogue.reduce((sum, { length }) => sum + length, 0) >= size);
    return Buffer.concat(this.catalogue);
  }

  /** Waits until something is so, which may be that the channel has ended. @throws Error if it ends before */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.reason) throw new Error(`the channel has ended: ${this.reason.code} ${this.reason.message}`);
      await this.#news.promise;
    }
    await breathe();
  }

  /** Waits for the end. */
  async untilClosed(): Promise<DownloadError> {
    while (!this.reason) await this.#news.promise;
    return this.reason;
  }

  #of(payload: Buffer): Taken {
    const taken = this.requests.get(payload.readUInt32BE(0));
    if (!taken) throw new Error("an answer to a request that there is not");
    return taken;
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}

function bits(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
}
