/**
 * Group commit: writes that wait at the same time share one write to the disk.
 *
 * A sync costs the same for one change as for a thousand, so that callers who come while one is under way are gathered
 * and go together in the next. The order of the calls is kept.
 */
import type { Write } from "../core/ports/key-value.ts";

/** Bounds of one shared write; a single call may be larger. */
const MOST_CHANGES = 20_000;

/** Puts changes on the disk, all or nothing. */
export type Commit = (writes: readonly Write[], sync: boolean) => Promise<void>;

interface Waiting {
  readonly writes: readonly Write[];
  readonly sync: boolean;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Gathers writes. */
export class GroupCommit {
  readonly #commit: Commit;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  /**
   * Resolves when the changes are on the disk. An empty list resolves when everything before it is.
   *
   * If the write fails, so does every call that waits behind it: a caller may have built on what it believed written.
   */
  write(writes: readonly Write[], sync: boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ writes, sync, resolve, reject });
    // Begun in a microtask: calls of the same tick go together from the first.
    this.#running ??= Promise.resolve().then(() => this.#run());
    return promise;
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#take();
      const writes = lastOfEach(group);
      try {
        if (writes.length > 0)
          await this.#commit(
            writes,
            group.some((call) => call.sync),
          );
        for (const call of group) call.resolve();
      } catch (error) {
        const failed = [...group, ...this.#waiting];
        this.#waiting = [];
        for (const call of failed) call.reject(error);
      }
    }
    this.#running = undefined;
  }

  /** The calls that go together next, at least one. */
  #take(): Waiting[] {
    let changes = 0;
    let count = 0;
    for (const call of this.#waiting) {
      changes += call.writes.length;
      if (count > 0 && changes > MOST_CHANGES) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }
}

/**
 * The changes of a group, of each key the last one only: the group is written as one, so nobody ever sees the others. What
 * all callers count in the same entry is written once for all of them.
 */
function lastOfEach(group: readonly Waiting[]): readonly Write[] {
  const [first] = group;
  if (first && group.length === 1) return first.writes;
  const spaces = new Map<string, Map<string, Write>>();
  for (const { writes } of group)
    for (const write of writes) {
      const keys = spaces.get(write.space);
      if (keys === undefined) spaces.set(write.space, new Map([[write.key, write]]));
      else keys.set(write.key, write);
    }
  const last: Write[] = [];
  for (const keys of spaces.values()) for (const write of keys.values()) last.push(write);
  return last;
}
