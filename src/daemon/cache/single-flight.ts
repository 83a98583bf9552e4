/**
 * Many callers who want the same thing at the same time share one making of it. Whoever gives up leaves the others alone;
 * when nobody is left who waits, the work is called off.
 */

interface Flight<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

/** Work under way, by what it makes. */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /**
   * Joins the work for `key`, or begins it.
   *
   * @param signal - of this caller only: rejects with its reason
   * @param work - called if nobody is at it; its signal aborts when the last caller has given up
   */
  async run(key: string, signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal?.throwIfAborted();
    const flight = this.#flights.get(key) ?? this.#begin(key, work);
    flight.waiting++;
    const gaveUp = Promise.withResolvers<never>();
    const onAbort = (): void => gaveUp.reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([flight.result, gaveUp.promise]);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      flight.waiting--;
      if (flight.waiting === 0) {
        // Who comes now begins anew: this one may be on its way to fail.
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        flight.controller.abort(signal?.reason);
      }
    }
  }

  #begin(key: string, work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController();
    const result = work(controller.signal).finally(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    });
    // Nobody may be left to hear of it.
    result.catch(() => undefined);
    const flight: Flight<T> = { result, controller, waiting: 0 };
    this.#flights.set(key, flight);
    return flight;
  }
}
