/**
 * The ledger of lists: what was taken of each, and which lines still wait for their outcome. It is written in the same
 * atomic batch as the sessions, so a list is never further in one than in the other.
 *
 * Keys, in space "ledger": `k!KEY` the batch that a list became; `b!BATCH` how far it was taken; `p!BATCH` how far its
 * report is; `s!SESSION!BATCH!LINE` a line whose session's outcome is not in the report yet; `r!BATCH!LINE` a refused line
 * that is not in the report yet. `b!` is written by the taking side only, `p!` by the reporting side only.
 */
import type { ListFiles } from "../core/ports/intake.ts";
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { ListPosition } from "./list-parser.ts";

const SPACE = "ledger";

/**
 * How far a list is taken. `read`: every entry is in the ledger. `taken`: the refused lines are in their file too.
 */
type BatchPhase = "taking" | "read" | "taken";

/** How far a list is taken. */
export interface BatchRecord {
  readonly batchId: string;
  readonly key: string;
  readonly files: ListFiles;
  readonly next: ListPosition;
  readonly accepted: number;
  readonly refused: number;
  readonly phase: BatchPhase;
  /** The list is out of the way; the key may mean another one. */
  readonly settled: boolean;
}

/** How far a report is: lines in it, and bytes of the file that hold them. */
export interface ReportProgress {
  readonly lines: number;
  readonly bytes: number;
}

/** A line that waits for its session's end. */
export interface WaitingLine {
  readonly key: string;
  readonly sessionId: string;
  readonly batchId: string;
  readonly lineNumber: number;
  /** The session had its file before the list came. */
  readonly already: boolean;
}

/** A refused line that is not in the report yet. */
export interface RefusedRow {
  readonly key: string;
  readonly lineNumber: number;
  readonly url: string;
  readonly code: string;
  readonly message: string;
  /** The entry's lines, as they go into the file of refused lines. */
  readonly text: string;
}

/** Line numbers sort as text: a list has less than 10^12 lines. */
const pad = (line: number) => String(line).padStart(12, "0");

/** Every key that begins with `prefix!`; `"` is the character after `!`. */
const under = (prefix: string) => ({ gte: `${prefix}!`, lt: `${prefix}"` });

const put = (key: string, value: string): Write => ({ type: "put", space: SPACE, key, value });
const del = (key: string): Write => ({ type: "del", space: SPACE, key });

/** The writes that record how far a list is taken. */
export function batchWrites(record: BatchRecord): Write[] {
  return [put(`b!${record.batchId}`, JSON.stringify(record))];
}

/** The writes that begin a list: its key leads to its batch from now on. */
export function beginWrites(record: BatchRecord): Write[] {
  return [put(`k!${record.key}`, record.batchId), ...batchWrites(record)];
}

/** The writes that let go of a list's key. */
export function releaseWrites(record: BatchRecord): Write[] {
  return [del(`k!${record.key}`), ...batchWrites({ ...record, settled: true })];
}

/** The writes that forget a batch whose report is complete. */
export function forgetWrites(batchId: string): Write[] {
  return [del(`b!${batchId}`), del(`p!${batchId}`)];
}

/** The write that makes a line wait for its session. */
export function waitingWrite(sessionId: string, batchId: string, lineNumber: number, already: boolean): Write {
  return put(`s!${sessionId}!${batchId}!${pad(lineNumber)}`, already ? "already" : "");
}

/** The write that keeps a refused line until it is in the report. */
export function refusedWrite(batchId: string, row: Omit<RefusedRow, "key">): Write {
  return put(`r!${batchId}!${pad(row.lineNumber)}`, JSON.stringify(row));
}

/** The writes that record that rows are in the report. */
export function reportedWrites(batchId: string, rows: readonly { key: string }[], progress: ReportProgress): Write[] {
  return [...rows.map(({ key }) => del(key)), put(`p!${batchId}`, JSON.stringify(progress))];
}

/** Reads the ledger. */
export class Ledger {
  readonly #store: KeyValue;

  constructor(store: KeyValue) {
    this.#store = store;
  }

  /** Survives a power cut when it resolves. */
  write(writes: readonly Write[]): Promise<void> {
    return this.#store.write(writes, { sync: true });
  }

  async batchOf(key: string): Promise<BatchRecord | undefined> {
    const batchId = await this.#store.get(SPACE, `k!${key}`);
    return batchId === undefined ? undefined : this.batch(batchId);
  }

  async batch(batchId: string): Promise<BatchRecord | undefined> {
    const value = await this.#store.get(SPACE, `b!${batchId}`);
    return value === undefined ? undefined : (JSON.parse(value) as BatchRecord);
  }

  async *batches(): AsyncGenerator<BatchRecord, void> {
    for await (const [, value] of this.#store.entries(SPACE, under("b"))) yield JSON.parse(value) as BatchRecord;
  }

  async progress(batchId: string): Promise<ReportProgress> {
    const value = await this.#store.get(SPACE, `p!${batchId}`);
    return value === undefined ? { lines: 0, bytes: 0 } : (JSON.parse(value) as ReportProgress);
  }

  /** Every line that waits, those of a session side by side. */
  async *waiting(): AsyncGenerator<WaitingLine, void> {
    for await (const [key, value] of this.#store.entries(SPACE, under("s"))) yield waitingLine(key, value);
  }

  /** The lines that wait for one session. */
  async waitingFor(sessionId: string): Promise<WaitingLine[]> {
    const lines: WaitingLine[] = [];
    for await (const [key, value] of this.#store.entries(SPACE, under(`s!${sessionId}`)))
      lines.push(waitingLine(key, value));
    return lines;
  }

  async *refused(batchId: string): AsyncGenerator<RefusedRow, void> {
    for await (const [key, value] of this.#store.entries(SPACE, under(`r!${batchId}`)))
      yield { ...(JSON.parse(value) as Omit<RefusedRow, "key">), key };
  }
}

function waitingLine(key: string, value: string): WaitingLine {
  const [, sessionId = "", batchId = "", line = ""] = key.split("!");
  return { key, sessionId, batchId, lineNumber: Number(line), already: value === "already" };
}
