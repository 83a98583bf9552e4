/**
 * A WebRTC data channel as a stream of bytes. A data channel has messages, and no way to hold the sender back: what nobody
 * reads piles up in the receiver's memory. So each end tells the other in text messages how much was read, and no more than
 * a window is ever on its way; whoever sends more is cut off. Text "a" + total: bytes read so far; "f": the last byte was
 * sent; "h": still here, since the library takes its time to notice that a relay is gone; "w" + word: for the owner.
 */
import { Duplex } from "node:stream";
import { failure } from "../../core/errors.ts";
import type { DataChannel } from "./ice-library.ts";

/** Bytes that may be on their way without having been read. */
const WINDOW = 2 * 1024 * 1024;
/** So much is read before it is told. */
const TELL_EVERY = WINDOW / 16;
/**
 * The longest message. Small ones cost time, large ones memory: the library makes each a buffer of its own, of which the
 * collector of garbage does not know how large it is, and lets hundreds of them lie.
 */
const LONGEST_MESSAGE = 16 * 1024;
/** With more than this in the library's own buffer, nothing is handed over. */
const HIGH_WATER = 512 * 1024;
const LOW_WATER = 128 * 1024;
/** How often an end says that it is still here, and how long it may say nothing, in milliseconds. */
const BEAT_MS = 2000;
const SILENCE_MS = 8000;
/** How long what was written may take to leave when the stream has ended, in milliseconds. */
const LINGER_MS = 2000;

/** What a stream tells its owner. */
export interface IceStreamEvents {
  /** The other end's owner says something. */
  readonly onWord: (word: string) => void;
  /** Closes the connection beneath; called once, last. */
  readonly release: () => void;
}

/** See above. What ends the connection beneath is handed to `destroy` by its owner. */
export class IceStream extends Duplex {
  readonly #channel: DataChannel;
  readonly #release: () => void;
  readonly #onWord: (word: string) => void;
  #sent = 0;
  #read = 0;
  #received = 0;
  #told = 0;
  /** What goes on when there is room again. */
  #waiting: (() => void) | undefined;
  /** When something came last. */
  #heard = performance.now();
  readonly #beat: NodeJS.Timeout;

  /** @param channel - open */
  constructor(channel: DataChannel, { onWord, release }: IceStreamEvents) {
    super({ readableHighWaterMark: 256 * 1024, writableHighWaterMark: 256 * 1024 });
    this.#channel = channel;
    this.#release = release;
    this.#onWord = onWord;
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = LOW_WATER;
    channel.onbufferedamountlow = () => this.#resume();
    channel.onmessage = ({ data }) => {
      this.#heard = performance.now();
      if (typeof data === "string") this.#control(data);
      else this.#bytes(Buffer.from(data));
    };
    channel.onclose = () => this.#lost();
    channel.onerror = () => this.#lost();
    this.#beat = setInterval(() => this.#live(), BEAT_MS).unref();
  }

  #live(): void {
    const silence = performance.now() - this.#heard;
    if (silence > SILENCE_MS) {
      const seconds = Math.round(silence / 1000);
      this.destroy(
        failure("CONNECTION_LOST", `Nothing came from the peer, by ICE, for ${seconds} s: it, or the relay, is gone.`),
      );
    } else if (this.#channel.readyState === "open") this.#channel.send("h");
  }

  /** Says something to the other end's owner; at most 20 characters. */
  sayWord(word: string): void {
    this.#channel.send(`w${word}`);
  }

  #lost(): void {
    if (this.readableEnded && this.writableFinished) this.destroy();
    else this.destroy(failure("CONNECTION_LOST", "The connection by ICE was closed at the other end, or was lost."));
  }

  #bytes(bytes: Buffer): void {
    if (this.destroyed) return;
    this.#received += bytes.length;
    if (this.#received - this.#told > WINDOW + LONGEST_MESSAGE) {
      this.destroy(failure("PEER_MISBEHAVED", "The peer sends more than it may: bytes that nobody has read yet."));
      return;
    }
    if (this.push(bytes)) this.#tell();
  }

  /** Everything before the stream's own buffer counts as read. */
  #tell(): void {
    const read = this.#received - this.readableLength;
    if (read - this.#told < TELL_EVERY || this.#channel.readyState !== "open") return;
    this.#told = read;
    this.#channel.send(`a${read}`);
  }

  #control(text: string): void {
    if (text === "f") this.push(null);
    if (/^w.{1,20}$/.test(text)) this.#onWord(text.slice(1));
    const total = /^a(\d{1,15})$/.exec(text)?.[1];
    if (total === undefined) return;
    this.#read = Math.min(this.#sent, Math.max(this.#read, Number(total)));
    this.#resume();
  }

  #resume(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  override _read(): void {
    // In the next turn, when what was asked for has been taken out of the buffer.
    setImmediate(() => !this.destroyed && this.#tell());
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send(chunk, 0, done);
  }

  #send(chunk: Buffer, from: number, done: (error?: Error | null) => void): void {
    let at = from;
    try {
      while (at < chunk.length) {
        if (this.#sent - this.#read >= WINDOW || this.#channel.bufferedAmount >= HIGH_WATER) {
          this.#waiting = () => this.#send(chunk, at, done);
          return;
        }
        const piece = chunk.subarray(at, at + LONGEST_MESSAGE);
        this.#channel.send(piece);
        this.#sent += piece.length;
        at += piece.length;
      }
      done();
    } catch (cause) {
      done(failure("CONNECTION_LOST", "The connection by ICE was closed while it was written to.", { cause }));
    }
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#channel.readyState === "open") this.#channel.send("f");
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#beat);
    this.#waiting = undefined;
    this.#channel.onclose = null;
    this.#channel.onerror = null;
    this.#channel.onmessage = null;
    const release = once(() => {
      this.#channel.onbufferedamountlow = null;
      this.#release();
    });
    if (error !== null || this.#channel.readyState !== "open" || this.#channel.bufferedAmount === 0) release();
    else {
      this.#channel.bufferedAmountLowThreshold = 0;
      this.#channel.onbufferedamountlow = release;
      setTimeout(release, LINGER_MS).unref();
    }
    done(error);
  }
}

function once(action: () => void): () => void {
  let called = false;
  return () => {
    if (called) return;
    called = true;
    action();
  };
}
