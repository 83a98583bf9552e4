/**
 * What became of the downloads that a `get` waits for: who ended how, how fast, and with which exit code that leaves.
 * Fed with the messages of FollowDownloads; a session that ended is remembered by its id only, so that a list of a
 * hundred thousand lines stays small.
 */
import type { FollowDownloadsResponse, FollowSummary } from "../gen/snatch/v1/download_service.ts";
import type { Session } from "../gen/snatch/v1/session.ts";
import { EXIT, errorEntry } from "../shared/errors.ts";
import { hasEnded, statusOf } from "./session-view.ts";

/** Something worth a line. `rate` is bytes a second, over the time that this program saw it come in. */
export type Occurrence =
  | { readonly kind: "ended"; readonly session: Session; readonly rate: number }
  | { readonly kind: "waiting"; readonly session: Session };

interface Begin {
  readonly time: number;
  readonly bytes: number;
}

/** Keeps count. */
export class Tally {
  /** The newest summary; undefined before the first message. */
  summary: FollowSummary | undefined;
  /** Sessions that have not ended, in the order in which they were seen first. */
  readonly open = new Map<string, Session>();
  /** Batches that ended sessions have led to: what came of a folder, a feed, a list. */
  readonly batches = new Set<string>();
  readonly #ended = new Set<string>();
  /** Exit codes of failures, in the order in which they became known. */
  readonly #failures = new Map<string, number>();
  readonly #begun = new Map<string, Begin>();
  /** When the failure was that was reported last, or was old when the session was seen first; else its attempt. */
  readonly #told = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Sessions that are paused now. */
  get paused(): Session[] {
    return [...this.open.values()].filter((session) => statusOf(session) === "paused");
  }

  /** How many have ended. */
  get endedCount(): number {
    return this.#ended.size;
  }

  /** True if none is left that goes on by itself, of those whose state is known. */
  get allOpenPaused(): boolean {
    return this.paused.length === this.open.size;
  }

  /** True when nothing more happens by itself: all have ended or are paused. */
  get settled(): boolean {
    const { summary } = this;
    if (summary === undefined || summary.totalCount === 0) return false;
    return summary.completedCount + summary.failedCount + summary.pausedCount >= summary.totalCount;
  }

  /** The exit code of the first failure; that of a pause if there was none. */
  get exit(): number {
    const [first] = this.#failures.values();
    return first ?? (this.paused.length > 0 ? EXIT.paused : EXIT.ok);
  }

  /** True if the end of this session was reported. */
  knows(id: string): boolean {
    return this.#ended.has(id);
  }

  /** Takes a message. @returns what is new in it */
  take(message: FollowDownloadsResponse): Occurrence[] {
    if (message.summary) this.summary = message.summary;
    return message.sessions.flatMap((session) => this.note(session) ?? []);
  }

  /** Takes the state of one session. @returns what is new */
  note(session: Session): Occurrence | undefined {
    const id = session.sessionId;
    if (session.expansion) this.batches.add(session.expansion.batchId);
    if (hasEnded(session)) return this.#end(session);
    // A person may have queued it again.
    this.#ended.delete(id);
    this.#failures.delete(id);
    const before = this.open.get(id);
    this.open.set(id, session);
    const status = statusOf(session);
    if (status === "active" && !this.#begun.has(id)) {
      const { downloadedBytes = 0, pendingBytes = 0 } = session.progress ?? {};
      this.#begun.set(id, { time: this.#now(), bytes: downloadedBytes + pendingBytes });
    }
    return this.#hasFailed(session, before !== undefined) ? { kind: "waiting", session } : undefined;
  }

  /** A person has removed the session: it did not end well, and nothing more will be heard of it. */
  forget(id: string): void {
    this.open.delete(id);
    this.#ended.add(id);
    this.#failures.set(id, EXIT.refused);
  }

  /** True if an attempt has failed of which nothing was told yet. */
  #hasFailed(session: Session, known: boolean): boolean {
    const { sessionId: id, error, attempt } = session;
    const status = statusOf(session);
    const when = error?.time?.getTime();
    const failure = when ?? attempt;
    // A wait may be shorter than the time between two messages: then what is new is the error of one that runs again.
    const missed = known && when !== undefined && (status === "active" || status === "queued");
    const isNew = (missed || status === "waiting") && this.#told.get(id) !== failure;
    if (isNew || when !== undefined) this.#told.set(id, failure);
    // It was not even tried: another file of the same share waits, and says why.
    return isNew && !(error?.code === "PEERS_NOT_FOUND" && error.metadata["held"] !== undefined);
  }

  #end(session: Session): Occurrence | undefined {
    const id = session.sessionId;
    this.open.delete(id);
    if (this.#ended.has(id)) return undefined;
    this.#ended.add(id);
    const status = statusOf(session);
    if (status === "failed") this.#failures.set(id, errorEntry(session.error?.code ?? "")?.exit ?? EXIT.unexpected);
    if (status === "cancelled") this.#failures.set(id, EXIT.refused);
    const rate = this.#averageRate(session);
    this.#begun.delete(id);
    this.#told.delete(id);
    return { kind: "ended", session, rate };
  }

  #averageRate(session: Session): number {
    const size = session.progress?.downloadedBytes ?? 0;
    const seen = this.#begun.get(session.sessionId);
    // It began anew meanwhile, with another version: how far the former had come says nothing.
    const begin = seen !== undefined && seen.bytes <= size ? seen : undefined;
    const started = begin?.time ?? session.createTime?.getTime() ?? this.#now();
    const ended = begin === undefined ? (session.completeTime?.getTime() ?? this.#now()) : this.#now();
    // What came within a millisecond is as good as what came in one.
    return ((size - (begin?.bytes ?? 0)) * 1000) / Math.max(ended - started, 1);
  }
}
