/**
 * The way from the wire to undici: an answer whose head is not plain goes on under undici's parser, over the same connection
 * and from its first byte. Nothing is asked twice: a URL that works only once is not used up.
 */
import { Socket } from "node:net";
import { Client } from "undici";
import type { Exchange } from "./exchange.ts";
import { UndiciHandler } from "./undici-handler.ts";

/** What undici has to know. */
export interface HandoverInit {
  readonly origin: string;
  readonly path: string;
  /** Names and values in turn, as they were sent. */
  readonly headers: readonly string[];
  readonly maxHeaderBytes: number;
  /** Called when there is room for more bytes. */
  readonly onRoom: () => void;
}

/** One answer that undici reads, as the socket that it reads from. */
export class Handover extends Socket {
  readonly #init: HandoverInit;
  #client: Client | undefined;
  /** What is to be read, until undici has asked: before that it takes nothing for an answer. */
  #waiting: (Buffer | null)[] | undefined = [];

  constructor(init: HandoverInit) {
    super();
    this.#init = init;
  }

  /** Lets undici ask, which nobody hears, and read what is given. */
  begin(exchange: Exchange): void {
    const { origin, path, headers, maxHeaderBytes } = this.#init;
    let connected = false;
    this.#client = new Client(origin, {
      allowH2: false,
      connect: (_options, callback) => {
        const gone = connected || this.destroyed;
        connected = true;
        // undici does not expect it at once.
        queueMicrotask(() => (gone ? callback(new Error("the connection was closed"), null) : callback(null, this)));
      },
      maxHeaderSize: maxHeaderBytes,
      // Exchange watches the clock.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.#client.dispatch({ path, method: "GET", headers: [...headers] }, new UndiciHandler(exchange));
  }

  /** More of the answer; null: the end of the connection. @returns false if enough is waiting */
  give(bytes: Buffer | null): boolean {
    if (this.#waiting === undefined) return this.push(bytes);
    this.#waiting.push(bytes);
    return false;
  }

  /** Ends it. Not in this call: it may be made inside of undici's own handlers. */
  close(): void {
    queueMicrotask(() => {
      this.#client?.destroy().catch(() => undefined);
      this.destroy();
    });
  }

  override _read(): void {
    this.#init.onRoom();
  }

  /** The request was sent before. */
  override _write(_bytes: unknown, _encoding: string, done: () => void): void {
    this._writev([], done);
  }

  override _writev(_pieces: unknown, done: () => void): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const bytes of waiting) this.push(bytes);
    done();
  }

  override _final(done: () => void): void {
    done();
  }
}
