/** What the catalogue says of a fault: how to be like that, what Snatch does about it, and where it is written that it should. */
import type { DownloadOptions } from "../../../src/daemon/core/session.ts";
import type { ErrorCode } from "../../../src/shared/errors.ts";
import type { Call } from "./origin.ts";

/** What a download comes to. */
export interface FaultOutcome {
  /** "waiting": the origin asked for patience, and gets it. "active": it goes on and on. */
  readonly status: "completed" | "failed" | "waiting" | "active";
  /** Why it failed, or waits. */
  readonly code?: ErrorCode;
  /** Requests that it may take, at most. */
  readonly requests: number;
  /** Which of the versions that the origin has is on disk, counted from 1; default 1. */
  readonly version?: number;
  /** What was fetched stays beside the target, for the next attempt. */
  readonly partial?: true;
  /** Bytes that are proved and will not be fetched again, at least. */
  readonly keeps?: number;
  /** Nobody vouches for the file's length, and its session says so. */
  readonly unverified?: true;
  /** The file's name; default that of the URL. */
  readonly name?: string;
  /** Seconds that it waits, at least and at most. */
  readonly waits?: readonly [number, number];
}

/** One way to misbehave. */
export interface Fault {
  /** What the origin does, for people. */
  readonly about: string;
  /** What Snatch does about it, for people. */
  readonly snatch: string;
  readonly outcome: FaultOutcome;
  /** Where it is written: a section of a standard. */
  readonly source?: string;
  readonly answer: (call: Call) => void;
  /** The daemon ends when something has been fetched, and a new one goes on: {@link Call.state} counts the runs. */
  readonly resumed?: true;
  /** The same file is asked for at the second address as well. */
  readonly mirror?: true;
  /** What it serves; default a file of several chunks. */
  readonly bytes?: Buffer;
  /** What the download is asked for with. */
  readonly options?: DownloadOptions;
  /** Connections that it may use; default 2. */
  readonly connections?: number;
  /** Fields that no request may have, by the address that is asked. Lower case. */
  readonly unsent?: Readonly<Partial<Record<"here" | "elsewhere", readonly string[]>>>;
}

/** Faults by name. */
export type FaultTable = Readonly<Record<string, Fault>>;

type More = Partial<Omit<FaultOutcome, "status" | "code" | "requests">>;

/** A right file. */
export const completed = (requests: number, more: More = {}): FaultOutcome => ({
  status: "completed",
  requests,
  ...more,
});

/** No file, and an error. */
export const failed = (code: ErrorCode, requests: number, more: More = {}): FaultOutcome => ({
  status: "failed",
  code,
  requests,
  ...more,
});

/** No file yet: the next attempt comes after so many seconds. */
export const waiting = (code: ErrorCode, least: number, most: number, requests = 1): FaultOutcome => ({
  status: "waiting",
  code,
  requests,
  waits: [least, most],
});

/** No end: it is still at it. */
export const goesOn = (requests: number): FaultOutcome => ({ status: "active", requests });
