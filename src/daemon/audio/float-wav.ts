/**
 * A file of floating-point samples between two steps: WAVE with 32-bit IEEE samples, as RF64 (EBU Tech 3306), so that it may
 * be longer than 4 GiB. FFmpeg could write it as well, but would have to run beside the one that decodes; with a limit of one
 * process at a time each would wait for the other.
 */
import { type FileHandle, open } from "node:fs/promises";
import { asDownloadError } from "../core/errors.ts";

/** Bytes before the samples. */
const HEADER = 80;
const IEEE_FLOAT = 3;
const SAMPLE = 4;

/** A file that grows. Disposed of, it is closed. */
export class FloatWav implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #rate: number;
  readonly #channels: number;
  #length = 0;

  /** @param rate - Hz. @throws what files throw */
  static async create(path: string, rate: number, channels: number): Promise<FloatWav> {
    try {
      return new FloatWav(await open(path, "wx"), rate, channels);
    } catch (error) {
      throw asDownloadError(error);
    }
  }

  private constructor(file: FileHandle, rate: number, channels: number) {
    this.#file = file;
    this.#rate = rate;
    this.#channels = channels;
  }

  /** Samples of each channel that are in it. */
  get samples(): number {
    return this.#length / SAMPLE / this.#channels;
  }

  /** @param bytes - f32le, interleaved. @throws what files throw */
  async add(bytes: Uint8Array): Promise<void> {
    await this.#write(bytes, HEADER + this.#length);
    this.#length += bytes.length;
  }

  /** Writes what stands before the samples: the file can be read. @throws what files throw */
  async finish(): Promise<void> {
    const head = Buffer.alloc(HEADER);
    const frame = this.#channels * SAMPLE;
    head.write("RF64", 0);
    head.writeUInt32LE(0xffff_ffff, 4);
    head.write("WAVEds64", 8);
    head.writeUInt32LE(28, 16);
    head.writeBigUInt64LE(BigInt(HEADER - 8 + this.#length), 20);
    head.writeBigUInt64LE(BigInt(this.#length), 28);
    head.writeBigUInt64LE(BigInt(this.#length / frame), 36);
    head.write("fmt ", 48);
    head.writeUInt32LE(16, 52);
    head.writeUInt16LE(IEEE_FLOAT, 56);
    head.writeUInt16LE(this.#channels, 58);
    head.writeUInt32LE(this.#rate, 60);
    head.writeUInt32LE(this.#rate * frame, 64);
    head.writeUInt16LE(frame, 68);
    head.writeUInt16LE(8 * SAMPLE, 70);
    head.write("data", 72);
    head.writeUInt32LE(0xffff_ffff, 76);
    await this.#write(head, 0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, position + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw asDownloadError(error);
    }
  }
}
