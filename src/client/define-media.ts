/** The commands about media: what there is, before it is fetched. Each action loads its own module. */
import type { Command } from "commander";
import type { FormatsFlags } from "./commands/formats.ts";
import { action, examples, type Outcome } from "./definitions.ts";

/** formats. */
export function defineMedia(program: Command, outcome: Outcome): void {
  const formats = program
    .command("formats <url>")
    .summary("show the formats of media, and which would be fetched")
    .description(
      "Shows in which formats the media of a page, playlist, manifest or file can be had, the best first. What `get` " +
        "would fetch with the same --format and --quality is marked by a star. Nothing of it is fetched. Exits with 0, " +
        "or with the code of what would keep `get` from it. docs/FORMATS.md has the grammar.",
    )
    .option(
      "--format <format>",
      "the format wanted, in yt-dlp's words: bestaudio, 'bv*[height<=720]+ba/b'; or a preset",
    )
    .option("--quality <quality>", "the quality wanted: 320k, 720p, the nearest at or below it; or fields to sort by")
    .option("--subs <languages>", "subtitles in these languages: en,de-*; or all")
    .option("--header <field>", "a header field for the URL's own origin, 'Name: value'; repeatable", collect)
    .option("--timeout <duration>", "longest time without a byte: 30s, 5m")
    .action(
      action(outcome, async (flags: FormatsFlags, url: string) =>
        (await import("./commands/formats.ts")).formats(flags, url),
      ),
    );
  examples(
    formats,
    ["snatchctl formats https://example.org/film", "what there is"],
    ["snatchctl formats --format 'bv*[height<=720]+ba' https://example.org/film.mpd", "what that would fetch"],
  );
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
