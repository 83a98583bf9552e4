/**
 * FollowDownloads: the progress of some sessions, or of a batch, until all of them have ended or are paused, and with them
 * whatever they turned out to name.
 *
 * Of each followed session two numbers are kept, not the session: a batch may hold 100,000. Events only mark what has
 * changed; the state itself is read when a message is made, so a slow caller costs nothing but marks, and what it gets is
 * always the newest.
 */
import type { FollowDownloadsResponse } from "../../gen/snatch/v1/download_service.ts";
import type { Session as WireSession } from "../../gen/snatch/v1/session.ts";
import { failure } from "../core/errors.ts";
import type { NumberedEvent } from "../core/events.ts";
import { hasEnded, type Session, type SessionStatus } from "../core/session.ts";
import type { Send } from "./calls.ts";
import { presentNow, type RpcPorts } from "./deps.ts";
import { portions } from "./page.ts";

/** Three messages a second. The last one does not wait and is then the fourth at most. */
const INTERVAL_MS = 334;
/** Sessions read from the store at once while counting. */
const PAGE = 1000;

/** Whom to follow: ids (or unambiguous beginnings), or a batch. */
export type FollowScope = { readonly ids: readonly string[] } | { readonly batchId: string };

type Ports = Pick<RpcPorts, "downloads" | "sessions" | "events" | "clock">;

/** Nothing more happens to it by itself. */
const isSettled = (status: SessionStatus): boolean => status === "paused" || hasEnded(status);

/** Sends until all that is followed has settled. @throws DownloadError SESSION_NOT_FOUND, SESSION_AMBIGUOUS */
export async function follow(
  ports: Ports,
  scope: FollowScope,
  send: Send<FollowDownloadsResponse>,
  signal: AbortSignal,
): Promise<void> {
  const followed = new Followed(ports, "batchId" in scope ? scope.batchId : undefined);
  const unsubscribe = ports.events.subscribe((event) => followed.notice(event));
  try {
    let sessions = "ids" in scope ? await followed.addIds(scope.ids) : await followed.addBatch();
    for (;;) {
      // No message may say that nothing is left while what a session has led to was not looked at.
      if (followed.hasUnread || (followed.settled && (await followed.grew())))
        if (await followed.changed()) sessions = [...sessions, ...followed.takeChanges()];
      for (const portion of portions(sessions)) await send({ sessions: portion, summary: followed.summary() });
      if (followed.settled && !(await followed.grew())) return;
      do {
        await followed.pause(INTERVAL_MS, signal);
        signal.throwIfAborted();
      } while (!(await followed.changed()) && !followed.settled);
      sessions = followed.takeChanges();
    }
  } finally {
    unsubscribe();
  }
}

/** What is remembered of a session. */
interface Tally {
  readonly status: SessionStatus;
  readonly bytes: number;
}

/** The sessions of one stream, in numbers. */
class Followed {
  readonly #ports: Ports;
  readonly #batchId: string | undefined;
  /** The batch, and those of what followed sessions led to. */
  readonly #batches = new Set<string>();
  /** Of these, those that were not read yet. */
  #unread: string[] = [];
  /** By the session's sequence number. */
  readonly #tallies = new Map<number, Tally>();
  /** What changed since the last message: id → sequence number. */
  readonly #marked = new Map<string, number>();
  /** Marked sessions whose newest status is a settled one. */
  readonly #settling = new Set<number>();
  /** Active sessions, and what was last sent of their progress. */
  readonly #active = new Map<string, string>();
  #changes: WireSession[] = [];
  readonly #counts = { queued: 0, waiting: 0, active: 0, paused: 0, completed: 0, failed: 0, cancelled: 0 };
  #bytes = 0;
  #counting = true;
  #summaryChanged = false;
  #wake: () => void = () => {};

  constructor(ports: Ports, batchId: string | undefined) {
    this.#ports = ports;
    this.#batchId = batchId;
    if (batchId !== undefined) this.#batches.add(batchId);
  }

  /** Nothing is left to wait for. */
  get settled(): boolean {
    return this.#open === 0 && this.#marked.size === 0 && this.#unread.length === 0;
  }

  /** A session has led to others, which were not looked at yet. */
  get hasUnread(): boolean {
    return this.#unread.length > 0;
  }

  /** Sessions that have not settled. */
  get #open(): number {
    return this.#counts.queued + this.#counts.waiting + this.#counts.active;
  }

  /** Listener of the event log. */
  notice({ event }: NumberedEvent): void {
    const { id, seq, status, batchId } = event.session;
    const tally = this.#tallies.get(seq);
    const belongs = tally !== undefined || (batchId !== undefined && this.#batches.has(batchId));
    // While counting, anything may turn out to belong.
    if (!belongs && !this.#counting) return;
    this.#marked.set(id, seq);
    if (tally === undefined || isSettled(tally.status)) return;
    if (isSettled(status) || event.type === "cleaned") this.#settling.add(seq);
    else this.#settling.delete(seq);
    if (this.#settling.size >= this.#open) this.#wake();
  }

  async addIds(ids: readonly string[]): Promise<WireSession[]> {
    const found = new Map<string, Session>();
    for (const id of ids) {
      const session = await this.#ports.sessions.find(id);
      found.set(session.id, session);
    }
    for (const session of found.values()) this.#apply(session);
    const shown = [...found.values()].map((session) => this.#present(session));
    return [...shown, ...(await this.#beginning())];
  }

  /** @returns the active ones */
  async addBatch(): Promise<WireSession[]> {
    const active: WireSession[] = [];
    for await (const session of this.#batch(this.#batchId ?? "")) {
      this.#apply(session);
      if (session.status === "active") active.push(this.#present(session));
    }
    if (this.#tallies.size === 0)
      throw failure("SESSION_NOT_FOUND", `no session belongs to a batch ${this.#batchId}`, {
        metadata: { batch_id: this.#batchId ?? "" },
      });
    return [...active, ...(await this.#beginning())];
  }

  /** What had been led to before anybody followed: without it the first summary would tell of an end that is none. */
  async #beginning(): Promise<WireSession[]> {
    await this.#readNew();
    this.#counting = false;
    return this.takeChanges();
  }

  /** Sessions that joined the batch without an event: they existed before. @returns true if there are such */
  async grew(): Promise<boolean> {
    for (const batchId of [...this.#batches])
      for await (const session of this.#batch(batchId)) {
        if (this.#tallies.has(session.seq)) continue;
        this.#apply(session);
        this.#marked.set(session.id, session.seq);
      }
    return !this.settled;
  }

  /** Resolves after `ms`, earlier when everything has settled or the signal aborts. */
  async pause(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const callOff = this.#ports.clock.timer(ms, resolve);
    const leave = () => resolve();
    signal.addEventListener("abort", leave);
    if (this.#settling.size >= this.#open) resolve();
    await promise;
    signal.removeEventListener("abort", leave);
    callOff();
    this.#wake = () => {};
  }

  /** Reads what is marked and what is active. @returns true if there is something to send */
  async changed(): Promise<boolean> {
    const marked = [...this.#marked];
    this.#marked.clear();
    this.#settling.clear();
    const active = [...this.#active.keys()];
    const read = new Set<string>();
    for (const [id, seq] of marked) {
      read.add(id);
      const session = await this.#ports.sessions.get(id);
      if (session === undefined) this.#forget(id, seq);
      else if (this.#belongs(session)) this.#changes.push(this.#present(this.#apply(session)));
    }
    for (const id of active) {
      const session = read.has(id) ? undefined : await this.#ports.sessions.get(id);
      if (session === undefined) continue;
      const before = this.#active.get(id);
      const shown = this.#present(this.#apply(session));
      if (this.#active.get(id) !== before) this.#changes.push(shown);
    }
    await this.#readNew();
    return this.#changes.length > 0 || this.#summaryChanged;
  }

  /** What followed sessions led to is followed too. */
  async #readNew(): Promise<void> {
    for (let batchId = this.#unread.shift(); batchId !== undefined; batchId = this.#unread.shift())
      for await (const session of this.#batch(batchId)) {
        if (this.#tallies.has(session.seq)) continue;
        this.#changes.push(this.#present(this.#apply(session)));
      }
  }

  /** What {@link Followed.changed} found; once. */
  takeChanges(): WireSession[] {
    const changes = this.#changes;
    this.#changes = [];
    this.#summaryChanged = false;
    return changes;
  }

  summary(): FollowDownloadsResponse["summary"] {
    let rate = 0;
    for (const id of this.#active.keys()) rate += this.#ports.downloads.live(id)?.bytesPerSecond ?? 0;
    return {
      totalCount: this.#tallies.size,
      completedCount: this.#counts.completed,
      failedCount: this.#counts.failed + this.#counts.cancelled,
      pausedCount: this.#counts.paused,
      downloadedBytes: this.#bytes,
      bytesPerSecond: rate,
    };
  }

  #belongs(session: Session): boolean {
    return this.#tallies.has(session.seq) || (session.batchId !== undefined && this.#batches.has(session.batchId));
  }

  async *#batch(batchId: string): AsyncGenerator<Session> {
    let token: string | undefined;
    do {
      const page = await this.#ports.sessions.list({ batchId }, { size: PAGE, ...(token !== undefined && { token }) });
      yield* page.sessions;
      token = page.nextPageToken;
    } while (token !== undefined);
  }

  #apply(session: Session): Session {
    const bytes = Math.trunc(session.progress.downloadedBytes);
    this.#drop(session.seq);
    this.#tallies.set(session.seq, { status: session.status, bytes });
    this.#counts[session.status]++;
    this.#bytes += bytes;
    if (session.status !== "active") this.#active.delete(session.id);
    const led = session.expansion?.batchId;
    if (led !== undefined && !this.#batches.has(led)) {
      this.#batches.add(led);
      this.#unread.push(led);
    }
    return session;
  }

  #present(session: Session): WireSession {
    const shown = presentNow(session, this.#ports);
    if (session.status === "active") this.#active.set(session.id, `${JSON.stringify(shown.progress)} ${shown.stage}`);
    return shown;
  }

  #forget(id: string, seq: number): void {
    this.#active.delete(id);
    if (this.#drop(seq)) this.#summaryChanged = true;
  }

  #drop(seq: number): boolean {
    const tally = this.#tallies.get(seq);
    if (tally === undefined) return false;
    this.#tallies.delete(seq);
    this.#counts[tally.status]--;
    this.#bytes -= tally.bytes;
    return true;
  }
}
