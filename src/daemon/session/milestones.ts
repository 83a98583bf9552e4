/** Which milestones of progress a session passes. Kept in memory: a restart begins at what is recorded. */
import type { Session } from "../core/session.ts";
import { percentage } from "./codec.ts";

/** Remembers the highest milestone of sessions that make progress. */
export class Milestones {
  /** Percentages in ascending order. */
  readonly #steps: readonly number[];
  readonly #reached = new Map<string, number>();

  constructor(steps: readonly number[]) {
    this.#steps = steps.toSorted((a, b) => a - b);
  }

  /**
   * The milestones passed on the way from one state of a session to the next, lowest first. Progress that falls back, as
   * when the origin has a new version, passes them anew.
   */
  passed(before: Session, after: Session): readonly number[] {
    const { id } = after;
    const last = this.#reached.get(id) ?? this.#highest(percentage(before.progress));
    const now = percentage(after.progress);
    // Only active sessions are remembered: the others' progress stands still.
    if (after.status === "active") this.#reached.set(id, this.#highest(now));
    else this.#reached.delete(id);
    return this.#steps.filter((step) => step > last && step <= now);
  }

  forget(id: string): void {
    this.#reached.delete(id);
  }

  #highest(percent: number): number {
    return this.#steps.findLast((step) => step <= percent) ?? 0;
  }
}
