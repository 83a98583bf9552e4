/**
 * Writes docs/FAULTS.md from the catalogue of misbehaving origins and the faults of the disk.
 * `node scripts/faults-docs.ts` writes it; `node scripts/faults-docs.ts --check` exits 1 if it is not up to date.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { ERRORS } from "../src/shared/errors.ts";
import { GROUPS } from "../test/support/origins/catalogue.ts";
import type { Fault, FaultOutcome, FaultTable } from "../test/support/origins/fault.ts";
import { DISK_FAULTS, type OtherFault, WAY_FAULTS } from "../test/support/origins/local.ts";

const FILE = new URL("../docs/FAULTS.md", import.meta.url);

const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");
const row = (...cells: string[]) => `| ${cells.map(cell).join(" | ")} |`;
const code = (text: string) => `\`${text}\``;
const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;

/** What the download comes to, in words. */
function comesTo({ status, version = 1, partial, waits }: FaultOutcome): string {
  switch (status) {
    case "completed":
      return version === 1 ? "right file" : "right file, of the new version";
    case "failed":
      return partial ? "no file; what was fetched is kept" : "no file";
    case "waiting":
      return `waits ${waits?.[1].toLocaleString("en")} s`;
    case "active":
      return "goes on";
  }
}

const errorOf = (name: FaultOutcome["code"]) => (name === undefined ? "" : `${code(name)} (${ERRORS[name].exit})`);

/** A group of the catalogue as a table. */
const group = (name: string, faults: FaultTable) =>
  [
    `## ${name}`,
    "",
    row("Name", "What the origin does", "What Snatch does", "Outcome", "Error (exit code)", "Source"),
    "| --- | --- | --- | --- | --- | --- |",
    ...Object.entries(faults).map(([key, { about, snatch, outcome, source }]: [string, Fault]) =>
      row(code(key), sentence(about), snatch, comesTo(outcome), errorOf(outcome.code), source ?? ""),
    ),
    "",
  ].join("\n");

/** A group of faults that are no origin's. */
const others = (name: string, faults: Readonly<Record<string, OtherFault>>) =>
  [
    `## ${name}`,
    "",
    row("Name", "What happens", "What Snatch does", "Outcome", "Error (exit code)", "Source"),
    "| --- | --- | --- | --- | --- | --- |",
    ...Object.entries(faults).map(([key, { about, snatch, outcome, code: error, source }]) =>
      row(code(key), sentence(about), snatch, outcome, errorOf(error), source),
    ),
    "",
  ].join("\n");

const text = `<!-- Written by \`node scripts/faults-docs.ts\`: change its sources, not this file. -->

# Faults

What origins, networks and disks do wrong, and what becomes of a download then. A finished file is the bytes of one version of the
resource; otherwise there is no file under the final name, and an error that says why.

Each row is run by a test. The rows of origins are the catalogue in \`test/support/origins/\`, which goes through the whole
engine in \`test/integration/faults.test.ts\`; those of the way and of disks name their tests in
\`test/support/origins/local.ts\`. There a failed attempt is repeated once; how often it really is repeated, and how long an
origin may be silent, is set by [\`max_retries\`](CONFIGURATION.md#max_retries) and
[\`timeout\`](CONFIGURATION.md#timeout). Error and exit codes are explained in [ERRORS.md](ERRORS.md).

${[...Object.entries(GROUPS).map(([name, faults]) => group(name, faults)), others("The way", WAY_FAULTS), others("The disk", DISK_FAULTS)].join("\n")}`;

let current: string | undefined;
try {
  current = readFileSync(FILE, "utf8");
} catch {
  // Not written yet.
}
if (current !== text) {
  const check = process.argv.includes("--check");
  if (check) process.exitCode = 1;
  else writeFileSync(FILE, text);
  console.log(`${check ? "not up to date:" : "wrote"} docs/FAULTS.md`);
}
