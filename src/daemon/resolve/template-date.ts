/** Dates as strftime(3) writes them, in English and in UTC. */

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const DAY_MS = 86_400_000;

const two = (value: number): string => String(value).padStart(2, "0");
const yearStart = (date: Date): number => Date.UTC(date.getUTCFullYear(), 0, 1);
const dayOfYear = (date: Date): number => Math.floor((date.getTime() - yearStart(date)) / DAY_MS);
const hour12 = (date: Date): number => date.getUTCHours() % 12 || 12;
/** Weeks of the year that have begun, counted from a day of the week. */
const week = (date: Date, first: number): number =>
  Math.floor((dayOfYear(date) + 7 - ((date.getUTCDay() + 7 - first) % 7)) / 7);

/** The week and its year by ISO 8601: the one that its Thursday is in. */
function isoWeek(date: Date): { readonly year: number; readonly week: number } {
  const thursday = new Date(date.getTime() + (4 - (date.getUTCDay() || 7)) * DAY_MS);
  return { year: thursday.getUTCFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}

const WRITERS: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => String(date.getUTCFullYear()).padStart(4, "0"),
  y: (date) => two(date.getUTCFullYear() % 100),
  C: (date) => two(Math.floor(date.getUTCFullYear() / 100)),
  m: (date) => two(date.getUTCMonth() + 1),
  d: (date) => two(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2),
  H: (date) => two(date.getUTCHours()),
  I: (date) => two(hour12(date)),
  M: (date) => two(date.getUTCMinutes()),
  S: (date) => two(date.getUTCSeconds()),
  f: (date) => `${String(date.getUTCMilliseconds()).padStart(3, "0")}000`,
  p: (date) => (date.getUTCHours() < 12 ? "AM" : "PM"),
  j: (date) => String(dayOfYear(date) + 1).padStart(3, "0"),
  a: (date) => (DAYS[date.getUTCDay()] ?? "").slice(0, 3),
  A: (date) => DAYS[date.getUTCDay()] ?? "",
  b: (date) => (MONTHS[date.getUTCMonth()] ?? "").slice(0, 3),
  h: (date) => (MONTHS[date.getUTCMonth()] ?? "").slice(0, 3),
  B: (date) => MONTHS[date.getUTCMonth()] ?? "",
  u: (date) => String(date.getUTCDay() || 7),
  w: (date) => String(date.getUTCDay()),
  U: (date) => two(week(date, 0)),
  W: (date) => two(week(date, 1)),
  G: (date) => String(isoWeek(date).year),
  V: (date) => two(isoWeek(date).week),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  z: () => "+0000",
  Z: () => "UTC",
  F: (date) => formatDate(date, "%Y-%m-%d"),
  D: (date) => formatDate(date, "%m/%d/%y"),
  T: (date) => formatDate(date, "%H:%M:%S"),
  R: (date) => formatDate(date, "%H:%M"),
  "%": () => "%",
};

/** The place of a letter that has no meaning behind "%"; -1 if all have one. */
export function unknownDateLetter(format: string): number {
  for (const { index, 1: letter = "" } of format.matchAll(/%(.?)/gsu))
    if (!Object.hasOwn(WRITERS, letter)) return index;
  return -1;
}

/** Writes a date. */
export function formatDate(date: Date, format: string): string {
  return format.replace(/%(.)/gsu, (whole, letter: string) => WRITERS[letter]?.(date) ?? whole);
}

/** A date of a field: "20260722", or seconds since the epoch. */
export function toDate(value: string | number): Date | undefined {
  const match = typeof value === "string" ? /^(\d{4})(\d{2})(\d{2})$/.exec(value) : undefined;
  const date =
    typeof value === "number"
      ? new Date(value * 1000)
      : match
        ? new Date(Date.UTC(Number(match[1]), Number(match[2]) - 1, Number(match[3])))
        : undefined;
  return date && !Number.isNaN(date.getTime()) ? date : undefined;
}
