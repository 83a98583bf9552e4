/**
 * The daemon's log: pino behind the {@link Logger} port. Where it goes decides how it looks: text on a terminal, text with
 * priorities in the journal, JSON in a file or a pipe. Everything is written from this thread and at once.
 */
import { fstatSync, statSync } from "node:fs";
import { type Logger as Pino, pino, stdSerializers, stdTimeFunctions } from "pino";
import type { Logger } from "../core/ports/runtime.ts";
import { LogFile, type LogFileOptions } from "./log-file.ts";
import { formatRecord } from "./log-text.ts";

/** From the most talkative to the quietest. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

/** How much is written. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What a log needs to know. */
export interface LogOptions {
  readonly level: LogLevel;
  /** "auto": pretty on a terminal and in the journal, JSON elsewhere. */
  readonly format?: "auto" | "pretty" | "json";
  /** Write to this file instead of the standard error. */
  readonly file?: LogFileOptions;
  /** For JOURNAL_STREAM and NO_COLOR. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The part of a stream that the log uses, so that a test can stand in for the standard error. */
export interface LogStream {
  readonly fd?: number;
  readonly isTTY?: boolean;
  write(text: string): unknown;
  on?(event: "error", listener: () => void): unknown;
}

/** Priorities of sd-daemon(3), which journald takes off the line again. */
const PRIORITY: Readonly<Record<string, string>> = { debug: "<7>", info: "<6>", warn: "<4>", error: "<3>" };

/** The log, its level and its destination. */
export class Log implements Disposable {
  readonly logger: Logger;
  readonly #file: LogFile | undefined;
  readonly #threshold: Threshold;
  readonly #path: string | undefined;

  constructor(options: LogOptions, stream: LogStream = process.stderr) {
    this.#threshold = { rank: LOG_LEVELS.indexOf(options.level) };
    this.#file = options.file && new LogFile(options.file);
    this.#path = options.file?.path;
    const root = pino(
      {
        // The threshold is ours: a child of pino keeps the level that its parent had when it was made.
        level: "debug",
        base: null,
        timestamp: stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        serializers: { err: stdSerializers.err, error: stdSerializers.err, cause: stdSerializers.err },
      },
      { write: writer(options, this.#file ?? stream) },
    );
    this.logger = new LeveledLogger(root, this.#threshold);
  }

  /** The file that is written to; undefined for the standard error. */
  get path(): string | undefined {
    return this.#path;
  }

  /** Holds from the next line on, in every child. */
  setLevel(level: LogLevel): void {
    this.#threshold.rank = LOG_LEVELS.indexOf(level);
  }

  /** Opens the file anew, for whoever has moved it away. @throws Error of the system if it cannot be opened */
  reopen(): void {
    this.#file?.reopen();
  }

  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
  }
}

interface Threshold {
  rank: number;
}

/** A logger whose level is shared with all its children, and so can change for all at once. */
class LeveledLogger implements Logger {
  readonly #pino: Pino;
  readonly #threshold: Threshold;

  constructor(root: Pino, threshold: Threshold) {
    this.#pino = root;
    this.#threshold = threshold;
  }

  debug(fields: object, message: string): void {
    if (this.#threshold.rank <= 0) this.#pino.debug(fields, message);
  }

  info(fields: object, message: string): void {
    if (this.#threshold.rank <= 1) this.#pino.info(fields, message);
  }

  warn(fields: object, message: string): void {
    if (this.#threshold.rank <= 2) this.#pino.warn(fields, message);
  }

  error(fields: object, message: string): void {
    if (this.#threshold.rank <= 3) this.#pino.error(fields, message);
  }

  child(fields: object): Logger {
    return new LeveledLogger(this.#pino.child(fields), this.#threshold);
  }
}

function writer(options: LogOptions, target: LogStream | LogFile): (line: string) => void {
  const env = options.env ?? process.env;
  const stream = target instanceof LogFile ? undefined : target;
  // The reader of a pipe may go away (EPIPE): that is no reason to end.
  stream?.on?.("error", () => {});
  const journal = stream !== undefined && isJournal(env["JOURNAL_STREAM"], stream.fd);
  const terminal = stream?.isTTY === true;
  const text = options.format === "pretty" || (options.format !== "json" && (journal || terminal));
  if (!text && !journal) return (line) => void target.write(line);
  const style = { time: !journal, colour: terminal && !env["NO_COLOR"] };
  return (line) => {
    const record = JSON.parse(line) as Record<string, unknown>;
    const priority = journal ? (PRIORITY[String(record["level"])] ?? "<6>") : "";
    target.write(text ? `${priority}${formatRecord(record, style)}\n` : `${priority}${line}`);
  };
}

/**
 * True if a descriptor, by default the standard error, is this very file: so snatchctl starts the daemon in the background.
 * Such a log is to be written as a file, since nobody else rotates it.
 */
export function writesTo(path: string, fd = 2): boolean {
  try {
    const [open, named] = [fstatSync(fd), statSync(path)];
    return open.isFile() && open.dev === named.dev && open.ino === named.ino;
  } catch {
    return false;
  }
}

/** JOURNAL_STREAM names the device and inode of the journal's socket; a redirected stream is another (systemd.exec(5)). */
function isJournal(variable: string | undefined, fd: number | undefined): boolean {
  if (!variable || fd === undefined) return false;
  try {
    const { dev, ino } = fstatSync(fd);
    return variable === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
