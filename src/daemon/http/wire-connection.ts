/**
 * A connection that reads without a parser: the head of an answer is read once, and the body goes from the kernel straight
 * into the memory of whoever receives it (net.Socket's `onread`). It serves one exchange at a time, with answers whose
 * head is plain (wire-head.ts); any other is handed over to undici as it comes.
 *
 * Through proxies Node gives the bytes in pieces of its own; they take the same way, with one copy more.
 */
import type { OnReadOpts, Socket } from "node:net";
import type { AddressKind } from "../core/address-kind.ts";
import type { Dialer, Dialled } from "./dial.ts";
import type { Controls, Exchange } from "./exchange.ts";
import type { Sender } from "./network-policy.ts";
import { Handover } from "./wire-handover.ts";
import { readHead } from "./wire-head.ts";

/** Bytes of the connection's own memory: for heads, and for what comes while nobody lends any. */
const OWN_BYTES = 64 * 1024;

/** What a connection needs. */
export interface WireInit {
  /** Its scheme, host and port count. */
  readonly url: URL;
  /** See Destination.from. */
  readonly from: Sender | undefined;
  readonly dialer: Dialer;
  /** For undici, if it has to go on. */
  readonly maxHeaderBytes: number;
  /** An answer was not plain. */
  readonly onOdd: () => void;
  /** Called once, when it is of no use any more. */
  readonly onClosed: (connection: WireConnection) => void;
}

/** A request without a body. */
export interface WireRequest {
  /** With the query. */
  readonly path: string;
  /** Names and values in turn: see {@link isPlainRequest}. */
  readonly headers: readonly string[];
}

/** Fields that say something about the connection, or about how the answer is framed. */
const OF_THE_CONNECTION =
  /^(connection|content-length|content-type|expect|host|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const PATH = /^\/[\x21-\x7e]*$/;

/** True if the request can be written as it is; whatever is special about another one, undici knows it. */
export function isPlainRequest({ path, headers }: WireRequest): boolean {
  return (
    PATH.test(path) &&
    headers.every((text, index) =>
      index % 2 === 0 ? TOKEN.test(text) && !OF_THE_CONNECTION.test(text) : VALUE.test(text),
    )
  );
}

/** One connection of one origin, which connects when it is first used. */
export class WireConnection implements Controls {
  readonly origin: string;
  /** Exchanges that it has brought to their end. */
  served = 0;
  /** Where the host lies; known once it is connected. */
  kind: AddressKind | undefined;
  /** SHA-256 of the server's certificate, lower-case hex; known once it stands, and only over TLS. */
  certificate?: string;
  /** Milliseconds that it may be kept unused; 0: it cannot be used again; undefined if the origin does not say. */
  keepMs: number | undefined;
  readonly #init: WireInit;
  readonly #dialling = new AbortController();
  readonly #own = Buffer.allocUnsafeSlow(OWN_BYTES);
  #socket: Socket | undefined;
  #phase: "connect" | "idle" | "head" | "body" | "handed over" | "closed" = "connect";
  #request: WireRequest | undefined;
  #exchange: Exchange | undefined;
  #handover: Handover | undefined;
  /** Bytes of an unfinished head, at the beginning of the own memory. */
  #head = 0;
  /** Bytes of the body that are still to come. */
  #left = 0;
  #paused = false;
  /** The next bytes were promised to the exchange's memory. */
  #lent = false;

  constructor(init: WireInit) {
    this.#init = init;
    this.origin = init.url.origin;
  }

  /** Sends a request; the exchange learns the rest. */
  send(request: WireRequest, exchange: Exchange): void {
    this.#request = request;
    this.#exchange = exchange;
    if (this.#phase === "closed") this.#broke(new Error("the connection was closed"));
    else if (this.#socket === undefined) this.#connect();
    else this.#write(this.#socket, request, exchange);
  }

  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket?.resume();
  }

  abort(): void {
    this.close();
  }

  /** Closes it because the client is closing. */
  abandon(): void {
    if (this.#phase === "handed over") this.#handover?.close();
    else this.#broke(Object.assign(new Error("the client is closing"), { code: "UND_ERR_DESTROYED" }));
  }

  /** Closes it; when this returns, no byte is received any more. */
  close(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.keepMs = 0;
    this.#exchange = undefined;
    this.#dialling.abort();
    this.#socket?.destroy();
    this.#handover?.close();
    this.#init.onClosed(this);
  }

  #connect(): void {
    const { url, from, dialer } = this.#init;
    const onread: OnReadOpts = { buffer: this.#space, callback: this.#onRead };
    dialer
      .dial({ url, from, signal: this.#dialling.signal, onread })
      .then((dialled) => this.#use(dialled))
      .catch((error: unknown) => this.#broke(error));
  }

  #use({ socket, kind, certificate }: Dialled): void {
    socket.on("error", (error) => this.#broke(error));
    if (this.#phase === "closed") {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    this.kind = kind;
    if (certificate !== undefined) this.certificate = certificate;
    socket.on("end", () => this.#ended());
    socket.on("close", () => this.#ended());
    if (!this.#init.dialer.heedsOnread(this.#init.url))
      socket.on("data", (piece: Buffer) => this.#onPiece(piece, false));
    if (this.#request && this.#exchange) this.#write(socket, this.#request, this.#exchange);
  }

  #write(socket: Socket, { path, headers }: WireRequest, exchange: Exchange): void {
    this.#phase = "head";
    this.#head = 0;
    exchange.onStart(this);
    // It may have been given up while the connection was made.
    if (this.#exchange !== exchange) return;
    let text = `GET ${path} HTTP/1.1\r\nhost: ${this.#init.url.host}\r\nconnection: keep-alive\r\n`;
    for (let at = 0; at < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
    socket.ref();
    socket.write(`${text}\r\n`, "latin1");
  }

  // ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Where the kernel puts the next bytes. */
  readonly #space = (): Uint8Array => {
    this.#lent = false;
    if (this.#phase === "head") return this.#own.subarray(this.#head);
    if (this.#phase !== "body" || this.#paused) return this.#own;
    const room = this.#exchange?.room();
    if (room === undefined) return this.#own;
    this.#lent = true;
    // What comes behind the body is not the exchange's.
    return room.length > this.#left ? room.subarray(0, this.#left) : room;
  };

  readonly #onRead = (count: number): boolean => {
    if (this.#lent) {
      this.#left -= count;
      this.#exchange?.onFilled(count);
      this.#endIfComplete();
    } else {
      const at = this.#phase === "head" ? this.#head : 0;
      this.#onPiece(this.#own.subarray(at, at + count), true);
    }
    return true;
  };

  /** @param lent - it lies in the own memory, behind what is there of the head */
  #onPiece(piece: Buffer, lent: boolean): void {
    if (this.#phase === "head") this.#onHead(piece, lent);
    else if (this.#phase === "body") this.#onBody(piece, lent);
    else if (this.#phase === "handed over") this.#onOdd(piece);
    // Nobody has asked for anything.
    else this.#broke(Object.assign(new Error("bytes before there was a request"), { code: "HPE_UNEXPECTED" }));
  }

  #onHead(piece: Buffer, lent: boolean): void {
    const before = this.#head;
    const size = before + piece.length;
    if (size > OWN_BYTES) {
      this.#handOver(Buffer.concat([this.#own.subarray(0, before), piece]));
      return;
    }
    if (!lent) piece.copy(this.#own, before);
    const received = this.#own.subarray(0, size);
    const head = readHead(received);
    if (head === "odd" || (head === "more" && size === OWN_BYTES)) this.#handOver(Buffer.from(received));
    else if (head === "more") this.#head = size;
    else {
      this.#phase = "body";
      this.#left = head.length;
      this.keepMs = head.keepMs;
      this.#exchange?.onHead(head);
      this.#onBody(received.subarray(head.size), true);
    }
  }

  #onBody(piece: Buffer, lent: boolean): void {
    if (this.#phase !== "body") return;
    // More than there may be: what follows on this connection cannot be trusted.
    if (piece.length > this.#left) this.keepMs = 0;
    const body = piece.length > this.#left ? piece.subarray(0, this.#left) : piece;
    this.#left -= body.length;
    if (body.length > 0) this.#exchange?.onData(body, lent);
    this.#endIfComplete();
  }

  #endIfComplete(): void {
    if (this.#phase !== "body" || this.#left > 0) return;
    const exchange = this.#exchange;
    this.#phase = "idle";
    this.#exchange = undefined;
    this.served++;
    // An end of the connection is to be seen while it is kept.
    if (this.#paused) this.resume();
    this.#socket?.unref();
    exchange?.onEnd();
  }

  #handOver(received: Buffer): void {
    const { maxHeaderBytes, onOdd } = this.#init;
    const exchange = this.#exchange;
    if (!this.#request || !exchange) return;
    this.#phase = "handed over";
    this.keepMs = 0;
    onOdd();
    const onRoom = (): void => this.resume();
    this.#handover = new Handover({ origin: this.origin, ...this.#request, maxHeaderBytes, onRoom });
    this.#handover.begin(exchange);
    this.#onOdd(received);
  }

  #onOdd(piece: Buffer): void {
    if (this.#handover?.give(Buffer.from(piece)) === false) this.pause();
  }

  // ── ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  #ended(): void {
    // A head that is cut, and perhaps none at all.
    if (this.#phase === "head" && this.#head > 0) this.#handOver(Buffer.from(this.#own.subarray(0, this.#head)));
    // undici sees the end as it sees the bytes.
    if (this.#phase === "handed over") this.#handover?.give(null);
    else this.#broke(Object.assign(new Error("other side closed"), { code: "UND_ERR_SOCKET" }));
  }

  #broke(error: unknown): void {
    if (this.#phase === "handed over") {
      this.#handover?.destroy(error instanceof Error ? error : undefined);
      return;
    }
    const exchange = this.#exchange;
    this.close();
    exchange?.onError(error);
  }
}
