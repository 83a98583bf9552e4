/** Writes docs/CLI.md from the program's own help. A test compares the two. `node scripts/cli-docs.ts` */
import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { buildProgram } from "../src/client/program.ts";
import { EXIT } from "../src/shared/errors.ts";

const MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: "Done. Of `get`: every file is whole and in place.",
  unexpected: "Something that nobody expected; of `doctor`: a check failed.",
  usage: "The command line, a URL, a line of a list or an id makes no sense.",
  network: "The way to the origin failed.",
  resource: "The origin refuses or fails: 404, 403, 5xx.",
  fileSystem: "A file or folder cannot be written or named, or exists already.",
  systemResource: "The machine lacks room, memory or descriptors.",
  integrity: "The bytes are not the right ones.",
  daemon: "No daemon answers, or it does not accept the token.",
  refused: "The daemon refuses: the session's status or the caller does not allow it; the download was called off.",
  paused: "Somebody paused a download that was waited for.",
  alreadyRunning: "Another daemon uses the state folder (snatchd).",
  config: "The configuration has an error.",
  interrupted: "Ctrl-C.",
};

const INTRODUCTION = `# snatchctl

Generated from the program's help by \`node scripts/cli-docs.ts\`; a test keeps the two together.

stdout holds results, stderr everything else. With \`--json\` each result is one object a line, errors are objects on
stderr, and progress is not shown. A session has the fields of the spec (\`session_id\`, \`url\`, \`status\`, \`created_at\`,
\`updated_at\`, \`progress\`, \`metadata\`, \`options\`, \`error_info\`) and more; times are ISO 8601, sizes bytes, rates bytes a
second. A request that was refused has the status \`refused\` and no id. Rates and sizes are read as \`500K\`, \`8M\`,
\`1.5GiB\`; durations as \`30s\`, \`10m\`, \`2h\`.

The daemon is looked for at \`--address\`, else \`SNATCH_ADDRESS\`, else at the Unix socket of this user (or of \`--home\`,
\`SNATCH_HOME\`). Only a daemon at the user's own socket is ever started. \`SNATCHD_PROGRAM\` names another program to start.
Colours appear on a terminal only, and never with \`NO_COLOR\`.
`;

/** The text of docs/CLI.md. */
export function cliDocs(): string {
  const codes = Object.entries(EXIT).map(([name, code]) => `| ${code} | ${MEANINGS[name as keyof typeof EXIT]} |`);
  const table = [
    "## Exit codes",
    "",
    "By what a script would do about them; `get` exits with that of the first failure. docs/ERRORS.md has the code of each error.",
    "",
    "| Code | Meaning |",
    "| --- | --- |",
    ...codes,
  ].join("\n");
  const sections = commands(buildProgram({ exit: 0 }), []).map(
    ([path, command]) => `## ${path.join(" ")}\n\n\`\`\`text\n${helpOf(command)}\n\`\`\``,
  );
  return `${[INTRODUCTION.trimEnd(), table, ...sections].join("\n\n")}\n`;
}

/** Every command that the help shows, depth first. */
function commands(command: Command, parents: readonly string[]): Array<[string[], Command]> {
  const path = [...parents, command.name()];
  const below = command
    .createHelp()
    .visibleCommands(command)
    .filter((entry) => entry.name() !== "help");
  return [[path, command], ...below.flatMap((entry) => commands(entry, path))];
}

/** The help at a fixed width. Global options stand once, under the program itself. */
function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({
    writeOut: (piece) => {
      text += piece;
    },
    getOutHelpWidth: () => 110,
    getOutHasColors: () => false,
  });
  command.configureHelp({ ...command.configureHelp(), showGlobalOptions: false });
  command.outputHelp();
  return text.trimEnd();
}

if (import.meta.main) writeFileSync("docs/CLI.md", cliDocs());
