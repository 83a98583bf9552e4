/**
 * Places in the queue: strings whose order is that of the queue, with room for another one between any two.
 *
 * A place is a number of fixed width in base 36, so that one more can go before the first and after the last; between two
 * neighbours digits are added, as in a decimal fraction. A move then rewrites one session and no other.
 */

const BASE = 36;
const WIDTH = 9;
/** The first place ever given; as many fit before it as after it. */
export const MIDDLE = BASE ** WIDTH / 2;

/** A place grown longer than this, by moves into the same gap again and again, calls for new ones. */
export const LONGEST_PLACE = 64;

/** The place of a whole number between 0 and 36^9. */
export function placeOf(number: number): string {
  return number.toString(BASE).padStart(WIDTH, "0");
}

/**
 * A place after `before` and before `after`, which is greater.
 *
 * @returns undefined if there is none: they are equal, or of another maker
 */
export function placeBetween(before: string, after: string): string | undefined {
  if (before >= after) return undefined;
  let shared = "";
  for (let at = 0; ; at++) {
    const low = digit(before, at);
    // Once the result is below `after`, `after` bounds it no more.
    const high = after.startsWith(shared) ? (at < after.length ? digit(after, at) : 0) : BASE;
    if (high - low > 1) return shared + ((low + high) >> 1).toString(BASE);
    shared += low.toString(BASE);
    if (at > before.length + after.length) return undefined;
  }
}

const digit = (place: string, at: number): number =>
  at < place.length ? Number.parseInt(place[at] as string, BASE) : 0;
