/**
 * Changes of sessions, told as events: every commit of the room goes through here, and what it changed is emitted when it
 * is written, in the order of the writes.
 */
import { EventLog, type NumberedEvent, type SessionEvent } from "../core/events.ts";
import type { KeyValue, Write } from "../core/ports/key-value.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { SessionStore } from "../core/ports/sessions.ts";
import { EventNumbers } from "./event-numbers.ts";
import { Milestones } from "./milestones.ts";
import type { SessionRecord } from "./record.ts";
import type { Change, Records } from "./records.ts";

/** Sync or not, and what else is written in the same batch. */
export interface CommitOptions {
  readonly sync: boolean;
  /** It need not be written at once: see {@link SessionStore.update}. */
  readonly lazy?: boolean;
  readonly extra?: readonly Write[];
  /** Nothing happened that anyone is told of. */
  readonly silent?: boolean;
}

/** Milliseconds after which a lazy change is written in any case. */
const LAZY_MS = 200;

/** Commits, and tells of them. */
export class Ledger {
  readonly #records: Records;
  readonly #store: KeyValue;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #numbers: EventNumbers;
  readonly #milestones: Milestones;
  readonly #keep: number;
  readonly #listeners = new Set<(event: NumberedEvent) => void>();
  readonly #outboxes = new Set<(events: readonly SessionEvent[]) => readonly Write[]>();
  #log: EventLog;
  #cancelFlush: (() => void) | undefined;

  constructor(init: {
    records: Records;
    store: KeyValue;
    clock: Clock;
    logger: Logger;
    milestones: readonly number[];
    eventsKept: number;
  }) {
    this.#records = init.records;
    this.#store = init.store;
    this.#clock = init.clock;
    this.#logger = init.logger;
    this.#milestones = new Milestones(init.milestones);
    this.#keep = init.eventsKept;
    this.#numbers = new EventNumbers(init.store);
    this.#log = this.#newLog(1);
  }

  /** What happened since the start. */
  get log(): EventLog {
    return this.#log;
  }

  async start(): Promise<void> {
    this.#log = this.#newLog(await this.#numbers.start());
  }

  async end(): Promise<void> {
    this.#cancelFlush?.();
    await this.flush();
    await this.#numbers.end(this.#log.newest);
  }

  /** Calls `listener` for every event from now on. What it throws is logged and goes no further. */
  subscribe(listener: (event: NumberedEvent) => void): () => void {
    // Of its own identity, so that the same function may be subscribed twice.
    const own = (event: NumberedEvent) => listener(event);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** What `make` returns for the events of a change is written with it. What it throws is logged and goes no further. */
  alongside(make: (events: readonly SessionEvent[]) => readonly Write[]): () => void {
    this.#outboxes.add(make);
    return () => void this.#outboxes.delete(make);
  }

  /**
   * Changes one session. `make` is called with the newest record, and what it returns is committed in the same turn of the
   * event loop: no change can come between. If it returns the record itself, nothing is written.
   *
   * @throws DownloadError SESSION_NOT_FOUND, and what `make` throws
   */
  async change(
    id: string,
    make: (record: SessionRecord) => SessionRecord,
    options: CommitOptions,
  ): Promise<SessionRecord> {
    for (;;) {
      const before = this.#records.cached(id);
      if (before === undefined) {
        await this.#records.need(id);
        continue;
      }
      const after = make(before);
      if (after === before) return after;
      // What is made of its events goes into the same batch.
      if (options.lazy && this.#outboxes.size === 0) this.#defer({ before, after });
      else await this.commit([{ before, after }], options);
      return after;
    }
  }

  /**
   * Writes changes, all or nothing, and emits their events.
   * @param changes - as for {@link Records.commit}
   */
  async commit(changes: readonly Change[], { sync, extra = [], silent }: CommitOptions): Promise<void> {
    const events = silent ? [] : changes.flatMap((change) => this.#eventsOf(change));
    const reserve = this.#numbers.announce(this.#log.newest, events.length);
    let written = false;
    try {
      await this.#records.commit(
        changes,
        reserve.length + this.#outboxes.size > 0 ? [...extra, ...reserve, ...this.#outboxWrites(events)] : extra,
        sync || reserve.length > 0,
      );
      written = true;
      for (const event of events) this.#log.emit(event);
    } finally {
      this.#numbers.settle(events.length, written);
    }
  }

  #defer(change: Required<Change>): void {
    this.#records.defer(change);
    this.#tell(this.#eventsOf(change));
    this.#cancelFlush ??= this.#clock.timer(LAZY_MS, () => {
      this.flush().catch((error: unknown) => this.#logger.error({ err: error }, "changes could not be written"));
    });
  }

  /** Writes lazy changes: for those who look for sessions by what is written. */
  async flush(): Promise<void> {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    await this.#records.flush();
  }

  #outboxWrites(events: readonly SessionEvent[]): Write[] {
    return [...this.#outboxes].flatMap((make) => {
      try {
        return make(events);
      } catch (error) {
        this.#logger.error({ err: error }, "what events lead to could not be written down");
        return [];
      }
    });
  }

  /** Tells of progress that is not written. */
  progressed(change: Required<Change>): void {
    this.#tell(this.#progressEvents(change));
  }

  /** Emits events of what is not written. */
  #tell(events: readonly SessionEvent[]): void {
    if (events.length === 0) return;
    const reserve = this.#numbers.announce(this.#log.newest, events.length);
    for (const event of events) this.#log.emit(event);
    this.#numbers.settle(events.length, true);
    if (reserve.length === 0) return;
    this.#store.write(reserve, { sync: true }).catch((error: unknown) => {
      this.#numbers.settle(0, false);
      this.#logger.error({ err: error }, "numbers for events could not be reserved");
    });
  }

  #eventsOf({ before, after }: Change): SessionEvent[] {
    if (before === undefined) return after ? [{ type: "created", session: after.session }] : [];
    if (after === undefined) {
      this.#milestones.forget(before.session.id);
      return [{ type: "cleaned", session: before.session }];
    }
    const { session } = after;
    const events: SessionEvent[] = [{ type: "updated", session, previous: before.session }];
    if (session.error !== undefined && session.error !== before.session.error)
      events.push({ type: "error", session, error: session.error });
    // Before the change itself: a file is fetched to its end and then completed.
    return [...this.#progressEvents({ before, after }), ...events];
  }

  #progressEvents({ before, after }: Required<Change>): SessionEvent[] {
    return this.#milestones
      .passed(before.session, after.session)
      .map((milestone) => ({ type: "progress", session: after.session, milestone }));
  }

  #newLog(first: number): EventLog {
    const log = new EventLog(first, this.#keep, () => this.#clock.now());
    log.subscribe((event) => {
      for (const listener of this.#listeners) {
        try {
          listener(event);
        } catch (error) {
          this.#logger.error({ err: error, sequence: event.sequence }, "a listener of session events failed");
        }
      }
    });
    return log;
  }
}
