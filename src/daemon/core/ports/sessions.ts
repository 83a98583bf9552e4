/** The record of all sessions. */
import type { NumberedEvent, SessionEvent } from "../events.ts";
import type { DownloadRequest, Progress, Session, SessionStatus } from "../session.ts";
import type { Write } from "./key-value.ts";

/** What may change in a session. `undefined` removes the field. */
export type SessionPatch = { readonly [K in keyof Omit<Session, "id" | "seq" | "createdAt">]?: Session[K] | undefined };

/** When a change of a session is on the disk. */
export interface UpdateOptions {
  readonly sync?: boolean;
  /**
   * Visible at once, and written with the session's next change that is not lazy, or some 200 ms later: if the process
   * dies before that, the session is as it was. For what then costs no more than doing it again.
   */
  readonly lazy?: boolean;
}

/** Which sessions. */
export interface SessionFilter {
  readonly status?: SessionStatus;
  readonly statusNot?: SessionStatus;
  readonly batchId?: string;
  /** With `*` at the ends. */
  readonly url?: string;
}

/** A page of sessions. */
export interface SessionPage {
  readonly sessions: readonly Session[];
  readonly nextPageToken?: string;
}

/** More for a batch of sessions that are made together. Everything is written in one atomic batch. */
export interface CreateOptions {
  readonly batchId?: string;
  /** Sessions that exist already and join the batch (the same URL to the same place was asked for before). */
  readonly adopt?: readonly string[];
  /** Called with the new sessions; what it returns is written in the same batch: the ledger of a list. */
  readonly with?: (created: readonly Session[]) => readonly Write[];
}

/** What is looked up in the archive: a URL, the place it was asked for (a file's path or else a folder's), and in which form. */
export interface ArchiveKey {
  readonly url: string;
  readonly target: string;
  /** Format, quality, name and steps that were asked for; absent if none were. */
  readonly variant?: string;
}

/**
 * A chunk whose bytes are proved. `sources`: where its bytes came from, as places in the part's list of sources. `segment`: of
 * one whose length no grid says.
 */
export type RecordedChunk = readonly [
  index: number,
  sha256: string,
  sources?: readonly number[],
  segment?: Omit<RecordedSegment, "sha256">,
];

/** A segment that was recorded. */
export interface RecordedSegment {
  readonly sha256: string;
  /** Bytes. */
  readonly length: number;
  /** Tells it from others of its track. */
  readonly name: string;
  /** Milliseconds of media; 0 if that is not known. */
  readonly durationMs: number;
}

/** Chunk digests of a session's current epoch, by index. */
export type ChunkDigests = ReadonlyMap<number, string>;

/** The record of all sessions: durable, ordered, observable. */
export interface SessionStore {
  /** Makes sessions, queued in this order behind all others, and resolves when they survive a power cut. */
  create(requests: readonly DownloadRequest[], options?: CreateOptions): Promise<Session[]>;
  get(id: string): Promise<Session | undefined>;
  /** Every batch of a session, the one that it was made in first; none if there is no such session. */
  batches(id: string): Promise<readonly string[]>;
  /** The one session whose id begins so. @throws DownloadError SESSION_NOT_FOUND, SESSION_AMBIGUOUS */
  find(idOrPrefix: string): Promise<Session>;
  /**
   * Changes a session. The status change is checked against the transitions. Resolves when the change survives the
   * death of the process, or with `sync` a power cut; the new value is visible to `get` at once.
   * @throws DownloadError SESSION_NOT_FOUND, WRONG_STATUS
   */
  update(id: string, patch: SessionPatch, options?: UpdateOptions): Promise<Session>;
  /**
   * Changes all sessions in a batch or a status (the filter names one), in order, some hundred at a time, each lot durable.
   * @param applies - asked with the newest value, in the same turn in which it is changed
   * @returns how many were changed
   * @throws DownloadError WRONG_STATUS if one to which it applies cannot be changed so
   */
  updateAll(filter: SessionFilter, patch: SessionPatch, applies: (session: Session) => boolean): Promise<number>;
  /** Keeps fresh progress for `get` and events without writing it: a restart recounts it from the chunks. */
  progress(id: string, downloadedBytes: number, totalBytes?: number, segments?: Progress["segments"]): void;
  /** Forgets sessions and everything kept with them. */
  remove(ids: readonly string[]): Promise<void>;
  list(filter: SessionFilter, page: { size: number; token?: string; reverse?: boolean }): Promise<SessionPage>;
  counts(): Readonly<Record<SessionStatus, number>>;

  /** The next queued sessions in queue order, at most `limit`, without those in `except`. */
  nextQueued(limit: number, except: ReadonlySet<string>): Promise<Session[]>;
  /** Waiting sessions whose time has come, at most `limit`. */
  due(now: number, limit: number): Promise<Session[]>;
  /** When the next waiting session's time comes. */
  nextDue(): Promise<number | undefined>;
  move(id: string, to: "top" | "bottom" | { by: number } | { position: number }): Promise<void>;
  /** 1 for the next to start; undefined if it is not queued. */
  queuePosition(id: string): Promise<number | undefined>;

  /** Records chunks whose bytes are on disk and synced. Survives a power cut when it resolves. */
  recordChunks(id: string, epoch: number, chunks: readonly RecordedChunk[]): Promise<void>;
  chunks(id: string, epoch: number): Promise<ChunkDigests>;
  /** Segments of an epoch of a track, by index. */
  segments(id: string, epoch: number): Promise<ReadonlyMap<number, RecordedSegment>>;
  /** Which sources gave each chunk; empty for chunks of which nobody said so. */
  chunkSources(id: string, epoch: number): Promise<ReadonlyMap<number, readonly number[]>>;
  /** Drops every chunk of a session, of all epochs or of one. */
  dropChunks(id: string, epoch?: number): Promise<void>;

  /** For each key the session that last brought, or brings, that URL to that place. */
  archived(keys: readonly ArchiveKey[]): Promise<(Session | undefined)[]>;

  subscribe(listener: (event: NumberedEvent) => void): () => void;
}

/** What has to be done about events, written down in the very batch that changes the sessions: neither without the other. */
export interface Outbox {
  /** `make` is called with the events of each change before it is written; what it returns is written with it. @returns ends it */
  alongside(make: (events: readonly SessionEvent[]) => readonly Write[]): () => void;
}

/** What an import did. */
export interface ImportOutcome {
  readonly imported: number;
  /** Here already; left alone. */
  readonly skipped: number;
  /** Why lines are no session; the first 100. */
  readonly refused: readonly string[];
}

/** Carries sessions out and back in, one line of JSON in the spec's session schema each; secrets included. */
export interface SessionTransfer {
  /** Lines without their line feed, in the order of creation. */
  exportLines(filter: SessionFilter): AsyncIterable<string>;
  importLines(lines: AsyncIterable<string>): Promise<ImportOutcome>;
}
