/** The `KeyValue` port in memory, for tests of what is built on it. The same contract suite as the real one's holds it. */
import type { KeyRange, KeyValue, Write } from "../../src/daemon/core/ports/key-value.ts";

const compare = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Spaces of strings that are gone with the process. */
export class MemoryKeyValue implements KeyValue {
  readonly #spaces = new Map<string, Map<string, string>>();

  async get(space: string, key: string): Promise<string | undefined> {
    return this.#spaces.get(space)?.get(key);
  }

  async getMany(space: string, keys: readonly string[]): Promise<(string | undefined)[]> {
    return keys.map((key) => this.#spaces.get(space)?.get(key));
  }

  async *entries(space: string, range: KeyRange = {}): AsyncGenerator<readonly [string, string]> {
    const { gt, gte, lt, lte } = range;
    const found = [...(this.#spaces.get(space) ?? [])]
      .filter(
        ([key]) =>
          (gt === undefined || compare(key, gt) > 0) &&
          (gte === undefined || compare(key, gte) >= 0) &&
          (lt === undefined || compare(key, lt) < 0) &&
          (lte === undefined || compare(key, lte) <= 0),
      )
      .sort(([a], [b]) => (range.reverse ? compare(b, a) : compare(a, b)));
    yield* found.slice(0, range.limit ?? found.length);
  }

  async write(writes: readonly Write[]): Promise<void> {
    // Later, as with a disk: what is built on it must not count on the write being there at once.
    await Promise.resolve();
    for (const write of writes) {
      const space = this.#spaces.get(write.space) ?? new Map<string, string>();
      this.#spaces.set(write.space, space);
      if (write.type === "put") space.set(write.key, write.value);
      else space.delete(write.key);
    }
  }
}
