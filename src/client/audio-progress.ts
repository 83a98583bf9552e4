/**
 * How far a number of files is: one line that is drawn over itself on a terminal, a line every few seconds elsewhere,
 * nothing with --quiet or --json. It goes to stderr: stdout is for what came of it.
 */
import { basename } from "node:path";
import { formatDuration } from "../shared/format.ts";
import type { Globals } from "./globals.ts";
import { escapeControls, note } from "./output.ts";
import { shorten } from "./table.ts";

const PLAIN_MS = 3000;
const TERMINAL_MS = 150;

/** What is known of a file under way. */
export interface FileProgress {
  readonly stage: string;
  readonly percent?: number | undefined;
  readonly etaSeconds?: number | undefined;
}

/** Shows it until it is disposed. */
export class AudioProgressView implements Disposable {
  readonly #total: number;
  readonly #terminal: boolean;
  readonly #silent: boolean;
  readonly #now: () => number;
  readonly #started: number;
  readonly #active = new Map<string, FileProgress>();
  #done = 0;
  #next: number;
  #drawn = false;

  constructor(total: number, globals: Globals, now: () => number = () => performance.now()) {
    this.#total = total;
    this.#silent = (globals.quiet ?? false) || (globals.json ?? false);
    this.#terminal = process.stderr.isTTY && process.env["TERM"] !== "dumb";
    this.#now = now;
    this.#started = now();
    // What is done at once needs no progress.
    this.#next = this.#started + (this.#terminal ? TERMINAL_MS : PLAIN_MS);
  }

  /** A file is so far. */
  update(path: string, progress: FileProgress): void {
    this.#active.set(path, progress);
    this.#show();
  }

  /** A file is done, or has failed. */
  finish(path: string): void {
    this.#active.delete(path);
    this.#done++;
  }

  /** To be called before a line that stays. */
  clear(): void {
    if (this.#drawn) process.stderr.write("\r\x1b[2K");
    this.#drawn = false;
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  /** The line for now. */
  line(): string {
    const [first] = this.#active;
    if (first === undefined) return "";
    const [path, { stage, percent, etaSeconds }] = first;
    if (this.#total === 1) {
      const left = etaSeconds === undefined ? "" : `, ${formatDuration(etaSeconds * 1000)} left in this stage`;
      return `${escapeControls(basename(path))}: ${stage}${percent === undefined ? "" : ` ${Math.floor(percent)}%`}${left}`;
    }
    const parts = [...this.#active.values()].reduce((sum, progress) => sum + (progress.percent ?? 0) / 100, 0);
    const share = (this.#done + parts) / this.#total;
    const spent = this.#now() - this.#started;
    const left = share > 0.01 ? `, ${formatDuration((spent / share) * (1 - share))} left` : "";
    return `${this.#done} of ${this.#total} files, ${Math.floor(share * 100)}%${left}: ${escapeControls(basename(path))} (${stage})`;
  }

  #show(): void {
    const now = this.#now();
    if (this.#silent || now < this.#next) return;
    this.#next = now + (this.#terminal ? TERMINAL_MS : PLAIN_MS);
    if (!this.#terminal) {
      note(this.line());
      return;
    }
    process.stderr.write(`\r\x1b[2K${shorten(this.line(), (process.stderr.columns || 80) - 1)}`);
    this.#drawn = true;
  }
}
