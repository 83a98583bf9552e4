/**
 * The record of all sessions, on a `KeyValue`: durable before anyone is told, ordered, observable. The rooms' face; the
 * work is done by the modules beside it.
 */

import { randomUUID } from "node:crypto";
import { archiveKeyOf } from "../core/archive.ts";
import { failure } from "../core/errors.ts";
import type { EventLog, NumberedEvent, SessionEvent } from "../core/events.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { HotRecords } from "../core/ports/cache.ts";
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type {
  ArchiveKey,
  ChunkDigests,
  CreateOptions,
  ImportOutcome,
  Outbox,
  RecordedChunk,
  RecordedSegment,
  SessionFilter,
  SessionPage,
  SessionPatch,
  SessionStore,
  SessionTransfer,
  UpdateOptions,
} from "../core/ports/sessions.ts";
import { type DownloadRequest, hasEnded, type Progress, type Session, type SessionStatus } from "../core/session.ts";
import { patched } from "./change.ts";
import { changeAll } from "./change-all.ts";
import { chunkRemovals, chunkWrites, readChunkSources, readChunks, readSegments } from "./chunks.ts";
import { overdue, type Retention } from "./clean-up.ts";
import { Forgetting } from "./forget.ts";
import { SPACE } from "./keys.ts";
import { Ledger } from "./ledger.ts";
import { listPage, matching, type PageRequest } from "./listing.ts";
import { type Destination, QueueOrder } from "./queue-order.ts";
import { Receipts } from "./receipts.ts";
import { archiveDigest, batchesOf, type SessionRecord } from "./record.ts";
import { type Change, Records } from "./records.ts";
import { recover } from "./recover.ts";
import { exportLine, importLines } from "./transfer.ts";

/** Characters of an id's beginning that are enough to look for it. */
const SHORTEST_PREFIX = 4;

/** Records held in memory unless the options say otherwise. */
const HOT_RECORDS = 2048;

/** Settings of the room. */
export interface SessionOptions extends Retention {
  /** Percentages at which an event is emitted. */
  readonly milestones: readonly number[];
  /** Events kept in memory for clients that come back. */
  readonly eventsKept: number;
  /** Records held in memory, besides active ones and those being written; default 2048. */
  readonly hotRecords?: number;
}

/** What the room is made of. */
export interface SessionManagerInit {
  readonly store: KeyValue;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options: SessionOptions;
}

/** All sessions. */
export class SessionManager implements SessionStore, SessionTransfer, Outbox, Startable {
  /** The receipts of finished files. */
  readonly receipts: Receipts;
  readonly #store: KeyValue;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #records: Records;
  readonly #ledger: Ledger;
  readonly #order: QueueOrder;
  readonly #forgetting: Forgetting;
  #retention: Retention;
  #started = false;

  constructor({ store, clock, logger, options }: SessionManagerInit) {
    this.#store = store;
    this.#clock = clock;
    this.#logger = logger;
    this.#retention = options;
    this.#records = new Records(store, logger, options.hotRecords ?? HOT_RECORDS);
    const { milestones, eventsKept } = options;
    this.#ledger = new Ledger({ records: this.#records, store, clock, logger, milestones, eventsKept });
    this.#order = new QueueOrder(store, this.#records, this.#ledger);
    this.#forgetting = new Forgetting(store, this.#records, this.#ledger);
    this.receipts = new Receipts(store, this.#records, this.#ledger, this.#forgetting);
  }

  /** Takes up where the last process ended: what was active then is queued again, before all others. */
  async start(): Promise<void> {
    await this.#records.start();
    await this.#ledger.start();
    this.#started = true;
    const recovered = await recover(this.#store, this.#records, this.#ledger, this.#clock);
    if (recovered > 0) this.#logger.info({ sessions: recovered }, "sessions that were active are queued again");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#started) return;
    this.#started = false;
    // Every change that was begun is written before the last number is.
    await this.#ledger.flush();
    await this.#store.write([]);
    await this.#ledger.end();
  }

  async create(requests: readonly DownloadRequest[], options: CreateOptions = {}): Promise<Session[]> {
    const { batchId, adopt = [], with: more } = options;
    const release = await this.#records.hold(adopt);
    try {
      // From here on in one turn of the event loop, see Records.commit.
      const now = this.#clock.now();
      const made = requests.map((request) => this.#make(request, batchId, now));
      const joined = batchId === undefined ? [] : [...new Set(adopt)].flatMap((id) => this.#join(id, batchId));
      const created = made.map(({ session }) => session);
      this.#forgetting.taking(created.map((session) => archiveDigest(archiveKeyOf(session))));
      const changes = [...made.map((after) => ({ after })), ...joined];
      await this.#ledger.commit(changes, { sync: true, extra: more?.(created) ?? [] });
      return created;
    } finally {
      release();
    }
  }

  #make({ url, mirrors, options }: DownloadRequest, batchId: string | undefined, now: number): SessionRecord {
    const { state } = this.#records;
    const session: Session = {
      id: randomUUID(),
      seq: state.takeSequence(),
      ...(batchId !== undefined && { batchId }),
      url,
      mirrors,
      options,
      status: "queued",
      createdAt: now,
      updatedAt: now,
      attempt: 0,
      progress: { downloadedBytes: 0 },
      metadata: {
        ...(options.format !== undefined && { format: options.format }),
        ...(options.quality !== undefined && { quality: options.quality }),
      },
    };
    return { session, batches: [], place: state.takeTail() };
  }

  /** The change by which an existing session joins a batch. */
  #join(id: string, batchId: string): Change[] {
    const before = this.#records.cached(id);
    if (before === undefined || batchesOf(before).includes(batchId)) return [];
    if (before.session.batchId === undefined)
      return [{ before, after: { ...before, session: { ...before.session, batchId } } }];
    return [{ before, after: { ...before, batches: [...before.batches, batchId] } }];
  }

  async get(id: string): Promise<Session | undefined> {
    return (await this.#records.get(id))?.session;
  }

  async batches(id: string): Promise<readonly string[]> {
    const record = await this.#records.get(id);
    return record ? batchesOf(record) : [];
  }

  async find(idOrPrefix: string): Promise<Session> {
    const prefix = idOrPrefix.toLowerCase();
    if (!/^[0-9a-f-]{1,36}$/.test(prefix) || prefix.length < SHORTEST_PREFIX)
      throw failure(
        "SESSION_NOT_FOUND",
        `${JSON.stringify(idOrPrefix.slice(0, 60))} is no session's id: give one, or its first ${SHORTEST_PREFIX} characters or more`,
      );
    const ids: string[] = [];
    for await (const [id] of this.#store.entries(SPACE.id, { gte: prefix, lt: `${prefix}g`, limit: 3 })) ids.push(id);
    if (ids.length > 1)
      throw failure(
        "SESSION_AMBIGUOUS",
        `${ids.length > 2 ? "several" : "two"} sessions begin with ${prefix}: ${ids.join(", ")}`,
      );
    return (await this.#records.need(ids[0] ?? prefix)).session;
  }

  async update(id: string, patch: SessionPatch, { sync = false, lazy = false }: UpdateOptions = {}): Promise<Session> {
    const make = (record: SessionRecord): SessionRecord =>
      patched(record, patch, this.#clock.now(), () => this.#records.state.takeTail());
    return (await this.#ledger.change(id, make, { sync, lazy })).session;
  }

  async updateAll(filter: SessionFilter, patch: SessionPatch, applies: (session: Session) => boolean): Promise<number> {
    const make = (record: SessionRecord): SessionRecord | undefined =>
      applies(record.session)
        ? patched(record, patch, this.#clock.now(), () => this.#records.state.takeTail())
        : undefined;
    await this.#ledger.flush();
    return changeAll({ store: this.#store, records: this.#records, ledger: this.#ledger }, filter, make);
  }

  progress(id: string, downloadedBytes: number, totalBytes?: number, segments?: Progress["segments"]): void {
    const before = this.#records.cached(id);
    if (before?.session.status !== "active") return;
    const total = totalBytes ?? before.session.progress.totalBytes;
    const progress = {
      downloadedBytes,
      ...(total !== undefined && { totalBytes: total }),
      ...(segments && { segments }),
    };
    const after = { ...before, session: { ...before.session, progress } };
    this.#records.refresh(id, after);
    this.#ledger.progressed({ before, after });
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#forgetting.forget(ids);
  }

  /**
   * Forgets ended sessions that are older or more than the options allow, the oldest first.
   * @returns how many were forgotten
   */
  async cleanUp(): Promise<number> {
    let forgotten = 0;
    for (;;) {
      const ids = await overdue(this.#store, this.#records, this.#retention, this.#clock.now());
      const now = await this.#forgetting.forget(ids, ({ session }) => hasEnded(session.status));
      forgotten += now;
      if (now === 0) break;
    }
    if (forgotten > 0) this.#logger.info({ sessions: forgotten }, "ended sessions were forgotten");
    return forgotten;
  }

  /** Changes how long ended sessions are kept, from the next clean-up on. */
  setRetention(retention: Retention): void {
    this.#retention = retention;
  }

  async list(filter: SessionFilter, page: PageRequest): Promise<SessionPage> {
    if (filter.batchId === undefined) await this.#ledger.flush();
    return listPage(this.#store, this.#records, filter, page);
  }

  counts(): Readonly<Record<SessionStatus, number>> {
    return { ...this.#records.state.counts };
  }

  nextQueued(limit: number, except: ReadonlySet<string>): Promise<Session[]> {
    return this.#order.next(limit, except);
  }

  due(now: number, limit: number): Promise<Session[]> {
    return this.#order.due(now, limit);
  }

  nextDue(): Promise<number | undefined> {
    return this.#order.nextDue();
  }

  async move(id: string, to: Destination): Promise<void> {
    await this.#ledger.flush();
    return this.#order.move(id, to);
  }

  async queuePosition(id: string): Promise<number | undefined> {
    await this.#ledger.flush();
    return this.#order.position(id);
  }

  async recordChunks(id: string, epoch: number, chunks: readonly RecordedChunk[]): Promise<void> {
    await this.#records.need(id);
    await this.#store.write(chunkWrites(id, epoch, chunks), { sync: true });
  }

  chunks(id: string, epoch: number): Promise<ChunkDigests> {
    return readChunks(this.#store, id, epoch);
  }

  chunkSources(id: string, epoch: number): Promise<ReadonlyMap<number, readonly number[]>> {
    return readChunkSources(this.#store, id, epoch);
  }

  segments(id: string, epoch: number): Promise<ReadonlyMap<number, RecordedSegment>> {
    return readSegments(this.#store, id, epoch);
  }

  async dropChunks(id: string, epoch?: number): Promise<void> {
    // Those that are being recorded are dropped too.
    await this.#store.write([]);
    await this.#store.write(await chunkRemovals(this.#store, id, epoch));
  }

  async archived(keys: readonly ArchiveKey[]): Promise<(Session | undefined)[]> {
    const sequences = await this.#store.getMany(SPACE.archive, keys.map(archiveDigest));
    const known = sequences.filter((seq) => seq !== undefined);
    const records = await this.#records.bySequence(known, false);
    const sessions = new Map(records.map(({ session }) => [session.seq, session]));
    return keys.map((_, at) => sessions.get(Number(sequences[at] ?? 0)));
  }

  /** A session as one line of JSON in the spec's session schema, without its line feed. Secrets are in it. */
  exportLine(session: Session): string {
    return exportLine(session);
  }

  async *exportLines(filter: SessionFilter): AsyncGenerator<string> {
    await this.#ledger.flush();
    for await (const { session } of matching(this.#store, this.#records, filter, false)) yield exportLine(session);
  }

  importLines(lines: AsyncIterable<string>): Promise<ImportOutcome> {
    return importLines(this.#store, this.#records, this.#ledger, lines);
  }

  subscribe(listener: (event: NumberedEvent) => void): () => void {
    return this.#ledger.subscribe(listener);
  }

  alongside(make: (events: readonly SessionEvent[]) => readonly Write[]): () => void {
    return this.#ledger.alongside(make);
  }

  /** The records that are held in memory. */
  get hot(): HotRecords {
    return this.#records;
  }

  /** The events since the start of this process; their numbers go on from those of earlier ones. */
  get log(): EventLog {
    return this.#ledger.log;
  }
}
