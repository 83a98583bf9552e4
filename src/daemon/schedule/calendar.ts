/**
 * Calls back at the times of a cron expression, by local time. The usual ones, at a minute of every hour or of every day,
 * are reckoned here by `Date`: node-cron asks `Intl`, whose tables are 8 MB of an idle daemon's memory, a tenth of all it has.
 * Everything else is node-cron's.
 */
import { createTask } from "node-cron";

/** "17 4 * * *" and "17 * * * *". */
const PLAIN = /^\s*(\d{1,2})\s+(\d{1,2}|\*)\s+\*\s+\*\s+\*\s*$/;
/** The longest wait that a timer of Node takes is 24.8 days; the wall clock may be set meanwhile, so it is looked at hourly. */
const LONGEST_MS = 3_600_000;
/** Milliseconds from which on a run has been missed and is not just late. */
const LATE_MS = 60_000;

/** What a calendar tells. */
export interface CalendarCalls {
  /** It is time. @param missed - it was, while the machine slept; told once, however often */
  readonly fire: (missed: boolean) => void;
  readonly error: (text: string) => void;
}

/** One expression that is kept. */
export interface Calendar {
  start(): Promise<void> | void;
  destroy(): Promise<void> | void;
}

/** @param expression - a valid one */
export function calendarOf(name: string, expression: string, calls: CalendarCalls): Calendar {
  const [, minute, hour] = PLAIN.exec(expression) ?? [];
  if (minute !== undefined) return new PlainCalendar(Number(minute), hour === "*" ? undefined : Number(hour), calls);
  const quiet = { info: nothing, warn: nothing, debug: nothing, error: (text: unknown) => calls.error(String(text)) };
  const task = createTask(expression, () => calls.fire(false), { name, unref: true, logger: quiet });
  task.on("execution:missed", () => calls.fire(true));
  return task as unknown as Calendar;
}

/** The first time after `after` at this minute, of this hour or of any; milliseconds of the epoch. */
export function nextPlain(minute: number, hour: number | undefined, after: number): number {
  for (let step = 0; ; step++) {
    const time = new Date(after);
    if (hour === undefined) {
      // By the clock and not by the calendar: in autumn an hour comes twice.
      time.setTime(after + step * 3_600_000);
      time.setMinutes(minute, 0, 0);
    } else {
      time.setDate(time.getDate() + step);
      time.setHours(hour, minute, 0, 0);
    }
    if (time.getTime() > after) return time.getTime();
  }
}

class PlainCalendar implements Calendar {
  readonly #next: (after: number) => number;
  readonly #calls: CalendarCalls;
  #timer: NodeJS.Timeout | undefined;
  #due = 0;

  constructor(minute: number, hour: number | undefined, calls: CalendarCalls) {
    this.#next = (after) => nextPlain(minute, hour, after);
    this.#calls = calls;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#due = this.#next(Date.now());
    this.#wait();
  }

  destroy(): void {
    clearTimeout(this.#timer);
  }

  #wait(): void {
    this.#timer = setTimeout(() => this.#look(), Math.min(this.#due - Date.now(), LONGEST_MS));
    this.#timer.unref();
  }

  #look(): void {
    const now = Date.now();
    const due = this.#due;
    // Also where the clock was set back: it is reckoned anew.
    this.#due = this.#next(now);
    if (now >= due) this.#calls.fire(now - due >= LATE_MS);
    this.#wait();
  }
}

function nothing(): void {}
