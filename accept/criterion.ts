/** One line of an issue's "Done when", as something that can be run. */
import type { Outcome } from "../test/support/scenarios/outcome.ts";

/** Printed, run and recorded in the order of the list that it stands in. */
export interface Criterion {
  /** Its number in the issue. */
  readonly id: string;
  readonly title: string;
  run(): Promise<Outcome>;
}
