/**
 * The command line of snatchctl: definitions only. What a command does is loaded when it is called, so that no command
 * pays for another one.
 */
import { Command, CommanderError, Option } from "commander";
import { EXIT } from "../shared/errors.ts";
import { VERSION } from "../shared/version.ts";
import { defineAudio } from "./define-audio.ts";
import { defineCompletion, defineDaemon } from "./define-daemon.ts";
import { defineDownloads } from "./define-downloads.ts";
import { defineFeed } from "./define-feed.ts";
import { defineMedia } from "./define-media.ts";
import { defineReceipts } from "./define-receipts.ts";
import { defineShare } from "./define-share.ts";
import { examples, type Outcome } from "./definitions.ts";
import type { Globals } from "./globals.ts";
import { reportFailure } from "./output.ts";

/**
 * Builds the command line.
 *
 * @param options.completion - false leaves out `completion`, for completion itself
 */
export function buildProgram(
  outcome: Outcome,
  options: { readonly completion: boolean } = { completion: true },
): Command {
  const program = new Command("snatchctl")
    .description("Asks the download daemon snatchd for files: right bytes, no lost URL, whatever happens in between.")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .option("--json", "one JSON object a line on stdout; errors as JSON on stderr")
    .option("--quiet", "say nothing but results that were asked for, and errors")
    .addOption(new Option("--address <address>", "where the daemon is: unix:/path or host:port (SNATCH_ADDRESS)"))
    .option("--token-file <file>", "file with the bearer token, for TCP (SNATCH_TOKEN_FILE)")
    .option("--tls-ca <file>", "certificates to trust instead of the system's, for TCP (SNATCH_TLS_CA)")
    .option("--home <folder>", "the folder that holds everything of the daemon (SNATCH_HOME)")
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError("(see --help)")
    .exitOverride();
  defineDownloads(program, outcome);
  defineMedia(program, outcome);
  defineFeed(program, outcome);
  defineShare(program, outcome);
  defineReceipts(program, outcome);
  defineAudio(program, outcome);
  defineDaemon(program, outcome);
  if (options.completion) defineCompletion(program, outcome, () => buildProgram({ exit: 0 }, { completion: false }));
  return examples(
    program,
    ["snatchctl get https://example.org/file.iso", "fetch a file and wait for it"],
    ["snatchctl add -i list.txt", "queue a list"],
    ["snatchctl list --status failed", "see what failed, and why"],
    ["snatchctl share holiday.mp4", "give a file to somebody by a code"],
    ["snatchctl doctor", "find out what does not work"],
  );
}

/** Runs a command line. @returns the exit code */
async function run(argv: readonly string[]): Promise<number> {
  const outcome: Outcome = { exit: EXIT.ok };
  const program = buildProgram(outcome);
  try {
    await program.parseAsync(argv);
    return outcome.exit;
  } catch (error) {
    // Help and version are not errors; what commander refuses has been said already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return reportFailure(error, program.opts<Globals>());
  }
}

/** Runs the command line and ends the process once everything is written. */
export async function main(argv: readonly string[]): Promise<void> {
  // `snatchctl list | head`: a reader that has seen enough is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) =>
    process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.fileSystem),
  );
  const exit = await run(argv);
  if (process.stdout.writableLength > 0) await new Promise((resolve) => process.stdout.write("", resolve));
  process.exit(exit);
}
