/** The commands about feeds that are followed. Each action loads its own module. */
import type { Command } from "commander";
import type { FeedFlags } from "./commands/feed.ts";
import { action, examples, type Outcome } from "./definitions.ts";
import type { Globals } from "./globals.ts";

/** feed add, list, rm and poll. */
export function defineFeed(program: Command, outcome: Outcome): void {
  const load = () => import("./commands/feed.ts");
  const feed = program
    .command("feed")
    .summary("follow feeds: what is new in them is downloaded")
    .description(
      "Follows podcasts and other feeds (RSS, Atom, JSON Feed). Each episode is fetched once, whatever becomes of its URL. " +
        "Files are only removed with --delete-old. All downloads of a feed are in the batch that has the feed's id.",
    );
  feed
    .command("add <url>")
    .description(
      "Follows a feed, or changes how it is followed. The first poll is at once; only what is new is fetched by later ones.",
    )
    .option("--every <duration>", "the time between two polls: 30m, 1h, 1d", "1h")
    .option("--keep <n>", "only the newest so many episodes count; older ones are not fetched. Files stay")
    .option(
      "--delete-old",
      "remove files that this feed brought and that nobody changed, when they are not among the newest --keep any more",
    )
    .option("--newest <n>", "of the episodes that are there already, the newest so many; default: as many as are kept")
    .option("-d, --dir <folder>", "the folder for the files")
    .option("--template <template>", "the files' names: '%(title)s [%(id)s].%(ext)s'; may name folders")
    .option("--format <format>", "the format wanted: bestaudio, best, or a preset of the configuration")
    .option("--quality <quality>", "the quality wanted: 128k, 720p, the nearest at or below it")
    .option("--header <field>", "a header field for the feed's own origin, 'Name: value'; repeatable", collect)
    .option("--no-tags", "without tags, chapters and cover")
    .action(action(outcome, async (flags: FeedFlags, url: string) => (await load()).add(flags, url)));
  feed
    .command("list")
    .description("Shows the feeds.")
    .action(action(outcome, async (flags: Globals) => (await load()).list(flags)));
  feed
    .command("rm <feed>")
    .description("Follows a feed no more: its URL, its id or the beginning of that. What it brought stays.")
    .action(action(outcome, async (flags: Globals, name: string) => (await load()).remove(flags, name)));
  feed
    .command("poll [feed]")
    .description(
      "Asks a feed now, or all of them, and says how many episodes are new. Exits with 4 if one cannot be read.",
    )
    .action(action(outcome, async (flags: Globals, name: string | undefined) => (await load()).poll(flags, name)));
  examples(
    feed,
    ["snatchctl feed add https://example.org/podcast.rss --every 1h --newest 3 -d ~/podcasts", "follow one"],
    ["snatchctl feed add https://example.org/news.rss --keep 5 --delete-old", "never more than five files"],
    ["snatchctl feed poll", "is there anything new?"],
  );
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
