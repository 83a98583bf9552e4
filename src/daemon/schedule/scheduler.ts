/**
 * Jobs by the calendar: the clean-up at night, a report on Mondays. node-cron says which times an expression means; the
 * clock is ours, so that a year can pass in a test. Each run starts a little late by chance, so that many daemons do not
 * all knock on the same door in the same second; runs of a job never overlap; runs that were missed because the machine
 * slept are made up for once, however many there were.
 */
import { asDownloadError, failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { Clock, Logger } from "../core/ports/runtime.ts";
import { validateCron } from "./cron.ts";
import { nextRunOf } from "./next-run.ts";

/** Work that is done again and again. It must heed the signal, which ends with the daemon. */
export type CalendarJob = (signal: AbortSignal) => Promise<void>;

/** What the scheduler needs of others. */
export interface SchedulerParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The longest delay by chance, in milliseconds; absent: 30,000. */
  readonly jitterMs?: number;
}

/** More about a job. */
export interface CalendarOptions {
  /** The job waits until this says true, but not for ever: two hours after its time it runs all the same. */
  readonly idle?: () => boolean;
}

/** A job and its place in the calendar. */
interface Entry {
  readonly logger: Logger;
  readonly next: (after: number) => number | undefined;
  readonly run: () => Promise<void>;
  /** Milliseconds since the epoch; undefined: never. */
  due: number | undefined;
  /** When it was due last. */
  last: number;
  /** Waiting out its delay, or running. */
  turn: Promise<void> | undefined;
}

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** Timers stand still while the machine sleeps, the calendar does not: it is looked at again after this at the latest. */
const LONGEST_WAIT = 5 * MINUTE;
/** A run that begins later than this was missed. */
const LATE = MINUTE;
/** How often it is asked whether there is still work, and how long that may put a job off. */
const IDLE_POLL = 30_000;
const LONGEST_BUSY = 120 * MINUTE;

/** Runs jobs by the calendar. */
export class Scheduler implements Startable {
  readonly #parts: SchedulerParts;
  readonly #entries = new Set<Entry>();
  readonly #stop = new AbortController();
  #started = false;
  #callOff: () => void = () => {};
  /** The time when the calendar was last looked at. */
  #seen = Number.NEGATIVE_INFINITY;

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    this.#started = true;
    const now = this.#parts.clock.now();
    for (const entry of this.#entries) entry.due = entry.next(now);
    this.#look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#callOff();
    const turns = Array.from(this.#entries, ({ turn }) => turn);
    this.#entries.clear();
    await Promise.all(turns);
  }

  /**
   * Runs a job whenever the expression says so, in local time, once the scheduler has started.
   *
   * @param name - for the log
   * @returns takes the job out of the calendar; a run that has begun goes on
   * @throws DownloadError CONFIG_INVALID if the expression is none
   */
  calendar(name: string, expression: string, job: CalendarJob, options: CalendarOptions = {}): () => void {
    const problem = validateCron(expression);
    if (problem !== undefined) throw failure("CONFIG_INVALID", `${name}: ${problem}`);
    const logger = this.#parts.logger.child({ job: name });
    const entry: Entry = {
      logger,
      next: nextRunOf(expression),
      run: () => this.#run(logger, job, options),
      due: undefined,
      last: Number.NEGATIVE_INFINITY,
      turn: undefined,
    };
    this.#entries.add(entry);
    if (this.#started) {
      entry.due = entry.next(this.#parts.clock.now());
      this.#look();
    }
    return () => void this.#entries.delete(entry);
  }

  /** Begins what is due, and comes back in time for the next. */
  #look(): void {
    this.#callOff();
    if (this.#stop.signal.aborted) return;
    const now = this.#parts.clock.now();
    if (now < this.#seen) this.#setBack(now);
    this.#seen = now;
    let wait = LONGEST_WAIT;
    for (const entry of this.#entries) {
      if (entry.due !== undefined && entry.due <= now) {
        const missed = now - entry.due > LATE;
        entry.last = now;
        entry.due = entry.next(now);
        fire(entry, missed);
      }
      if (entry.due !== undefined) wait = Math.min(wait, entry.due - now);
    }
    this.#callOff = this.#parts.clock.timer(wait, () => this.#look());
  }

  /** The clock was set back: what it was wrong about may come again, but not what has run within a day. */
  #setBack(now: number): void {
    for (const entry of this.#entries) {
      const recent = entry.last > now && entry.last - now < DAY;
      entry.due = entry.next(recent ? entry.last : now);
    }
  }

  /** One run. Never throws: a job that fails must not take the daemon with it, and has its next turn. */
  async #run(logger: Logger, job: CalendarJob, { idle = () => true }: CalendarOptions): Promise<void> {
    const { clock, jitterMs = 30_000 } = this.#parts;
    const { signal } = this.#stop;
    try {
      await clock.sleep(Math.random() * jitterMs, signal);
      const since = clock.monotonic();
      while (!idle() && clock.monotonic() - since < LONGEST_BUSY) await clock.sleep(IDLE_POLL, signal);
      await job(signal);
    } catch (error) {
      if (signal.aborted) return;
      const { code, message } = asDownloadError(error);
      logger.error({ code, err: error }, `the job failed: ${message}`);
    }
  }
}

/** Begins a run, unless one is under way. */
function fire(entry: Entry, missed: boolean): void {
  // A job that is still at it has not failed to run: it is late.
  if (entry.turn !== undefined) {
    entry.logger.debug({}, "still at the run before: this one is left out");
    return;
  }
  if (missed) entry.logger.info({}, "a run was missed: it is made up for now");
  entry.turn = entry.run().finally(() => {
    entry.turn = undefined;
  });
}
