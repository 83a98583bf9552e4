/**
 * A channel between two peers that have proved the code: frames over TLS, and where both want it and the path is local the
 * chunks over a second connection in the clear. The channel itself answers pings, brings that second connection about, and
 * ends: on a breach, with a last word, and within a short time.
 *
 * With a second connection there are two orders. The giver says on TLS from where on chunks go in the clear, and the taker
 * reads there from then on; `end` goes where the chunks go. A refusal's words stay in TLS: the other connection only tells
 * where it stands among the chunks, and it is handed over when both have come.
 */
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { DownloadError, failure } from "../../core/errors.ts";
import type { PeerPath } from "../../core/peers.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import { type Channel, type ChannelHandlers, FRAME, type FrameType } from "../types.ts";
import { decodeGoodbye, encodeGoodbye } from "./goodbye.ts";
import { readInto } from "./reused-memory.ts";
import { breach, FrameReader, FrameWriter, PLAIN_SHAPES, type Role } from "./wire.ts";

/** How long a last word may take to leave, in milliseconds. */
const CLOSING_MS = 2000;

/**
 * Bytes that wait for a peer that does not read; more is not kept for it. Whoever heeds what `send` answers stays far below: a
 * giver's piece, list of files, map and 64 refusals, each of which is one frame beyond the mark from which on they wait.
 */
const MOST_WAITING = 2 * 1024 * 1024;

/** Below it are the ports of a system's own services: none of them is a peer's, whatever it says. */
const LEAST_PLAIN_PORT = 1024;

/** The longest record of TLS (RFC 8446 §5.1), in bytes. */
const RECORD = 16 * 1024;

/** Refusals whose place among the chunks is not known yet. */
const MOST_REFUSALS = 1024;

/** What a channel is made of, once both ends are known. */
export interface ChannelParts {
  readonly socket: Duplex;
  readonly role: Role;
  readonly publicId: string;
  readonly peerId: string;
  readonly publicKey: Uint8Array;
  readonly path: PeerPath;
  readonly remoteAddress: string;
  readonly suite: string;
  readonly mayBePlain: boolean;
  readonly clock: Clock;
  /** Brings about the connection in the clear, in the role of the giver: called when the channel starts. */
  readonly offerPlain?: (channel: PeerChannel) => void;
  /** The same in the role of the taker: the giver has said where. */
  readonly dialPlain?: (channel: PeerChannel, port: number, token: Buffer) => void;
}

/** The {@link Channel} over a TLS socket. */
export class PeerChannel implements Channel {
  readonly publicId: string;
  readonly peerId: string;
  readonly publicKey: Uint8Array;
  readonly path: PeerPath;
  readonly remoteAddress: string;
  readonly suite: string;
  readonly mayBePlain: boolean;
  readonly #parts: ChannelParts;
  readonly #writer: FrameWriter;
  readonly #reader: FrameReader;
  #handlers: ChannelHandlers | undefined;
  #reason: DownloadError | undefined;
  /** The newest ping that has not been answered because the peer does not read. */
  #ping: Buffer | undefined;
  /** The second connection, and on the giver's side what writes to it. */
  #plain: Duplex | undefined;
  #plainWriter: FrameWriter | undefined;
  #plainReader: FrameReader | undefined;
  /** The giver has said where chunks could be had in the clear: once, else it could have us call as often as it likes. */
  #offered = false;
  /** The giver has said that chunks come in the clear. */
  #switched = false;
  /** Refusals of which one half has come: the words by TLS, or the place by the other connection. */
  readonly #refusals = new Map<number, Buffer | "place">();

  constructor(parts: ChannelParts) {
    this.#parts = parts;
    this.publicId = parts.publicId;
    this.peerId = parts.peerId;
    this.publicKey = parts.publicKey;
    this.path = parts.path;
    this.remoteAddress = parts.remoteAddress;
    this.suite = parts.suite;
    this.mayBePlain = parts.mayBePlain;
    this.#writer = new FrameWriter(parts.socket);
    this.#reader = new FrameReader(parts.role === "giver" ? "taker" : "giver", {
      frame: (type, payload) => this.#onFrame(type, payload),
      data: (id, bytes) => this.#handlers?.data(id, bytes),
    });
    this.#watch(parts.socket, "the connection to the peer broke");
  }

  get closed(): boolean {
    return this.#reason !== undefined;
  }

  get inClear(): boolean {
    return this.#switched;
  }

  start(handlers: ChannelHandlers): void {
    if (this.#handlers) throw new Error("the channel has been started already");
    this.#handlers = handlers;
    if (this.#reason) {
      this.#tell(this.#reason);
      return;
    }
    this.#read(this.#parts.socket, this.#reader);
    if (this.mayBePlain) this.#parts.offerPlain?.(this);
  }

  send(type: FrameType, ...parts: readonly Uint8Array[]): Promise<void> | undefined {
    if (this.#reason) return undefined;
    const plain = this.#plainWriter;
    if (plain === undefined) return this.#sendBy(this.#writer, type, parts);
    if (type === FRAME.data || type === FRAME.end) return this.#sendBy(plain, type, parts);
    const place = type === FRAME.refuse && parts[0] && this.#sendBy(plain, type, [parts[0].subarray(0, 4)]);
    const words = this.#sendBy(this.#writer, type, parts);
    return place && words ? Promise.all([place, words]).then(() => {}) : place || words;
  }

  sendData(id: Uint8Array, bytes: Uint8Array, free: () => void): Promise<void> | undefined {
    if (this.#reason) return undefined;
    return this.#sendBy(this.#plainWriter ?? this.#writer, FRAME.data, [id, bytes], free);
  }

  close(reason?: DownloadError): void {
    this.#close(reason ?? failure("CONNECTION_LOST", "the channel was closed at this end"), reason);
  }

  /** The giver's side: chunks go over this connection from now on. */
  sendPlain(stream: Duplex): void {
    if (this.#reason || this.#plain) {
      stream.destroy();
      return;
    }
    this.#plain = stream;
    this.#watch(stream, "the connection for chunks broke");
    // What comes back on it is nothing.
    stream.resume();
    void this.#writer.send(FRAME.plain, [Buffer.alloc(34)]);
    this.#plainWriter = new FrameWriter(stream);
  }

  /** The taker's side: the giver knows this connection, and will say from when on chunks come over it. */
  receivePlain(stream: Duplex): void {
    if (this.#reason || this.#plain) {
      stream.destroy();
      return;
    }
    this.#plain = stream;
    this.#watch(stream, "the connection for chunks broke");
    this.#readPlain();
  }

  #sendBy(
    writer: FrameWriter,
    type: FrameType,
    parts: readonly Uint8Array[],
    free?: () => void,
  ): Promise<void> | undefined {
    const wait = writer.send(type, parts, free);
    if (writer.waiting > MOST_WAITING)
      this.#close(failure("CONNECTION_LOST", `the peer does not read: ${writer.waiting} bytes wait for it`));
    return wait;
  }

  #onFrame(type: FrameType, payload: Buffer): void {
    const handlers = this.#handlers;
    if (type === FRAME.ping) this.#pong(payload);
    if (type === FRAME.bye) this.#close(decodeGoodbye(payload));
    else if (type === FRAME.plain) this.#onPlain(payload);
    else if (type === FRAME.refuse && this.#switched) this.#onRefusal(payload.readUInt32BE(0), payload);
    else handlers?.frame(type, payload);
  }

  /** At most one answer waits, whatever a peer that does not read sends. */
  #pong(payload: Buffer): void {
    const waits = this.#ping !== undefined;
    this.#ping = Buffer.from(payload);
    if (waits) return;
    const answer = () => {
      const ping = this.#ping;
      this.#ping = undefined;
      if (ping) void this.send(FRAME.pong, ping);
    };
    const room = this.#writer.room;
    if (room === undefined) answer();
    else void room.then(answer);
  }

  #onPlain(payload: Buffer): void {
    const port = payload.readUInt16BE(0);
    if (!this.mayBePlain || this.#switched) throw breach("it wants to send in the clear, which was not agreed");
    if (port !== 0) {
      if (this.#offered) throw breach("it says twice where chunks could be had in the clear");
      this.#offered = true;
      // Without that connection chunks go on coming over TLS.
      if (port >= LEAST_PLAIN_PORT) this.#parts.dialPlain?.(this, port, Buffer.from(payload.subarray(2)));
    } else {
      this.#switched = true;
      this.#readPlain();
    }
  }

  #readPlain(): void {
    if (!this.#switched || !this.#plain) return;
    this.#plainReader = new FrameReader(
      "giver",
      {
        frame: (type, payload) => {
          if (type === FRAME.refuse) this.#onRefusal(payload.readUInt32BE(0), "place");
          else this.#handlers?.frame(type, payload);
        },
        data: (id, bytes) => this.#handlers?.data(id, bytes),
      },
      PLAIN_SHAPES,
    );
    this.#read(this.#plain, this.#plainReader);
  }

  #onRefusal(id: number, half: Buffer | "place"): void {
    const other = this.#refusals.get(id);
    if (other === undefined) {
      if (this.#refusals.size >= MOST_REFUSALS) throw breach("it refuses more than can have been asked for");
      this.#refusals.set(id, half === "place" ? half : Buffer.from(half));
      return;
    }
    if ((other === "place") === (half === "place")) throw breach(`it refuses request ${id} twice`);
    this.#refusals.delete(id);
    this.#handlers?.frame(FRAME.refuse, half === "place" ? (other as Buffer) : half);
  }

  #read(stream: Duplex, reader: FrameReader): void {
    const take = (bytes: Buffer): void => {
      try {
        reader.push(bytes);
      } catch (error) {
        this.close(error instanceof DownloadError ? error : asBreach(error));
      }
    };
    // What a giver receives is little.
    let asks = this.#parts.role === "taker" && stream instanceof TLSSocket;
    stream.on("data", (bytes: Buffer) => {
      take(bytes);
      if (!asks || this.#reason || stream.readableLength > 0) return;
      asks = false;
      readInto(stream as TLSSocket, Buffer.allocUnsafeSlow(RECORD), take);
    });
    stream.once("end", () => this.#close(failure("CONNECTION_LOST", "the peer has ended the connection")));
  }

  #watch(stream: Duplex, what: string): void {
    stream.on("error", (cause) => this.#close(failure("CONNECTION_LOST", what, { cause })));
    stream.once("close", () => this.#close(failure("CONNECTION_LOST", what)));
    if (stream.destroyed) this.#close(failure("CONNECTION_LOST", what));
  }

  #close(reason: DownloadError, word?: DownloadError): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#reader.stop();
    this.#plainReader?.stop();
    this.#refusals.clear();
    this.#plain?.destroy();
    const { socket, clock } = this.#parts;
    if (word) void this.#writer.send(FRAME.bye, [encodeGoodbye(word)]);
    if (!socket.destroyed) {
      socket.end();
      // What still comes is thrown away: bytes that nobody reads would have the system drop our last word.
      socket.resume();
      const cancel = clock.timer(CLOSING_MS, () => socket.destroy());
      socket.once("close", cancel);
    }
    if (this.#handlers) this.#tell(reason);
  }

  /** In a turn of its own: whoever closes is not called back from within. */
  #tell(reason: DownloadError): void {
    queueMicrotask(() => this.#handlers?.closed(reason));
  }
}

function asBreach(cause: unknown): DownloadError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return failure("PEER_MISBEHAVED", `what the peer sent could not be dealt with: ${why}`, { cause });
}
