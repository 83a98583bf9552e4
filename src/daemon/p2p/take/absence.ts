/**
 * How long it is waited for peers while nobody is here. A code by which nobody was ever found may be a wrong one: that is said
 * soon. Whoever gave and has gone without a word (his machine sleeps, or starts anew) may well be back in some minutes: each
 * wait for him is longer than the one before, and none of them counts as a failed attempt until that time is over.
 */

/** Milliseconds until it is said that nobody is there. */
export const PATIENCE_MS = 30_000;

/** Milliseconds for which whoever gave may be away. */
const RETURN_MS = 15 * 60_000;

/** Milliseconds until the next wait of whoever has given up one. */
export const SOON_MS = 5000;

/** Since when nobody is here. All times by the monotonic clock. */
export class Absence {
  #since = 0;

  /** It begins now. */
  begin(now: number): void {
    this.#since = now;
  }

  /** True while somebody who was here may still come back. */
  mayEnd(now: number): boolean {
    return now - this.#since < RETURN_MS;
  }

  /** Milliseconds that a wait may still take. @param returns - somebody was here, and may come back */
  left(start: number, now: number, returns: boolean): number {
    const since = this.#since;
    if (!returns) return Math.min(since, start) + PATIENCE_MS - now;
    return since + Math.min(Math.max(PATIENCE_MS, 2 * (start - since)), RETURN_MS) - now;
  }

  /** Milliseconds until another wait is worth while for those who leave waiting to others. */
  next(now: number, returns: boolean): number {
    const gone = now - this.#since;
    return Math.max(returns ? Math.max(PATIENCE_MS, gone) : PATIENCE_MS - gone, SOON_MS);
  }
}
