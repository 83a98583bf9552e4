/**
 * A log file that rotates. Lines are written at once, so that a killed daemon leaves its last words; a disk that is full
 * costs lines, which are counted, and never the daemon.
 */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, truncateSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** Where, how large, how many. */
export interface LogFileOptions {
  readonly path: string;
  /** Bytes after which the file is put aside. */
  readonly maxSize: number;
  /** Older files to keep as PATH.1 (the newest) to PATH.N. */
  readonly keep: number;
}

/** Writes lines to a file and rotates it. */
export class LogFile implements Disposable {
  readonly #options: LogFileOptions;
  #fd: number | undefined;
  #size = 0;
  /** Not before the file has this size: after a rotation that failed, not every line shall try again. */
  #rotateAt: number;
  #lost = 0;
  /** The file ends inside a line. */
  #torn = false;

  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#rotateAt = options.maxSize;
  }

  /** Lines that could not be written since the last one that could. */
  get lost(): number {
    return this.#lost;
  }

  /** Opens the file, or opens it anew after something else has moved it away (logrotate). @throws Error of the system */
  reopen(): void {
    this[Symbol.dispose]();
    mkdirSync(dirname(this.#options.path), { recursive: true, mode: 0o700 });
    this.#fd = openSync(this.#options.path, "a", 0o600);
    this.#size = fstatSync(this.#fd).size;
    this.#rotateAt = this.#options.maxSize;
  }

  /** Writes a line, which brings its line feed. Never throws. */
  write(line: string): void {
    try {
      if (this.#fd === undefined) this.reopen();
      if (this.#size > 0 && this.#size + line.length > this.#rotateAt) this.#rotate();
      const notice =
        this.#lost > 0 ? `${JSON.stringify({ level: "warn", msg: "log lines were lost", lost: this.#lost })}\n` : "";
      this.#append(`${this.#torn ? "\n" : ""}${notice}${line}`);
      this.#lost = 0;
    } catch {
      // There is nowhere to say it until the disk takes lines again.
      this.#lost++;
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #append(text: string): void {
    const bytes = Buffer.from(text);
    let done = 0;
    try {
      while (done < bytes.length) done += writeSync(this.#fd as number, bytes, done);
    } finally {
      this.#size += done;
      if (done > 0) this.#torn = bytes[done - 1] !== 0x0a;
    }
  }

  #rotate(): void {
    const { path, keep, maxSize } = this.#options;
    try {
      if (keep === 0) truncateSync(path);
      else {
        rmSync(`${path}.${keep}`, { force: true });
        for (let index = keep - 1; index >= 1; index--) moveIfThere(`${path}.${index}`, `${path}.${index + 1}`);
        moveIfThere(path, `${path}.1`);
      }
      this.reopen();
    } catch {
      this.#rotateAt = this.#size + maxSize;
    }
  }
}

function moveIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
