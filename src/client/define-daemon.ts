/** The commands about the daemon itself: its process, its configuration, its watch folders and its records. */
import { Argument, type Command } from "commander";
import type { ShowFlags } from "./commands/config.ts";
import type { LogFlags } from "./commands/logs.ts";
import type { AddFlags } from "./commands/watch-folder.ts";
import { action, examples, type Outcome } from "./definitions.ts";
import type { Globals } from "./globals.ts";

/** config, watch-folder, sessions, cache, daemon and doctor. */
export function defineDaemon(program: Command, outcome: Outcome): void {
  defineProcess(program, outcome);
  defineConfig(program, outcome);
  defineWatchFolder(program, outcome);
  defineSessions(program, outcome);
  defineCache(program, outcome);
  const doctor = program
    .command("doctor")
    .summary("find out what does not work, and why")
    .description(
      "Checks folders and their rights, FFmpeg, the network, plugins, disk and memory. Works without a daemon and with a " +
        "configuration that keeps it from starting. Exits with 12 if the configuration is broken, with 1 if another check failed.",
    )
    .action(action(outcome, async (flags: Globals) => (await import("./commands/doctor.ts")).doctor(flags)));
  examples(
    doctor,
    ["snatchctl doctor", "everything"],
    ["snatchctl doctor --quiet", "only what is not as it should be"],
  );
}

function defineConfig(program: Command, outcome: Outcome): void {
  const load = () => import("./commands/config.ts");
  const config = program
    .command("config")
    .summary("read and change the configuration")
    .description("Reads and changes the configuration of the daemon.");
  config
    .command("show")
    .description("Shows every value in force.")
    .option("--origin", "and where it came from: default, file, environment or flag")
    .action(action(outcome, async (flags: ShowFlags) => (await load()).show(flags)));
  config
    .command("get <key>")
    .description("Prints one value, or all below a key.")
    .action(action(outcome, async (flags: Globals, key: string) => (await load()).get(flags, key)));
  config
    .command("set <key> <value>")
    .description("Writes a value into the configuration file and puts it in force. The value is JSON, or else text.")
    .action(
      action(outcome, async (flags: Globals, key: string, value: string) => (await load()).set(flags, key, value)),
    );
  config
    .command("unset <key>")
    .description("Takes a value out of the configuration file: the default holds again.")
    .action(action(outcome, async (flags: Globals, key: string) => (await load()).set(flags, key, undefined)));
  config
    .command("path")
    .description("Prints where the configuration file is, whether it exists or not.")
    .action(action(outcome, async (flags: Globals) => (await load()).path(flags)));
  examples(
    config,
    ["snatchctl config show --origin", "what holds, and why"],
    ["snatchctl config set max_concurrent_downloads 5", "change a value"],
    ["snatchctl config get chunk_size", "for scripts"],
  );
}

function defineWatchFolder(program: Command, outcome: Outcome): void {
  const load = () => import("./commands/watch-folder.ts");
  const folder = program
    .command("watch-folder")
    .summary("folders in which a dropped list becomes downloads")
    .description(
      "A list (.txt or .urls, gzip too) that is dropped into a watch folder is taken once it is whole: one URL a line. It then " +
        "moves to done/, refused lines go to rejected/, and each line's outcome to done/NAME.report.jsonl.",
    );
  folder
    .command("list")
    .description("Shows the folders.")
    .action(action(outcome, async (flags: Globals) => (await load()).list(flags)));
  folder
    .command("add <path>")
    .description("Watches one more folder, which is made if it does not exist.")
    .option("-d, --dir <folder>", "where the files of its lists go")
    .action(action(outcome, async (flags: AddFlags, path: string) => (await load()).add(flags, path)));
  folder
    .command("rm <path>")
    .description("Stops watching a folder. The folder stays, with all that it led to.")
    .action(action(outcome, async (flags: Globals, path: string) => (await load()).remove(flags, path)));
  examples(
    folder,
    ["snatchctl watch-folder list", "which folders are watched"],
    ["snatchctl watch-folder add ~/lists -d ~/isos", "watch one more"],
  );
}

function defineSessions(program: Command, outcome: Outcome): void {
  const load = () => import("./commands/sessions.ts");
  const sessions = program
    .command("sessions")
    .summary("carry sessions from one daemon to another")
    .description("Writes all sessions out as lines of JSON, and takes them in again.");
  sessions
    .command("export")
    .argument("[file]", "'-' is stdout", "-")
    .description("Writes every session, one object a line.")
    .action(action(outcome, async (flags: Globals, file: string) => (await load()).exportSessions(flags, file)));
  sessions
    .command("import <file>")
    .description("Takes in what an export wrote ('-' is stdin). Sessions that are there already are left alone.")
    .action(action(outcome, async (flags: Globals, file: string) => (await load()).importSessions(flags, file)));
  examples(
    sessions,
    ["snatchctl sessions export sessions.jsonl", "keep a copy"],
    ["snatchctl sessions import sessions.jsonl", "take it in again"],
  );
}

function defineCache(program: Command, outcome: Outcome): void {
  const load = () => import("./commands/cache.ts");
  const cache = program
    .command("cache")
    .summary("what is kept so that it need not be fetched again")
    .description(
      "Shows what the caches hold, and gives their room back. Nothing in them is lost for good, and what a running " +
        "download uses stays. The daemon cleans and compacts by itself (cache.cleanup, cache.compact).",
    );
  cache
    .command("stats")
    .description("Shows what is kept of each kind, and how much it was of use since the daemon started.")
    .action(action(outcome, async (flags: Globals) => (await load()).stats(flags)));
  cache
    .command("clean")
    .description("Removes what is stale, and says what that freed.")
    .action(action(outcome, async (flags: Globals) => (await load()).clean(flags)));
  cache
    .command("compact")
    .description("Gives back room that is not used any more, in the cache's folder and in the database.")
    .action(action(outcome, async (flags: Globals) => (await load()).compact(flags)));
  cache
    .command("clear")
    .description("Removes everything, or everything of a kind.")
    .addArgument(new Argument("[kind]", "what").choices(["metadata", "thumbnails", "fragments", "sessions"]))
    .action(action(outcome, async (flags: Globals, kind: string | undefined) => (await load()).clear(flags, kind)));
  examples(
    cache,
    ["snatchctl cache stats", "how much is kept, and is it of use?"],
    ["snatchctl cache clear thumbnails", "remove everything of a kind"],
  );
}

function defineProcess(program: Command, outcome: Outcome): void {
  const load = () => import("./commands/daemon.ts");
  const daemon = program
    .command("daemon")
    .summary("start, stop and look at the daemon")
    .description("Starts, stops and looks at the daemon.");
  daemon
    .command("start")
    .description("Starts the daemon in the background, if it does not run.")
    .action(action(outcome, async (flags: Globals) => (await load()).start(flags)));
  daemon
    .command("stop")
    .description("Ends the daemon and waits until it is gone. Unfinished downloads keep their place.")
    .action(action(outcome, async (flags: Globals) => (await load()).stop(flags)));
  daemon
    .command("status")
    .description("Shows how the daemon is. Exits with 8 if none runs.")
    .action(action(outcome, async (flags: Globals) => (await load()).status(flags)));
  daemon
    .command("logs")
    .description("Shows the newest lines of the daemon's log.")
    .option("-f, --follow", "and those that come, until Ctrl-C")
    .option("-n, --lines <n>", "how many lines", "50")
    .action(action(outcome, async (flags: LogFlags) => (await import("./commands/logs.ts")).logs(flags)));
  daemon
    .command("reload")
    .description("Lets the daemon read its configuration again, and shows what changed.")
    .action(action(outcome, async (flags: Globals) => (await load()).reload(flags)));
  examples(
    daemon,
    ["snatchctl daemon status", "does it run, and what does it do?"],
    ["snatchctl daemon logs -f", "what it says"],
    ["snatchctl daemon stop", "end it"],
  );
}

/** completion, and what the shells' scripts call. `others` makes a program with all commands but these. */
export function defineCompletion(program: Command, outcome: Outcome, others: () => Command): void {
  const load = () => import("./commands/completion.ts");
  const completion = program
    .command("completion")
    .summary("complete commands and options in the shell")
    .description("Prints a script that makes the shell complete commands and options.")
    .addArgument(new Argument("<shell>", "the shell").choices(["bash", "zsh", "fish"]))
    .action(
      action(outcome, async (_flags: Globals, shell: string) =>
        (await load()).completion(others(), ["completion", shell]),
      ),
    );
  examples(
    completion,
    ["source <(snatchctl completion bash)", "for this shell, or in ~/.bashrc"],
    ["source <(snatchctl completion zsh)", "for this shell, or in ~/.zshrc"],
    ["snatchctl completion fish | source", "for this shell, or in config.fish"],
  );
  program
    .command("complete [word...]", { hidden: true })
    .allowUnknownOption()
    .action(
      action(outcome, async (_flags: Globals, words: string[]) =>
        (await load()).completion(others(), ["complete", "--", ...words]),
      ),
    );
}
