/**
 * Progress in one line: drawn over itself on a terminal, a line every few seconds elsewhere, nothing with --quiet or --json.
 * It goes to stderr: stdout is for what came of it.
 */
import type { Globals } from "./globals.ts";
import { note } from "./output.ts";
import { shorten } from "./table.ts";

const PLAIN_MS = 3000;
const TERMINAL_MS = 150;

/** Shows the newest line until it is disposed. */
export class OneLine implements Disposable {
  readonly #terminal = process.stderr.isTTY && process.env["TERM"] !== "dumb";
  readonly #interval = this.#terminal ? TERMINAL_MS : PLAIN_MS;
  readonly #silent: boolean;
  readonly #now: () => number;
  #next: number;
  #drawn = false;

  /** @param now - milliseconds */
  constructor(globals: Globals, now: () => number) {
    this.#silent = (globals.quiet ?? false) || (globals.json ?? false);
    this.#now = now;
    // What is done at once needs no progress.
    this.#next = now() + this.#interval;
  }

  /** @param line - asked only when it is time for one; without control characters */
  show(line: () => string): void {
    const now = this.#now();
    if (this.#silent || now < this.#next) return;
    this.#next = now + this.#interval;
    if (!this.#terminal) {
      note(line());
      return;
    }
    process.stderr.write(`\r\x1b[2K${shorten(line(), (process.stderr.columns || 80) - 1)}`);
    this.#drawn = true;
  }

  /** To be called before a line that stays. */
  clear(): void {
    if (this.#drawn) process.stderr.write("\r\x1b[2K");
    this.#drawn = false;
  }

  [Symbol.dispose](): void {
    this.clear();
  }
}
