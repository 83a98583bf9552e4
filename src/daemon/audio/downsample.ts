/**
 * A series of any length in a bounded number of columns: when there are too many, neighbours are merged in pairs and each
 * column stands for twice as much from then on. Nobody has to know the length beforehand, and memory stays flat.
 */

/** Takes items, keeps columns. */
export class Columns<T> {
  readonly #most: number;
  readonly #merge: (a: T, b: T) => T;
  #columns: T[] = [];
  /** Items of a column. */
  #stride = 1;
  #open: T | undefined;
  #inOpen = 0;

  /** @param most - columns, an even number. @param merge - makes one of two that cover the same length */
  constructor(most: number, merge: (a: T, b: T) => T) {
    this.#most = most;
    this.#merge = merge;
  }

  /** Items that a column stands for now; it only grows, by doubling. */
  get stride(): number {
    return this.#stride;
  }

  add(item: T): void {
    this.#open = this.#open === undefined ? item : this.#merge(this.#open, item);
    if (++this.#inOpen < this.#stride) return;
    this.#columns.push(this.#open);
    this.#open = undefined;
    this.#inOpen = 0;
    if (this.#columns.length < this.#most) return;
    this.#columns = Array.from({ length: this.#most / 2 }, (_, index) =>
      this.#merge(this.#columns[2 * index] as T, this.#columns[2 * index + 1] as T),
    );
    this.#stride *= 2;
  }

  /** All columns, the last one perhaps of fewer items. */
  result(): readonly T[] {
    return this.#open === undefined ? this.#columns : [...this.#columns, this.#open];
  }
}
