/**
 * Two ends of a channel in memory, as strict as the contract allows: frames come later than they were sent and in order, data
 * comes in pieces, what was handed over is overwritten after the call, and a receiver that is held makes the sender wait. As
 * the real one does, it answers pings, and ends at the other end's last word.
 */
import { createHash } from "node:crypto";
import { asDownloadError, type DownloadError, failure } from "../../../src/daemon/core/errors.ts";
import { decodeGoodbye, encodeGoodbye } from "../../../src/daemon/p2p/channel/goodbye.ts";
import {
  type Channel,
  type ChannelHandlers,
  FRAME,
  type FrameType,
  LONGEST_FRAME,
} from "../../../src/daemon/p2p/types.ts";

/** Bytes on the way at which a sender is to wait. */
const HIGH_WATER = 256 * 1024;

/** How the pair is made. */
export interface MemoryChannelOptions {
  readonly publicId?: string;
  readonly giverId?: string;
  readonly takerId?: string;
  /** Bytes of a piece of data at most; default 64 KiB. */
  readonly piece?: number;
  /** False: memory is handed over as it is, for measurements. */
  readonly strict?: boolean;
}

/** The two ends. */
export interface MemoryChannels {
  /** In the giver's hand: the other end is the taker. */
  readonly giver: MemoryChannel;
  readonly taker: MemoryChannel;
  /** The connection breaks: both ends hear of it, nothing on the way arrives. */
  cut(): void;
}

/** Makes a pair. */
export function memoryChannels(options: MemoryChannelOptions = {}): MemoryChannels {
  const publicId = options.publicId ?? "0".repeat(32);
  const make = (other: string) =>
    new MemoryChannel(publicId, other, options.piece ?? 64 * 1024, options.strict ?? true);
  const giver = make(options.takerId ?? peerIdOf("taker"));
  const taker = make(options.giverId ?? peerIdOf("giver"));
  giver.join(taker);
  taker.join(giver);
  const lost = (): DownloadError => failure("CONNECTION_LOST", "the connection to the peer was lost");
  return {
    giver,
    taker,
    cut: () => {
      giver.end(lost());
      taker.end(lost());
    },
  };
}

/** A peer id that belongs to a word. */
export function peerIdOf(word: string): string {
  return createHash("sha256").update(word).digest("hex");
}

interface Sent {
  readonly type: FrameType;
  readonly payload: Buffer;
  /** Of data whose memory is handed over as it is; else it is in the payload. */
  readonly id?: number;
  readonly free?: () => void;
}

/** One end. */
export class MemoryChannel implements Channel {
  readonly publicKey = new Uint8Array();
  readonly path = "lan";
  readonly remoteAddress = "127.0.0.1";
  readonly suite = "memory";
  readonly mayBePlain = false;
  readonly inClear = false;
  readonly publicId: string;
  readonly peerId: string;
  readonly #piece: number;
  readonly #strict: boolean;
  #other!: MemoryChannel;
  #handlers: ChannelHandlers | undefined;
  /** What the other end has sent and this one has not taken. */
  readonly #inbox: Sent[] = [];
  #inboxBytes = 0;
  #held = false;
  #scheduled = false;
  #closed = false;
  #ended: DownloadError | undefined;
  #drained: PromiseWithResolvers<void> | undefined;

  constructor(publicId: string, peerId: string, piece: number, strict: boolean) {
    this.publicId = publicId;
    this.peerId = peerId;
    this.#piece = piece;
    this.#strict = strict;
  }

  /** The other end. To be called once, before anything else. */
  join(other: MemoryChannel): void {
    this.#other = other;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes that were sent to this end and that it has not taken yet. */
  get waitingBytes(): number {
    return this.#inboxBytes;
  }

  start(handlers: ChannelHandlers): void {
    if (this.#handlers) throw new Error("the channel was started already");
    this.#handlers = handlers;
    this.#schedule();
  }

  /** This end takes nothing until it is let go: as with a full socket. */
  hold(held: boolean): void {
    this.#held = held;
    this.#schedule();
  }

  send(type: FrameType, ...parts: readonly Uint8Array[]): Promise<void> | undefined {
    if (this.#closed) return undefined;
    const length = parts.reduce((sum, part) => sum + part.length, 1);
    if (length > LONGEST_FRAME) throw new Error(`a frame of ${length} bytes is too long`);
    return this.#other.#receive({ type, payload: Buffer.concat(parts) });
  }

  sendData(id: Uint8Array, bytes: Uint8Array, free: () => void): Promise<void> | undefined {
    if (this.#closed) return undefined;
    const request = Buffer.from(id).readUInt32BE();
    // The memory is the sender's, who may have more in it.
    const payload = this.#strict ? Buffer.from(bytes) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    return this.#other.#receive({ type: FRAME.data, payload, id: request, free });
  }

  close(reason?: DownloadError): void {
    if (this.#closed) return;
    if (reason) void this.send(FRAME.bye, encodeGoodbye(reason));
    const ended = reason ?? failure("CONNECTION_LOST", "the channel was closed at this end");
    this.end(ended);
    // What was sent before still arrives.
    this.#other.#ended ??= failure("CONNECTION_LOST", "the peer has closed the channel");
    this.#other.#schedule();
  }

  /** Ends this end now, whatever is on the way. */
  end(reason: DownloadError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ended ??= reason;
    this.#inbox.length = 0;
    this.#inboxBytes = 0;
    this.#release();
    this.#other.#release();
    this.#schedule();
  }

  #receive(sent: Sent): Promise<void> | undefined {
    if (this.#closed) return undefined;
    this.#inbox.push(sent);
    this.#inboxBytes += sent.payload.length;
    this.#schedule();
    if (this.#inboxBytes < HIGH_WATER) return undefined;
    this.#drained ??= Promise.withResolvers();
    return this.#drained.promise;
  }

  #release(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  #schedule(): void {
    if (this.#scheduled || !this.#handlers) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const handlers = this.#handlers;
    if (!handlers) return;
    // No more in one turn than a socket would bring.
    for (let bytes = 0; !this.#held && bytes < HIGH_WATER; ) {
      const sent = this.#inbox.shift();
      if (!sent) break;
      bytes += sent.payload.length;
      this.#inboxBytes -= sent.payload.length;
      try {
        this.#hand(handlers, sent);
      } catch (error) {
        this.close(asDownloadError(error));
      }
    }
    if (this.#inboxBytes < HIGH_WATER) this.#release();
    if (this.#inbox.length > 0 && !this.#held) this.#schedule();
    else if (this.#ended && (this.#inbox.length === 0 || this.#closed)) this.#finish(this.#ended);
  }

  #finish(reason: DownloadError): void {
    const handlers = this.#handlers;
    this.#closed = true;
    this.#release();
    this.#other.#release();
    // The last call, and only once.
    this.#handlers = undefined;
    handlers?.closed(reason);
  }

  #hand(handlers: ChannelHandlers, { type, payload, id: apart, free }: Sent): void {
    if (type === FRAME.ping) void this.send(FRAME.pong, Buffer.from(payload));
    if (type === FRAME.bye) this.#ended = undefined;
    if (type === FRAME.bye) this.end(decodeGoodbye(payload));
    else if (type !== FRAME.data) handlers.frame(type, payload);
    else {
      const id = apart ?? payload.readUInt32BE(0);
      for (let at = apart === undefined ? 4 : 0; at < payload.length && !this.#closed; at += this.#piece)
        handlers.data(id, payload.subarray(at, at + this.#piece));
    }
    if (this.#strict) payload.fill(0xa5);
    free?.();
  }
}
