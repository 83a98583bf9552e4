/** Progress of work in several stages as one number that never goes back. */
import type { AudioProgress } from "./types.ts";

/** Shares of the whole, by stage, in their order. */
export class Stages {
  readonly #report: ((progress: AudioProgress) => void) | undefined;
  readonly #starts = new Map<string, readonly [start: number, share: number]>();
  #percent = 0;

  /** @param shares - how long each takes, in any unit */
  constructor(report: ((progress: AudioProgress) => void) | undefined, shares: Readonly<Record<string, number>>) {
    this.#report = report;
    const total = Object.values(shares).reduce((sum, share) => sum + share, 0);
    let start = 0;
    for (const [stage, share] of Object.entries(shares)) {
      const part = (100 * share) / total;
      this.#starts.set(stage, [start, part]);
      start += part;
    }
  }

  /** How far a stage is. @param name - what is reported; default: the stage */
  at(stage: string, percent: number | undefined, etaSeconds?: number, name = stage): void {
    const [start, share] = this.#starts.get(stage) ?? [this.#percent, 0];
    this.#percent = Math.max(this.#percent, start + (share * Math.min(percent ?? 0, 100)) / 100);
    this.#report?.({ stage: name, percent: this.#percent, ...(etaSeconds !== undefined && { etaSeconds }) });
  }
}
