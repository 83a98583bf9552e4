/** A file of secrets that a person may edit at any time: read when it is needed, and again when it has changed. */
import { readFile, stat } from "node:fs/promises";
import type { Clock, Logger } from "../core/ports/runtime.ts";

/** Milliseconds for which a look at the file holds. */
const LOOK_MS = 1000;

/** A file of this size is no file of secrets. */
const MOST_BYTES = 16 * 1024 * 1024;

/** What the content of a file became. */
export interface Parsed<T> {
  readonly value: T;
  /** What is wrong with single lines, without what they hold. */
  readonly problems: readonly string[];
}

/** How a file is read. */
export interface WatchedFileInit<T> {
  readonly path: string;
  /** What it is, for messages. */
  readonly what: string;
  /** A missing file is worth a word: the configuration names it. */
  readonly expected: boolean;
  /** Nobody else may be able to read it; otherwise it is left alone. */
  readonly secret: boolean;
  readonly parse: (text: string) => Parsed<T>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The present content of a file. */
export class WatchedFile<T> {
  readonly #init: WatchedFileInit<T>;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #identity = "";
  #value: T | undefined;
  #problems: readonly string[] = [];

  constructor(init: WatchedFileInit<T>) {
    this.#init = init;
  }

  get path(): string {
    return this.#init.path;
  }

  /** What is wrong with it; as of the last {@link current}. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** What it says; undefined if it is not there, or cannot be used. Never rejects. */
  async current(): Promise<T | undefined> {
    const { clock, path, what, expected } = this.#init;
    if (clock.monotonic() - this.#lookedAt < LOOK_MS) return this.#value;
    this.#lookedAt = clock.monotonic();
    try {
      const { mtimeMs, size, ino, mode } = await stat(path);
      const identity = `${mtimeMs} ${size} ${ino} ${mode}`;
      if (identity === this.#identity) return this.#value;
      this.#identity = identity;
      await this.#read(mode, size);
    } catch (error) {
      const { code = String(error) } = error as NodeJS.ErrnoException;
      const absent = code === "ENOENT" || code === "ENOTDIR";
      const why = absent ? `there is no ${what} ${path}` : `the ${what} ${path} cannot be read (${code})`;
      if (this.#identity !== why) this.#refuse(absent && !expected ? [] : [why]);
      this.#identity = why;
    }
    return this.#value;
  }

  async #read(mode: number, size: number): Promise<void> {
    const { path, what, secret, parse } = this.#init;
    if (secret && process.platform !== "win32" && (mode & 0o077) !== 0)
      return this.#refuse([
        `the ${what} ${path} is not used: others can read it (mode ${(mode & 0o777).toString(8)}); chmod 600 makes it private`,
      ]);
    if (size > MOST_BYTES) return this.#refuse([`the ${what} ${path} is not used: it is larger than 16 MiB`]);
    const { value, problems } = parse(await readFile(path, "utf8"));
    this.#value = value;
    this.#tell(problems.map((problem) => `${path}: ${problem}`));
  }

  #refuse(problems: readonly string[]): void {
    this.#value = undefined;
    this.#tell(problems);
  }

  #tell(problems: readonly string[]): void {
    this.#problems = problems;
    for (const problem of problems.slice(0, 3)) this.#init.logger.warn({ path: this.#init.path }, problem);
  }
}
