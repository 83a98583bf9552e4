/**
 * When a cron expression is due next, from any instant on: node-cron reads the expression and says whether a time of day
 * matches, but looks at no clock but the machine's own. The days on which clocks are set are treated as Vixie's cron does:
 * a time that does not come is made up for as much later as the clock was set forward (02:30 at 03:30), and one that
 * comes twice counts once. A job of every hour goes by the hours that pass instead, be two of them called the same.
 */
import { createTask, parse } from "node-cron";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** More than clocks are set by anywhere. */
const LONGEST_SHIFT = 3 * HOUR;
/** The 29th of February comes after eight years at the latest. */
const HORIZON = 9 * 366 * DAY;

/** Only times of day: the usual case. */
const EVERY_DAY = /\s\*\s+\*\s+\*\s*$/;

type Matcher = (wall: number) => boolean;

/** Without node-cron's `match`, which asks `Intl`: its tables are 8 MB, a tenth of what an idle daemon has. */
function timeMatcher(hours: readonly number[], minutes: readonly number[], seconds: readonly number[]): Matcher {
  return (wall) =>
    hours.includes(Math.floor((wall % DAY) / HOUR)) &&
    minutes.includes(Math.floor((wall % HOUR) / MINUTE)) &&
    seconds.includes(Math.floor((wall % MINUTE) / SECOND));
}

/** Asked as if the time on the wall were UTC, where every time of day exists once. */
function dateMatcher(expression: string): Matcher {
  const task = createTask(expression, () => {}, { timezone: "UTC" });
  return (wall) => task.match(new Date(wall));
}

/** Milliseconds by which the machine's zone is ahead of UTC at an instant. */
const offsetAt = (instant: number): number => -new Date(instant).getTimezoneOffset() * MINUTE;

/** How far the clock was set forward (negative: back) not longer ago than by that much; 0 on all other occasions. */
function shiftBehind(instant: number): number {
  const before = offsetAt(instant - LONGEST_SHIFT);
  const shift = offsetAt(instant) - before;
  return shift !== 0 && offsetAt(instant - Math.abs(shift)) === before ? shift : 0;
}

/**
 * Makes the function that answers with the first instant after the given one at which an expression is due, both in
 * milliseconds since the epoch, or with undefined if none comes within nine years. Times of day are those of the machine's zone.
 *
 * @throws Error if the expression is none
 */
export function nextRunOf(expression: string): (after: number) => number | undefined {
  const { hour: hours, minute: minutes, second: seconds } = parse(expression);
  minutes.sort((a, b) => a - b);
  const everyHour = hours.length === DAY / HOUR;
  const matches = EVERY_DAY.test(expression) ? timeMatcher(hours, minutes, seconds) : dateMatcher(expression);

  const aTime = (hours[0] ?? 0) * HOUR + (minutes[0] ?? 0) * MINUTE + (seconds[0] ?? 0) * SECOND;
  let day = { number: Number.NaN, wanted: false };
  const isWanted = (number: number): boolean => {
    if (day.number !== number) day = { number, wanted: matches(number * DAY + aTime) };
    return day.wanted;
  };

  const isDue = (wall: number, shift: number): boolean => {
    if (everyHour || shift === 0) return matches(wall);
    return shift > 0 && (matches(wall) || matches(wall - shift));
  };

  /** Not beyond the next instant that may be due. */
  const step = (wall: number, shift: number): number => {
    if (shift !== 0) return SECOND;
    // The clock may be set before midnight is there.
    if (!isWanted(Math.floor(wall / DAY))) return Math.max(HOUR - (wall % HOUR), DAY - (wall % DAY) - LONGEST_SHIFT);
    if (!hours.includes(Math.floor((wall % DAY) / HOUR))) return HOUR - (wall % HOUR);
    const minute = Math.floor((wall % HOUR) / MINUTE);
    if (minutes.includes(minute)) return SECOND;
    const next = minutes.find((candidate) => candidate > minute) ?? HOUR / MINUTE;
    return next * MINUTE - (wall % HOUR);
  };

  return (after) => {
    const first = (Math.floor(after / SECOND) + 1) * SECOND;
    for (let at = first; at < first + HORIZON; ) {
      const wall = at + offsetAt(at);
      const shift = shiftBehind(at);
      const ahead = step(wall, shift);
      if (ahead === SECOND && isDue(wall, shift)) return at;
      at += ahead;
    }
    return undefined;
  };
}
