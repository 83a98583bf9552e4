/** Requests and lists on their way in. */
import type { DownloadError } from "../errors.ts";
import type { DownloadOptions, DownloadRequest, Session } from "../session.ts";
import type { Write } from "./key-value.ts";

/** A line that did not become a request. */
export interface RefusedEntry {
  readonly lineNumber: number;
  readonly line: string;
  readonly code: string;
  readonly message: string;
}

/** A line of a list that became a request, or why it did not. `lineNumber` counts from 1. */
export type ListEntry =
  | { readonly lineNumber: number; readonly urls: readonly string[]; readonly options: DownloadOptions }
  | { readonly lineNumber: number; readonly line: string; readonly error: DownloadError };

/** What became of one accepted request: a new session, or one that exists for the same URL and place. */
export interface Accepted {
  readonly session: Session;
  /** False if the session was there before: unfinished and going on, or finished with its file unchanged. */
  readonly created: boolean;
}

/** Takes requests; implemented by the download manager. */
export interface Intake {
  /** Checks a request: URLs parse, options are in range, defaults are filled in. @throws DownloadError */
  check(urls: readonly string[], options: DownloadOptions): DownloadRequest;
  /**
   * Queues checked requests as one durable batch. The same URL to the same place is one session, whatever the number of
   * requests. Answers in the order of the requests; `options.with` gets those answers.
   */
  accept(requests: readonly DownloadRequest[], options?: AcceptOptions): Promise<readonly Accepted[]>;
}

/** More for requests that are accepted together. */
export interface AcceptOptions {
  readonly batchId?: string;
  /** Called with the answers before they are durable; what it returns is written in the same atomic batch. */
  readonly with?: (accepted: readonly Accepted[]) => readonly Write[];
}

/** Where the papers of a list go; all absolute. */
export interface ListFiles {
  /** The list itself, once it is taken. */
  readonly done: string;
  /** One line of JSON for each line of the list, appended as its outcome becomes known. */
  readonly report: string;
  /** The refused lines, if there are any. */
  readonly rejected: string;
}

/** A list to take. */
export interface ListJob {
  /** For people, such as the file's name. */
  readonly name: string;
  /** The whole list from its first byte: text, or gzip of it. Read once, as fast as it is taken in. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Defaults for lines that do not say otherwise. `directory` is also what relative names in the list are joined to. */
  readonly options: DownloadOptions;
  /** Made if absent. */
  readonly batchId?: string;
  /** Folders that lines may write to; absent: any. */
  readonly allowedDirectories?: readonly string[];
  /** For a list that outlives this process: what it is known by, and where its papers go. */
  readonly ledger?: { readonly key: string; readonly files: ListFiles };
  /** Stops between two batches; what was taken stays taken. */
  readonly signal?: AbortSignal;
}

/** What became of a list. */
export interface ListTaken {
  readonly batchId: string;
  /** Entries that became sessions or met one. */
  readonly accepted: number;
  readonly refused: number;
  /** The first hundred that this call refused. */
  readonly refusedLines: readonly RefusedEntry[];
  /** Where the papers really go: as asked for, or as an earlier call with the same key was told. */
  readonly files?: ListFiles;
}

/** Takes lists; implemented by the intake room. */
export interface ListTaker {
  /**
   * Takes a list to its end, in durable batches. With a ledger a call that was cut short, even by the death of the
   * process, is continued by the next one with the same key, at the byte where the last batch ended.
   * @throws what the bytes threw, or what the intake threw for a whole batch; refused lines are not thrown. DownloadError
   *   INVALID_ARGUMENT if a new list is to have the report of an unfinished one
   */
  take(job: ListJob): Promise<ListTaken>;
  /** The list with this key is out of the way: the same key now means a new list. Its report goes on. */
  settle(key: string): Promise<void>;
  /** Lists that were begun and never settled: this process is at them, or an earlier one died over them. */
  unsettled(): readonly { readonly key: string; readonly files: ListFiles }[];
  /** True if the report of an unfinished list goes to this file: another list must not be given it. */
  isReporting(report: string): boolean;
}
