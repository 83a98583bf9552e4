/**
 * A space that is eaten from its front: the queue, and the waiting sessions by time.
 *
 * A deleted entry costs LevelDB a step in every scan that passes it until it is compacted. After a hundred thousand
 * sessions each look at the front would pass them all; so the first key that can be there is remembered, and scans begin
 * at it.
 */
import type { KeyValue } from "../core/ports/key-value.ts";

/** Scans of one space that begin at its first entry. */
export class FrontIndex {
  readonly #store: KeyValue;
  readonly #space: string;
  /** Nothing is before it. */
  #front = "";
  /** Writes under way that put entries, which scans may not see yet. */
  #putting = 0;
  /** Counts the writes that put entries. */
  #puts = 0;

  constructor(store: KeyValue, space: string) {
    this.#store = store;
    this.#space = space;
  }

  /** Keys are about to be put. The returned function is called when the write has ended, in whichever way. */
  putting(keys: readonly string[]): () => void {
    for (const key of keys) if (key < this.#front) this.#front = key;
    this.#putting++;
    this.#puts++;
    return () => void this.#putting--;
  }

  /** The keys from the front on, before `lt`, which the caller may stop reading at any time. */
  async *keys(lt?: string): AsyncGenerator<string> {
    const from = this.#front;
    // An entry that was put before the scan but is not on the disk yet may lie before the first one found.
    const sure = this.#putting === 0;
    const puts = this.#puts;
    let first = true;
    for await (const [key] of this.#store.entries(this.#space, { gte: from, ...(lt !== undefined && { lt }) })) {
      // The same holds for one that was put since the scan began: it may be ahead of what the scan can see.
      if (first && sure && this.#puts === puts && this.#front === from) this.#front = key;
      first = false;
      yield key;
    }
  }
}
