/**
 * `snatchctl completion SHELL`: the script that a shell sources, and the answers that this script asks for while a
 * person types. Both come from the definitions of the commands, so that no list of options is kept twice.
 */
import tab from "@bomb.sh/tab/commander";
import type { Command } from "commander";

/**
 * Handles `completion SHELL` and the script's own `complete -- WORDS`.
 *
 * @param program - all commands but these two, which are added to it here
 */
export async function completion(program: Command, words: readonly string[]): Promise<number> {
  tab(program, { completionCommandName: "completion" });
  await program.parseAsync(words, { from: "user" });
  return 0;
}
