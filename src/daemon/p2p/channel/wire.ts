/**
 * Frames on a byte stream, both ways. What is read is hostile: a length or type that cannot be ends the channel before
 * anything is set aside for it, memory grows only with bytes that have come, and chunks are handed on as they come. What is
 * written leaves in one piece: a socket takes header and payload as they are; for TLS they are put together in memory that
 * is used again, since Node would do the same in fresh memory each time, which costs a fifth of the speed.
 */
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { type DownloadError, failure } from "../../core/errors.ts";
import { FRAME, type FrameType, LONGEST_FRAME } from "../types.ts";

/** Who sends. */
export type Role = "giver" | "taker";

/** Length and type. */
const HEAD = 5;

/** The number of a request, with which some payloads begin. */
const ID = 4;

/** The longest text of a person's kind: a refusal, a goodbye. */
const LONGEST_TEXT = 4096;

/** Frames up to this many bytes are put together in any case: cheaper than two writes. */
const COPIED = 4096;

/** Frames below this many bytes wait until all that has come is looked at: what is said meanwhile leaves together. */
const GATHERED = 32 * 1024;

/**
 * Waiting bytes from which on the sender is held back, and up to which he may go on. One long frame waits at a time: Node
 * puts all that waits for a TLS socket together, in fresh memory, which costs more than the pauses.
 */
const HIGH_WATER = 128 * 1024;
const LOW_WATER = 32 * 1024;

/** Who may send a type, and how many bytes its payload has. */
interface Shape {
  readonly from: Role | "both";
  readonly least: number;
  readonly most: number;
}

const exactly = (from: Shape["from"], bytes: number): Shape => ({ from, least: bytes, most: bytes });
const between = (from: Shape["from"], least: number, most = LONGEST_FRAME - 1): Shape => ({ from, least, most });

const SHAPES: ReadonlyMap<number, Shape> = new Map([
  [FRAME.offer, between("giver", 2, 16 * 1024)],
  [FRAME.catalogueRequest, exactly("taker", 4)],
  [FRAME.catalogue, between("giver", 0)],
  [FRAME.haveMap, between("giver", ID)],
  [FRAME.have, exactly("giver", 8)],
  [FRAME.request, exactly("taker", 28)],
  [FRAME.data, between("giver", ID)],
  [FRAME.end, exactly("giver", ID)],
  [FRAME.refuse, between("giver", ID, ID + LONGEST_TEXT)],
  [FRAME.cancel, exactly("taker", ID)],
  [FRAME.credit, exactly("taker", 8)],
  [FRAME.ping, exactly("both", 8)],
  [FRAME.pong, exactly("both", 8)],
  [FRAME.bye, between("both", 0, LONGEST_TEXT)],
  [FRAME.plain, exactly("giver", 34)],
  [FRAME.complete, exactly("taker", 0)],
]);

/** What a connection in the clear may carry; a refusal's words stay in TLS, here is only where it stands between the data. */
export const PLAIN_SHAPES: ReadonlyMap<number, Shape> = new Map([
  [FRAME.data, between("giver", ID)],
  [FRAME.end, exactly("giver", ID)],
  [FRAME.refuse, exactly("giver", ID)],
]);

/** Takes frames as {@link ChannelHandlers} does. */
export interface FrameSink {
  frame(type: FrameType, payload: Buffer): void;
  data(id: number, bytes: Buffer): void;
}

/** Takes a stream of bytes apart into frames. */
export class FrameReader {
  readonly #from: Role;
  readonly #sink: FrameSink;
  readonly #shapes: ReadonlyMap<number, Shape>;
  /** Of the frame that comes: its header, with the number of the request if it is data. */
  readonly #head = Buffer.alloc(HEAD + ID);
  #headFilled = 0;
  #type: FrameType | 0 = 0;
  #id = 0;
  /** Bytes of the payload that have not come. */
  #left = 0;
  /** A payload that came in pieces; it grows with what comes, not with what was announced. */
  #body: Buffer | undefined;
  #bodyFilled = 0;
  #stopped = false;

  /** @param from - who sends: types that are not his are a breach */
  constructor(from: Role, sink: FrameSink, shapes = SHAPES) {
    this.#from = from;
    this.#sink = sink;
    this.#shapes = shapes;
  }

  /** Nothing is handed over from now on, not even what was pushed already. */
  stop(): void {
    this.#stopped = true;
    this.#body = undefined;
  }

  /** Takes the next bytes. @throws NetworkError PEER_MISBEHAVED, or what the sink throws; the stream is then of no use */
  push(bytes: Buffer): void {
    let at = 0;
    while (!this.#stopped && at < bytes.length) {
      if (this.#type === 0) at = this.#takeHead(bytes, at);
      else if (this.#type === FRAME.data) at = this.#takeData(bytes, at);
      else at = this.#takeBody(bytes, at);
    }
  }

  #takeHead(bytes: Buffer, from: number): number {
    const head = this.#head;
    // The type stands before the number that follows in data only.
    const wanted = this.#headFilled >= HEAD ? HEAD + ID : HEAD;
    const count = Math.min(wanted - this.#headFilled, bytes.length - from);
    bytes.copy(head, this.#headFilled, from, from + count);
    this.#headFilled += count;
    if (this.#headFilled < wanted) return from + count;
    if (wanted === HEAD) {
      this.#left = this.#checked(head.readUInt32BE(0), head.readUInt8(4));
      if (head.readUInt8(4) === FRAME.data) return from + count;
    } else {
      this.#id = head.readUInt32BE(HEAD);
      this.#left -= ID;
    }
    this.#headFilled = 0;
    const type = head.readUInt8(4) as FrameType;
    if (this.#left > 0) this.#type = type;
    else if (type !== FRAME.data) this.#sink.frame(type, EMPTY);
    return from + count;
  }

  /** @returns bytes of the payload */
  #checked(length: number, type: number): number {
    if (length === 0 || length > LONGEST_FRAME)
      throw breach(`it announces a frame of ${length} bytes; there are 1 to ${LONGEST_FRAME}`);
    const shape = this.#shapes.get(type);
    if (shape === undefined) throw breach(`it sends a frame of type ${type}, which there is not here`);
    if (shape.from !== "both" && shape.from !== this.#from)
      throw breach(`it is the ${this.#from}, and sends a frame of type ${type}`);
    const payload = length - 1;
    if (payload < shape.least || payload > shape.most)
      throw breach(`it sends a frame of type ${type} with ${payload} bytes; it has ${shape.least} to ${shape.most}`);
    return payload;
  }

  #takeData(bytes: Buffer, from: number): number {
    const end = Math.min(bytes.length, from + this.#left);
    this.#left -= end - from;
    if (this.#left === 0) this.#type = 0;
    this.#sink.data(this.#id, from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end));
    return end;
  }

  #takeBody(bytes: Buffer, from: number): number {
    const end = Math.min(bytes.length, from + this.#left);
    this.#left -= end - from;
    const whole = this.#left === 0;
    const payload = whole && this.#bodyFilled === 0 ? bytes.subarray(from, end) : this.#gather(bytes, from, end);
    if (!whole) return end;
    const type = this.#type as FrameType;
    this.#type = 0;
    this.#body = undefined;
    this.#bodyFilled = 0;
    this.#sink.frame(type, payload);
    return end;
  }

  /** @returns what has come of the payload so far */
  #gather(bytes: Buffer, from: number, end: number): Buffer {
    const filled = this.#bodyFilled + end - from;
    let body = this.#body;
    if (body === undefined || body.length < filled) {
      const most = filled + this.#left;
      const larger = Buffer.allocUnsafeSlow(Math.min(most, Math.max(filled, 2 * (body?.length ?? 0), 64)));
      body?.copy(larger, 0, 0, this.#bodyFilled);
      body = larger;
      this.#body = larger;
    }
    bytes.copy(body, this.#bodyFilled, from, end);
    this.#bodyFilled = filled;
    return body.subarray(0, filled);
  }
}

const EMPTY = Buffer.alloc(0);

/** Writes frames to a stream, and says when to wait. What it is given must not be changed afterwards. */
export class FrameWriter {
  readonly #stream: Duplex;
  #room: PromiseWithResolvers<void> | undefined;
  readonly #joins: boolean;
  /** Where a long frame for TLS is put together; the same memory again and again. */
  #scratch: Buffer | undefined;
  #scratchBusy = false;
  #gathering = false;
  readonly #onWritten = () => {
    if (this.#stream.writableLength <= LOW_WATER) this.#release();
  };
  readonly #onJoined = () => {
    this.#scratchBusy = false;
    this.#onWritten();
  };

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#joins = stream instanceof TLSSocket;
    // Nobody waits for a stream that has ended.
    stream.once("close", () => this.#release());
  }

  /** Bytes that wait to be sent. */
  get waiting(): number {
    return this.#stream.writableLength;
  }

  /** Resolves when more should be sent; undefined if that is now. */
  get room(): Promise<void> | undefined {
    if (this.#stream.writableLength < HIGH_WATER && this.#room === undefined) return undefined;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  /** @param free - as in {@link Channel.sendData}, of all parts. @returns as {@link Channel.send} */
  send(type: FrameType, parts: readonly Uint8Array[], free?: () => void): Promise<void> | undefined {
    const stream = this.#stream;
    if (stream.destroyed || stream.writableEnded) return undefined;
    let length = HEAD;
    for (const part of parts) length += part.length;
    if (length < GATHERED) this.#gather();
    else if (this.#gathering) stream.uncork();
    if (length <= COPIED) {
      stream.write(fill(Buffer.allocUnsafe(length), type, parts), this.#onWritten);
      free?.();
    } else if (this.#joins && !this.#scratchBusy) {
      this.#scratchBusy = true;
      this.#scratch ??= Buffer.allocUnsafeSlow(HEAD + LONGEST_FRAME);
      stream.write(fill(this.#scratch.subarray(0, length), type, parts), this.#onJoined);
      free?.();
    } else {
      stream.cork();
      stream.write(fill(Buffer.allocUnsafe(HEAD), type, [], length));
      const onWritten = (): void => {
        this.#onWritten();
        free?.();
      };
      for (const [index, part] of parts.entries())
        stream.write(part, index === parts.length - 1 ? onWritten : undefined);
      stream.uncork();
    }
    return this.room;
  }

  /** Each write by itself would be a record of TLS, a call of the system, and a turn at the other end. */
  #gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    this.#stream.cork();
    setImmediate(() => {
      this.#gathering = false;
      this.#stream.uncork();
    });
  }

  #release(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

/** Header and payload, one behind the other. @param length - of the frame with its header, where it is longer than this */
function fill(frame: Buffer, type: FrameType, parts: readonly Uint8Array[], length = frame.length): Buffer {
  frame.writeUInt32BE(length - 4, 0);
  frame.writeUInt8(type, 4);
  let at = HEAD;
  for (const part of parts) {
    frame.set(part, at);
    at += part.length;
  }
  return frame;
}

/** The error of a peer that broke the protocol. */
export function breach(what: string): DownloadError {
  return failure("PEER_MISBEHAVED", `the peer broke the protocol: ${what}`);
}
