/** How far a number of files is, in one line. */
import { basename } from "node:path";
import { formatDuration } from "../shared/format.ts";
import type { Globals } from "./globals.ts";
import { OneLine } from "./one-line.ts";
import { escapeControls } from "./output.ts";

/** What is known of a file under way. */
export interface FileProgress {
  readonly stage: string;
  readonly percent?: number | undefined;
  readonly etaSeconds?: number | undefined;
}

/** Shows it until it is disposed. */
export class AudioProgressView implements Disposable {
  readonly #total: number;
  readonly #view: OneLine;
  readonly #now: () => number;
  readonly #started: number;
  readonly #active = new Map<string, FileProgress>();
  #done = 0;

  constructor(total: number, globals: Globals, now: () => number = () => performance.now()) {
    this.#total = total;
    this.#view = new OneLine(globals, now);
    this.#now = now;
    this.#started = now();
  }

  /** A file is so far. */
  update(path: string, progress: FileProgress): void {
    this.#active.set(path, progress);
    this.#view.show(() => this.line());
  }

  /** A file is done, or has failed. */
  finish(path: string): void {
    this.#active.delete(path);
    this.#done++;
  }

  /** To be called before a line that stays. */
  clear(): void {
    this.#view.clear();
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
}
