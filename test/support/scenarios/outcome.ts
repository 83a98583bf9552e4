/** What a scenario found: its verdict, and the figures behind it. */

/** `values` are printed in their order; `problem` says what is wrong when `ok` is false. */
export interface Outcome {
  readonly ok: boolean;
  readonly values: Readonly<Record<string, string | number>>;
}

/** Gathers figures and what is wrong with them. */
export class Findings {
  readonly #values: Record<string, string | number> = {};
  readonly #problems: string[] = [];

  /** Keeps a figure. */
  note(name: string, value: string | number): void {
    this.#values[name] = value;
  }

  /** Something that has to be so. */
  expect(condition: boolean, problem: string): void {
    if (!condition) this.#problems.push(problem);
  }

  /** The verdict over all of it. */
  outcome(): Outcome {
    const ok = this.#problems.length === 0;
    return { ok, values: { ...this.#values, ...(!ok && { PROBLEM: this.#problems.join("; ") }) } };
  }
}

/** Runs several, one after the other, as one: their figures stand under the names that they are given. */
export async function inTurn(parts: Readonly<Record<string, () => Promise<Outcome>>>): Promise<Outcome> {
  const outcomes: Outcome[] = [];
  for (const [part, run] of Object.entries(parts)) {
    const { ok, values } = await run();
    outcomes.push({
      ok,
      values: Object.fromEntries(Object.entries(values).map(([name, value]) => [`${part}: ${name}`, value])),
    });
  }
  return { ok: outcomes.every(({ ok }) => ok), values: Object.assign({}, ...outcomes.map(({ values }) => values)) };
}
