/**
 * Takes lists: bytes in, durable sessions out, in batches of a thousand entries. Each batch is one atomic write with the
 * ledger's position, so a list that was cut short goes on at exactly that byte, and nothing in it is taken twice.
 */
import { randomUUID } from "node:crypto";
import { redactUrl } from "../../shared/redact.ts";
import { hideShareCodes } from "../../shared/share-code.ts";
import { asDownloadError, DownloadError, failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { Accepted, Intake, ListFiles, ListJob, ListTaken, ListTaker, RefusedEntry } from "../core/ports/intake.ts";
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { MetalinkReader } from "../core/ports/resolve.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { SessionStore } from "../core/ports/sessions.ts";
import { type DownloadOptions, type DownloadRequest, hasEnded } from "../core/session.ts";
import { AllowedTargets } from "./allowed-targets.ts";
import {
  type BatchRecord,
  batchWrites,
  beginWrites,
  Ledger,
  refusedWrite,
  releaseWrites,
  waitingWrite,
} from "./ledger.ts";
import { listText, peek } from "./list-decode.ts";
import { ListParser, type ParsedEntry } from "./list-parser.ts";
import { HEAD_BYTES, isMetalink, metalinkEntries } from "./metalink-list.ts";
import { OutcomeReport } from "./outcome-report.ts";
import { writeRefusedFile } from "./refused-file.ts";
import { shownEntry } from "./shown-entry.ts";

/** Entries of a batch. */
const BATCH = 1000;

/** Characters of a batch: entries with very many options make smaller batches. */
const BATCH_TEXT = 4 * 1024 * 1024;

/** Refused lines handed back to the caller. */
const REFUSED_KEPT = 100;

/** What the intake needs of others. */
export interface ListIntakeParts {
  readonly intake: Intake;
  readonly sessions: Pick<SessionStore, "get" | "subscribe">;
  readonly store: KeyValue;
  /** The folder for files of lists that name none; absolute. */
  readonly directory: () => string;
  /** Reads lists that are Metalinks. */
  readonly metalink: MetalinkReader;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A list on its way. */
interface Run {
  readonly job: ListJob;
  record: BatchRecord;
  /** The record is in the ledger already. */
  begun: boolean;
  readonly refusedLines: RefusedEntry[];
  /** Absent: it may write anywhere. */
  readonly targets?: AllowedTargets;
}

/** An entry that the intake has checked. */
type Checked = { readonly lineNumber: number } & (
  | { readonly request: DownloadRequest }
  | { readonly error: DownloadError; readonly text: string; readonly url: string }
);

/** Takes lists and reports what became of their lines. */
export class ListIntake implements ListTaker, Startable {
  readonly #parts: ListIntakeParts;
  readonly #ledger: Ledger;
  readonly #report: OutcomeReport;

  constructor(parts: ListIntakeParts) {
    this.#parts = parts;
    this.#ledger = new Ledger(parts.store);
    const { sessions, clock, logger } = parts;
    this.#report = new OutcomeReport({ ledger: this.#ledger, sessions, clock, logger });
  }

  /** Goes on with unfinished reports. */
  start(): Promise<void> {
    return this.#report.start();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#report[Symbol.asyncDispose]();
  }

  async take(job: ListJob): Promise<ListTaken> {
    const found = job.ledger && (await this.#ledger.batchOf(job.ledger.key));
    if (job.ledger && found === undefined && this.isReporting(job.ledger.files.report))
      throw failure("INVALID_ARGUMENT", `${job.ledger.files.report} is the report of another list`);
    const targets = job.allowedDirectories && new AllowedTargets(job.allowedDirectories);
    const record = found ?? newRecord(job);
    const run: Run = { job, record, begun: found !== undefined, refusedLines: [], ...(targets && { targets }) };
    if (job.ledger) await this.#report.note(run.record);
    if (run.record.phase === "taking") await this.#read(run);
    if (run.record.phase === "read") await this.#writeRefused(run);
    const { batchId, accepted, refused, files } = run.record;
    this.#parts.logger.info({ list: job.name, batch_id: batchId, accepted, refused }, "list taken");
    return { batchId, accepted, refused, refusedLines: run.refusedLines, ...(job.ledger && { files }) };
  }

  async settle(key: string): Promise<void> {
    const found = await this.#ledger.batchOf(key);
    if (found === undefined) return;
    const record: BatchRecord = { ...found, phase: "taken" };
    // It went away while it was being taken: what was taken of it is all that there is.
    if (found.phase !== "taken" && found.refused > 0)
      await writeRefusedFile(found.files.rejected, this.#ledger.refused(found.batchId));
    await this.#ledger.write(releaseWrites(record));
    await this.#report.note({ ...record, settled: true });
  }

  unsettled(): readonly { readonly key: string; readonly files: ListFiles }[] {
    return this.#report.unsettled();
  }

  isReporting(report: string): boolean {
    return this.#report.writesTo(report);
  }

  async #read(run: Run): Promise<void> {
    let batch: ParsedEntry[] = [];
    let length = 0;
    for await (const entry of this.#entries(run)) {
      batch.push(entry);
      length += entry.text.length;
      if (batch.length < BATCH && length < BATCH_TEXT) continue;
      await this.#commit(run, batch, false);
      batch = [];
      length = 0;
      run.job.signal?.throwIfAborted();
    }
    await this.#commit(run, batch, true);
  }

  /** The entries from where the ledger stands. A list that breaks off ends in a refused entry. */
  async *#entries({ job, record }: Run): AsyncGenerator<ParsedEntry, void> {
    const { allowedDirectories } = job;
    const directory = job.options.directory ?? this.#parts.directory();
    const context = { directory, ...(allowedDirectories && { allowedDirectories }) };
    const parser = new ListParser(context, record.next);
    let skip = record.next.offset;
    try {
      const [head, bytes] = await peek(listText(job.bytes), HEAD_BYTES);
      if (isMetalink(job.name, head))
        return yield* metalinkEntries(bytes, { ...context, read: this.#parts.metalink, from: record.next });
      for await (const chunk of bytes) {
        const skipped = Math.min(skip, chunk.length);
        skip -= skipped;
        yield* parser.push(chunk.subarray(skipped));
      }
    } catch (error) {
      if (!(error instanceof DownloadError) || !/^(LIST|METALINK)_/.test(error.code)) throw error;
      return yield* parser.breakOff(error);
    }
    yield* parser.end();
  }

  async #commit(run: Run, batch: readonly ParsedEntry[], last: boolean): Promise<void> {
    const checked = await this.#checkAll(run, batch);
    const requests = checked.flatMap((entry) => ("request" in entry ? [entry.request] : []));
    const refused = checked.length - requests.length;
    const next: BatchRecord = {
      ...run.record,
      next: batch.at(-1)?.next ?? run.record.next,
      accepted: run.record.accepted + requests.length,
      refused: run.record.refused + refused,
      phase: last ? "read" : "taking",
    };
    const writes = (accepted: readonly Accepted[]) =>
      run.job.ledger ? ledgerWrites(run, next, checked, accepted) : [];
    let accepted: readonly Accepted[] = [];
    if (requests.length > 0) {
      accepted = await this.#parts.intake.accept(requests, { batchId: next.batchId, with: writes });
    } else if (run.job.ledger) await this.#ledger.write(writes([]));
    run.record = next;
    run.begun = true;
    for (const entry of checked)
      if ("error" in entry && run.refusedLines.length < REFUSED_KEPT) run.refusedLines.push(refusedEntry(entry));
    if (!run.job.ledger) return;
    await this.#report.note(next);
    await this.#reportEnded(accepted);
  }

  /** Sessions that were there before may have ended before the ledger knew of their line: no event will tell. */
  async #reportEnded(accepted: readonly Accepted[]): Promise<void> {
    const known = accepted.filter(({ created }) => !created);
    await Promise.all(
      known.map(async ({ session }) => {
        const now = hasEnded(session.status) ? session : await this.#parts.sessions.get(session.id);
        if (now && hasEnded(now.status)) this.#report.ended(now);
      }),
    );
  }

  async #checkAll({ job, targets }: Run, batch: readonly ParsedEntry[]): Promise<readonly Checked[]> {
    const checked = batch.map((entry) => this.#check(job, entry));
    if (targets === undefined) return checked;
    return Promise.all(
      checked.map(async (entry, index): Promise<Checked> => {
        if ("error" in entry) return entry;
        try {
          await targets.assertAllowed(entry.request);
          return entry;
        } catch (error) {
          const text = batch[index]?.text ?? "";
          return { lineNumber: entry.lineNumber, error: asDownloadError(error), text, url: entry.request.url };
        }
      }),
    );
  }

  #check(job: ListJob, entry: ParsedEntry): Checked {
    const { lineNumber, text } = entry;
    if ("error" in entry) return { lineNumber, error: entry.error, text, url: redactUrl(urlOf(text)) };
    try {
      return { lineNumber, request: this.#parts.intake.check(entry.urls, merge(job.options, entry.options)) };
    } catch (error) {
      return { lineNumber, error: asDownloadError(error), text, url: redactUrl(entry.urls[0] ?? "") };
    }
  }

  async #writeRefused(run: Run): Promise<void> {
    const taken: BatchRecord = { ...run.record, phase: "taken" };
    if (run.job.ledger) {
      if (taken.refused > 0) await writeRefusedFile(taken.files.rejected, this.#ledger.refused(taken.batchId));
      await this.#ledger.write(batchWrites(taken));
      await this.#report.note(taken);
    }
    run.record = taken;
  }
}

function newRecord(job: ListJob): BatchRecord {
  return {
    batchId: job.batchId ?? randomUUID(),
    key: job.ledger?.key ?? "",
    files: job.ledger?.files ?? { done: "", report: "", rejected: "" },
    next: { offset: 0, line: 1 },
    accepted: 0,
    refused: 0,
    phase: "taking",
    settled: false,
  };
}

/** What a batch changes in the ledger. `accepted` answers the entries that are requests, in their order. */
function ledgerWrites(
  run: Run,
  next: BatchRecord,
  checked: readonly Checked[],
  accepted: readonly Accepted[],
): Write[] {
  const writes = run.begun ? batchWrites(next) : beginWrites(next);
  let answer = 0;
  for (const entry of checked) {
    if ("error" in entry) {
      const { lineNumber, url, text, error } = entry;
      // The code of a share is kept nowhere but in its own file: its author has it, and can put it right.
      const kept = { url: hideShareCodes(url), text: hideShareCodes(text), message: hideShareCodes(error.message) };
      writes.push(refusedWrite(next.batchId, { lineNumber, code: error.code, ...kept }));
      continue;
    }
    const met = accepted[answer++];
    if (met === undefined) continue;
    const already = !met.created && met.session.status === "completed";
    writes.push(waitingWrite(met.session.id, next.batchId, entry.lineNumber, already));
  }
  return writes;
}

/** A line's options over the list's. A header field of the line takes the place of the list's of the same name. */
function merge(defaults: DownloadOptions, own: DownloadOptions): DownloadOptions {
  const { directory: _directory, output: _output, headers: inherited = [], ...rest } = defaults;
  const named = new Set(own.headers?.map(([name]) => name.toLowerCase()));
  const headers = [...inherited.filter(([name]) => !named.has(name.toLowerCase())), ...(own.headers ?? [])];
  return { ...rest, ...own, ...(headers.length > 0 && { headers }) };
}

function refusedEntry(entry: { lineNumber: number; error: DownloadError; text: string }): RefusedEntry {
  const { lineNumber, error, text } = entry;
  const line = hideShareCodes(shownEntry(text));
  return { lineNumber, line, code: error.code, message: hideShareCodes(error.message) };
}

/** The first URL of a refused entry's text, for the report. */
function urlOf(text: string): string {
  const first = text.split("\n", 1)[0] ?? "";
  return first.startsWith("#") ? "" : (first.split("\t", 1)[0] ?? "").trim();
}
