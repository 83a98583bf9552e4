/** The commands about what is shared from peer to peer. Each action loads its own module. */
import { type Command, Option } from "commander";
import type { NetworkFlags } from "./commands/network.ts";
import type { ShareFlags } from "./commands/share.ts";
import type { SharesFlags } from "./commands/shares.ts";
import { action, examples, type Outcome } from "./definitions.ts";
import type { Globals } from "./globals.ts";
import type { OrderFlags } from "./order.ts";

/** share, fetch, shares, unshare and network. */
export function defineShare(program: Command, outcome: Outcome): void {
  const share = program
    .command("share <path...>")
    .summary("share files and folders by a code")
    .description(
      "Shares files and folders: whoever is given the code fetches them from this machine, end-to-end encrypted. Reads every " +
        "file once, so that nothing else can arrive than what was shared; a file that is changed later cannot be had any " +
        "more. A folder, or several paths, become one share. Ctrl-C before the code is shown shares nothing. If no daemon runs, " +
        "one is started in the background; what is shared can be had while it runs.",
    )
    .option("--expires <duration>", "how long it lasts: 1h, 1d; or never. Default: p2p.share_for, a week")
    .option("--max-fetches <n>", "it ends when it was fetched whole so often")
    .option("--max-peers <n>", "so many may fetch it at once; default: p2p.max_peers")
    .option("--name <name>", "what the others see; default: the file's or folder's own name")
    .option(
      "--no-encryption",
      "bytes of files may go over the local network in the clear, which is faster; who may have them, and that they are " +
        "right, is still proved",
    )
    .option("--new", "a code of its own, also if the same files are shared already; otherwise that one is shown again")
    .option("--no-qr", "without the QR code, which is shown on terminals that are wide enough")
    .action(
      action(outcome, async (flags: ShareFlags, paths: string[]) =>
        (await import("./commands/share.ts")).share(flags, paths),
      ),
    );
  examples(
    share,
    ["snatchctl share holiday.mp4", "one file, for a week"],
    ["snatchctl share ~/photos --expires 1d --max-fetches 1", "a folder, for one other"],
    ["snatchctl --json share a.iso | jq -r .code", "for scripts"],
  );
  const fetch = program
    .command("fetch <code>")
    .summary("fetch what is shared by a code")
    .description(
      "Fetches what somebody shares by a code, and waits until it is whole, verified and in place: the same as `get snatch:CODE`. " +
        "'-' reads the code from standard input, at a terminal without showing it. Letters of either case do, hyphens and " +
        "spaces do not matter; a code that was mistyped is told at once. What was fetched already is not fetched again, " +
        "whatever happens in between.",
    )
    .option("-d, --dir <folder>", "the folder for what is fetched")
    .option("-o, --output <file>", "the file's path, literally; for a share that is a single file")
    .option("--peer <host:port>", "who else is asked, besides those who are found; repeatable", collect)
    .option("--share", "share on what was fetched, by the same code")
    .option("--limit <rate>", "bytes a second for a file: 500K, 5M; off is unlimited")
    .option("--max-retries <n>", "how often a failed attempt is repeated")
    .option("--retry-delay <duration>", "the first delay before a repetition: 2s, 1m")
    .addOption(
      new Option("--if-exists <policy>", "what to do about a file that is there and is not ours").choices([
        "rename",
        "skip",
        "overwrite",
      ]),
    )
    .option("--force", "fetch even if it was fetched before and is still there")
    .action(
      action(outcome, async (flags: OrderFlags & Globals, code: string) =>
        (await import("./commands/fetch.ts")).fetch(flags, code),
      ),
    );
  examples(
    fetch,
    ["snatchctl fetch EDQ62-X33D0-G6AY3-1DNR6-RSBK6 -d .", "into this folder"],
    ["snatchctl fetch -", "asks for the code and does not show it"],
    ["snatchctl fetch - --peer 192.168.1.5:4000 < code.txt", "from a machine whose address is known"],
  );
  defineKept(program, outcome);
}

function defineKept(program: Command, outcome: Outcome): void {
  const shares = program
    .command("shares")
    .summary("show what is shared from here")
    .description("Shows what is shared from here, how often it was fetched, and by how many it is fetched now.")
    .option("--codes", "with the codes: whoever sees them can fetch")
    .action(action(outcome, async (flags: SharesFlags) => (await import("./commands/shares.ts")).shares(flags)));
  examples(shares, ["snatchctl shares", "all shares"], ["snatchctl shares --codes", "to give a code once more"]);
  const unshare = program
    .command("unshare <share...>")
    .summary("end shares; the files stay")
    .description("Ends shares, by the beginning of an id or by a code. Who is fetching is sent away; the files stay.")
    .action(
      action(outcome, async (flags: Globals, names: string[]) =>
        (await import("./commands/shares.ts")).unshare(flags, names),
      ),
    );
  examples(unshare, ["snatchctl unshare 3f2a9c1e", "end one share"]);
  const network = program
    .command("network")
    .summary("show how others reach this machine")
    .description(
      "Shows whether others can reach this machine, what stands in the way and what to do about it, and who is connected. " +
        "Nothing listens before the first share or fetch.",
    )
    .option("--probe", "ask the STUN servers for the kind of router now, and open the port for that")
    .action(action(outcome, async (flags: NetworkFlags) => (await import("./commands/network.ts")).network(flags)));
  examples(network, ["snatchctl network --probe", "find out why nobody gets through"]);
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
