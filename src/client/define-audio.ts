/** The commands about the audio of files. Each action loads its own module. */
import { type Command, Option } from "commander";
import type { AudioFlags, AudioVerb } from "./commands/audio.ts";
import { action, examples, type Outcome } from "./definitions.ts";
import type { Globals } from "./globals.ts";

type Shape = (command: Command) => Command;

const STRENGTHS = ["light", "medium", "heavy"];
const same: Shape = (command) => command;

const loudness: Shape = (command) =>
  command
    .option("--lufs <lufs>", "integrated loudness to reach, such as -14")
    .option("--true-peak <dBTP>", "peaks stay below it, such as -1");

interface Definition {
  readonly verb: AudioVerb;
  readonly summary: string;
  readonly description: string;
  /** It makes files. */
  readonly makes: boolean;
  readonly options: Shape;
  readonly examples: ReadonlyArray<readonly [string, string]>;
}

const DEFINITIONS: readonly Definition[] = [
  {
    verb: "normalize",
    summary: "bring files to a loudness",
    description:
      "Brings files to a loudness (EBU R128), measured again until it is right; peaks are limited only where they must be. " +
      "Files that are right already are left alone.",
    makes: true,
    options: (command) =>
      loudness(command)
        .addOption(new Option("--preset <preset>", "-14 LUFS, or -16 for speech").choices(["standard", "podcast"]))
        .addOption(new Option("--mode <mode>", "gain and limiter, or FFmpeg's loudnorm").choices(["linear", "ebu"])),
    examples: [
      ["snatchctl audio normalize a.flac", "to a.normalized.flac"],
      ["snatchctl audio normalize -r --in-place ~/Music", "a whole collection, on all cores"],
      ["snatchctl audio normalize --dry-run *.mp3", "only say how loud they are"],
    ],
  },
  {
    verb: "denoise",
    summary: "take noise away",
    description: "Takes noise away, in a way that fits what the audio is made of: speech, music or film.",
    makes: true,
    options: (command) =>
      command
        .addOption(new Option("--strength <strength>", "how much; default: as configured").choices(STRENGTHS))
        .option("--no-preserve-quality", "take away what can be, whatever else goes with it"),
    examples: [["snatchctl audio denoise --strength heavy talk.flac", "to talk.denoised.flac"]],
  },
  {
    verb: "upmix",
    summary: "make 7.1 of them",
    description:
      "Spreads the sound over eight channels. The container must be able to hold them: flac, wav, m4a, mka …",
    makes: true,
    options: (command) =>
      command.addOption(
        new Option("--content <content>", "what it is made of; default: found out").choices([
          "auto",
          "speech",
          "music",
          "film",
        ]),
      ),
    examples: [["snatchctl audio upmix --content film a.flac -o b.flac", "eight channels"]],
  },
  {
    verb: "detect",
    summary: "say whether it is speech, music or film",
    description: "Says what the audio is mostly made of, with the share of speech and figures of the spectrum.",
    makes: false,
    options: same,
    examples: [["snatchctl audio detect --json *.mp3", "for a script"]],
  },
  {
    verb: "validate",
    summary: "find damaged FLAC files",
    description:
      "Checks that FLAC files are whole: the CRCs of every frame, their numbers and count, and the MD5 of all samples. " +
      "Exits with 0 only if every file is; with 7 if one is damaged.",
    makes: false,
    options: same,
    examples: [["snatchctl audio validate -r ~/Music", "every FLAC file below a folder"]],
  },
  {
    verb: "enhance",
    summary: "equalise them gently",
    description: "Equalises by at most 3 dB a band, by what the ear hears of the spectrum and what is masked.",
    makes: true,
    options: same,
    examples: [["snatchctl audio enhance a.flac", "to a file beside it"]],
  },
  {
    verb: "chain",
    summary: "send them through filters",
    description: "Sends files through filters, one after the other; `snatchctl audio filters` lists them.",
    makes: true,
    options: (command) => command.requiredOption("--filters <names>", "their names, with commas"),
    examples: [["snatchctl audio chain --filters denoise_light,normalize_podcast a.wav", "two filters"]],
  },
  {
    verb: "replaygain",
    summary: "write ReplayGain tags",
    description: "Writes ReplayGain 2.0 tags into the files; the audio stays as it is, byte for byte.",
    makes: true,
    options: same,
    examples: [["snatchctl audio replaygain --in-place *.flac", "players then level them"]],
  },
  {
    verb: "analyze",
    summary: "measure and draw them",
    description:
      "Measures loudness and spectrum; with --report writes one HTML page with waveform, spectrogram and loudness over time.",
    makes: false,
    options: (command) =>
      command
        .option("--report <file>", "the page; for a single file")
        .option("--after <file>", "another state of it, to stand beside it")
        .option("--overwrite", "replace a report that is there"),
    examples: [
      ["snatchctl audio analyze a.flac --report a.html", "a picture of it"],
      ["snatchctl audio analyze a.flac --after a.normalized.flac --report a.html", "before and after"],
    ],
  },
  {
    verb: "process",
    summary: "noise, surround and loudness in one go",
    description: "Runs the whole chain in one go: noise is taken away, 7.1 made, loudness brought to its target.",
    makes: true,
    options: (command) =>
      loudness(command)
        .option("--surround", "make 7.1 of it")
        .addOption(new Option("--denoise <strength>", "take noise away").choices(STRENGTHS)),
    examples: [["snatchctl audio process --surround --denoise medium --lufs -14 a.flac", "everything"]],
  },
];

/** audio and what is below it. */
export function defineAudio(program: Command, outcome: Outcome): void {
  const audio = program
    .command("audio")
    .summary("loudness, noise, 7.1, FLAC checks")
    .description(
      "Works on the audio of files: a result lies beside its file (a.normalized.flac) unless -o or --in-place says " +
        "otherwise, and the file itself stays as it is. If no daemon runs, one is started in the background.",
    );
  examples(
    audio,
    ["snatchctl audio normalize a.flac", "as loud as others: a.normalized.flac"],
    ["snatchctl audio validate -r ~/Music", "which FLAC files are damaged"],
  );
  for (const definition of DEFINITIONS) define(audio, definition, outcome);
  const filters = audio
    .command("filters")
    .summary("list filters for chains")
    .description("Lists the filters that chains can be made of, and why some cannot run here.")
    .action(
      action(outcome, async (flags: Globals) => (await import("./commands/audio-filters.ts")).audioFilters(flags)),
    );
  examples(filters, ["snatchctl audio filters", "built-in and added ones"]);
}

function define(
  audio: Command,
  { verb, summary, description, makes, options, examples: lines }: Definition,
  outcome: Outcome,
) {
  const command = options(audio.command(`${verb} <file...>`).summary(summary).description(description));
  if (makes)
    command
      .option("-o, --output <file>", "the result's path; for a single file")
      .option("--in-place", "replace the file, once the result is proved")
      .option("--overwrite", "replace a result that is there")
      .option("--dry-run", "only say what would be done");
  command
    .option("-r, --recursive", "all audio below folders")
    .option("-j, --jobs <n>", "files at once; default: one a core")
    .action(
      action(outcome, async (flags: AudioFlags, files: string[]) =>
        (await import("./commands/audio.ts")).audio(verb, flags, files),
      ),
    );
  examples(command, ...lines);
}
