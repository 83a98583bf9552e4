/**
 * Jobs by the calendar: the clean-up at night, a report on Mondays. Each starts a little late by
 * chance, so that many daemons do not all knock on the same door in the same second; runs never overlap; runs that were
 * missed because the machine slept are made up for once, however many there were.
 */
import { asDownloadError, failure } from "../core/errors.ts";
import type { Startable } from "../core/lifecycle.ts";
import type { Clock, Logger } from "../core/ports.ts";
import { type Calendar, calendarOf } from "./calendar.ts";
import { validateCron } from "./cron.ts";

/** Work that is done again and again. It must heed the signal, which ends with the daemon. */
export type CalendarJob = (signal: AbortSignal) => Promise<void>;

/** What the scheduler needs of others. */
export interface SchedulerParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The longest delay by chance, in milliseconds; absent: 30,000. */
  readonly jitterMs?: number;
}

/** A job and its place in the calendar. */
interface Entry {
  readonly task: Calendar;
  /** Waiting out its delay, or running. */
  turn: Promise<void> | undefined;
}

/** Runs jobs by the calendar. */
export class Scheduler implements Startable {
  readonly #parts: SchedulerParts;
  readonly #entries = new Set<Entry>();
  readonly #stop = new AbortController();
  #started = false;

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    this.#started = true;
    for (const { task } of this.#entries) await task.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const turns: (Promise<void> | undefined)[] = [];
    for (const { task, turn } of this.#entries) {
      await task.destroy();
      turns.push(turn);
    }
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
  calendar(name: string, expression: string, job: CalendarJob): () => void {
    const problem = validateCron(expression);
    if (problem !== undefined) throw failure("CONFIG_INVALID", `${name}: ${problem}`);
    const logger = this.#parts.logger.child({ job: name });
    const fire = (missed: boolean) => {
      // A job that is still at it has not failed to run: it is late.
      if (entry.turn !== undefined) {
        logger.debug({}, "still at the run before: this one is left out");
        return;
      }
      if (missed) logger.info({}, "a run was missed: it is made up for now");
      entry.turn = this.#run(logger, job).finally(() => {
        entry.turn = undefined;
      });
    };
    const task = calendarOf(name, expression, { fire, error: (text) => logger.error({}, text) });
    const entry: Entry = { task, turn: undefined };
    this.#entries.add(entry);
    if (this.#started) void task.start();
    return () => {
      this.#entries.delete(entry);
      void task.destroy();
    };
  }

  /** One run. Never throws: a job that fails must not take the daemon with it, and has its next turn. */
  async #run(logger: Logger, job: CalendarJob): Promise<void> {
    const { clock, jitterMs = 30_000 } = this.#parts;
    const { signal } = this.#stop;
    try {
      await clock.sleep(Math.random() * jitterMs, signal);
      await job(signal);
    } catch (error) {
      if (signal.aborted) return;
      const { code, message } = asDownloadError(error);
      logger.error({ code, err: error }, `the job failed: ${message}`);
    }
  }
}
