/**
 * Dates of HTTP, read strictly. `Date.parse` takes far too much for a date ("-5" is one), and reads the asctime form in
 * the local time zone, so the three forms of RFC 9110 §5.6.7 are matched here.
 */

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const TIME = "(\\d{2}):(\\d{2}):(\\d{2})";

const IMF_FIXDATE = new RegExp(`^${DAY}, (\\d{2}) ([A-Z][a-z]{2}) (\\d{4}) ${TIME} GMT$`);
const RFC_850 = new RegExp(`^${DAY}[a-z]*, (\\d{2})-([A-Z][a-z]{2})-(\\d{2}) ${TIME} GMT$`);
const ASCTIME = new RegExp(`^${DAY} ([A-Z][a-z]{2}) ([ \\d]\\d) ${TIME} (\\d{4})$`);

/**
 * Reads an HTTP-date. A year of two digits that would lie more than 50 years ahead is one of the last century.
 *
 * @returns milliseconds since the epoch; undefined for anything else, also for a day that its month does not have
 */
export function parseHttpDate(value: string | undefined, now: number = Date.now()): number | undefined {
  const text = value?.trim() ?? "";
  let found = IMF_FIXDATE.exec(text);
  if (found) return at(found[3], found[2], found[1], found.slice(4));
  found = RFC_850.exec(text);
  if (found) {
    const thisYear = new Date(now).getUTCFullYear();
    const year = Math.floor(thisYear / 100) * 100 + Number(found[3]);
    return at(String(year > thisYear + 50 ? year - 100 : year), found[2], found[1], found.slice(4));
  }
  found = ASCTIME.exec(text);
  return found ? at(found[6], found[1], found[2]?.trim(), found.slice(3, 6)) : undefined;
}

function at(
  year: string | undefined,
  month: string | undefined,
  day: string | undefined,
  time: string[],
): number | undefined {
  const [hour = 0, minute = 0, second = 0] = time.map(Number);
  const monthIndex = MONTHS.indexOf(month ?? "");
  // A leap second is a second of the next minute here, as in POSIX time.
  if (monthIndex < 0 || hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), monthIndex, Number(day));
  if (date.getUTCDate() !== Number(day)) return undefined;
  return date.setUTCHours(hour, minute, second);
}
