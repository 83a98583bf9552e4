/**
 * Writes what became of each line of a list into its report as it becomes known: exactly one line each, whatever happens
 * to the process. Lines are appended in groups, synced, and only then taken out of the ledger together with the new
 * length of the file; what an unlucky end left behind that length is cut off and written again.
 *
 * One loop does all the writing, so that no two outcomes of a session can meet.
 */
import { constants } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { asDownloadError } from "../core/errors.ts";
import type { NumberedEvent } from "../core/events.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { SessionStore } from "../core/ports/sessions.ts";
import { hasEnded, type Session } from "../core/session.ts";
import { type BatchRecord, forgetWrites, type Ledger, type ReportProgress, reportedWrites } from "./ledger.ts";
import { openPaper } from "./open-paper.ts";
import { outcomeLine, refusedLine } from "./report-line.ts";

/** Outcomes are gathered for so long, in milliseconds: one sync for many. */
const GATHER_MS = 100;

/** Pause after a report could not be written, in milliseconds. */
const RETRY_MS = 5000;

/** Sessions, or refused lines, written in one go. */
const GROUP = 500;

/** What the report needs of others. */
export interface OutcomeReportParts {
  readonly ledger: Ledger;
  readonly sessions: Pick<SessionStore, "get" | "subscribe">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A batch whose report may still grow. */
interface OpenBatch {
  record: BatchRecord;
  progress: ReportProgress;
}

/** A line of a report, and the ledger's row that asks for it. */
interface Entry {
  readonly key: string;
  readonly text: string;
}

/** The reports of all lists. */
export class OutcomeReport implements AsyncDisposable {
  readonly #parts: OutcomeReportParts;
  readonly #batches = new Map<string, OpenBatch>();
  /** Sessions that ended, by id; undefined for one that is forgotten. */
  readonly #ended = new Map<string, Session | undefined>();
  /** Batches whose refused lines are to be reported. */
  readonly #refused = new Set<string>();
  #unsubscribe: () => void = () => {};
  #cancelTimer: (() => void) | undefined;
  #loop: Promise<void> = Promise.resolve();
  #recovery: Promise<void> = Promise.resolve();
  #stopping = false;

  constructor(parts: OutcomeReportParts) {
    this.#parts = parts;
  }

  /** Goes on with the reports of earlier runs. What ended meanwhile is looked up beside, after this has resolved. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#parts.sessions.subscribe((event) => this.#onEvent(event));
    for await (const record of this.#parts.ledger.batches()) {
      const { bytes } = await this.#parts.ledger.progress(record.batchId);
      // What cannot be cut off now is cut off by the first append.
      await cutOff(record.files.report, bytes).catch(() => {});
      await this.note(record);
    }
    if (this.#batches.size === 0) return;
    this.#recovery = this.#recover().catch((error: unknown) =>
      this.#parts.logger.error(
        { err: error },
        "reports of earlier lists could not be continued; the next start tries again",
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unsubscribe();
    this.#stopping = true;
    this.#cancelTimer?.();
    await this.#recovery;
    await this.#loop;
    await this.#drain();
  }

  /** Tells how far a list is taken: before its first session exists, and whenever its record has changed. */
  async note(record: BatchRecord): Promise<void> {
    const batch = this.#batches.get(record.batchId);
    if (batch) batch.record = record;
    else this.#batches.set(record.batchId, { record, progress: await this.#parts.ledger.progress(record.batchId) });
    if (record.phase === "taken" && record.refused > 0) this.#enqueueRefused(record.batchId);
    await this.#closeIfComplete(record.batchId);
  }

  /** Reports a session that has ended. */
  ended(session: Session): void {
    this.#ended.set(session.id, session);
    this.#wake(GATHER_MS);
  }

  /** Batches whose list is not out of the way, as far as is known. */
  unsettled(): BatchRecord[] {
    return [...this.#batches.values()].map(({ record }) => record).filter(({ settled }) => !settled);
  }

  /** True if an unfinished report goes to this file. */
  writesTo(path: string): boolean {
    for (const { record } of this.#batches.values()) if (record.files.report === path) return true;
    return false;
  }

  #onEvent({ event }: NumberedEvent): void {
    if (this.#batches.size === 0) return;
    const { session } = event;
    if (hasEnded(session.status)) this.ended(session);
    else if (event.type === "cleaned") this.#forgotten(session.id, session);
    // Queued again before its end was written down: then that was not the end.
    else this.#ended.delete(session.id);
  }

  #forgotten(id: string, session: Session | undefined): void {
    if (!this.#ended.has(id)) this.#ended.set(id, session);
    this.#wake(GATHER_MS);
  }

  #enqueueRefused(batchId: string): void {
    this.#refused.add(batchId);
    this.#wake(GATHER_MS);
  }

  #wake(ms: number): void {
    if (this.#stopping || this.#cancelTimer) return;
    this.#cancelTimer = this.#parts.clock.timer(ms, () => {
      this.#loop = this.#drain().then((whole) => {
        this.#cancelTimer = undefined;
        if (this.#ended.size + this.#refused.size > 0) this.#wake(whole ? GATHER_MS : RETRY_MS);
      });
    });
  }

  /** Writes what is known. @returns false if some of it must be tried again later */
  async #drain(): Promise<boolean> {
    const failed = new Map<string, Session | undefined>();
    const failedRefused = new Set<string>();
    while (this.#ended.size + this.#refused.size > 0) {
      const group = [...this.#ended].slice(0, GROUP);
      for (const [id] of group) this.#ended.delete(id);
      for (const [id, session] of await this.#reportSessions(group)) failed.set(id, session);
      for (const batchId of this.#refused) {
        this.#refused.delete(batchId);
        if (!(await this.#reportRefused(batchId))) failedRefused.add(batchId);
      }
    }
    for (const [id, session] of failed) if (!this.#ended.has(id)) this.#ended.set(id, session);
    for (const batchId of failedRefused) this.#refused.add(batchId);
    return failed.size + failedRefused.size === 0;
  }

  /** @returns the sessions that could not be reported */
  async #reportSessions(
    group: ReadonlyArray<readonly [string, Session | undefined]>,
  ): Promise<ReadonlyArray<readonly [string, Session | undefined]>> {
    const failed = new Set<string>();
    try {
      const sessions = new Map(group);
      const rows = (await Promise.all(group.map(([id]) => this.#parts.ledger.waitingFor(id)))).flat();
      for (const [batchId, lines] of Map.groupBy(rows, (row) => row.batchId)) {
        const entries = lines.map((row) => ({ key: row.key, text: outcomeLine(row, sessions.get(row.sessionId)) }));
        if (!(await this.#append(batchId, entries))) for (const { sessionId } of lines) failed.add(sessionId);
      }
    } catch (error) {
      this.#parts.logger.error({ err: error }, "the ledger of lists cannot be read; reports wait");
      return group;
    }
    return group.filter(([id]) => failed.has(id));
  }

  async #reportRefused(batchId: string): Promise<boolean> {
    let entries: Entry[] = [];
    try {
      for await (const row of this.#parts.ledger.refused(batchId)) {
        entries.push({ key: row.key, text: refusedLine(row) });
        if (entries.length < GROUP) continue;
        if (!(await this.#append(batchId, entries))) return false;
        entries = [];
      }
    } catch (error) {
      this.#parts.logger.error({ err: error }, "the ledger of lists cannot be read; reports wait");
      return false;
    }
    return entries.length === 0 || (await this.#append(batchId, entries));
  }

  /** Appends, syncs, records. @returns false if it must be tried again */
  async #append(batchId: string, entries: readonly Entry[]): Promise<boolean> {
    const batch = this.#batches.get(batchId);
    if (batch === undefined) return true;
    try {
      const bytes = await appendAt(
        batch.record.files.report,
        batch.progress.bytes,
        entries.map(({ text }) => text).join(""),
      );
      const progress = { lines: batch.progress.lines + entries.length, bytes };
      await this.#parts.ledger.write(reportedWrites(batchId, entries, progress));
      batch.progress = progress;
      await this.#closeIfComplete(batchId);
      return true;
    } catch (error) {
      const { code, message } = asDownloadError(error);
      this.#parts.logger.warn({ code, report: batch.record.files.report }, `the report cannot be written: ${message}`);
      return false;
    }
  }

  /** A batch is forgotten when its report is whole and its list is out of the way. */
  async #closeIfComplete(batchId: string): Promise<void> {
    const batch = this.#batches.get(batchId);
    if (batch === undefined) return;
    const { record, progress } = batch;
    if (!record.settled || record.phase !== "taken" || progress.lines < record.accepted + record.refused) return;
    this.#batches.delete(batchId);
    await this.#parts.ledger.write(forgetWrites(batchId));
    this.#parts.logger.info({ batch_id: batchId, report: record.files.report }, "the list's report is complete");
  }

  /** Finds the sessions that ended, or were removed, while nobody watched. */
  async #recover(): Promise<void> {
    let ids = new Set<string>();
    const look = async () => {
      const known = await Promise.all([...ids].map(async (id) => [id, await this.#parts.sessions.get(id)] as const));
      for (const [id, session] of known) {
        if (session === undefined) this.#forgotten(id, undefined);
        else if (hasEnded(session.status)) this.ended(session);
      }
      ids = new Set();
      // Hold what is looked up to a few groups: a list may have a million lines.
      while (this.#ended.size > GROUP * 4 && !this.#stopping) await this.#parts.clock.sleep(GATHER_MS);
    };
    for await (const { sessionId } of this.#parts.ledger.waiting()) {
      ids.add(sessionId);
      if (ids.size >= 64) await look();
      if (this.#stopping) return;
    }
    await look();
  }
}

/** Shortens a file to the bytes that are accounted for. */
async function cutOff(path: string, known: number): Promise<void> {
  const file = await openPaper(path, constants.O_WRONLY);
  try {
    if ((await file.stat()).size > known) await file.truncate(known);
  } finally {
    await file.close();
  }
}

/**
 * Appends text to a file of which `known` bytes are accounted for. What stands behind them comes from an append that was
 * not recorded: it is cut off first. A shorter file is somebody else's doing, and simply goes on.
 *
 * @returns the length of the file, synced
 */
async function appendAt(path: string, known: number, text: string): Promise<number> {
  await mkdir(dirname(path), { recursive: true });
  const file = await openPaper(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND);
  try {
    if ((await file.stat()).size > known) await file.truncate(known);
    await file.writeFile(text);
    await file.datasync();
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}
