/** Whether one more peer would bring more: it is tried out, and what the last one has brought is remembered for a while. */

/** Milliseconds for which a number of peers has to stand before its rate says something. */
const STEADY_MS = 3000;

/** Milliseconds after which it is tried out again. */
const STALE_MS = 60_000;

/** What one more has to bring at least. */
const WORTHWHILE = 1.05;

/** Watches the rate by the number of peers. */
export class Appetite {
  readonly #seen = new Map<number, { readonly rate: number; readonly at: number }>();
  #peers = 0;
  #since = 0;

  /**
   * Looks at how it goes.
   *
   * @param now - milliseconds that never go back
   * @param peers - that give now
   * @param rate - of all of them, bytes a second
   * @returns false if the last one brought nothing
   */
  helps(now: number, peers: number, rate: number): boolean {
    if (peers !== this.#peers) {
      this.#peers = peers;
      this.#since = now;
      return true;
    }
    if (now - this.#since < STEADY_MS) return true;
    const before = this.#seen.get(peers - 1);
    const known = this.#seen.get(peers);
    // Looked at once: who keeps on looking would never see it stale.
    if (known === undefined || now - known.at >= STALE_MS) this.#seen.set(peers, { rate, at: now });
    if (before === undefined || known === undefined) return true;
    if (now - known.at >= STALE_MS) return true;
    return known.rate >= WORTHWHILE * before.rate;
  }
}
