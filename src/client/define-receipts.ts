/** The commands about finished files: what they are, and whether they still are. Each action loads its own module. */
import type { Command } from "commander";
import type { ReceiptFlags } from "./commands/receipt.ts";
import type { VerifyFlags } from "./commands/verify.ts";
import { action, examples, type Outcome } from "./definitions.ts";

/** verify and receipt. */
export function defineReceipts(program: Command, outcome: Outcome): void {
  const verify = program
    .command("verify [file...]")
    .summary("find damaged files, and repair them")
    .description(
      "Reads finished files and compares every chunk with its receipt; a file is named by its path or by its session's id. " +
        "Names each damaged chunk with its bytes. With --repair exactly those chunks are fetched again, and written into " +
        "the file only once they are proved to be the ones that were there. A file that was moved on the same disk is " +
        "recognised. Exits with 0 if every file is whole in the end, else with 7.",
    )
    .option("--all", "every file that has a receipt")
    .option("--repair", "fetch what is damaged again")
    .option("--receipt <file>", "a receipt that `receipt --json` wrote, in place of the daemon's")
    .action(
      action(outcome, async (flags: VerifyFlags, files: string[]) =>
        (await import("./commands/verify.ts")).verify(flags, files),
      ),
    );
  examples(
    verify,
    ["snatchctl verify ~/Downloads/a.iso", "is it still right?"],
    ["snatchctl verify --all --repair", "mend whatever has rotted"],
    ["snatchctl verify --receipt a.json /mnt/copy/a.iso", "a copy, by an exported receipt"],
  );
  const receipt = program
    .command("receipt <file>")
    .summary("show where a finished file came from")
    .description(
      "Shows the receipt of a finished file, named by its path or by its session's id: URLs, times, validators, the server's " +
        "certificate, digests, manifests. With --json also the SHA-256 of every chunk and where it came from. A receipt " +
        "stays when its session is forgotten; --forget forgets it, and its session with it.",
    )
    .option("--secrets", "with --json: also the secrets: those in URLs let a copy be repaired elsewhere")
    .option("--forget", "forget the receipt; the file stays")
    .action(
      action(outcome, async (flags: ReceiptFlags, file: string) =>
        (await import("./commands/receipt.ts")).receipt(flags, file),
      ),
    );
  examples(
    receipt,
    ["snatchctl receipt ~/Downloads/a.iso", "where it came from, and what it is"],
    ["snatchctl receipt --json 3f2a9c1e > a.json", "keep it beside a copy of the file"],
  );
}
