/** Lengths of time, as pages and feeds write them. */

/** Nothing is longer than a year. */
const LONGEST = 366 * 86_400;

/** Seconds of an ISO 8601 duration (PT1H2M3.5S, P1DT2H); undefined if it is none. */
export function isoDuration(value: string | undefined): number | undefined {
  const found =
    /^P(?:(\d{1,4})W)?(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8}(?:[.,]\d{1,6})?)S)?)?$/i.exec(
      value?.trim() ?? "",
    );
  if (!found) return undefined;
  const [, weeks = "0", days = "0", hours = "0", minutes = "0", seconds = "0"] = found;
  const whole = ((Number(weeks) * 7 + Number(days)) * 24 + Number(hours)) * 60 + Number(minutes);
  return sane(whole * 60 + Number(seconds.replace(",", ".")));
}

/** Seconds of a normal play time: "90", "90.5", "1:30", "01:02:03.250" (RFC 2326 §3.6). */
export function playTime(value: string | undefined): number | undefined {
  const found = /^(?:(?:(\d{1,4}):)?(\d{1,5}):)?(\d{1,8}(?:\.\d{1,6})?)$/.exec(value?.trim() ?? "");
  if (!found) return undefined;
  const [, hours = "0", minutes = "0", seconds = "0"] = found;
  const total = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  return total <= LONGEST ? total : undefined;
}

const sane = (seconds: number): number | undefined => (seconds > 0 && seconds <= LONGEST ? seconds : undefined);
