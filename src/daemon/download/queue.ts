/**
 * Who is next. Sessions stay on disk: the queue looks a few ahead, starts as many as may run at once, and wakes up when a
 * waiting session's time has come.
 */
import type { Clock, Logger } from "../core/ports/runtime.ts";
import type { SessionStore } from "../core/ports/sessions.ts";
import type { Session } from "../core/session.ts";

/** Sessions read ahead in one scan. */
const LOOKAHEAD = 64;

/** Milliseconds after which an unreadable queue is read again. */
const RECOVER_MS = 5000;

/** Starts queued sessions. */
export class Queue {
  readonly #store: SessionStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #slots: () => number;
  readonly #launch: (session: Session) => Promise<void>;
  readonly #idle: () => number;
  /** Waiting sessions whose time has come early. */
  #hurried: string[] = [];
  readonly #running = new Map<string, Promise<void>>();
  #ahead: Session[] = [];
  #filling: Promise<void> | undefined;
  #again = false;
  #stopped = true;
  #cancelTimer: (() => void) | undefined;

  /**
   * @param init.slots - how many may run at once
   * @param init.idle - how many of those that run do nothing but wait for somebody: they take no one's place
   * @param init.launch - brings a session on its way; resolves when it has ended or waits, and never rejects
   */
  constructor(init: {
    store: SessionStore;
    clock: Clock;
    logger: Logger;
    slots: () => number;
    idle?: () => number;
    launch: (session: Session) => Promise<void>;
  }) {
    this.#store = init.store;
    this.#clock = init.clock;
    this.#logger = init.logger;
    this.#slots = init.slots;
    this.#idle = init.idle ?? (() => 0);
    this.#launch = init.launch;
  }

  start(): void {
    this.#stopped = false;
    this.wake();
  }

  /** Starts nothing more. Resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer?.();
    // What was being started when it was stopped is running afterwards.
    await this.#filling;
    await Promise.all(this.#running.values());
  }

  /** Resolves when this session's run, if there is one, has ended. */
  async settled(id: string): Promise<void> {
    await this.#running.get(id);
  }

  /** Looks again: sessions were added, a slot was freed, a setting changed. */
  wake(): void {
    if (this.#stopped) return;
    this.#again = true;
    this.#filling ??= this.#fill()
      .catch((error: unknown) => {
        this.#logger.error({ err: error }, "the queue could not be read; looking again soon");
        this.#again = false;
        this.#cancelTimer = this.#clock.timer(RECOVER_MS, () => this.wake());
      })
      .finally(() => {
        this.#filling = undefined;
        // Woken while it was falling asleep.
        if (this.#again) this.wake();
      });
  }

  /** What these waited for is here. */
  hurry(ids: readonly string[]): void {
    this.#hurried.push(...ids);
    this.wake();
  }

  /** The order has changed: what was read ahead is void. */
  reorder(): void {
    this.#ahead = [];
    this.wake();
  }

  async #fill(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      for (let free = this.#free(); free > 0 && !this.#stopped; free = this.#free()) {
        const next = await this.#next();
        if (!next || this.#stopped) break;
        this.#run(next);
      }
      await this.#sleepUntilDue();
    }
  }

  #free(): number {
    return this.#slots() - this.#running.size + this.#idle();
  }

  /** A session whose waiting time is over, else the first of the queue. */
  async #next(): Promise<Session | undefined> {
    for (let id = this.#hurried.shift(); id !== undefined; id = this.#hurried.shift()) {
      const session = this.#running.has(id) ? undefined : await this.#store.get(id);
      if (session?.status === "waiting") return session;
    }
    for (const session of await this.#store.due(this.#clock.now(), 1 + this.#running.size))
      if (!this.#running.has(session.id)) return session;
    for (;;) {
      if (this.#ahead.length === 0) {
        this.#ahead = await this.#store.nextQueued(LOOKAHEAD, new Set(this.#running.keys()));
        if (this.#ahead.length === 0) return undefined;
      }
      const id = this.#ahead.shift()?.id ?? "";
      // It may have been paused, moved or removed since it was read.
      const session = this.#running.has(id) ? undefined : await this.#store.get(id);
      if (session?.status === "queued") return session;
    }
  }

  #run(session: Session): void {
    const run = this.#launch(session).finally(() => {
      this.#running.delete(session.id);
      this.wake();
    });
    this.#running.set(session.id, run);
  }

  async #sleepUntilDue(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const due = await this.#store.nextDue();
    // With every slot taken the end of a run wakes the queue; a due session must not make it spin.
    if (due === undefined || this.#stopped || this.#free() <= 0) return;
    this.#cancelTimer = this.#clock.timer(Math.max(due - this.#clock.now(), 1), () => this.wake());
  }
}
