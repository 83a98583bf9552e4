/** The commands that ask for files and look at what became of them. Each action loads its own module. */
import { type Command, Option } from "commander";
import type { ListFlags } from "./commands/list.ts";
import type { SteerFlags } from "./commands/steer.ts";
import { action, examples, type Outcome } from "./definitions.ts";
import type { Globals } from "./globals.ts";
import type { OrderFlags } from "./order.ts";

const STATUSES = ["queued", "waiting", "active", "paused", "completed", "failed", "cancelled"];

/** get, add, list, show, watch and what steers. */
export function defineDownloads(program: Command, outcome: Outcome): void {
  const get = orderOptions(program.command("get [url...]").summary("fetch files and wait for them"))
    .description(
      "Fetches files and waits until every one of them is whole, verified and in place. Several URLs are separate downloads. " +
        "Exits with 0 only then; else with the code of the first failure. Ctrl-C pauses and says how to go on; a second " +
        "Ctrl-C leaves at once. If no daemon runs, one is started in the background.",
    )
    .action(
      action(outcome, async (flags: OrderFlags & Globals, urls: string[]) =>
        (await import("./commands/get.ts")).get(flags, urls),
      ),
    );
  examples(
    get,
    ["snatchctl get https://example.org/a.iso", "into the daemon's download folder"],
    ["snatchctl get -d . https://example.org/a.iso", "into this folder"],
    [
      "snatchctl get -o b.iso --checksum sha-256=9f86… https://example.org/a.iso",
      "under this name, if the digest is right",
    ],
    ["snatchctl get -i list.txt --limit 5M", "every file of a list, each at 5 MiB/s at most"],
  );
  const add = orderOptions(program.command("add [url...]").summary("ask for files and do not wait"))
    .description(
      "Asks for files and does not wait for them. Prints the id of each session (of a list: the id of its batch) once it is " +
        "recorded durably. If no daemon runs, one is started in the background.",
    )
    .action(
      action(outcome, async (flags: OrderFlags & Globals, urls: string[]) =>
        (await import("./commands/add.ts")).add(flags, urls),
      ),
    );
  examples(
    add,
    ["snatchctl add https://example.org/a.iso", "queue one file"],
    ["snatchctl add -i list.txt -d ~/isos", "queue a list"],
    ["zcat list.gz | snatchctl add -i -", "queue what comes from a pipe"],
  );
  defineLooking(program, outcome);
  defineSteering(program, outcome);
}

function orderOptions(command: Command): Command {
  return command
    .option("-i, --input <list>", "a list of URLs instead, one a line, or a Metalink ('-' for stdin)")
    .option("-o, --output <file>", "the file's path, literally; for a single URL")
    .option("-d, --dir <folder>", "the folder for the files, which keep their own names")
    .option("--checksum <algorithm=hex>", "the digest that the file must have: sha-256, sha-512, sha-1 or md5")
    .option(
      "--checksum-file <url>",
      "a checksum file that names the file, also relative to its URL; auto: one beside it",
    )
    .option("--header <field>", "a header field for the URL's own origin, 'Name: value'; repeatable", collect)
    .option("--connections <n>", "connections at once for a file, at most")
    .option("--limit <rate>", "bytes a second for a file: 500K, 5M; off is unlimited")
    .option("--max-retries <n>", "how often a failed attempt is repeated")
    .option("--retry-delay <duration>", "the first delay before a repetition: 2s, 1m")
    .option("--timeout <duration>", "longest time without a byte: 30s, 5m")
    .addOption(
      new Option("--if-exists <policy>", "what to do about a file that is there and is not ours").choices([
        "rename",
        "skip",
        "overwrite",
      ]),
    )
    .option("--no-metalink", "fetch a Metalink itself, and not the file that it describes")
    .option("--force", "fetch even if the file was fetched before and is still there")
    .option(
      "--format <format>",
      "the format wanted, in yt-dlp's words: bestaudio, 'bv*[height<=720]+ba/b'; or a preset",
    )
    .option("--quality <quality>", "the quality wanted: 320k, 720p, the nearest at or below it")
    .option("--media", "look for media in whatever the URL leads to: a page, a playlist, a feed")
    .option("--no-media", "fetch a playlist, page or feed itself")
    .option("--template <template>", "the file's name: '%(title)s [%(id)s].%(ext)s'; may name folders")
    .option("--subs <languages>", "subtitles in these languages: en,de; or all")
    .option("--embed-subs", "put the subtitles into the file, not beside it")
    .option("--for <duration>", "how much of a live stream is recorded: 30m; default: until it ends")
    .option("--newest <n>", "of a playlist or feed, the newest so many")
    .option("--no-tags", "without tags, chapters and cover")
    .option("--share", "share the finished file; what came by a code is shared on by the same one")
    .option("--peer <host:port>", "of snatch:CODE: who else is asked; repeatable", collect)
    .option(
      "--audio <steps>",
      "what is done to its audio: normalize, normalize_podcast, denoise, denoise_light, denoise_heavy, upmix, enhance, " +
        "validate, replaygain or a filter's name; several with commas; none",
    );
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

function defineLooking(program: Command, outcome: Outcome): void {
  const list = program
    .command("list")
    .alias("ls")
    .summary("show sessions")
    .description("Shows sessions in the order in which they were made.")
    .addOption(new Option("--status <status>", "only those in this status").choices(STATUSES))
    .option("--batch <batch>", "only those of a batch")
    .option("--newest", "the newest first")
    .option("--limit <n>", "at most so many")
    .action(action(outcome, async (flags: ListFlags) => (await import("./commands/list.ts")).list(flags)));
  examples(
    list,
    ["snatchctl list", "all sessions"],
    ["snatchctl list --status failed", "what failed, and why"],
    ["snatchctl list --newest --limit 10", "the last ten"],
    ["snatchctl list --json | jq -r .path", "for scripts: one object a line"],
  );
  const show = program
    .command("show <id>")
    .summary("show one session in full")
    .description("Shows all that is known of one session. The first characters of its id are enough, at least 4.")
    .action(
      action(outcome, async (flags: Globals, id: string) => (await import("./commands/show.ts")).show(flags, id)),
    );
  examples(show, ["snatchctl show 3f2a9c1e", "where it stands, and why"]);
  const watch = program
    .command("watch [id...]")
    .summary("print events as they happen")
    .description(
      "Prints what happens to sessions, until Ctrl-C. If the daemon restarts, it goes on from the last event seen.",
    )
    .action(
      action(outcome, async (flags: Globals, ids: string[]) => (await import("./commands/watch.ts")).watch(flags, ids)),
    );
  examples(watch, ["snatchctl watch", "everything"], ["snatchctl watch --json 3f2a9c1e", "one session, for a script"]);
}

const STEERING = [
  [
    "pause",
    "stop downloads, keep what is there",
    "Stops downloads. What is on disk stays; `snatchctl resume` goes on from there.",
  ],
  [
    "resume",
    "go on with paused or waiting downloads",
    "Queues paused downloads, and those that wait for their next attempt, now.",
  ],
  ["cancel", "call downloads off", "Calls downloads off and removes their part files."],
  ["retry", "try failed downloads again", "Queues failed or cancelled downloads again. What is on disk is used."],
  [
    "rm",
    "forget sessions, keep finished files",
    "Forgets sessions, calling off what is unfinished. Finished files stay, and so do their receipts.",
  ],
] as const;

function defineSteering(program: Command, outcome: Outcome): void {
  for (const [name, summary, description] of STEERING) {
    const command = program
      .command(`${name} [id...]`)
      .summary(summary)
      .description(description)
      .option("--all", "all that this can apply to")
      .option("--batch <batch>", "all of a batch that this can apply to")
      .action(
        action(outcome, async (flags: SteerFlags, ids: string[]) =>
          (await import("./commands/steer.ts")).steer(name, flags, ids),
        ),
      );
    examples(
      command,
      [`snatchctl ${name} 3f2a9c1e`, "one session"],
      [`snatchctl ${name} --all`, "all that this can apply to"],
    );
  }
  const move = program
    .command("move <id> <place>")
    .summary("change a queued session's place")
    .description("Moves a queued session: top, up, down, bottom, or a place by its number (1 is the next to start).")
    .action(
      action(outcome, async (flags: Globals, id: string, place: string) =>
        (await import("./commands/steer.ts")).move(flags, id, place),
      ),
    );
  examples(move, ["snatchctl move 3f2a9c1e top", "the next to start"], ["snatchctl move 3f2a9c1e 5", "the fifth"]);
  const limit = program
    .command("limit <rate> [id]")
    .summary("limit the rate of all, or of one")
    .description(
      "Limits the bytes a second of all downloads together, or of one session. Holds at once. `off` is unlimited.",
    )
    .action(
      action(outcome, async (flags: Globals, rate: string, id: string | undefined) =>
        (await import("./commands/steer.ts")).limit(flags, rate, id),
      ),
    );
  examples(
    limit,
    ["snatchctl limit 5M", "5 MiB/s for everything"],
    ["snatchctl limit off 3f2a9c1e", "no limit for this one"],
  );
}
