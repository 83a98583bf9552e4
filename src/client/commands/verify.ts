/** `snatchctl verify`: are the files still what their receipts say? With --repair, what is not is fetched again. */
import { resolve } from "node:path";
import {
  type DamagedChunk,
  ReceiptServiceService,
  type RepairedChunk,
  type VerifyFilesRequest,
  type VerifyFilesResponse,
  type VerifyOutcome,
} from "../../gen/snatch/v1/receipt_service.ts";
import { EXIT } from "../../shared/errors.ts";
import { formatBytes } from "../../shared/format.ts";
import { type Connection, connect } from "../connect.ts";
import { fromDetail, misuse } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { Interrupt } from "../interrupt.ts";
import { describeError, errorJson, escapeControls, jsonLine, note, print } from "../output.ts";
import { receiptTarget } from "../receipt-target.ts";

/** The options of `verify`. */
export interface VerifyFlags extends Globals {
  readonly all?: boolean;
  readonly repair?: boolean;
  readonly receipt?: string;
}

/** Milliseconds between two lines on the progress. */
const PROGRESS_MS = 3000;

type Target = NonNullable<VerifyFilesRequest["target"]>;

/** Verifies files by name, or all. @returns 0 if every one is whole in the end, else 7; 130 after Ctrl-C */
export async function verify(flags: VerifyFlags, words: readonly string[]): Promise<number> {
  const targets = select(flags, words);
  using connection = connect(flags);
  using interrupt = new Interrupt();
  const tally = { whole: 0, files: 0 };
  for (const target of targets) {
    for await (const outcome of outcomes(connection, flags, target, interrupt.signal)) {
      tally.files++;
      if (isWhole(outcome)) tally.whole++;
    }
    if (interrupt.signal.aborted) return EXIT.interrupted;
  }
  if (tally.files !== 1 && !flags.json && !flags.quiet) await print(`${tally.whole} of ${tally.files} files are whole`);
  return tally.whole === tally.files ? EXIT.ok : EXIT.integrity;
}

function select({ all, receipt }: VerifyFlags, words: readonly string[]): Target[] {
  if (all && (words.length > 0 || receipt !== undefined)) throw misuse("--all and names do not go together");
  if (all) return [{ $case: "all", value: true }];
  if (receipt !== undefined) {
    if (words.length > 1) throw misuse("--receipt is for a single file");
    const [word] = words;
    const path = word === undefined ? "" : resolve(word);
    return [{ $case: "receiptFile", value: { receiptPath: resolve(receipt), path } }];
  }
  if (words.length === 0) throw misuse("no file is named", "Give paths, ids of sessions, or --all.");
  return words.map(receiptTarget);
}

/** Tells what happens, and gives on what became of each file. */
async function* outcomes(
  connection: Connection,
  flags: VerifyFlags,
  target: Target,
  signal: AbortSignal,
): AsyncGenerator<VerifyOutcome> {
  const request = { target, repair: flags.repair ?? false };
  let told = performance.now();
  for await (const message of connection.receive(ReceiptServiceService.verifyFiles, request, signal)) {
    const { event, path } = message;
    if (flags.json) await print(jsonLine(eventJson(message)));
    else if (event?.$case === "progress") {
      if (!flags.quiet && performance.now() - told >= PROGRESS_MS) {
        const { bytes, totalBytes } = event.value;
        note(`${escapeControls(path)}: ${formatBytes(bytes)} of ${formatBytes(totalBytes)}`);
        told = performance.now();
      }
    } else if (event && (!flags.quiet || (event.$case === "done" && !isWhole(event.value))))
      for (const line of eventLines(path, event)) await print(line);
    if (event?.$case === "done") yield event.value;
  }
}

function isWhole({ status }: VerifyOutcome): boolean {
  return status === "VERIFY_STATUS_WHOLE" || status === "VERIFY_STATUS_REPAIRED";
}

function eventLines(path: string, event: NonNullable<VerifyFilesResponse["event"]>): string[] {
  const name = escapeControls(path);
  if (event.$case === "damaged") return [`damaged ${name} ${chunkText(event.value)}: ${problemText(event.value)}`];
  if (event.$case === "repaired") return [`repaired ${name} ${repairedText(event.value)}`];
  return event.$case === "done" ? [outcomeLine(name, event.value)] : [];
}

function chunkText({ index, start, end }: DamagedChunk): string {
  return `chunk ${index} (bytes ${start}-${end - 1})`;
}

const PROBLEM_TEXTS: Readonly<Record<string, string>> = {
  changed: "it has other bytes",
  missing: "the file ends before it does",
  unreadable: "the disk does not give it",
};

function problemText({ problem }: DamagedChunk): string {
  return PROBLEM_TEXTS[wordOf(problem)] ?? "it is not as it was";
}

function repairedText({ chunk, source }: RepairedChunk): string {
  return `${chunk ? chunkText(chunk) : ""} from ${escapeControls(source)}`;
}

function outcomeLine(name: string, outcome: VerifyOutcome): string {
  const { expectedSize, foundSize, damagedCount, repairedCount, error } = outcome;
  const chunks = (count: number): string => `${count} ${count === 1 ? "chunk" : "chunks"}`;
  const resized = foundSize !== undefined && foundSize !== expectedSize;
  const length = resized
    ? `, ${formatBytes(foundSize)} (${foundSize} bytes) long in place of ${expectedSize} bytes`
    : "";
  const moved = outcome.movedFrom ? `, was ${escapeControls(outcome.movedFrom)}` : "";
  const touched = outcome.touched ? ", its time was changed" : "";
  switch (outcome.status) {
    case "VERIFY_STATUS_WHOLE":
      return `whole ${name} (${formatBytes(expectedSize)}${moved}${touched})`;
    case "VERIFY_STATUS_REPAIRED":
      return `REPAIRED ${name} (${chunks(repairedCount)} fetched again${length}${moved})`;
    case "VERIFY_STATUS_DAMAGED":
      return `DAMAGED ${name}: ${chunks(damagedCount)} damaged${length}${moved}`;
    case "VERIFY_STATUS_MISSING":
      return `MISSING ${name}`;
    default:
      return `FAILED ${name}: ${error ? describeError(fromDetail(error)) : "for an unknown reason"}`;
  }
}

/** "VERIFY_STATUS_WHOLE" → "whole", "CHUNK_PROBLEM_CHANGED" → "changed". */
function wordOf(value: string): string {
  return value.slice(value.lastIndexOf("_") + 1).toLowerCase();
}

function chunkJson(chunk: DamagedChunk | undefined): Record<string, unknown> {
  return chunk ? { index: chunk.index, start: chunk.start, end: chunk.end, problem: wordOf(chunk.problem) } : {};
}

function eventJson({ path, event }: VerifyFilesResponse): Record<string, unknown> {
  switch (event?.$case) {
    case "begun": {
      const { sessionId, size, chunkCount, receiptPath } = event.value;
      return {
        event: "begun",
        path,
        session_id: sessionId,
        receipt_path: receiptPath,
        size,
        chunk_count: chunkCount,
      };
    }
    case "progress":
      return { event: "progress", path, bytes: event.value.bytes, total_bytes: event.value.totalBytes };
    case "damaged":
      return { event: "damaged", path, ...chunkJson(event.value) };
    case "repaired":
      return { event: "repaired", path, ...chunkJson(event.value.chunk), source: event.value.source };
    case "done": {
      const { status, sessionId, expectedSize, foundSize, damagedCount, repairedCount, touched, movedFrom, error } =
        event.value;
      return {
        event: "done",
        path,
        status: wordOf(status),
        session_id: sessionId,
        size: foundSize ?? null,
        expected_size: expectedSize,
        damaged_count: damagedCount,
        repaired_count: repairedCount,
        touched,
        moved_from: movedFrom || null,
        error_info: error ? errorJson(fromDetail(error)) : null,
      };
    }
    default:
      return { event: "unknown", path };
  }
}
