/** How the programs did in a contest: every run, the medians, and the ratios of Snatch to the others. */
import { median } from "../test/support/median.ts";
import type { ProgramName } from "./contestants.ts";
import type { Sample } from "./measure.ts";
import { megabytes } from "./row.ts";

/** What one program did. */
interface Result {
  readonly name: ProgramName;
  readonly samples: Sample[];
  /** Why it takes part no longer. */
  problem?: string;
}

/** The runs of one contest. */
export class Standings {
  readonly title: string;
  readonly #results: readonly Result[];
  /** Why there were fewer rounds than asked for. */
  shortened: string | undefined;

  constructor(title: string, names: readonly ProgramName[]) {
    this.title = title;
    this.#results = names.map((name) => ({ name, samples: [] }));
  }

  add(name: ProgramName, sample: Sample): void {
    this.#of(name).samples.push(sample);
  }

  /** The program could not do it, and is not asked again. */
  fail(name: ProgramName, problem: string): void {
    this.#of(name).problem ??= problem;
  }

  hasFailed(name: ProgramName): boolean {
    return this.#of(name).problem !== undefined;
  }

  /** True if every program did what it was asked for. */
  get complete(): boolean {
    return this.#results.every(({ samples, problem }) => problem === undefined && samples.length > 0);
  }

  /** The median of a figure; NaN if there is none, or the program failed. */
  median(name: ProgramName, pick: (sample: Sample) => number): number {
    const { samples, problem } = this.#of(name);
    return samples.length === 0 || problem !== undefined ? Number.NaN : median(samples.map(pick));
  }

  /** The largest of a figure; NaN as above. */
  worst(name: ProgramName, pick: (sample: Sample) => number): number {
    const { samples, problem } = this.#of(name);
    return samples.length === 0 || problem !== undefined ? Number.NaN : Math.max(...samples.map(pick));
  }

  /** Snatch's median to that of another program. */
  ratio(other: ProgramName, pick: (sample: Sample) => number): number {
    return this.median("snatch", pick) / this.median(other, pick);
  }

  /** For people. */
  lines(): string[] {
    const lines = ["  program   wall s  cpu s  peak MB  runs (wall s)"];
    for (const { name, samples, problem } of this.#results) {
      const [wall, cpu] = [this.median(name, (run) => run.wall), this.median(name, (run) => run.cpu)];
      const memory = megabytes(this.median(name, (run) => run.memory))
        .toFixed(1)
        .padStart(7);
      const runs = samples.map((run) => run.wall.toFixed(2)).join(" ");
      lines.push(
        problem === undefined
          ? `  ${name.padEnd(8)} ${wall.toFixed(3).padStart(7)} ${cpu.toFixed(2).padStart(6)}  ${memory}  ${runs}`
          : `  ${name.padEnd(8)} failed: ${problem}`,
      );
    }
    for (const { name } of this.#results.slice(1)) {
      const ratio = (pick: (run: Sample) => number): string => this.ratio(name, pick).toFixed(2);
      const [wall, cpu, memory] = [ratio((run) => run.wall), ratio((run) => run.cpu), ratio((run) => run.memory)];
      lines.push(`  snatch ÷ ${name.padEnd(6)}  wall ${wall}, cpu ${cpu}, memory ${memory}`);
    }
    return [...lines, ...(this.shortened === undefined ? [] : [`  ${this.shortened}`])];
  }

  toJSON(): unknown {
    return { title: this.title, shortened: this.shortened, results: this.#results };
  }

  #of(name: ProgramName): Result {
    const found = this.#results.find((result) => result.name === name);
    if (!found) throw new Error(`${name} takes no part in: ${this.title}`);
    return found;
  }
}
