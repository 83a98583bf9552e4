/**
 * Walks through the frames of a FLAC file without decoding them. A frame is whole if its CRC-16 is right up to where the next
 * frame's header begins (RFC 9639 §9); behind a damaged one the walk goes on with the next that is whole, so that
 * each damaged place is named. One pass, a few hundred bytes of state.
 */
import type { FileHandle } from "node:fs/promises";
import { CRC16, crc16 } from "./crc.ts";
import { frameLength } from "./frame-end.ts";
import { channelsOf, type FrameHeader, LONGEST_HEADER, readFrameHeader } from "./frame-header.ts";
import { read, type StreamInfo } from "./stream-info.ts";

const WINDOW = 1024 * 1024;
/** Beginnings behind a damaged frame that are followed at the same time. */
const MOST_GUESSES = 16;
/** Damaged places that are named; further ones are only counted. */
const MOST_PROBLEMS = 1000;

/** A place where the frames are not as they should be. */
export interface FrameProblem {
  readonly kind: "frame" | "sequence" | "truncated" | "samples";
  readonly offset: number;
  /** Of each channel, counted from 0. */
  readonly sample: number;
  readonly message: string;
}

/** What the walk found. */
export interface FrameWalk {
  readonly problems: readonly FrameProblem[];
  /** All of them, also those that are not named. */
  readonly problemCount: number;
  /** Whole ones. */
  readonly frames: number;
  /** Behind the last frame. */
  readonly end: number;
}

/** A frame whose end is not known yet. */
interface Track {
  readonly start: number;
  /** Undefined before the first frame: nothing can be the end of that. */
  readonly header: FrameHeader | undefined;
  /** CRC-16 so far. */
  crc: number;
  /** Where it would have been whole, but no header followed. */
  zeroAt?: number;
}

/** How the walk is controlled. */
export interface WalkControl {
  readonly signal?: AbortSignal | undefined;
  /** @param done - bytes */
  readonly onProgress?: (done: number) => void;
}

/** Walks from `start` to the end of the file. */
export async function walkFrames(
  file: FileHandle,
  range: { readonly start: number; readonly size: number },
  info: StreamInfo,
  control: WalkControl,
): Promise<FrameWalk> {
  const walker = new Walker(info, range.start);
  const window = Buffer.alloc(WINDOW);
  let [position, held] = [range.start, 0];
  for (;;) {
    control.signal?.throwIfAborted();
    const { bytesRead } = await file.read(window, held, window.length - held, position + held);
    const filled = held + bytesRead;
    const ended = bytesRead === 0;
    // A header is looked at only when all of it is here.
    const until = ended ? filled : Math.max(0, filled - LONGEST_HEADER);
    walker.take(window.subarray(0, filled), until, position);
    window.copyWithin(0, until, filled);
    position += until;
    held = filled - until;
    control.onProgress?.(position);
    if (ended || walker.complete) break;
  }
  return walker.end(file, Math.max(position, range.size));
}

class Walker {
  readonly #info: StreamInfo;
  readonly #problems: FrameProblem[] = [];
  #problemCount = 0;
  #current: Track;
  #guesses: Track[] = [];
  #frames = 0;
  /** Samples up to the current frame. */
  #sample = 0;
  #begun = false;

  constructor(info: StreamInfo, start: number) {
    this.#info = info;
    this.#current = { start, header: undefined, crc: 0 };
  }

  /** All samples are there: what comes now is not audio. */
  get complete(): boolean {
    return this.#info.totalSamples > 0 && this.#sample >= this.#info.totalSamples;
  }

  take(bytes: Uint8Array, until: number, position: number): void {
    let { crc } = this.#current;
    for (let at = 0; at < until && !this.complete; at++) {
      const byte = bytes[at] ?? 0;
      if (byte === 0xff && ((bytes[at + 1] ?? 0) & 0xfe) === 0xf8) {
        this.#current.crc = crc;
        this.#candidate(bytes, at, position + at);
        crc = this.#current.crc;
      }
      crc = ((crc << 8) & 0xffff) ^ (CRC16[(crc >> 8) ^ byte] ?? 0);
      for (const guess of this.#guesses)
        guess.crc = ((guess.crc << 8) & 0xffff) ^ (CRC16[(guess.crc >> 8) ^ byte] ?? 0);
    }
    this.#current.crc = crc;
  }

  /** The file is over. @param size - of it */
  async end(file: FileHandle, size: number): Promise<FrameWalk> {
    let { start: end } = this.#current;
    if (!this.complete && this.#current.start < size) {
      const whole = [this.#current, ...this.#guesses].find((track) => track.header && track.crc === 0);
      end = size;
      if (whole) this.#finish(whole);
      else end = await this.#last(file, size);
    }
    const { totalSamples } = this.#info;
    if (totalSamples > 0 && this.#sample !== totalSamples && this.#problemCount === 0)
      this.#problem({
        kind: this.#sample < totalSamples ? "truncated" : "samples",
        offset: end,
        sample: this.#sample,
        message: `there are ${this.#sample} samples; STREAMINFO says ${totalSamples}`,
      });
    return { problems: this.#problems, problemCount: this.#problemCount, frames: this.#frames, end };
  }

  #candidate(bytes: Uint8Array, at: number, offset: number): void {
    const header = readFrameHeader(bytes, at);
    const current = this.#current;
    if (header === undefined || !this.#fits(header)) {
      if (current.crc === 0 && current.header && offset > current.start) current.zeroAt ??= offset;
      return;
    }
    if (current.header === undefined && offset === current.start) {
      this.#begin({ start: offset, header, crc: 0 });
      return;
    }
    const whole = [current, ...this.#guesses].find((track) => track.header && track.crc === 0 && track.start < offset);
    if (whole) {
      this.#finish(whole);
      if (!this.complete) this.#begin({ start: offset, header, crc: 0 });
      else this.#current = { start: offset, header: undefined, crc: 0 };
    } else if (this.#guesses.length < MOST_GUESSES && header.number > (current.header?.number ?? -1))
      this.#guesses.push({ start: offset, header, crc: 0 });
  }

  /** A frame may leave to STREAMINFO what it is; what it says itself must be the same. */
  #fits({ sampleRate, bitsPerSample, assignment }: FrameHeader): boolean {
    const info = this.#info;
    return (
      (sampleRate === 0 || sampleRate === info.sampleRate) &&
      (bitsPerSample === 0 || bitsPerSample === info.bitsPerSample) &&
      channelsOf(assignment) === info.channels
    );
  }

  #begin(track: Track & { readonly header: FrameHeader }): void {
    const { header, start } = track;
    const sample = this.#sampleOf(header);
    if (!this.#begun ? header.number !== 0 : sample !== this.#sample) {
      const message = this.#begun
        ? `a frame has number ${header.number} and should begin at sample ${this.#sample}, not ${sample}`
        : `the first frame has number ${header.number}, not 0`;
      this.#problem({ kind: "sequence", offset: start, sample: this.#sample, message });
      this.#sample = sample;
    }
    this.#begun = true;
    this.#current = track;
    this.#guesses = [];
  }

  /** `track` is whole. If it is a guess, what was before it is damaged. */
  #finish(track: Track): void {
    const { header } = track;
    if (!header) return;
    if (track !== this.#current) {
      this.#damaged(track.start);
      this.#sample = this.#sampleOf(header);
      this.#begun = true;
    }
    this.#frames++;
    this.#sample += header.blockSize;
  }

  #damaged(next: number): void {
    const { header, start, zeroAt } = this.#current;
    const [offset, sample] =
      zeroAt === undefined ? [start, this.#sample] : [zeroAt, this.#sample + (header?.blockSize ?? 0)];
    this.#problem({ kind: "frame", offset, sample, message: `no whole frame from byte ${offset} to byte ${next}` });
  }

  /** The file is over and the last frame is not whole up to there: there is more behind it, or it is damaged. */
  async #last(file: FileHandle, size: number): Promise<number> {
    const { header, start } = this.#current;
    const { totalSamples, bitsPerSample, channels } = this.#info;
    const byCount = header !== undefined && totalSamples > 0 && this.#sample + header.blockSize >= totalSamples;
    if (byCount) {
      // Uncompressed, and what else a frame may hold.
      const most = Math.ceil((header.blockSize * channels * (bitsPerSample + 1)) / 8) + 1024;
      const bytes = await read(file, start, Math.min(most, size - start));
      const length = frameLength(bytes, header, bitsPerSample);
      if (length !== undefined && crc16(bytes, 0, length) === 0) {
        this.#finish(this.#current);
        return start + length;
      }
    }
    const message = header ? "the last frame is not whole" : "there is no frame";
    this.#problem({ kind: byCount || !header ? "frame" : "truncated", offset: start, sample: this.#sample, message });
    return size;
  }

  /** Frames of a fixed size count themselves; those of others count their first sample. */
  #sampleOf({ variable, number }: FrameHeader): number {
    return variable ? number : number * this.#info.maxBlockSize;
  }

  #problem(problem: FrameProblem): void {
    this.#problemCount++;
    if (this.#problems.length < MOST_PROBLEMS) this.#problems.push(problem);
  }
}
