/** What all definitions of commands share: how an action is run, and how examples are written into the help. */
import type { Command } from "commander";
import type { Globals } from "./globals.ts";

/** Where an action leaves its exit code. */
export interface Outcome {
  exit: number;
}

/** Makes commander's action of a body that takes the options (global ones included) and then the operands. */
export function action<F extends Globals, A extends readonly unknown[]>(
  outcome: Outcome,
  body: (flags: F, ...operands: A) => Promise<number>,
): (...values: unknown[]) => Promise<void> {
  return async (...values) => {
    const command = values.at(-1) as Command;
    outcome.exit = await body(command.optsWithGlobals() as F, ...(values.slice(0, -2) as unknown as A));
  };
}

/** Adds examples to the help of a command: what is typed, and what it does. */
export function examples(command: Command, ...lines: ReadonlyArray<readonly [typed: string, does: string]>): Command {
  const width = Math.max(...lines.map(([typed]) => typed.length));
  const texts = lines.map(([typed, does]) =>
    width > 44 ? `  ${typed}\n      ${does}` : `  ${typed.padEnd(width)}   ${does}`,
  );
  return command.addHelpText("after", `\nExamples:\n${texts.join("\n")}`);
}
