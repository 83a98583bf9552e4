/**
 * How the progress of a `get` is shown: bars on a terminal (one for a single file; the whole and the active ones for
 * several), a plain line every few seconds elsewhere, nothing with --quiet or --json. All of it goes to stderr: stdout
 * is for what came of it.
 */
import type { MultiBar, SingleBar } from "cli-progress";
import type { Session } from "../gen/snatch/v1/session.ts";
import type { Globals } from "./globals.ts";
import { plainLine, stateLine, summaryLine } from "./lines.ts";
import { escapeControls, note, print } from "./output.ts";
import { nameOf, statusOf } from "./session-view.ts";
import { displayWidth, shorten } from "./table.ts";
import type { Tally } from "./tally.ts";

/** Most bars besides that of the whole. */
const MOST_BARS = 5;
/** Between two plain lines. */
const PLAIN_INTERVAL_MS = 3000;

/** Shows a tally until it is disposed. */
export interface ProgressView extends Disposable {
  /** The tally has changed. */
  show(tally: Tally): void;
  /** A line that stays: a result on stdout, everything else on stderr. */
  line(text: string, result?: boolean): Promise<void>;
}

/** The view that fits where the output goes. */
export async function openView(globals: Globals): Promise<ProgressView> {
  if (globals.quiet || globals.json) return new SilentView();
  if (process.stderr.isTTY && process.env["TERM"] !== "dumb")
    return new BarView((await import("cli-progress")).default);
  return new PlainView(PLAIN_INTERVAL_MS);
}

/** Says nothing of the progress; of the lines only what is no result. */
class SilentView implements ProgressView {
  show(): void {}

  async line(text: string, result = false): Promise<void> {
    if (!result) note(text);
  }

  [Symbol.dispose](): void {}
}

/** A line every few seconds, when there is something new to say. */
class PlainView implements ProgressView {
  readonly #intervalMs: number;
  #next: number;
  #last = "";

  constructor(intervalMs: number, now = Date.now()) {
    this.#intervalMs = intervalMs;
    // What is done at once needs no progress.
    this.#next = now + intervalMs;
  }

  show(tally: Tally, now = Date.now()): void {
    if (now < this.#next) return;
    const text = describe(tally);
    if (text === "" || text === this.#last) return;
    note(text);
    this.#last = text;
    this.#next = now + this.#intervalMs;
  }

  async line(text: string, result = false): Promise<void> {
    if (result) await print(text);
    else note(text);
  }

  [Symbol.dispose](): void {}
}

function describe({ summary, open }: Tally): string {
  const [only] = open.values();
  if (summary && summary.totalCount > 1) return summaryLine(summary);
  return only ? plainLine(only) : "";
}

/** Bars at the bottom of the terminal, lines above them. */
class BarView implements ProgressView {
  readonly #multi: MultiBar;
  readonly #bars: SingleBar[] = [];
  /** Also when the process is left by a second Ctrl-C. */
  readonly #showCursor = () => void process.stderr.write("\x1b[?25h");

  constructor(library: typeof import("cli-progress")) {
    this.#multi = new library.MultiBar({
      format: (_options, _params, payload: { readonly line: string }) => payload.line,
      stream: process.stderr,
      fps: 8,
      hideCursor: true,
      linewrap: null,
      clearOnComplete: true,
      gracefulExit: false,
      emptyOnZero: true,
    });
  }

  show(tally: Tally): void {
    const lines = barLines(tally, process.stderr.columns || 80, process.stderr.rows || 24);
    for (const [index, line] of lines.entries()) {
      const bar = this.#bars[index];
      if (bar) bar.update({ line });
      else {
        if (!this.#multi.isActive) process.on("exit", this.#showCursor);
        this.#bars.push(this.#multi.create(1, 0, { line }));
      }
    }
    while (this.#bars.length > lines.length) {
      const bar = this.#bars.pop();
      if (bar) this.#multi.remove(bar);
    }
  }

  async line(text: string, result = false): Promise<void> {
    if (result && !process.stdout.isTTY) await print(text);
    else if (!this.#multi.isActive) note(text);
    else this.#multi.log(`${text}\n`);
  }

  [Symbol.dispose](): void {
    if (!this.#multi.isActive) return;
    // Lines that wait are written with the next drawing: draw once more, then clear the bars.
    this.#multi.update();
    this.#multi.stop();
    process.off("exit", this.#showCursor);
  }
}

/** The lines of the bars, each shorter than the terminal is wide, fewer than it is high. */
export function barLines({ summary, open }: Tally, columns: number, rows: number): string[] {
  const width = Math.max(columns - 1, 20);
  const several = (summary?.totalCount ?? 0) > 1;
  const sessions = [...open.values()].filter((session) => !several || statusOf(session) === "active");
  const most = Math.max(Math.min(MOST_BARS, rows - 3), 1);
  const lines = sessions.slice(0, most).map((session) => barLine(session, width));
  return several && summary ? [shorten(summaryLine(summary), width), ...lines] : lines;
}

function barLine(session: Session, width: number): string {
  const state = stateLine(session);
  const { totalBytes, downloadedBytes = 0, pendingBytes = 0 } = session.progress ?? {};
  const barWidth = totalBytes !== undefined && width >= 70 ? Math.min(30, width - 50) : 0;
  const name = shorten(escapeControls(nameOf(session)), Math.max(width - displayWidth(state) - barWidth - 5, 8));
  if (barWidth === 0 || totalBytes === undefined) return shorten(`${name}  ${state}`, width);
  const full = Math.round(Math.min((downloadedBytes + pendingBytes) / Math.max(totalBytes, 1), 1) * barWidth);
  return shorten(`${name} [${"=".repeat(full)}${" ".repeat(barWidth - full)}] ${state}`, width);
}
