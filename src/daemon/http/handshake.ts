/**
 * Talks to a proxy over a socket, before the socket is handed on: reads exactly what belongs to the proxy's answer, and
 * puts back what came after it.
 */
import type { Socket } from "node:net";

/** Reads from a socket by parts. */
export class Handshake {
  readonly #socket: Socket;
  #buffer = Buffer.alloc(0);
  #look: (() => void) | undefined;
  #error: Error | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("readable", this.#onReadable);
    socket.on("end", this.#onEnd);
    socket.on("close", this.#onEnd);
    socket.on("error", this.#onError);
  }

  write(bytes: Uint8Array | string): void {
    this.#socket.write(bytes, "latin1");
  }

  /** The next `count` bytes. @throws Error if the socket ends before */
  bytes(count: number): Promise<Buffer> {
    return this.#take(() => (this.#buffer.length >= count ? count : undefined));
  }

  /** Everything up to `mark`, which is included. @throws Error if it does not come within `most` bytes, or at all */
  until(mark: string, most: number): Promise<Buffer> {
    return this.#take(() => {
      const at = this.#buffer.indexOf(mark, 0, "latin1");
      if (at >= 0 && at + mark.length <= most) return at + mark.length;
      if (this.#buffer.length >= most) throw new Error(`its answer is longer than ${most} bytes`);
      return undefined;
    });
  }

  /** Lets go of the socket. What was read and not taken is there for the next reader. */
  end(): void {
    this.#socket.off("readable", this.#onReadable);
    this.#socket.off("end", this.#onEnd);
    this.#socket.off("close", this.#onEnd);
    this.#socket.off("error", this.#onError);
    if (this.#buffer.length > 0 && !this.#socket.destroyed) this.#socket.unshift(this.#buffer);
    this.#buffer = Buffer.alloc(0);
  }

  #take(length: () => number | undefined): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#look = () => {
        try {
          const count = length();
          if (count !== undefined) {
            resolve(this.#buffer.subarray(0, count));
            this.#buffer = this.#buffer.subarray(count);
          } else if (this.#error) throw this.#error;
          else return;
        } catch (error) {
          reject(error);
        }
        this.#look = undefined;
      };
      this.#look();
    });
  }

  readonly #onReadable = (): void => {
    for (let piece = this.#socket.read() as Buffer | null; piece !== null; piece = this.#socket.read())
      this.#buffer = Buffer.concat([this.#buffer, piece]);
    this.#look?.();
  };

  readonly #onEnd = (): void => this.#onError(new Error("it closed the connection"));

  readonly #onError = (error: Error): void => {
    this.#error ??= error;
    this.#look?.();
  };
}
